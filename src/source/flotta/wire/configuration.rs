//! What the server wants of the device.
