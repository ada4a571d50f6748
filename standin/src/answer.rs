//! An answer before it is sent, and the body that sends it in one piece, in pieces, slowly or without an end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, DATE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Sleep;

/// Go's server sends longer bodies chunked, without a length [cap b1].
const CHUNKED_FROM: usize = 2048;
const JSON: Option<&str> = Some("application/json");
const ENDLESS_PIECE: Bytes = Bytes::from_static(&[b' '; 16 * 1024]);

/// What is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The content type, if the header is there at all.
    pub(crate) kind: Option<&'static str>,
    pub(crate) allow: Option<&'static str>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A status with nothing in it: what the real handlers send for everything but 200 (API §3.6).
    pub(crate) fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// 200 without a payload: the type is there, and no byte of it (API §2).
    pub(crate) fn empty() -> Self {
        Self { status: 200, kind: JSON, ..Self::default() }
    }

    /// A payload.
    pub(crate) fn payload(status: u16, value: &Value) -> Self {
        let mut text = value.to_string();
        text.push('\n');
        Self { status, kind: JSON, allow: None, body: Bytes::from(text) }
    }

    /// The framework's own answers: `{"code", "message"}` (API §3.6).
    pub(crate) fn framework(status: u16, code: u16, message: &str) -> Self {
        let body = json!({"code": code, "message": message}).to_string();
        Self { status, kind: JSON, allow: None, body: Bytes::from(body) }
    }

    /// The HTTP response with this body.
    pub(crate) fn response(&self, date: &str, body: Sending) -> Response<Sending> {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(kind) = self.kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Ok(date) = HeaderValue::from_str(date) {
            headers.insert(DATE, date);
        }
        response
    }

    /// Its body, the way the real server sends it.
    pub(crate) fn body(&self) -> Sending {
        let length_known = self.body.len() < CHUNKED_FROM;
        Sending { rest: self.body.clone(), length_known, pace: None, endless: 0 }
    }
}

/// A body on its way.
pub(crate) struct Sending {
    rest: Bytes,
    length_known: bool,
    pace: Option<Pace>,
    endless: u64,
}

struct Pace {
    bytes: usize,
    every: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Sending {
    /// So many bytes at a time, with a pause before each but the first.
    pub(crate) fn slowly(mut self, bytes: usize, every: Duration) -> Self {
        self.pace = Some(Pace { bytes: bytes.max(1), every, pause: None });
        self
    }

    /// So many blanks, without a length.
    pub(crate) fn endless(bytes: u64) -> Self {
        Self { rest: Bytes::new(), length_known: false, pace: None, endless: bytes }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.endless > 0 {
            let size = self.endless.min(u64::try_from(ENDLESS_PIECE.len()).unwrap_or(u64::MAX));
            self.endless = self.endless.saturating_sub(if self.endless == u64::MAX { 0 } else { size });
            return Poll::Ready(Some(Ok(Frame::data(ENDLESS_PIECE.slice(..usize::try_from(size).unwrap_or(0))))));
        }
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let all = self.rest.len();
        let size = match &mut self.pace {
            None => all,
            Some(pace) => {
                if let Some(pause) = &mut pace.pause {
                    ready!(pause.as_mut().poll(cx));
                }
                pace.pause = Some(Box::pin(tokio::time::sleep(pace.every)));
                pace.bytes.min(all)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.endless == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.length_known {
            SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(0))
        } else {
            SizeHint::default()
        }
    }
}
