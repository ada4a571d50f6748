//! The envelope of every exchange, and what the device says in it.
