//! The small parent of one shell run. It outlives the agent: starts the command, keeps its output within bounds, ends what
//! is to end, and writes down how it ended.
//!
//! Started by the agent in the run's directory, with the run's `run.json`, exclusively locked, as standard input: the lock
//! lives exactly as long as this process, so nobody ever has to guess from a pid whether a run is alive. On standard
//! output it says one line, `ok <pid>` or `err <sentence>`, and never anything again.
//!
//! One thread, no timer but after a TERM: while the command runs in silence, this process sleeps.
//!
//! ```text
//! agent ── spawn, run.json ──► shim ── spawn ──► command (its own process group)
//!   │                           │ ◄── pipe ──────── stdout, stderr ──► output.log, output.log.1
//!   ├── SIGTERM (pidfd) ───────►│ ── TERM, after the grace period KILL ──► the group and every other descendant
//!   └── pidfd readable ◄────────┘ exit.json
//! ```
#![forbid(unsafe_code)]

mod launch;
mod output;
mod supervise;
mod users;
mod wait;
mod write;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use flotta_agent::executor::shell::run::{FILE_MAX, RunSpec};
use flotta_agent::probes::door;

fn main() -> ExitCode {
    // Another, shorter life: a connection inside a pod's network. Before anything else, as there may be no thread yet.
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some(door::ENTER) {
        return door::enter(&args.collect::<Vec<_>>());
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("err {}\n", why.replace('\n', " ")));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let spec = read_spec()?;
    // Fails only for the leader of a process group, which is what it is for.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|why| format!("the shim cannot become a subreaper: {why}"))?;
    let signals = wait::Signals::install().map_err(|why| format!("the shim cannot handle signals: {why}"))?;
    write::shim_pid().map_err(|why| format!("the run's directory cannot be written: {why}"))?;
    let launched = launch::launch(&spec)?;
    // Without this file an adopting agent takes the run as one that is still being started: a wait, no harm.
    let _ = write::started(&launched.started);
    say(&format!("ok {}\n", launched.started.pid));
    let grace = spec.grace();
    drop(spec);
    let exit = supervise::supervise(launched, grace, &signals);
    write::exit(&exit);
    Ok(())
}

fn read_spec() -> Result<RunSpec, String> {
    let lock = std::io::stdin().as_fd().try_clone_to_owned().map_err(|why| format!("no run.json on stdin: {why}"))?;
    let mut text = Vec::new();
    std::fs::File::from(lock)
        .take(FILE_MAX)
        .read_to_end(&mut text)
        .map_err(|why| format!("run.json on stdin cannot be read: {why}"))?;
    serde_json::from_slice(&text)
        .map_err(|why| format!("flotta-shim is started by flotta-agent, with a run.json on stdin: {why}"))
}

/// To the agent. It may be gone: then nobody needs to hear.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
