//! `status`: the device and its workloads, as a table or as the objects themselves.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;

use super::args::Output;
use super::client::Agent;
use super::text::{age, line};
use super::{Screen, Trouble};
use crate::model::status::{DeviceStatus, LinkStatus, ServerStatus, WorkloadStatus};
use crate::model::time::Wall;

/// Asks once and shows the answer.
pub(super) async fn once(agent: &Agent, output: Output, screen: Screen, out: &mut dyn Write) -> Result<(), Trouble> {
    match output {
        Output::Json => writeln!(out, "{:#}", objects(agent).await?)?,
        Output::Table => write!(out, "{}", table(agent, screen).await?)?,
    }
    Ok(())
}

/// The objects as the agent gives them, fields that this version does not know among them.
pub(super) async fn objects(agent: &Agent) -> Result<serde_json::Value, Trouble> {
    let device: serde_json::Value = agent.get("/api/v1/device").await?;
    let workloads: serde_json::Value = agent.get("/api/v1/workloads").await?;
    Ok(json!({ "device": device, "workloads": workloads }))
}

/// For people.
pub(super) async fn table(agent: &Agent, screen: Screen) -> Result<String, Trouble> {
    let device: DeviceStatus = agent.get("/api/v1/device").await?;
    let mut workloads: Vec<WorkloadStatus> = agent.get("/api/v1/workloads").await?;
    workloads.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut text = head(&device);
    if workloads.is_empty() {
        text.push_str("no workloads for this device\n");
    } else {
        text.push_str(&rows(&device, &workloads, screen));
    }
    Ok(text)
}

fn head(device: &DeviceStatus) -> String {
    let locked = if device.locked { ", locked" } else { "" };
    let mut text = format!(
        "device {}: {}{locked}, up {}, version {}; broker {}, server {}\n",
        line(&device.device_id),
        line(&device.state),
        age(device.since, device.observed_at),
        line(&device.version),
        link(&device.broker),
        line(&device.server.state),
    );
    text.push_str(&server(&device.server, device.observed_at));
    for problem in &device.problems {
        text.push_str(&format!("problem: {}\n", line(&problem.to_string())));
    }
    text.push('\n');
    text
}

/// What is to be known about the server: since when, which configuration, until when the certificate lasts, what is wrong.
pub(super) fn server(server: &ServerStatus, now: Wall) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(since) = server.since {
        parts.push(format!("{} for {}", line(&server.state), age(since, now)));
    }
    parts.extend(server.version.as_deref().map(|version| format!("configuration {} in force", line(version))));
    parts.extend(server.certificate.map(|certificate| {
        format!("certificate until {}, renewed at {}", certificate.not_after.rfc3339(), certificate.renew_at.rfc3339())
    }));
    let mut text = match parts.is_empty() {
        true => String::new(),
        false => format!("server: {}\n", parts.join("; ")),
    };
    if let Some(message) = &server.message {
        text.push_str(&format!("server: {}\n", line(message)));
    }
    if let (Some(error), Some(at)) = (&server.last_error, server.last_error_at)
        && server.message.as_ref() != Some(error)
    {
        text.push_str(&format!("server: last error {} ago: {}\n", age(at, now), line(error)));
    }
    text
}

pub(super) fn link(link: &LinkStatus) -> String {
    match &link.message {
        Some(message) => format!("{} ({})", line(&link.state), line(message)),
        None => line(&link.state),
    }
}

fn rows(device: &DeviceStatus, workloads: &[WorkloadStatus], screen: Screen) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match screen.width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.force_no_tty().set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(["WORKLOAD", "STATE", "REASON", "SINCE", "RESTARTS", "MESSAGE"]);
    for workload in workloads {
        let mut message = line(&workload.message);
        for warning in &workload.warnings {
            message.push_str(&format!(" [{}]", line(warning)));
        }
        table.add_row([
            line(&format!("{}/{}", workload.namespace, workload.name)),
            workload.state.as_str().into(),
            workload.reason.to_string(),
            age(workload.since, device.observed_at),
            workload.restarts.to_string(),
            message,
        ]);
    }
    let mut text = String::new();
    for row in table.lines() {
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
