//! The HTTP side of the clients.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Trouble;
use super::socket;
use super::text::{line, lines};

/// One agent, at the first of a few places where it answers.
pub(super) struct Agent {
    http: Client,
    bases: Vec<String>,
    socket: Option<PathBuf>,
}

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// The agent gives up before that, and says so.
const COMMAND: Duration = Duration::from_secs(45);
/// More than 100 times what a device with 1 000 workloads answers.
const MAX_BYTES: usize = 64 << 20;

impl Agent {
    pub(super) fn at(bases: Vec<String>) -> Result<Agent, Trouble> {
        // No proxy: the agent is on this machine or named outright.
        let http = crate::outbound::plain().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|why| Trouble::Wrong(format!("cannot make an HTTP client: {why}")))?;
        Ok(Agent { http, bases, socket: None })
    }

    /// The one whose unix socket this is.
    pub(super) fn behind(socket: &Path) -> Result<Agent, Trouble> {
        let http = crate::outbound::plain().unix_socket(socket).redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|why| Trouble::Wrong(format!("cannot make an HTTP client: {why}")))?;
        // The host is for the request's head only.
        Ok(Agent { http, bases: vec!["http://localhost".into()], socket: Some(socket.to_path_buf()) })
    }

    /// `GET path`, as a type.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Trouble> {
        let response = self.send(path, |request| request.timeout(ANSWER)).await?;
        let (from, status) = (response.url().to_string(), response.status());
        let body = body(response).await?;
        if !status.is_success() {
            return Err(refusal(&from, status, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|why| Trouble::Wrong(format!("what answers at {from} is not an agent of this version: {why}")))
    }

    /// `POST path` with a JSON body.
    pub(super) async fn post(&self, path: &str, value: &Value) -> Result<(), Trouble> {
        self.posted(path, value, ANSWER).await.map(|_| ())
    }

    /// Gives a command; what was done, in the agent's words.
    pub(super) async fn command(&self, verb: &str, value: &Value) -> Result<String, Trouble> {
        let answer = self.posted(&format!("/api/v1/commands/{verb}"), value, COMMAND).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        answer.get("message").and_then(Value::as_str).map(lines).ok_or_else(|| {
            Trouble::Wrong("what answers there is not an agent of this version: it does not say what it did".into())
        })
    }

    async fn posted(&self, path: &str, value: &Value, patience: Duration) -> Result<Vec<u8>, Trouble> {
        let url = |base: &str| format!("{base}{path}");
        let response = self.attempt(|base| self.http.post(url(base)).timeout(patience).json(value)).await?;
        let (from, status) = (response.url().to_string(), response.status());
        let body = body(response).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(&from, status, &body)) }
    }

    /// The stream of events, if the agent has one.
    pub(super) async fn events(&self) -> Option<Events> {
        let asked = self.send("/api/v1/events", |request| request.header("Accept", "text/event-stream"));
        let response = tokio::time::timeout(ANSWER, asked).await.ok()?.ok()?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        (response.status().is_success() && kind.starts_with("text/event-stream")).then_some(Events {
            response,
            at_line_start: true,
            data: false,
        })
    }

    async fn send(&self, path: &str, dress: impl Fn(RequestBuilder) -> RequestBuilder) -> Result<Response, Trouble> {
        self.attempt(|base| dress(self.http.get(format!("{base}{path}")))).await
    }

    async fn attempt(&self, request: impl Fn(&str) -> RequestBuilder) -> Result<Response, Trouble> {
        for base in &self.bases {
            match request(base).send().await {
                Ok(response) => return Ok(response),
                Err(why) if why.is_builder() => return Err(Trouble::Usage(format!("{base} is not a URL: {why}"))),
                Err(why) => {
                    if let Some(socket) = &self.socket {
                        return Err(socket::trouble(socket, &why));
                    }
                }
            }
        }
        Err(Trouble::Unreachable(self.bases.join(" or ")))
    }
}

async fn body(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let from = response.url().to_string();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_BYTES => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(Trouble::Wrong(format!("{from} answers more than {MAX_BYTES} bytes"))),
            Ok(None) => return Ok(body),
            Err(_) => return Err(Trouble::Wrong(format!("the answer of {from} broke off"))),
        }
    }
}

/// The agent's own words, where it has some.
fn refusal(from: &str, status: StatusCode, body: &[u8]) -> Trouble {
    let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = said.as_ref().and_then(|said| said.get("error")).and_then(|error| error.as_str());
    Trouble::Wrong(match said {
        Some(error) => line(error),
        None => format!("{from} answers {status}: is that an agent?"),
    })
}

/// Server-sent events, of which only that they come matters.
pub(super) struct Events {
    response: Response,
    at_line_start: bool,
    data: bool,
}

impl Events {
    /// Waits for the next event; `false`: the stream is over.
    pub(super) async fn next(&mut self) -> bool {
        while let Ok(Some(chunk)) = self.response.chunk().await {
            if self.take(&chunk) {
                return true;
            }
        }
        false
    }

    /// Whether an event ends in these bytes: a line that begins with `d` (`data: …`; comments begin with `:`), then an
    /// empty one.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let mut ended = false;
        for byte in bytes.iter().filter(|byte| **byte != b'\r') {
            match (byte, self.at_line_start) {
                (b'\n', true) => ended |= std::mem::take(&mut self.data),
                (b'd', true) => self.data = true,
                _ => {}
            }
            self.at_line_start = *byte == b'\n';
        }
        ended
    }
}
