//! What the machine is made of, as Linux tells it without root's tools.
