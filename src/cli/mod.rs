//! The command line (SPEC "Command line"): what may be written, and the commands that ask a running agent.
//!
//! [`Cli`] says what may be written; [`Cli::action`] sorts it into what this process becomes: an agent, a check, or a
//! client. Clients live here whole: [`run_client`]. `run` and `check` are carried out elsewhere; [`check`] writes what a
//! check found. Nothing here prints by itself: everything goes to a writer that it is handed.
//!
//! # Exit codes
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | it went wrong, or what was asked about is wrong or not there |
//! | 2 | the command line or the configuration is wrong; nothing was started |
//! | 3 | no agent answers |

mod args;
pub mod check;
mod client;
mod command;
mod endpoint;
mod host;
mod metric;
mod remedy;
mod socket;
mod status;
mod text;
mod tree;
mod watch;
mod why;

use std::io::{ErrorKind, Write};

use serde_json::json;

pub use args::{Action, Cli, ClientCommand, Output, RunFlags, Settings};

/// How a process ends; see the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Done,
    /// 1
    Wrong,
    /// 2
    Usage,
    /// 3
    Unreachable,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> std::process::ExitCode {
        std::process::ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Wrong => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
        })
    }
}

/// What the output goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Columns; `None`: not a terminal, so nothing is wrapped or redrawn.
    pub width: Option<u16>,
}

impl Screen {
    /// That of the standard output.
    #[must_use]
    pub fn of_stdout() -> Screen {
        Screen { width: comfy_table::Table::new().width() }
    }
}

/// Why a client's command did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no agent answers at {0}: is it running? start it with: flotta-agent run")]
    Unreachable(String),
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Usage(String),
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// Carries out a command that needs no agent of its own: `status`, `why`, `metric set`, `host`, `workload`, `gc`,
/// `completions`, `man`.
pub fn run_client(
    command: &ClientCommand,
    settings: &Settings,
    screen: Screen,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(carry_out(command, settings, screen, out)),
        Err(why) => Err(Trouble::Wrong(format!("cannot start: {why}"))),
    };
    let done = done.and_then(|()| Ok(out.flush()?));
    let trouble = match done {
        Ok(()) => return Exit::Done,
        // Who reads us has seen enough: `flotta-agent status | head -1`.
        Err(Trouble::Output(why)) if why.kind() == ErrorKind::BrokenPipe => return Exit::Done,
        Err(trouble) => trouble,
    };
    // If even the standard error is closed, the exit code remains.
    let _ = writeln!(err, "{}", text::lines(&trouble.to_string()));
    match trouble {
        Trouble::Unreachable(_) => Exit::Unreachable,
        Trouble::Usage(_) => Exit::Usage,
        Trouble::Wrong(_) | Trouble::Output(_) => Exit::Wrong,
    }
}

async fn carry_out(
    command: &ClientCommand,
    settings: &Settings,
    screen: Screen,
    out: &mut dyn Write,
) -> Result<(), Trouble> {
    let agent = || endpoint::agent(settings);
    match command {
        ClientCommand::Status { output, watch: false } => status::once(&agent()?, *output, screen, out).await,
        ClientCommand::Status { output, watch: true } => watch::status(&agent()?, *output, screen, out).await,
        ClientCommand::Why { workload } => why::workload(&agent()?, workload, out).await,
        ClientCommand::MetricSet { name, value } => metric::set(&agent()?, name, value, out).await,
        ClientCommand::HostShow { output } => host::show(&agent()?, *output, out).await,
        ClientCommand::HostLock { keep } => command::give(settings, "lock", &json!({ "keep": keep }), out).await,
        ClientCommand::HostUnlock => command::give(settings, "unlock", &json!({}), out).await,
        ClientCommand::WorkloadRun { workload } => {
            command::give(settings, "run", &json!({ "workload": workload }), out).await
        }
        ClientCommand::CollectVolumes { dry_run } => {
            command::give(settings, "gc", &json!({ "volumes": true, "dry_run": dry_run }), out).await
        }
        ClientCommand::Completions { shell } => Ok(out.write_all(&args::completions(*shell))?),
        ClientCommand::Man => Ok(out.write_all(&args::man()?)?),
    }
}
