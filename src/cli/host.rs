//! `host show`: the device by itself, without its workloads' rows.

use std::io::Write;

use super::Trouble;
use super::args::Output;
use super::client::Agent;
use super::status::{link, server};
use super::text::{age, line};
use crate::model::status::{DeviceStatus, State};

/// Asks once and shows the answer.
pub(super) async fn show(agent: &Agent, output: Output, out: &mut dyn Write) -> Result<(), Trouble> {
    match output {
        Output::Json => {
            // As the agent gives it, with fields that this version does not know.
            let device: serde_json::Value = agent.get("/api/v1/device").await?;
            writeln!(out, "{device:#}")?;
        }
        Output::Table => write!(out, "{}", table(&agent.get("/api/v1/device").await?))?,
    }
    Ok(())
}

fn table(device: &DeviceStatus) -> String {
    let mut rows = vec![
        ("device", line(&device.device_id)),
        ("state", line(&device.state)),
        ("locked", if device.locked { "yes".into() } else { "no".into() }),
        ("workloads", workloads(device)),
        ("broker", link(&device.broker)),
    ];
    // Its details begin with its state where it has a history.
    let state = device.server.since.is_none().then(|| line(&device.server.state));
    let details = server(&device.server, device.observed_at);
    let details = details.lines().map(|text| text.trim_start_matches("server: ").to_owned());
    rows.extend(state.into_iter().chain(details).map(|text| ("server", text)));
    rows.push(("clock", device.observed_at.rfc3339()));
    rows.push(("up", format!("{}, since {}", age(device.since, device.observed_at), device.since.rfc3339())));
    rows.push(("version", line(&device.version)));
    match device.problems.as_slice() {
        [] => rows.push(("problems", "none".into())),
        problems => rows.extend(problems.iter().map(|problem| ("problem", line(&problem.to_string())))),
    }
    rows.into_iter().map(|(what, text)| format!("{what:<10} {text}\n")).collect()
}

fn workloads(device: &DeviceStatus) -> String {
    let counted = State::ALL.iter().filter_map(|state| {
        let count = device.workloads.get(state).filter(|count| **count > 0)?;
        Some(format!("{count} {}", state.as_str()))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() { "none".into() } else { counted.join(", ") }
}
