//! Paths and methods (API §2).

use crate::answer::Answer;

const BASE: &str = "/api/flotta-management/v1";

/// What a request is about, as far as the path tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    DataIn(String),
    DataOut(String),
    ControlIn(String),
    ControlOut(String),
}

impl Route {
    pub(crate) fn device(&self) -> &str {
        match self {
            Self::DataIn(id) | Self::DataOut(id) | Self::ControlIn(id) | Self::ControlOut(id) => id,
        }
    }
}

/// The route of a request, or the framework's answer. That comes before any certificate is looked at [cap 94].
pub(crate) fn find(method: &str, path: &str) -> Result<Route, Answer> {
    let Some((route, allowed)) = parse(path) else {
        return Err(Answer::framework(404, 404, &format!("path {path} was not found")));
    };
    if method == allowed {
        return Ok(route);
    }
    let message = format!("method {method} is not allowed, but [{allowed}] are");
    Err(Answer { allow: Some(allowed), ..Answer::framework(405, 405, &message) })
}

fn parse(path: &str) -> Option<(Route, &'static str)> {
    let clean = clean(path);
    let mut parts = clean.strip_prefix(BASE)?.strip_prefix('/')?.split('/');
    let (kind, id, end) = (parts.next()?, parts.next()?.to_owned(), parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    match (kind, end) {
        ("data", "in") => Some((Route::DataIn(id), "GET")),
        ("data", "out") => Some((Route::DataOut(id), "POST")),
        ("control", "in") => Some((Route::ControlIn(id), "GET")),
        ("control", "out") => Some((Route::ControlOut(id), "POST")),
        _ => None,
    }
}

/// Go's `path.Clean`: doubled and trailing slashes do not matter [cap c0, 96].
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
