//! The built binary as its users meet it: mosquitto's own clients, HTTP, files, signals, kill -9.

mod broker;
mod clients;
mod device;
mod dice;
mod external;
mod first_steps;
mod kill;
mod processes;
