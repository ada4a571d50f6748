//! HTTP (SPEC "HTTP"): metrics in, the objects and Prometheus text out.
//!
//! - [`server`] accepts, within limits; [`guard`] keeps web pages out; [`ingest`] takes metrics; [`api`] shows the board;
//!   [`prometheus`] counts.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::board::Board;
use crate::intake::Intake;

mod api;
pub(crate) mod guard;
mod ingest;
pub mod prometheus;
pub mod server;

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
}

/// Every route.
pub fn router(shared: Shared) -> Router {
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
        .layer(axum::middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// `{"error": …}`.
fn refusal(status: StatusCode, message: impl Into<String>) -> Response {
    (status, Json(serde_json::json!({ "error": message.into() }))).into_response()
}
