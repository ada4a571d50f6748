//! What may be written on the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The agent of an edge device: decides from metrics which workloads run here.
#[derive(Debug, Parser)]
#[command(name = "flotta-agent", version, after_help = EXITS, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    flags: RunFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXITS: &str = "Without a command: run.\n\nExit codes: 0 done; 1 it went wrong, or what was asked about is wrong or not there; \
2 the command line or the configuration is wrong; 3 no agent answers.";

#[derive(Debug, Args)]
struct Global {
    /// The configuration file; without it /etc/flotta-agent/config.yaml, if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where a running agent answers, for the commands that ask one: http://127.0.0.1:8080
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The unix socket of a running agent, for the commands that ask one (control.socket)
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "url")]
    socket: Option<PathBuf>,
}

/// Flags for the main keys of the configuration; each wins over the environment and the file.
#[derive(Clone, Debug, Default, Args)]
pub struct RunFlags {
    /// Who this device is (DEVICE_ID)
    #[arg(long, value_name = "NAME")]
    device_id: Option<String>,
    /// The directory of files that say what should run (manifests.dir)
    #[arg(long, value_name = "DIR")]
    manifests: Option<String>,
    /// Where the agent keeps what survives it (state.dir)
    #[arg(long, value_name = "DIR")]
    state_dir: Option<String>,
    /// Where HTTP is served (http.listen); port 0 is any free one
    #[arg(long, value_name = "ADDR:PORT")]
    http_listen: Option<String>,
    /// Where the embedded broker listens (mqtt.listen); port 0 is any free one
    #[arg(long, value_name = "ADDR:PORT")]
    mqtt_listen: Option<String>,
    /// trace, debug, info, warn or error (LOG_LEVEL)
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl RunFlags {
    fn list(self) -> Vec<(&'static str, String)> {
        let all = [
            ("--device-id", self.device_id),
            ("--manifests", self.manifests),
            ("--state-dir", self.state_dir),
            ("--http-listen", self.http_listen),
            ("--mqtt-listen", self.mqtt_listen),
            ("--log-level", self.log_level),
        ];
        all.into_iter().filter_map(|(flag, value)| Some((flag, value?))).collect()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent (what happens without a command, too)
    Run(RunFlags),
    /// Check configuration and manifests, and say what each expression was understood as
    Check(RunFlags),
    /// Show the device and its workloads
    Status {
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
        /// Show it again whenever something changes
        #[arg(short, long)]
        watch: bool,
    },
    /// Explain why a workload runs or does not: from the metrics to the decision
    Why {
        /// NAME, or NAMESPACE/NAME
        workload: String,
    },
    /// Send metrics
    #[command(subcommand)]
    Metric(MetricCommand),
    /// Show this device, lock it, unlock it
    #[command(subcommand)]
    Host(HostCommand),
    /// Tell a workload what to do
    #[command(subcommand)]
    Workload(WorkloadCommand),
    /// Remove what nobody needs any more: the content of claims that no workload refers to
    Gc {
        /// Volumes of persistentVolumeClaims, for good
        #[arg(long, required = true)]
        volumes: bool,
        /// Only show what would be removed
        #[arg(long)]
        dry_run: bool,
    },
    /// Write a completion script for a shell
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual page
    #[command(hide = true)]
    Man,
}

#[derive(Debug, Subcommand)]
enum MetricCommand {
    /// Set a metric, or clear it
    Set {
        /// The metric's name
        name: String,
        /// 20, 20%, 2.5Gi, true, false; nil clears
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

#[derive(Debug, Subcommand)]
enum HostCommand {
    /// Show the device
    Show {
        /// How it is shown
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Stop all workloads, and start none until the device is unlocked; a restart changes nothing of that
    Lock {
        /// Start none, but let those run on that run
        #[arg(long)]
        keep: bool,
    },
    /// Let metrics and schedules decide again
    Unlock,
}

#[derive(Debug, Subcommand)]
enum WorkloadCommand {
    /// Run one now: once, if it has a schedule; again, if it has ended
    Run {
        /// NAME, or NAMESPACE/NAME
        workload: String,
    },
}

/// How `status` and `host show` show what they know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The objects of the HTTP API
    Json,
    /// For people
    Table,
}

/// What the configuration is found by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--url`.
    pub url: Option<String>,
    /// `--socket`.
    pub socket: Option<PathBuf>,
    /// For [`crate::config::load`].
    pub flags: Vec<(&'static str, String)>,
}

/// What this process becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An agent.
    Run(Settings),
    /// A check of configuration and manifests.
    Check(Settings),
    /// A client; for [`super::run_client`].
    Client(ClientCommand, Settings),
}

/// A command for which [`super::run_client`] is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// `status`
    Status {
        /// How it is shown.
        output: Output,
        /// Again and again.
        watch: bool,
    },
    /// `why`
    Why {
        /// As written.
        workload: String,
    },
    /// `metric set`
    MetricSet {
        /// As written.
        name: String,
        /// As written.
        value: String,
    },
    /// `host show`
    HostShow {
        /// How it is shown.
        output: Output,
    },
    /// `host lock`
    HostLock {
        /// What runs goes on.
        keep: bool,
    },
    /// `host unlock`
    HostUnlock,
    /// `workload run`
    WorkloadRun {
        /// As written.
        workload: String,
    },
    /// `gc --volumes`
    CollectVolumes {
        /// Nothing is removed.
        dry_run: bool,
    },
    /// `completions`
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// `man`
    Man,
}

impl Cli {
    /// Sorts what was written. A flag behind the command wins over one in front of it.
    #[must_use]
    pub fn action(self) -> Action {
        let Global { config, url, socket } = self.global;
        let mut settings = Settings { config, url, socket, flags: self.flags.list() };
        let client = match self.command.unwrap_or(Command::Run(RunFlags::default())) {
            Command::Run(flags) => {
                settings.flags.extend(flags.list());
                return Action::Run(settings);
            }
            Command::Check(flags) => {
                settings.flags.extend(flags.list());
                return Action::Check(settings);
            }
            Command::Status { output, watch } => ClientCommand::Status { output, watch },
            Command::Why { workload } => ClientCommand::Why { workload },
            Command::Metric(MetricCommand::Set { name, value }) => ClientCommand::MetricSet { name, value },
            Command::Host(HostCommand::Show { output }) => ClientCommand::HostShow { output },
            Command::Host(HostCommand::Lock { keep }) => ClientCommand::HostLock { keep },
            Command::Host(HostCommand::Unlock) => ClientCommand::HostUnlock,
            Command::Workload(WorkloadCommand::Run { workload }) => ClientCommand::WorkloadRun { workload },
            Command::Gc { dry_run, .. } => ClientCommand::CollectVolumes { dry_run },
            Command::Completions { shell } => ClientCommand::Completions { shell },
            Command::Man => ClientCommand::Man,
        };
        Action::Client(client, settings)
    }
}

pub(super) fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "flotta-agent", &mut script);
    script
}

pub(super) fn man() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    Ok(page)
}
