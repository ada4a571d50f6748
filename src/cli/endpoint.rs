//! Where the agent answers: `--url` or `--socket`, else `http.listen` of the configuration, else what the agent wrote down when it bound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::client::Agent;
use super::{Settings, Trouble};
use crate::config;

/// The agent that the settings mean. Asks nobody yet.
pub(super) fn agent(settings: &Settings) -> Result<Agent, Trouble> {
    if let Some(url) = &settings.url {
        return Agent::at(vec![base(url)?]);
    }
    if let Some(socket) = &settings.socket {
        return Agent::behind(socket);
    }
    let loaded = config::load(settings.config.as_deref(), settings.flags.clone());
    let config = loaded.map_err(|errors| Trouble::Usage(errors.to_string()))?.config;
    let listen = config.http.listen;
    let bound = bound(&config.state.endpoints());
    let mut candidates: Vec<SocketAddr> = Vec::new();
    if listen.port() != 0 {
        candidates.push(reachable(listen));
    }
    candidates.extend(bound.map(reachable).filter(|bound| listen.port() == 0 || *bound != reachable(listen)));
    if candidates.is_empty() {
        candidates.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    }
    Agent::at(candidates.iter().map(|address| format!("http://{address}")).collect())
}

/// A URL as people write it, scheme or not, without a slash at its end.
fn base(url: &str) -> Result<String, Trouble> {
    let wrong = || Trouble::Usage(format!("--url {url:?}: write http://ADDRESS:PORT, like http://127.0.0.1:8080"));
    let whole = if url.contains("://") { url.to_string() } else { format!("http://{url}") };
    let parsed = reqwest::Url::parse(&whole).map_err(|_| wrong())?;
    if parsed.scheme() != "http" || parsed.host_str().is_none() || parsed.query().is_some() {
        return Err(wrong());
    }
    Ok(whole.trim_end_matches('/').to_string())
}

/// A socket that listens everywhere is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// `http` of endpoints.json; none if it is not there, or not what an agent writes.
fn bound(file: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(file).ok()?;
    let endpoints: serde_json::Value = serde_json::from_str(&text).ok()?;
    endpoints.get("http")?.as_str()?.parse().ok()
}
