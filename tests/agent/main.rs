//! The built binary as its users meet it: mosquitto's own clients, HTTP, files, signals, kill -9.

mod broker;
#[path = "../common/clients.rs"]
mod clients;
#[path = "../common/device.rs"]
mod device;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/fleet.rs"]
mod fleet;
#[path = "../common/kills.rs"]
mod kills;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../common/small_disk.rs"]
mod small_disk;

mod end;
mod external;
mod first_steps;
mod full_disk;
mod kill;
