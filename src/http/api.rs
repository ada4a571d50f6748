//! The objects, and whether the agent is well.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::broadcast::error::RecvError;

use crate::clock;
use crate::model::status::Event;

use super::{Shared, refusal};

/// The loop must have made progress within this.
const STALLED_AFTER: Duration = Duration::from_secs(30);

pub(super) async fn device(State(shared): State<Shared>) -> Response {
    Json(shared.board.device(clock::now())).into_response()
}

pub(super) async fn workloads(State(shared): State<Shared>) -> Response {
    Json(shared.board.workloads()).into_response()
}

pub(super) async fn profiles(State(shared): State<Shared>) -> Response {
    let profiles = shared.intake.gates().profiles(clock::now());
    Json(profiles).into_response()
}

pub(super) async fn metrics(State(shared): State<Shared>) -> Response {
    let metrics = shared.intake.gates().metrics(clock::now());
    Json(metrics).into_response()
}

pub(super) async fn healthz(State(shared): State<Shared>) -> Response {
    let (progress, _) = shared.board.progress();
    let ago = clock::mono().since(progress);
    if ago <= STALLED_AFTER {
        return "ok\n".into_response();
    }
    refusal(StatusCode::SERVICE_UNAVAILABLE, format!("the reconcile loop has made no progress for {} s", ago.as_secs()))
}

pub(super) async fn readyz(State(shared): State<Shared>) -> Response {
    if shared.board.is_planned() {
        return "ok\n".into_response();
    }
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the first plan is not done yet")
}

/// An array of the latest; as a stream, the latest and then each as it happens.
pub(super) async fn events(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/event-stream") {
        return Json(shared.board.recent()).into_response();
    }
    let (recent, live) = shared.board.follow();
    let stream = futures_util::stream::unfold((recent.into_iter(), live), |(mut recent, mut live)| async move {
        if let Some(event) = recent.next() {
            return Some((sse(&event), (recent, live)));
        }
        let next = match live.recv().await {
            Ok(event) => sse(&event),
            // Say that there is a gap rather than hide it; `seq` tells how wide.
            Err(RecvError::Lagged(missed)) => Ok(SseEvent::default().comment(format!("{missed} events missed"))),
            Err(RecvError::Closed) => return None,
        };
        Some((next, (recent, live)))
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

fn sse(event: &Event) -> Result<SseEvent, Infallible> {
    let text = serde_json::to_string(event).unwrap_or_default();
    Ok(SseEvent::default().id(event.seq.to_string()).data(text))
}
