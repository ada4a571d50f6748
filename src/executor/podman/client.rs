//! Podman's API: each call with its deadline, and what it says in words.
//!
//! Why not the crate podman-api: nearly half of these calls are missing there or lack what we need of them (container
//! update, a stop's timeout, several filters), its creation takes other types than the ones that work, and it brings a second
//! hyper.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::model::hidden::Hidden;

use super::transport::{Answer, Pieces, Request, Transport};
use super::wire::{Failure, Info, Inspected, Listed, ListedPod, Network, PullLine, Secret, Volume};

/// Questions: podman answers them in milliseconds, a swapping board in seconds.
const ASK: Duration = Duration::from_secs(20);
/// What makes or removes something, or starts a process.
const DO: Duration = Duration::from_secs(120);
/// Beyond a stop's own grace period.
const SLACK: Duration = Duration::from_secs(30);
/// An image that is not there after this time will not come.
const PULL: Duration = Duration::from_secs(3600);
/// The longest answer that is read.
const ANSWER_MAX: usize = 32 << 20;
/// How many lines of output are asked for.
const TAIL_LINES: &str = "20";

/// Why a call brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// Nobody answers: why.
    Unreachable(String),
    /// Podman refused or failed, with these words.
    Refused(u16, String),
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ApiError::Unreachable(why) => f.write_str(why),
            ApiError::Refused(_, words) => f.write_str(words),
        }
    }
}

/// A podman service.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    calls: Arc<AtomicU64>,
}

