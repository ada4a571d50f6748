//! Against real TLS servers, each with something wrong.

mod faults;
mod server;
mod works;
