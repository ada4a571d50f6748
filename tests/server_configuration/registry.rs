//! A registry's credentials reach podman with the pull that needs them, and nobody else.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use flotta_agent::executor::podman::{PodmanExecutor, Setting};
use flotta_agent::executor::{Executor, ExecutorEvent};
use flotta_agent::model::policy::{HostPaths, Policy};
use flotta_agent::model::time::Wall;
use flotta_agent::model::workload::SharedWorkload;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::said::outcome;

const DEADLINE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "correct horse";

/// A request: its first line, and the header for registries.
type Heard = (String, Option<String>);

/// Podman's socket, of which every pull is refused with these words.
struct StandIn {
    dir: tempfile::TempDir,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl StandIn {
    fn new() -> StandIn {
        let stand_in = StandIn { dir: tempfile::tempdir().expect("a directory"), heard: Arc::default() };
        let listener = UnixListener::bind(stand_in.socket()).expect("a socket");
        let heard = stand_in.heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, heard.clone()));
            }
        });
        stand_in
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("podman.sock")
    }

    fn pulls(&self) -> Vec<Heard> {
        let heard = self.heard.lock().expect("not poisoned").clone();
        heard.into_iter().filter(|(line, _)| line.contains("/images/pull")).collect()
    }
}

async fn serve(stream: UnixStream, heard: Arc<Mutex<Vec<Heard>>>) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let (mut first, mut auth, mut length) = (String::new(), None, 0);
        read.read_line(&mut first).await.ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            read.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            match line.trim().split_once(": ") {
                None => break,
                Some((name, value)) if name.eq_ignore_ascii_case("x-registry-auth") => auth = Some(value.to_owned()),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok()?,
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        read.read_exact(&mut body).await.ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        heard.lock().expect("not poisoned").push((path.clone(), auth));
        let (status, body) = match path.as_str() {
            path if path.ends_with("/info") => {
                (200, json!({ "host": { "cgroupVersion": "v2", "cgroupControllers": ["cpu"] } }))
            }
            path if path.contains("/images/pull") => {
                (200, json!({ "error": "unauthorized: access to the resource is denied" }))
            }
            path if path.contains("/json") => (200, json!([])),
            _ => (404, json!({ "cause": "no such image", "message": "no such image", "response": 404 })),
        };
        let body = format!("{body}\n");
        let head =
            format!("HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        write.write_all(head.as_bytes()).await.ok()?;
        write.write_all(body.as_bytes()).await.ok()?;
    }
}

fn setting(dir: &Path) -> Setting {
    let policy = Policy { host_paths: HostPaths::Allow, host_network: true, mounts: true, ..Policy::default() };
    Setting {
        owner: "us".into(),
        device: "d".into(),
        pods_dir: dir.join("pods"),
        runtime_dir: dir.join("runtime"),
        policy,
        awaited: tokio::sync::watch::Sender::default().subscribe(),
        spare: std::sync::Arc::default(),
        user: None,
        shim: "/nonexistent".into(),
        probes: std::sync::Arc::default(),
    }
}

/// A workload of the server with these images and this auth file.
fn workload(name: &str, images: &[&str], auths: &Json) -> SharedWorkload {
    let containers: Vec<Json> =
        images.iter().enumerate().map(|(n, image)| json!({ "name": format!("c{n}"), "image": image })).collect();
    let outcome = outcome(&json!({ "configuration": {}, "workloads": [{
        "name": name, "specification": json!({ "containers": containers }).to_string(),
        "imageRegistries": { "authFile": json!({ "auths": auths }).to_string() },
    }] }));
    assert!(outcome.desired.problems.is_empty(), "{:?}", outcome.desired.problems);
    outcome.desired.workloads.into_values().next().expect("one")
}

