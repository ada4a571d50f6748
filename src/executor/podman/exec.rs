//! A command inside a running container: for probes and hooks.

use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use tokio::time::timeout;

use super::client::{ApiError, Client, parse, unframed};
use crate::executor::shell::tree;

/// What podman itself needs to begin with it, and to say how it ended.
const AROUND: Duration = Duration::from_secs(20);
/// What is read of its output; of more it is the end that is kept.
const OUTPUT_MAX: usize = 16 << 10;
/// What is said of it.
const LINE_MAX: usize = 256;

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) code: i64,
    /// The last line that it wrote, shortened.
    pub(super) line: String,
}

impl Ran {
    /// The error: how it failed.
    pub(super) fn well(self) -> Result<(), String> {
        match (self.code, self.line.is_empty()) {
            (0, _) => Ok(()),
            (code, true) => Err(format!("exit code {code}")),
            (code, false) => Err(format!("exit code {code}: {}", self.line)),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Session {
    exit_code: i64,
    running: bool,
    pid: i64,
}

impl Client {
    /// Makes ready a command in a container; its session, to be run.
    pub(super) async fn new_exec(&self, container: &str, command: &[String]) -> Result<String, ApiError> {
        let body = json!({ "AttachStdout": true, "AttachStderr": true, "Cmd": command });
        let (status, bytes) =
            self.call(AROUND, "POST", &["containers", container, "exec"], Vec::new(), Some(body)).await?;
        let made: Json = parse(status, &bytes)?;
        Ok(made["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs a session to its end; `None`: that took too long, and it runs on ([`Client::end_exec`]). What podman needs to say
    /// how it ended does not count.
    pub(super) async fn run_exec(&self, session: &str, within: Duration) -> Result<Option<Ran>, ApiError> {
        let Ok(output) = timeout(within, self.output_of(session)).await else { return Ok(None) };
        let output = output?;
        let session: Session = self.ask(&["exec", session, "json"], Vec::new()).await?;
        Ok(Some(Ran { code: session.exit_code, line: last_line(&unframed(&output)) }))
    }

    /// Starts it; what it writes, until nobody holds its output open.
    async fn output_of(&self, session: &str) -> Result<Vec<u8>, ApiError> {
        let start = json!({ "Detach": false, "Tty": false });
        let mut answer = self.open("POST", &["exec", session, "start"], Vec::new(), Some(start)).await?;
        let mut output: Vec<u8> = Vec::new();
        while let Some(piece) = answer.body.next().await.map_err(ApiError::Unreachable)? {
            output.extend_from_slice(&piece);
            let over = output.len().saturating_sub(OUTPUT_MAX);
            output.drain(..over);
        }
        if answer.status >= 400 {
            return Err(ApiError::Refused(answer.status, failure(&output)));
        }
        Ok(output)
    }

    /// Ends a command that has not ended by itself, if its process can be seen from here and is one of the container whose
    /// first process this is.
    pub(super) async fn end_exec(&self, first: i64, session: &str) -> Result<(), ApiError> {
        let found: Session = self.ask(&["exec", session, "json"], Vec::new()).await?;
        if !found.running {
            return Ok(());
        }
        // Opened first, looked at then: the number may be another's by now.
        let pid = i32::try_from(found.pid).unwrap_or(0);
        let Some(process) = tree::open(pid) else { return Ok(()) };
        // Not by control groups, of which a user's containers have none of their own on cgroup v1.
        let world = |pid: i64| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        if world(found.pid).is_some_and(|mounts| Some(mounts) == world(first)) {
            tree::signal_descendants(pid, Signal::KILL, |_, _| true);
            // It may have ended in this very moment.
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
        Ok(())
    }
}

fn failure(output: &[u8]) -> String {
    let said = serde_json::from_slice::<super::wire::Failure>(output).ok().and_then(|failure| failure.text());
    said.unwrap_or_else(|| last_line(&String::from_utf8_lossy(output)))
}

fn last_line(output: &str) -> String {
    let line = output.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let shown = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = shown.take(LINE_MAX).collect();
    if line.chars().nth(LINE_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_output_the_last_line_that_says_something_is_kept() {
        assert_eq!(last_line("one\ntwo\n\n  \n"), "two");
        assert_eq!(last_line(""), "");
        assert_eq!(last_line("\x1b[31mred"), " [31mred");
        assert_eq!(last_line(&"é".repeat(1000)).chars().count(), LINE_MAX + 1);
    }

    #[test]
    fn a_command_fails_with_its_code_and_its_last_words() {
        let ran = |code, line: &str| Ran { code, line: line.into() }.well();
        assert_eq!(ran(0, "x"), Ok(()));
        assert_eq!(ran(1, ""), Err("exit code 1".into()));
        assert_eq!(ran(1, "no disk"), Err("exit code 1: no disk".into()));
    }
}
