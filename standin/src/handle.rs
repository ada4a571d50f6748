//! One request: who may, what it does, and which fault gets in between.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use hyper::{Request, Response};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::{Answer, Sending};
use crate::assemble::{self, Failure};
use crate::connection::Connection;
use crate::exchange::{End, Exchange};
use crate::fault::{Action, Fault, Operation};
use crate::message::{self, Message};
use crate::route::{self, Route};
use crate::shared::Shared;
use crate::{heartbeat, issue, join};

/// No message of a device is near this.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// What a handler says.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// The real server panics here: no answer at all.
    Abort,
}

/// No answer is sent: HTTP/1.1 ends the connection, HTTP/2 resets the stream with INTERNAL_ERROR.
#[derive(Debug)]
pub(crate) struct Aborted;

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("aborted, as a panic of the server does")
    }
}

impl std::error::Error for Aborted {}

impl From<Infallible> for Aborted {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A request with what is read of it once.
struct Asked {
    route: Result<Route, Answer>,
    accept: Option<String>,
    content_type: Option<String>,
    body: Bytes,
    parsed: Result<Message, Answer>,
}

/// Answers one request of a connection.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Sending>, Aborted> {
    connection.plain.allow(u64::MAX);
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Aborted)?.to_bytes();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let route = route::find(&method, &path);
    let parsed = message::parse(&body);
    let operation = operation(&route, &parsed);
    let device = route.as_ref().map(|route| route.device().to_owned()).unwrap_or_default();
    let asked = Asked { route, accept: header(ACCEPT), content_type: header(CONTENT_TYPE), body, parsed };

    let fault = shared.fault_of(operation, &device);
    let outcome = match &fault {
        Some(fault) if !fault.effect => Outcome::Abort,
        _ => act(&shared, &connection, &asked),
    };
    let (answer, end) = decide(fault.as_ref(), outcome);
    let keep = shared.options.keep_bodies && !asked.body.is_empty();
    shared.log.add(Exchange {
        number: 0,
        at_ms: shared.clock.now_ms(),
        operation,
        device,
        method,
        path,
        client: Arc::clone(&connection.client),
        connection: connection.number,
        protocol: format!("{:?}", head.version),
        status: answer.status,
        end,
        faulty: fault.is_some(),
        content_type: asked.content_type,
        accept: asked.accept,
        request: if keep { serde_json::from_slice(&asked.body).unwrap_or_default() } else { Value::Null },
        request_bytes: asked.body.len(),
        answer_bytes: answer.body.len(),
    });
    connection.exchanged();
    let date = shared.clock.date();
    let mut body = answer.body();
    match fault.map(|fault| fault.action) {
        Some(Action::Cut(bytes)) => connection.plain.allow(bytes),
        Some(Action::Slow(bytes, every)) => body = body.slowly(bytes, every),
        Some(Action::Endless(bytes)) => body = Sending::endless(bytes),
        Some(Action::Delay(by)) => tokio::time::sleep(by).await,
        Some(Action::Hold(gate)) => gate.pass().await,
        Some(Action::Status(..) | Action::Abort | Action::Body(_)) | None => {}
    }
    if end == End::Aborted { Err(Aborted) } else { Ok(answer.response(&date, body)) }
}

/// What is sent, after the handler and the fault have had their say.
fn decide(fault: Option<&Fault>, outcome: Outcome) -> (Answer, End) {
    let (answer, end) = match outcome {
        Outcome::Answer(answer) => (answer, End::Answered),
        Outcome::Abort => (Answer::default(), End::Aborted),
    };
    match fault.map(|fault| &fault.action) {
        Some(Action::Abort) => (answer, End::Aborted),
        Some(Action::Status(status, body)) => {
            (Answer { status: *status, body: body.clone(), ..Answer::default() }, End::Answered)
        }
        Some(Action::Body(body)) => (Answer { body: body.clone(), ..Answer::empty() }, End::Answered),
        Some(Action::Endless(_)) => (Answer::empty(), End::Answered),
        Some(Action::Cut(bytes)) if end == End::Answered => (answer, End::Cut(*bytes)),
        Some(Action::Cut(_) | Action::Slow(..) | Action::Delay(_) | Action::Hold(_)) | None => (answer, end),
    }
}

fn operation(route: &Result<Route, Answer>, parsed: &Result<Message, Answer>) -> Operation {
    match route {
        Ok(Route::DataIn(_)) => Operation::Get,
        Ok(Route::ControlIn(_) | Route::ControlOut(_)) => Operation::Control,
        Ok(Route::DataOut(_)) => match parsed.as_ref().map(|message| message.directive.as_str()) {
            Ok("enrolment") => Operation::Enrolment,
            Ok("registration") => Operation::Registration,
            Ok("heartbeat") => Operation::Heartbeat,
            _ => Operation::Other,
        },
        Err(_) => Operation::Other,
    }
}