type Query = Vec<(&'static str, String)>;

impl Client {
    /// Behind this.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Client {
        Client { transport, calls: Arc::default() }
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) async fn open(
        &self,
        method: &'static str,
        path: &[&str],
        query: Query,
        body: Option<Json>,
    ) -> Result<Answer, ApiError> {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        self.send(Request { method, path, query, body, registry_auth: None }).await
    }

    async fn send(&self, request: Request) -> Result<Answer, ApiError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.transport.send(request).await.map_err(ApiError::Unreachable)
    }

    /// The whole of an answer; one that says in words that it failed is an error, whatever its status.
    pub(super) async fn call(
        &self,
        within: Duration,
        method: &'static str,
        path: &[&str],
        query: Query,
        body: Option<Json>,
    ) -> Result<(u16, Vec<u8>), ApiError> {
        let all = async {
            let Answer { status, body } = self.open(method, path, query, body).await?;
            Ok((status, collect(body).await?))
        };
        let (status, bytes) = timeout(within, all).await.unwrap_or_else(|_| {
            Err(ApiError::Unreachable(format!("podman did not answer within {} s", within.as_secs())))
        })?;
        let words = || serde_json::from_slice::<Failure>(&bytes).ok().and_then(|failure| failure.text());
        match status {
            304 => Ok((status, Vec::new())),
            200..=299 => match words().filter(|_| method != "GET") {
                Some(words) => Err(ApiError::Refused(status, words)),
                None => Ok((status, bytes)),
            },
            _ => {
                let raw = || String::from_utf8_lossy(bytes.get(..200).unwrap_or(&bytes)).trim().to_owned();
                let words = words().unwrap_or_else(|| format!("podman answered {status} {}", raw()));
                Err(ApiError::Refused(status, words))
            }
        }
    }

    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &[&str], query: Query) -> Result<T, ApiError> {
        let (status, bytes) = self.call(ASK, "GET", path, query, None).await?;
        parse(status, &bytes)
    }

    /// What podman can do here.
    pub async fn info(&self) -> Result<Info, ApiError> {
        self.ask(&["info"], Vec::new()).await
    }

    /// All containers that carry all of these labels, with the pods' own ones.
    pub async fn list(&self, labels: &[String]) -> Result<Vec<Listed>, ApiError> {
        let query = vec![("all", "true".into()), ("filters", filter(labels))];
        let found: Option<Vec<Listed>> = self.ask(&["containers", "json"], query).await?;
        Ok(found.unwrap_or_default())
    }

    /// All pods that carry this label, also those without any container.
    pub async fn pods(&self, label: &str) -> Result<Vec<ListedPod>, ApiError> {
        let found: Option<Vec<ListedPod>> =
            self.ask(&["pods", "json"], vec![("filters", filter(&[label.to_owned()]))]).await?;
        Ok(found.unwrap_or_default())
    }

    /// How a container is.
    pub async fn inspect(&self, id: &str) -> Result<Inspected, ApiError> {
        self.ask(&["containers", id, "json"], Vec::new()).await
    }

    /// Where a container is reached from the device; `None`: it has no network with an address.
    pub async fn addresses(&self, id: &str) -> Result<Option<IpAddr>, ApiError> {
        let networks = self.inspect(id).await?.network_settings.networks.unwrap_or_default();
        let of = |pick: fn(&Network) -> &String| networks.values().find_map(move |one| pick(one).parse().ok());
        Ok(of(|one| &one.address).or_else(|| of(|one| &one.address6)))
    }

    /// The last lines of a container's output.
    pub async fn tail(&self, id: &str) -> Result<String, ApiError> {
        let query = vec![("stdout", "true".into()), ("stderr", "true".into()), ("tail", TAIL_LINES.into())];
        let (_, bytes) = self.call(ASK, "GET", &["containers", id, "logs"], query, None).await?;
        Ok(unframed(&bytes))
    }

    /// Makes a pod; its id.
    pub async fn create_pod(&self, body: Json) -> Result<String, ApiError> {
        self.create(&["pods", "create"], body).await
    }

    /// The id of a pod's own container.
    pub async fn infra(&self, pod: &str) -> Result<String, ApiError> {
        let pod: Json = self.ask(&["pods", pod, "json"], Vec::new()).await?;
        Ok(pod["InfraContainerID"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes a container; its id.
    pub async fn create_container(&self, body: Json) -> Result<String, ApiError> {
        self.create(&["containers", "create"], body).await
    }

    async fn create(&self, path: &[&str], body: Json) -> Result<String, ApiError> {
        let (status, bytes) = self.call(DO, "POST", path, Vec::new(), Some(body)).await?;
        let made: Json = parse(status, &bytes)?;
        match made["Id"].as_str() {
            Some(id) if !id.is_empty() => Ok(id.to_owned()),
            _ => Err(ApiError::Refused(status, "podman made something and did not say its id".into())),
        }
    }

    /// Makes a volume.
    pub async fn create_volume(&self, body: Json) -> Result<Volume, ApiError> {
        let (status, bytes) = self.call(DO, "POST", &["volumes", "create"], Vec::new(), Some(body)).await?;
        parse(status, &bytes)
    }

    /// Volumes that carry all of these labels.
    pub async fn volumes(&self, labels: &[String]) -> Result<Vec<Volume>, ApiError> {
        let found: Option<Vec<Volume>> = self.ask(&["volumes", "json"], vec![("filters", filter(labels))]).await?;
        Ok(found.unwrap_or_default())
    }

    /// A volume, if it is there.
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, ApiError> {
        match self.ask(&["volumes", name, "json"], Vec::new()).await {
            Ok(volume) => Ok(Some(volume)),
            Err(ApiError::Refused(404, _)) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Removes a volume; one that is not there is fine.
    pub async fn remove_volume(&self, name: &str) -> Result<(), ApiError> {
        absent_is_fine(self.call(DO, "DELETE", &["volumes", name], Vec::new(), None).await)
    }

    /// The names of all of podman's secrets.
    pub async fn secrets(&self) -> Result<Vec<String>, ApiError> {
        let found: Option<Vec<Secret>> = self.ask(&["secrets", "json"], Vec::new()).await?;
        Ok(found.unwrap_or_default().into_iter().map(|secret| secret.spec.name).collect())
    }

    /// Makes a secret whose value podman asks a command for, each time it needs it; podman itself keeps none.
    pub async fn create_secret(&self, name: &str, lookup: &str) -> Result<(), ApiError> {
        let options = json!({ "lookup": lookup, "store": "cat >/dev/null", "delete": "true", "list": "true" });
        let query =
            vec![("name", name.to_owned()), ("driver", "shell".to_owned()), ("driveropts", options.to_string())];
        // It wants a value, and gives it to `store`.
        let body = Some(json!("see lookup"));
        self.call(DO, "POST", &["secrets", "create"], query, body).await.map(drop)
    }

    /// Removes a secret; one that is not there is fine.
    pub async fn remove_secret(&self, name: &str) -> Result<(), ApiError> {
        absent_is_fine(self.call(DO, "DELETE", &["secrets", name], Vec::new(), None).await)
    }

    /// Starts a container, and its pod's own one with it; one that runs already is fine.
    pub async fn start(&self, id: &str) -> Result<(), ApiError> {
        self.call(DO, "POST", &["containers", id, "start"], Vec::new(), None).await.map(drop)
    }

    /// Ends a container in the grace period that it was made with; one that does not run, or is gone, is fine.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), ApiError> {
        self.stop_in(id, grace, Vec::new()).await
    }

    /// Ends a container in another grace period than it was made with.
    pub async fn stop_within(&self, id: &str, grace: Duration) -> Result<(), ApiError> {
        // Podman waits whole seconds.
        let seconds = grace.as_secs().max(u64::from(!grace.is_zero()));
        self.stop_in(id, grace, vec![("timeout", seconds.to_string())]).await
    }

    async fn stop_in(&self, id: &str, grace: Duration, query: Query) -> Result<(), ApiError> {
        let within = grace.saturating_add(SLACK);
        absent_is_fine(self.call(within, "POST", &["containers", id, "stop"], query, None).await)
    }

    /// Kills a container; one that does not run, or is gone, is fine.
    pub async fn kill(&self, id: &str) -> Result<(), ApiError> {
        let killed = self.call(ASK, "POST", &["containers", id, "kill"], vec![("signal", "KILL".into())], None).await;
        match absent_is_fine(killed) {
            // It does not run: which of the two it was the next look tells.
            Err(ApiError::Refused(409 | 500, _)) => Ok(()),
            other => other,
        }
    }

    /// Removes a pod with all that is in it, whatever it does; one that is gone is fine. What runs of it is killed: podman
    /// itself would wait for each container's grace period, one after the other.
    pub async fn remove_pod(&self, id: &str, runs: bool) -> Result<(), ApiError> {
        if runs {
            let query = vec![("signal", "KILL".into())];
            // What it cannot kill, if anything, the removal says.
            if let Err(why @ ApiError::Unreachable(_)) = self.call(DO, "POST", &["pods", id, "kill"], query, None).await
            {
                return Err(why);
            }
        }
        absent_is_fine(self.call(DO, "DELETE", &["pods", id], vec![("force", "true".into())], None).await)
    }

    /// Removes what podman's storage has of a container that podman itself has forgotten (it was killed in the middle), by
    /// name or id. `false`: podman knows it, and nothing was done.
    pub async fn remove_forgotten(&self, name: &str) -> Result<bool, ApiError> {
        match self.inspect(name).await {
            Ok(_) => return Ok(false),
            Err(ApiError::Refused(404, _)) => {}
            Err(why) => return Err(why),
        }
        let removed = self.call(DO, "DELETE", &["containers", name], vec![("force", "true".into())], None).await;
        absent_is_fine(removed).map(|()| true)
    }

    /// Changes a running container's CPU quota, in µs per 100 ms; `None` lifts it.
    pub async fn update_cpu(&self, id: &str, quota_us: Option<u32>, cgroups_v1: bool) -> Result<(), ApiError> {
        let update = async |quota: i64| {
            let body = json!({ "cpu": { "quota": quota, "period": super::cpu::PERIOD_US } });
            self.call(ASK, "POST", &["containers", id, "update"], Vec::new(), Some(body)).await.map(drop)
        };
        match (update(i64::from(quota_us.unwrap_or(super::cpu::UNLIMITED_US))).await, quota_us) {
            // On cgroup v1, below a group that has a quota, nothing above that one is taken.
            (Err(ApiError::Refused(..)), None) if cgroups_v1 => update(-1).await,
            (result, _) => result,
        }
    }

    /// Whether an image is there.
    pub async fn has_image(&self, name: &str) -> Result<bool, ApiError> {
        match self.call(ASK, "GET", &["images", name, "exists"], Vec::new(), None).await {
            Ok(_) => Ok(true),
            Err(ApiError::Refused(404, _)) => Ok(false),
            Err(why) => Err(why),
        }
    }

    /// The user an image runs as where nobody says otherwise; empty: root.
    pub async fn image_user(&self, name: &str) -> Result<String, ApiError> {
        let image: Json = self.ask(&["images", name, "json"], Vec::new()).await?;
        Ok(image["Config"]["User"].as_str().unwrap_or_default().to_owned())
    }

    /// Fetches an image, with the header for its registry if there is one. Its failures come with a 200.
    pub async fn pull(&self, name: &str, registry_auth: Option<&Hidden>) -> Result<(), ApiError> {
        let pull = async {
            let request = Request {
                method: "POST",
                path: vec!["images".into(), "pull".into()],
                query: vec![("reference", name.to_owned())],
                body: None,
                registry_auth: registry_auth.cloned(),
            };
            let answer = self.send(request).await?;
            let status = answer.status;
            let mut lines = Lines::new(answer.body);
            let (mut error, mut id) = (None, false);
            while let Some(line) = lines.next().await? {
                let (words, made) = pull_line(status, &line);
                error = words.or(error);
                id |= made;
            }
            match error {
                Some(why) => Err(ApiError::Refused(status, why)),
                None if id => Ok(()),
                None => Err(ApiError::Refused(status, "podman ended the pull and did not say how".into())),
            }
        };
        timeout(PULL, pull).await.unwrap_or_else(|_| {
            Err(ApiError::Refused(0, format!("the pull was not done within {} minutes", PULL.as_secs() / 60)))
        })
    }

    /// The events of our containers from now on, or from `since` (seconds since 1970).
    pub async fn events(&self, label: &str, since: Option<i64>) -> Result<Lines, ApiError> {
        let filters = json!({ "type": ["container"], "label": [label] });
        let mut query = vec![("stream", "true".to_owned()), ("filters", filters.to_string())];
        query.extend(since.map(|since| ("since", since.to_string())));
        let open = self.open("GET", &["events"], query, None);
        let answer = timeout(ASK, open).await.unwrap_or_else(|_| {
            Err(ApiError::Unreachable(format!("podman did not answer within {} s", ASK.as_secs())))
        })?;
        match answer.status {
            200 => Ok(Lines::new(answer.body)),
            status => {
                Err(ApiError::Refused(status, format!("podman answered {status} to the question for its events")))
            }
        }
    }
}

fn filter(labels: &[String]) -> String {
    json!({ "label": labels }).to_string()
}

fn absent_is_fine(result: Result<(u16, Vec<u8>), ApiError>) -> Result<(), ApiError> {
    match result {
        Ok(_) | Err(ApiError::Refused(404, _)) => Ok(()),
        Err(why) => Err(why),
    }
}

pub(super) fn parse<T: DeserializeOwned>(status: u16, bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|why| ApiError::Refused(status, format!("podman's answer cannot be read ({why}): is it podman?")))
}

async fn collect(mut body: Box<dyn Pieces>) -> Result<Vec<u8>, ApiError> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await.map_err(ApiError::Unreachable)? {
        if all.len().saturating_add(piece.len()) > ANSWER_MAX {
            return Err(ApiError::Refused(0, format!("podman's answer is longer than {} MiB", ANSWER_MAX >> 20)));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// A body line by line.
pub struct Lines {
    body: Box<dyn Pieces>,
    held: Vec<u8>,
    /// The start of what is held was searched up to here.
    searched: usize,
}

/// A longer line is none.
const LINE_MAX: usize = 1 << 20;

impl Lines {
    fn new(body: Box<dyn Pieces>) -> Lines {
        Lines { body, held: Vec::new(), searched: 0 }
    }

    /// The next line; `None`: it was the last one.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            let rest = self.held.get(self.searched..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.held.drain(..=self.searched + end).collect();
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.held.len();
            if self.held.len() > LINE_MAX {
                return Err(ApiError::Unreachable(format!("podman sent a line longer than {} KiB", LINE_MAX >> 10)));
            }
            match self.body.next().await.map_err(ApiError::Unreachable)? {
                Some(piece) => self.held.extend_from_slice(&piece),
                None if self.held.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(std::mem::take(&mut self.held)));
                }
            }
        }
    }
}

