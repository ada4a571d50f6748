//! An agent that always says the same.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

pub struct Server {
    pub url: String,
    posted: Arc<Mutex<Vec<String>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A URL where nobody listens.
pub fn nobody() -> String {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    format!("http://{}", free.expect("a free port"))
}

pub fn device() -> Value {
    json!({
        "device_id": "toto", "state": "online", "version": "0.1.0", "locked": false, "of_a_later_version": 1,
        "since": "2026-11-21T06:00:00.000Z", "observed_at": "2026-11-21T08:00:00.000Z",
        "valid_until": "2026-11-21T08:01:30.000Z", "workloads": {"inactive": 1, "running": 1},
        "server": {"state": "disabled"}, "broker": {"state": "connected"},
        "problems": [{"where": "manifests/a.yaml:3:7", "message": "unknown kind"}],
    })
}

pub fn workloads() -> Value {
    json!([
        {"namespace": "site", "name": "logger", "kind": "shell", "rootless": false, "state": "running",
         "reason": "Running", "message": "runs", "since": "2026-11-21T07:59:57.000Z",
         "observed_at": "2026-11-21T08:00:00.000Z", "hash": "0123456789ab", "restarts": 2, "warnings": [], "profiles": []},
        {"namespace": "default", "name": "nginx", "kind": "pod", "rootless": true, "state": "inactive",
         "reason": "ConditionFalse", "message": "profile test: off is false, since x = 20",
         "since": "2026-11-21T07:55:00.000Z", "observed_at": "2026-11-21T08:00:00.000Z", "hash": "4005f0ea9fd3",
         "restarts": 0, "last_exit_code": 1, "last_run": "2026-11-21T07:00:00.000Z",
         "next_run": "2026-11-21T08:00:20.000Z", "cpu_quota_us": 20500, "warnings": ["LimitNotEnforced: cpu"],
         "profiles": [{"name": "test", "active": false, "conditions": ["off", "warm", "bad", "lost"]},
                      {"name": "night", "active": false, "conditions": []}]},
    ])
}

pub fn profiles() -> Value {
    json!([{"name": "test", "conditions": [
        {"name": "off", "expression": "x<3% || x == nil", "value": false, "stale": false, "error": null, "metrics": {"x": 20.0}},
        {"name": "warm", "expression": "y>3", "value": false, "stale": true, "error": null, "metrics": {"y": null}},
        {"name": "bad", "expression": "z >> 3", "value": false, "stale": false,
         "error": "column 4: expected a number", "metrics": {}},
        {"name": "other", "expression": "w>1", "value": true, "stale": false, "error": null, "metrics": {"w": 2.0}},
    ]}])
}

fn metrics() -> Value {
    json!([{"name": "x", "value": 20.0, "unit": "%", "received_at": "2026-11-21T07:59:58.800Z", "age_seconds": 1.2, "source": "mqtt"}])
}

fn hostile_device() -> Value {
    let mut device = device();
    device["device_id"] = "to\u{1b}[2Jto\r".into();
    device["problems"][0]["message"] = "\u{1b}]0;title\u{7}".into();
    device
}

fn of(value: fn() -> Value) -> axum::routing::MethodRouter {
    get(move || async move { axum::Json(value()) })
}

impl Server {
    pub fn start() -> Server {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let posted = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&posted);
        let take = move |body: String| async move {
            if body.contains("\"m\"") {
                let error = axum::Json(json!({"error": "unit m: write 0.5"}));
                return (StatusCode::BAD_REQUEST, error).into_response();
            }
            taken.lock().expect("a sound lock").push(body);
            StatusCode::NO_CONTENT.into_response()
        };
        let two_events = || async {
            let events = ": hello\n\nid: 1\ndata: {}\n\nid: 2\ndata: {}\n\n";
            ([(header::CONTENT_TYPE, "text/event-stream")], events)
        };
        let router = Router::new()
            .route("/api/v1/device", of(device))
            .route("/api/v1/workloads", of(workloads))
            .route("/api/v1/profiles", of(profiles))
            .route("/api/v1/metrics", of(metrics))
            .route("/api/v1/events", get(two_events))
            .route("/hostile/api/v1/device", of(hostile_device))
            .route("/hostile/api/v1/workloads", of(|| json!([])))
            .route("/metrics", axum::routing::post(take));
        let listener = runtime.block_on(tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))));
        let listener = listener.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Server { url, posted, runtime: Some(runtime) }
    }

    pub fn hostile(&self) -> String {
        format!("{}/hostile", self.url)
    }

    pub fn posted(&self) -> Vec<String> {
        self.posted.lock().expect("a sound lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
