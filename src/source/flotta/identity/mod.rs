//! Who the device is towards the server: its key and certificate, kept so that a crash leaves a usable pair.
