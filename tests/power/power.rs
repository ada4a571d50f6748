//! What runs in the guest of `tests/power-cuts.sh` and `tests/systemd.sh`: the agent there is the service of systemd that
//! `deploy/` has, and this program is what happens to the device, and who looks.
//!
//! ```text
//! power install                    puts the agent in place, once
//! power cut LEDGER SEED SECONDS    looks at what LEDGER says was acknowledged, then changes things until the power is cut
//! power look LEDGER                looks only
//! power systemd                    the service's life, without any cut
//! ```
//! It writes the ledger to standard output, which leaves the guest at once.
#![expect(clippy::print_stdout, reason = "standard output is how it speaks to the host")]

#[path = "../common/dice.rs"]
mod dice;
mod guest;
mod ledger;
mod load;
mod look;
mod service;
mod workloads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
    let done = match arguments.as_slice() {
        ["install"] => guest::install(),
        ["look", ledger, ..] => look::look(ledger).map(|_| ()),
        ["cut", ledger, seed, seconds] => number(seed).and_then(|seed| {
            let seconds = number(seconds)?;
            look::look(ledger).and_then(|ledger| load::until_the_cut(ledger, seed, seconds))
        }),
        ["systemd"] => service::life(),
        _ => Err("install, cut LEDGER SEED SECONDS, look LEDGER, or systemd".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("FAILED: {why}");
            for command in [
                &["podman", "pod", "ps", "--format", "json"][..],
                &["podman", "ps", "-a", "--format", "{{.Names}} {{.Status}} {{.CreatedAt}}"],
                &[
                    "journalctl",
                    "-b",
                    "-u",
                    "flotta-agent",
                    "-u",
                    "podman",
                    "-o",
                    "short-monotonic",
                    "--no-pager",
                    "-n",
                    "100",
                ],
            ] {
                eprintln!("{command:?}: {}", guest::run(command).unwrap_or_else(|why| why));
            }
            ExitCode::FAILURE
        }
    }
}
