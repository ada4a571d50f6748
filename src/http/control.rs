//! `POST /api/v1/commands/{lock,unlock,run,gc}`: what a person asks for. Only whoever may open the unix socket is answered.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, extract::Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Shared;
use super::unix::Peer;
use crate::commands::Commands;
use crate::model::command::Command;
use crate::named;

/// A body names one workload at most.
const MAX_BODY: usize = 4 * 1024;
/// A body has arrived by then.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// The reconcile loop answers at once, or after one write to the disk.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// What the commands' handlers share.
#[derive(Clone)]
pub(super) struct Control {
    pub(super) shared: Shared,
    pub(super) commands: Commands,
}

/// Why a command is not carried out.
type Refused = (StatusCode, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    #[serde(default)]
    keep: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unlock {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collect {
    #[serde(default)]
    volumes: bool,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    workload: String,
}

/// Over TCP.
pub(super) async fn elsewhere(State(shared): State<Shared>, _: Request) -> Response {
    shared.intake.refuse("command_over_tcp");
    let why = format!(
        "commands are taken over the unix socket {} only: flotta-agent host lock, host unlock, workload run and gc use it",
        shared.socket.display()
    );
    refusal((StatusCode::FORBIDDEN, why))
}

/// Over the unix socket.
pub(super) async fn command(
    State(control): State<Control>,
    Extension(peer): Extension<Peer>,
    method: Method,
    Path(verb): Path<String>,
    body: Body,
) -> Response {
    let done = control.carry_out(&method, &verb, body).await;
    let Peer { uid, pid } = peer;
    match done {
        Ok((what, message)) => {
            tracing::info!(command = what, uid, pid, "a command: {message}");
            Json(json!({ "ok": true, "message": message })).into_response()
        }
        Err(refused) => {
            control.shared.intake.refuse("command");
            tracing::info!(command = verb, uid, pid, "a command was refused: {}", refused.1);
            refusal(refused)
        }
    }
}

impl Control {
    /// What was done, for the log and for who asked.
    async fn carry_out(&self, method: &Method, verb: &str, body: Body) -> Result<(String, String), Refused> {
        if !["lock", "unlock", "run", "gc"].contains(&verb) {
            let why = format!("no command {verb:?}; there are lock, unlock, run and gc");
            return Err((StatusCode::NOT_FOUND, why));
        }
        if method != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "a command is a POST".into()));
        }
        let command = self.read(verb, &read_all(body).await?)?;
        let what = match &command {
            Command::Run(id) => format!("run {id}"),
            Command::Lock { keep: true } => "lock, keep".into(),
            Command::Lock { keep: false } | Command::Unlock | Command::CollectVolumes { .. } => verb.to_owned(),
        };
        match tokio::time::timeout(ANSWER_DEADLINE, self.commands.ask(command)).await {
            Ok(answer) => answer.map(|message| (what, message)).map_err(|why| (StatusCode::CONFLICT, why)),
            Err(_) => {
                let why = format!(
                    "the reconcile loop has not answered within {} s; the command waits and may still be carried out",
                    ANSWER_DEADLINE.as_secs()
                );
                Err((StatusCode::GATEWAY_TIMEOUT, why))
            }
        }
    }

    fn read(&self, verb: &str, body: &[u8]) -> Result<Command, Refused> {
        match verb {
            "lock" => object(body, r#"{"keep":true}, or nothing"#).map(|Lock { keep }| Command::Lock { keep }),
            "unlock" => object(body, "nothing").map(|Unlock {}| Command::Unlock),
            "gc" => self.collect(&object(body, r#"{"volumes":true}, with "dry_run":true to be told only"#)?),
            _ => {
                let Run { workload } = object(body, r#"{"workload":"default/name"}"#)?;
                self.run(&workload)
            }
        }
    }

    fn collect(&self, wanted: &Collect) -> Result<Command, Refused> {
        if !wanted.volumes {
            let why = r#"what is to be collected? the body is {"volumes":true}"#;
            return Err((StatusCode::BAD_REQUEST, why.into()));
        }
        self.knows_workloads()?;
        Ok(Command::CollectVolumes { dry_run: wanted.dry_run })
    }

    fn knows_workloads(&self) -> Result<(), Refused> {
        if self.shared.board.is_planned() {
            return Ok(());
        }
        let why = "the agent has just started and does not know its workloads yet; try again";
        Err((StatusCode::SERVICE_UNAVAILABLE, why.into()))
    }

    fn run(&self, wanted: &str) -> Result<Command, Refused> {
        self.knows_workloads()?;
        let workloads = self.shared.board.workloads();
        let found = named::find(&workloads, wanted).map_err(|why| (StatusCode::NOT_FOUND, why))?;
        found.id().map(Command::Run).map_err(|why| (StatusCode::NOT_FOUND, why))
    }
}

async fn read_all(body: Body) -> Result<Vec<u8>, Refused> {
    match tokio::time::timeout(BODY_DEADLINE, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body.into()),
        Ok(Err(_)) => {
            let why = format!("the body is larger than {MAX_BODY} bytes, or broke off");
            Err((StatusCode::PAYLOAD_TOO_LARGE, why))
        }
        Err(_) => {
            let why = format!("the body did not arrive within {} s", BODY_DEADLINE.as_secs());
            Err((StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

/// JSON whatever the Content-Type says; nothing is the empty object.
fn object<T: DeserializeOwned>(body: &[u8], right: &str) -> Result<T, Refused> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|why| (StatusCode::BAD_REQUEST, format!("{why}; the body is {right}")))
}

fn refusal((status, why): Refused) -> Response {
    (status, Json(json!({ "ok": false, "error": why }))).into_response()
}
