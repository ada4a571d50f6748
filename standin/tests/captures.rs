//! The stand-in against what real servers answered: every capture that is one exchange is sent again, with a
//! certificate of the same kind at the same time, to a server whose devices are in the same state.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod captures {
    pub mod compare;
    pub mod sequences;
    pub mod state;
}
mod common;

use std::fs;
use std::path::{Path, PathBuf};

use captures::{compare, state};
use common::Connection;
use flotta_standin::{Options, Standin};
use serde_json::Value;

/// Captures that are not one exchange over TLS 1.3, and the test that has them.
const ELSEWHERE: [(&str, &str); 5] = [
    ("33b-", "several exchanges: a_connection_stays_bound_to_its_certificate"),
    ("95-", "TLS 1.2: a_client_with_tls_1_2_gets_the_alert_protocol_version"),
    ("b3-", "an EdgeDevice, no exchange: a_heartbeat_becomes_the_status_and_the_labels_of_the_edge_device"),
    ("c0-", "several exchanges: the_reference_agent_gets_the_answers_that_it_got"),
    ("c1-", "several exchanges: an_expired_reference_agent_is_refused_its_configuration_only"),
];

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn read(prefix: &str) -> Value {
    let file = files().into_iter().find(|file| file.file_name().unwrap().to_string_lossy().starts_with(prefix));
    serde_json::from_str(&fs::read_to_string(file.unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn every_captured_exchange_is_answered_as_the_real_server_answered_it() {
    let (mut replayed, mut elsewhere, mut wrong) = (0, 0, Vec::new());
    for file in files() {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        if let Some((_, why)) = ELSEWHERE.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            println!("not replayed here: {name}: {why}");
            elsewhere += 1;
            continue;
        }
        let capture: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        replayed += 1;
        if let Err(difference) = replay(&name, &capture).await {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    println!("{replayed} captures replayed, {elsewhere} elsewhere");
    assert!(wrong.is_empty(), "{} of {replayed}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((replayed, elsewhere), (files().len() - ELSEWHERE.len(), ELSEWHERE.len()));
    assert!(replayed >= 90, "{replayed}");
}

async fn replay(name: &str, capture: &Value) -> Result<(), String> {
    let request = &capture["request"];
    let server = Standin::start(Options::default()).await.map_err(|error| error.to_string())?;
    state::at(&server, capture["response"]["headers"]["Date"].as_str());
    state::prepare(&server, name, capture).await;
    let identity = state::identity(&server, &request["client_cert"]);
    let headers: Vec<(&str, &str)> = request["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    let body = match &request["body"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    };
    let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    let answer = async {
        let mut connection = Connection::open(&server, identity.as_ref()).await?;
        connection.send(method, path, &headers, body.as_ref().map(String::as_bytes)).await
    };
    compare::answer(capture, answer.await)
}
