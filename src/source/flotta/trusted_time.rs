//! What time it is for certificates, whatever the wall clock shows.
