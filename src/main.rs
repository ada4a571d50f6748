//! `flotta-agent`: parse, build, announce, wait, drain.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use flotta_agent::cli::{Action, Cli, Exit, Screen, Settings, run_client};
use flotta_agent::config::{self, Loaded, LogFormat};
use flotta_agent::{agent, check};

fn main() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let exit = match Cli::parse().action() {
        Action::Client(command, settings) => {
            run_client(&command, &settings, Screen::of_stdout(), &mut out.lock(), &mut err.lock())
        }
        Action::Check(settings) => load(&settings).map_or_else(|exit| exit, |loaded| check::run(&loaded, &mut out)),
        Action::Run(settings) => load(&settings).map_or_else(|exit| exit, |loaded| run(loaded, &mut err)),
    };
    exit.into()
}

fn load(settings: &Settings) -> Result<Loaded, Exit> {
    config::load(settings.config.as_deref(), settings.flags.clone()).map_err(|errors| say(&errors, Exit::Usage))
}

fn run(loaded: Loaded, err: &mut dyn Write) -> Exit {
    let text = match loaded.config.log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    log_to_stderr(&loaded, text);
    // Two workers: one may be in a system call while the other decides. More only cost memory. The threads for calls that
    // block are made when needed; a few of them may be kept by a network mount or a name server that does not answer.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(8).enable_all().build();
    let ready = |banner: &agent::Banner<'_>| {
        tracing::info!(
            device = banner.device_id,
            http = banner.endpoints.get("http"),
            mqtt = banner.endpoints.get("mqtt"),
            "ready"
        );
        if text {
            // Nobody there to read it: fine.
            let _ = writeln!(err, "{banner}");
        }
    };
    match runtime {
        Ok(runtime) => match runtime.block_on(agent::run(loaded, ready)) {
            Ok(()) => Exit::Done,
            Err(why) => say(&why, Exit::Wrong),
        },
        Err(why) => say(&format!("cannot start: {why}"), Exit::Wrong),
    }
}

fn log_to_stderr(loaded: &Loaded, text: bool) {
    let level = loaded.config.log.level.as_str();
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,flotta_agent={level},flotta_broker={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if text {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    } else {
        builder.json().flatten_event(true).with_target(false).init();
    }
}

fn say(what: &dyn std::fmt::Display, exit: Exit) -> Exit {
    let _ = writeln!(std::io::stderr(), "{what}");
    exit
}
