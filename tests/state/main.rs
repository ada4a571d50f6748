//! What is stored survives: power cuts and errors of the disk at every system call, kills, full disks, later and earlier
//! versions of the agent. On a simulated disk (`tests/common/disk.rs`), and by the agent itself on a real one.

use flotta_agent::state::Disk;

#[path = "../common/device.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod device;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/disk.rs"]
mod disk;
#[path = "../common/processes.rs"]
mod processes;

mod agent;
mod events;
mod formats;
mod kept;
mod machine;
mod numbers;
mod power;
mod saving;
mod trouble;