/// What a line of a pull says: why it fails, and whether it names an image.
fn pull_line(status: u16, line: &[u8]) -> (Option<String>, bool) {
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (words, made) = match serde_json::from_slice::<PullLine>(line) {
        Ok(said) => (text(&said.error), !said.id.is_empty()),
        Err(_) => (text(&String::from_utf8_lossy(line)), false),
    };
    let failure = || serde_json::from_slice::<Failure>(line).ok().and_then(|failure| failure.text());
    (if status >= 400 { failure().or(words) } else { words }, made)
}

/// Output as text: podman puts 8 bytes before each piece (which stream, three zeros, the length), unless there is a terminal.
pub(super) fn unframed(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    let mut rest = bytes;
    while let [stream @ 0..=2, 0, 0, 0, a, b, c, d, after @ ..] = rest {
        let _ = stream;
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX).min(after.len());
        let (piece, next) = after.split_at(length);
        text.extend_from_slice(piece);
        rest = next;
    }
    text.extend_from_slice(rest);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_read_with_and_without_frames_and_with_broken_ones() {
        assert_eq!(unframed(b"\x01\0\0\0\0\0\0\x03hi\n\x02\0\0\0\0\0\0\x02e\n"), "hi\ne\n");
        assert_eq!(unframed(b"a terminal's\n"), "a terminal's\n");
        assert_eq!(unframed(b"\x01\0\0\0\xff\xff\xff\xffcut"), "cut");
        assert_eq!(unframed(b""), "");
    }

    #[test]
    fn a_line_of_a_pull_fails_it_only_with_words() {
        let error = |text: &str| (Some(text.to_owned()), false);
        assert_eq!(pull_line(200, br#"{"stream":"Trying"}"#), (None, false));
        assert_eq!(pull_line(200, br#"{"id":"sha"}"#), (None, true));
        assert_eq!(pull_line(200, br#"{"error":"denied"}"#), error("denied"));
        assert_eq!(pull_line(500, br#"{"cause":"c","message":"m"}"#), error("m"));
        assert_eq!(pull_line(502, b"bad gateway\r"), error("bad gateway"));
        for blank in [&b""[..], b"\r", b" "] {
            assert_eq!(pull_line(200, blank), (None, false), "a blank line says nothing");
        }
    }

    #[test]
    fn a_200_with_words_of_failure_is_a_failure() {
        let text = |body: &str| serde_json::from_str::<Failure>(body).ok().and_then(|failure| failure.text());
        assert_eq!(text(r#"{"Err":null,"Id":"x"}"#), None);
        assert_eq!(text(r#"{"Errs":["a","b"],"Id":"x"}"#).as_deref(), Some("a; b"));
        assert_eq!(text(r#"{"cause":"c","message":"m","response":500}"#).as_deref(), Some("m"));
        assert_eq!(text(r#"{"Err":{},"Id":"x"}"#).as_deref(), Some("{}"), "Go writes an error without fields so");
    }
}
