//! The shim's files in the run's directory, which is its working directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use flotta_agent::executor::shell::run::{
    EXIT_FILE, Exit, OLD_OUTPUT_FILE, OUTPUT_FILE, SHIM_FILE, STARTED_FILE, Started,
};

use crate::wait;

/// How often writing the exit is tried, a second apart, before it is given up.
const EXIT_TRIES: u32 = 30;

/// For an agent that adopts this run.
pub fn shim_pid() -> io::Result<()> {
    replace(SHIM_FILE, format!("{}\n", std::process::id()).as_bytes(), false)
}

/// The command was executed.
pub fn started(started: &Started) -> io::Result<()> {
    replace(STARTED_FILE, &serde_json::to_vec(started)?, false)
}

/// How the run ended; on disk when this returns. A full disk costs the output first: how it ended is worth more.
pub fn exit(exit: &Exit) {
    let Ok(text) = serde_json::to_vec(exit) else { return };
    for _ in 0..EXIT_TRIES {
        if replace(EXIT_FILE, &text, true).is_ok() {
            return;
        }
        let _ = std::fs::remove_file(OLD_OUTPUT_FILE);
        if replace(EXIT_FILE, &text, true).is_ok() {
            return;
        }
        let _ = std::fs::remove_file(OUTPUT_FILE);
        if replace(EXIT_FILE, &text, true).is_ok() || removed() {
            return;
        }
        wait::pause(1000);
    }
}

/// Somebody has removed the run's directory.
fn removed() -> bool {
    std::fs::metadata(".").is_ok_and(|directory| directory.nlink() == 0)
}

/// Whole or not at all; `durable`: and still there after a power loss.
fn replace(name: &str, text: &[u8], durable: bool) -> io::Result<()> {
    let temporary = format!("{name}.tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&temporary, name)?;
    if durable {
        File::open(".")?.sync_all()?;
    }
    Ok(())
}
