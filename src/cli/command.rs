//! `host lock`, `host unlock`, `workload run`, `gc`: what a person asks of the agent on this device, over its unix socket.

use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;

use super::client::Agent;
use super::{Settings, Trouble};
use crate::config;

/// Where an agent that is root's takes commands, unless it is told otherwise.
const OF_ROOT: &str = "/var/lib/flotta-agent/run/control.sock";

/// Gives a command to the first agent that is there, and says what became of it.
pub(super) async fn give(settings: &Settings, verb: &str, command: &Value, out: &mut dyn Write) -> Result<(), Trouble> {
    let mut nobody = Vec::new();
    for socket in sockets(settings)? {
        match Agent::behind(&socket)?.command(verb, command).await {
            Ok(said) => return Ok(writeln!(out, "{said}")?),
            Err(Trouble::Unreachable(at)) => nobody.push(at),
            Err(trouble) => return Err(trouble),
        }
    }
    Err(Trouble::Unreachable(nobody.join(" or ")))
}

/// `--socket`, else as configured, else this user's and then root's.
fn sockets(settings: &Settings) -> Result<Vec<PathBuf>, Trouble> {
    if let Some(socket) = &settings.socket {
        return Ok(vec![socket.clone()]);
    }
    if settings.url.is_some() {
        let why =
            "commands are taken over the agent's unix socket, never at a URL: leave --url out, or write --socket PATH";
        return Err(Trouble::Usage(why.into()));
    }
    let loaded = config::load(settings.config.as_deref(), settings.flags.clone());
    let loaded = loaded.map_err(|errors| Trouble::Usage(errors.to_string()))?;
    let mut sockets = vec![loaded.config.control.socket];
    let is_told = ["control.socket", "state.dir"].iter().any(|key| loaded.places.contains_key(key));
    if !is_told && !sockets.contains(&PathBuf::from(OF_ROOT)) {
        sockets.push(OF_ROOT.into());
    }
    Ok(sockets)
}
