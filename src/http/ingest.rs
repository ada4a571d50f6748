//! `POST /metrics`: one object or an array of them, JSON whatever the Content-Type says; all of it is taken, or nothing.

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::condition::payload;
use crate::gates::RefusedKind;
use crate::model::metric::MetricSource;

use super::{Shared, refusal};

/// Larger bodies get 413.
pub const MAX_BODY: usize = 64 * 1024;

pub(super) async fn metrics(State(shared): State<Shared>, body: Body) -> Response {
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        shared.intake.refuse("http_too_large");
        return refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {MAX_BODY} bytes, or broke off; send fewer metrics at a time"),
        );
    };
    let updates = match payload::read_request(&body) {
        Ok(updates) => updates,
        Err(why) => {
            shared.intake.refuse("http_body");
            return refusal(StatusCode::BAD_REQUEST, why);
        }
    };
    match shared.intake.apply(&updates, MetricSource::Http) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) if refused.kind == RefusedKind::TooManyNames => {
            refusal(StatusCode::TOO_MANY_REQUESTS, refused.message)
        }
        Err(refused) => refusal(StatusCode::BAD_REQUEST, refused.message),
    }
}