/// The table "Which certificate for which step" of API §1, then the handlers.
fn act(shared: &Shared, connection: &Connection, asked: &Asked) -> Outcome {
    let client = &connection.client;
    let route = match &asked.route {
        Ok(route) => route,
        Err(answer) => return Outcome::Answer(answer.clone()),
    };
    let authentic = match route {
        Route::DataOut(_) => client.signed,
        _ => client.complete(shared.clock.now()),
    };
    if !authentic {
        return Outcome::Answer(Answer::bare(401));
    }
    if let Err(answer) = framework(route, asked) {
        return Outcome::Answer(answer);
    }
    let own = client.owns(route.device());
    let namespace = client.namespace();
    match route {
        Route::DataOut(id) => match &asked.parsed {
            Ok(message) => untyped(asked, directive(shared, connection, id, message)),
            Err(answer) => Outcome::Answer(answer.clone()),
        },
        _ if !own => Outcome::Answer(Answer::bare(403)),
        // Without the type that other empty answers have [cap 08].
        Route::ControlOut(_) => Outcome::Answer(Answer::bare(200)),
        Route::ControlIn(id) => {
            let there = shared.cluster().device(id, namespace).is_some_and(|device| !device.deleting);
            let content = json!({"command": "disconnect", "arguments": null});
            Outcome::Answer(if there { Answer::empty() } else { from_server(shared, "command", None, content) })
        }
        Route::DataIn(id) => {
            let content = assemble::content(&mut shared.cluster(), id, namespace);
            match content {
                Ok(content) => Outcome::Answer(from_server(shared, "data", Some("device"), content)),
                Err(Failure::NotFound) => Outcome::Answer(Answer::bare(404)),
                Err(Failure::Internal) => Outcome::Answer(Answer::bare(500)),
                Err(Failure::Panic) => Outcome::Abort,
            }
        }
    }
}

/// What the framework checks once the certificate has passed (API §3.6).
fn framework(route: &Route, asked: &Asked) -> Result<(), Answer> {
    if asked.body.is_empty() {
        message::check_accept(asked.accept.as_deref())?;
    } else {
        message::check_type(asked.content_type.as_deref())?;
    }
    match route {
        Route::DataOut(_) | Route::ControlOut(_) => asked.parsed.as_ref().map(|_| ()).map_err(Clone::clone),
        Route::DataIn(_) | Route::ControlIn(_) => Ok(()),
    }
}

/// Whoever posts and accepts no JSON gets the answer, with an empty type [cap 56].
fn untyped(asked: &Asked, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Answer(answer) if answer.kind.is_some() && message::check_accept(asked.accept.as_deref()).is_err() => {
            Outcome::Answer(Answer { kind: Some(""), ..answer })
        }
        outcome => outcome,
    }
}

fn directive(shared: &Shared, connection: &Connection, id: &str, message: &Message) -> Outcome {
    let client = &connection.client;
    match message.directive.as_str() {
        "enrolment" => join::enrol(&mut shared.cluster(), id, &message.content),
        "registration" => {
            let admitted = join::admit(&mut shared.cluster(), id, client, &message.content);
            let admitted = match admitted {
                Ok(admitted) => admitted,
                Err(answer) => return Outcome::Answer(answer),
            };
            let times = (shared.clock.now(), shared.lifetime());
            let signed = issue::sign(&shared.authority(), &admitted.request, (id, &admitted.namespace), times);
            match signed {
                Some(certificate) => join::register(&mut shared.cluster(), id, message, &admitted, &certificate),
                None => Outcome::Answer(Answer::bare(400)),
            }
        }
        _ if !client.owns(id) => Outcome::Answer(Answer::bare(403)),
        "heartbeat" => heartbeat::receive(&mut shared.cluster(), id, client.namespace(), &message.content),
        _ => Outcome::Answer(Answer::bare(400)),
    }
}

/// A message of the server's own (API §2).
fn from_server(shared: &Shared, sort: &str, directive: Option<&str>, content: Value) -> Answer {
    let id = Uuid::new_v4().to_string();
    let mut message =
        json!({"type": sort, "message_id": id, "version": 1, "sent": shared.clock.sent(), "content": content});
    if let Some(directive) = directive {
        message["directive"] = json!(directive);
    }
    Answer::payload(200, &message)
}
