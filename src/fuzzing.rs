//! Doors to decoders that nobody but the fuzz targets needs from outside (fuzz/README.md). No part of the API.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::executor::shell::proc::{self, Stat};
use crate::executor::shell::run_dir;
use crate::source::reading::{duration, pod};
use crate::{config, http, state};

/// The longest duration that a manifest may ask for.
pub const LONGEST_DURATION: Duration = duration::LONGEST;

/// A duration of a manifest.
pub fn manifest_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text)
}

/// A duration of the configuration.
pub fn config_duration(text: &str) -> Option<Duration> {
    config::value::duration(text)
}

/// A quantity of a pod, in thousandths.
pub fn quantity_milli(text: &str) -> Result<u64, String> {
    pod::quantity::milli(text)
}

/// An object of the state directory.
pub fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    state::object::unseal(bytes)
}

/// Writes one.
pub fn seal<T: Serialize>(object: &T) -> std::io::Result<Vec<u8>> {
    state::object::seal(object)
}

/// A line of `/proc/<pid>/stat`.
pub fn process_stat(line: &[u8]) -> Option<Stat> {
    proc::parse_stat(line)
}

/// Whether a directory's name is a run's.
pub fn is_run_handle(name: &str) -> bool {
    run_dir::is_handle(name)
}

/// The last lines of a run's output.
pub fn output_tail(bytes: &[u8], whole: bool) -> String {
    run_dir::tail_of(bytes, whole)
}

/// Whether a request with these headers is let in; `None` where they are no headers.
pub fn http_guard(host: &[u8], origin: Option<&[u8]>, hosts: &[String]) -> Option<Result<(), String>> {
    let mut headers = HeaderMap::new();
    let mut put = |name: HeaderName, value: &[u8]| Some(headers.insert(name, HeaderValue::from_bytes(value).ok()?));
    put(header::HOST, host)?;
    if let Some(origin) = origin {
        put(header::ORIGIN, origin)?;
    }
    Some(http::guard::check(&headers, None, hosts))
}