/// What the log says, all of it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts each until its pull has failed; all that the executor says of it, with the log.
async fn start(stand_in: &StandIn, workloads: &[SharedWorkload]) -> String {
    let (events, mut heard) = mpsc::channel(64);
    let executor = PodmanExecutor::new(
        &stand_in.socket(),
        setting(stand_in.dir.path()),
        Arc::new(|| Wall(1_790_000_000_000)),
        events,
    );
    let mut said = String::new();
    for workload in workloads {
        let first = executor.start(workload.clone(), None).await.expect_err("the image is on its way");
        said.push_str(&format!("{first:?}\n"));
        let retry = async {
            while let Some(event) = heard.recv().await {
                if matches!(&event, ExecutorEvent::Retry(id) if *id == workload.id) {
                    return;
                }
            }
        };
        timeout(DEADLINE, retry).await.expect("the pull ends");
        let second = executor.start(workload.clone(), None).await.expect_err("the pull was refused");
        assert!(second.message.contains("unauthorized"), "{second:?}");
        said.push_str(&format!("{second:?} {workload:?}\n"));
    }
    said
}

fn decoded(heard: &Heard) -> Option<Json> {
    let bytes = URL_SAFE.decode(heard.1.as_ref()?).expect("base64 for URLs, padded");
    Some(serde_json::from_slice(&bytes).expect("JSON"))
}

#[tokio::test]
async fn each_pull_carries_the_credentials_of_its_own_registry_and_none_of_the_others() {
    let stand_in = StandIn::new();
    let pair = |user: &str| json!({ "username": user, "password": PASSWORD });
    let auths = json!({
        "quay.io": pair("quay"), "quay.io/team": pair("team?>"), "https://index.docker.io/v1/": pair("docker"),
        "token.example": { "identitytoken": PASSWORD },
    });
    let workloads = [
        workload("host", &["quay.io/other/app:1"], &auths),
        workload("path", &["quay.io/team/app:1"], &auths),
        workload("docker", &["docker.io/library/nginx:1"], &auths),
        workload("token", &["token.example/app:1"], &auths),
        workload("unknown", &["ghcr.io/x/app:1"], &auths),
        workload("short", &["nginx:1"], &auths),
    ];
    start(&stand_in, &workloads).await;
    let pulls = stand_in.pulls();
    let sent: Vec<Option<Json>> = pulls.iter().map(decoded).collect();
    let single = |user: &str, server: &str| json!({ "username": user, "password": PASSWORD, "serveraddress": server });
    let token = json!({
        "username": "", "password": "", "identitytoken": PASSWORD, "serveraddress": "token.example",
    });
    assert_eq!(
        sent,
        [
            Some(single("quay", "quay.io")),
            Some(single("team?>", "quay.io")),
            Some(single("docker", "docker.io")),
            Some(token),
            None,
            Some(json!({
                "quay.io": pair("quay"), "quay.io/team": pair("team?>"), "docker.io": pair("docker"),
            })),
        ]
    );
    assert!(pulls[0].0.ends_with("/images/pull?reference=quay.io%2Fother%2Fapp%3A1"), "{}", pulls[0].0);
}

#[tokio::test]
async fn one_workloads_password_is_not_anothers() {
    let stand_in = StandIn::new();
    let auths = |user: &str| json!({ "quay.io": { "username": user, "password": PASSWORD } });
    let image = &["quay.io/app:1"];
    let workloads = [
        workload("first", image, &auths("a")),
        workload("second", image, &auths("b")),
        workload("third", image, &json!({})),
    ];
    start(&stand_in, &workloads).await;
    let users: Vec<Option<Json>> =
        stand_in.pulls().iter().map(|pull| Some(decoded(pull)?["username"].clone())).collect();
    assert_eq!(users, [Some(json!("a")), Some(json!("b")), None]);
}

#[test]
fn no_log_error_or_debug_output_shows_a_password() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let said = tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let stand_in = StandIn::new();
            let auths = json!({ "quay.io": { "username": "somebody", "password": PASSWORD } });
            let said = start(&stand_in, &[workload("web", &["quay.io/app:1"], &auths)]).await;
            (said, stand_in.pulls()[0].1.clone().expect("a header"))
        })
    });
    let (said, header) = said;
    let logged = String::from_utf8(log.0.lock().expect("not poisoned").clone()).expect("text");
    assert!(logged.contains("could not be pulled"), "the log is heard: {logged}");
    for text in [&said, &logged] {
        assert!(!text.contains(PASSWORD) && !text.contains(&header), "{text}");
    }
}
