//! The built binary as its users meet it: mosquitto's own clients, HTTP, files, signals, kill -9.

mod broker;
mod clients;
#[path = "../common/device.rs"]
mod device;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/processes.rs"]
mod processes;

mod end;
mod external;
mod first_steps;
mod kill;
