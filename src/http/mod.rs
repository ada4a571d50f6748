//! HTTP (SPEC "HTTP"): metrics in, the objects and Prometheus text out.
//!
//! - [`server`] accepts, within limits; [`guard`] keeps web pages out; [`ingest`] takes metrics; [`api`] shows the board;
//!   [`prometheus`] counts.
//! - [`unix`] listens on the unix socket, where all of this is served too; and only there [`control`] takes commands.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};

use crate::board::Board;
use crate::commands::Commands;
use crate::intake::Intake;

mod api;
mod control;
pub(crate) mod guard;
mod ingest;
pub mod prometheus;
pub mod server;
pub mod unix;

/// What the handlers share.
#[derive(Clone)]
pub struct Shared {
    /// What is said now.
    pub board: Arc<Board>,
    /// The way in for metrics.
    pub intake: Arc<Intake>,
    /// Counters of other parts, asked when somebody scrapes.
    pub counters: Arc<dyn prometheus::Counters>,
    /// Names other than loopback under which the agent may be asked (`http.hosts`).
    pub hosts: Arc<[String]>,
    /// Where the unix socket is, for whoever sends a command the other way.
    pub socket: Arc<Path>,
}

/// Every route but those of the commands, which say where they are.
pub fn router(shared: Shared) -> Router {
    let routes = routes().route("/api/v1/commands/{*verb}", any(control::elsewhere)).with_state(shared.clone());
    guarded(routes, shared)
}

/// Every route, for whoever may open the unix socket.
pub fn router_with_commands(shared: Shared, commands: Commands) -> Router {
    let takes = control::Control { shared: shared.clone(), commands };
    let takes = Router::new().route("/api/v1/commands/{*verb}", any(control::command)).with_state(takes);
    guarded(routes().with_state(shared.clone()).merge(takes), shared)
}

fn guarded(routes: Router, shared: Shared) -> Router {
    routes.layer(axum::middleware::from_fn_with_state(shared, guard::guard))
}

fn routes() -> Router<Shared> {
    Router::new()
        .route("/metrics", get(prometheus::scrape).post(ingest::metrics))
        .route("/healthz", get(api::healthz))
        .route("/readyz", get(api::readyz))
        .route("/api/v1/device", get(api::device))
        .route("/api/v1/workloads", get(api::workloads))
        .route("/api/v1/profiles", get(api::profiles))
        .route("/api/v1/metrics", get(api::metrics))
        .route("/api/v1/events", get(api::events))
        .fallback(|| async {
            refusal(
                StatusCode::NOT_FOUND,
                "no such path; there are POST and GET /metrics, GET /healthz, /readyz and /api/v1/{device,workloads,profiles,metrics,events}",
            )
        })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method; values go to POST /metrics")
        })
}

/// `{"error": …}`.
fn refusal(status: StatusCode, message: impl Into<String>) -> Response {
    (status, Json(serde_json::json!({ "error": message.into() }))).into_response()
}
