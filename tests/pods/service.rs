//! The podmans under the tests, root's and a user's, asked without the agent's own client.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use super::device::{deadline, until_true};

/// What `tests/podman.sh` prints, by name.
type Facts = BTreeMap<String, String>;

fn facts() -> Result<&'static Facts, &'static str> {
    static FACTS: OnceLock<Result<Facts, String>> = OnceLock::new();
    let found = FACTS.get_or_init(|| {
        let told: Facts = std::env::vars().filter(|(name, _)| name.starts_with("FLOTTA_PODMAN_")).collect();
        if told.contains_key("FLOTTA_PODMAN_SOCKET") {
            return Ok(told);
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/podman.sh");
        let output =
            Command::new(&script).arg("start").output().map_err(|why| format!("{}: {why}", script.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!rustix::process::geteuid().is_root(), "tests/podman.sh start: {words}");
            return Err(words.trim().to_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
    });
    found.as_ref().map_err(String::as_str)
}

fn fact(name: &str) -> &'static str {
    let all = facts().expect("asked for by tests that have a service");
    all.get(name).unwrap_or_else(|| panic!("{name} is not set: tests/podman.sh prints it"))
}

/// The podman that tests run on which need only one, or `None` with the reason printed: root's; with
/// FLOTTA_TEST_PODMAN=rootless the user's.
pub fn podman() -> Option<Podman> {
    if std::env::var("FLOTTA_TEST_PODMAN").is_ok_and(|which| which == "rootless") {
        return rootless();
    }
    system()
}

/// Root's podman, or `None` with the reason printed.
pub fn system() -> Option<Podman> {
    found("FLOTTA_PODMAN_SOCKET", false)
}

/// A user's podman, or `None` with the reason printed.
pub fn rootless() -> Option<Podman> {
    found("FLOTTA_PODMAN_ROOTLESS_SOCKET", true)
}

/// Both, for what has to hold for both; empty with the reason printed.
pub fn both() -> Vec<Podman> {
    system().into_iter().chain(rootless()).collect()
}

fn found(socket: &str, rootless: bool) -> Option<Podman> {
    match facts() {
        Ok(_) => Some(Podman { socket: fact(socket).into(), rootless }),
        Err(why) => {
            // Past the test runner, which keeps to itself what a passing test prints.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            None
        }
    }
}

/// The image that all pods of the tests run: busybox.
pub fn image() -> &'static str {
    fact("FLOTTA_PODMAN_IMAGE")
}

/// Whether [`podman`] keeps limits of CPU and memory; `None`: not, with the reason printed.
pub fn limits() -> Option<()> {
    if podman()?.limits() {
        return Some(());
    }
    let _ = writeln!(std::io::stderr(), "skipped: podman cannot limit CPU and memory on this machine");
    None
}

/// Whose the user's podman is.
pub struct User {
    pub name: &'static str,
    pub uid: u32,
    pub gid: u32,
    pub runtime_dir: &'static Path,
}

/// The user of [`rootless`].
pub fn user() -> User {
    let number = |name: &str| fact(&format!("FLOTTA_PODMAN_ROOTLESS_{name}")).parse().expect("a number");
    User {
        name: fact("FLOTTA_PODMAN_ROOTLESS_USER"),
        uid: number("UID"),
        gid: number("GID"),
        runtime_dir: Path::new(fact("FLOTTA_PODMAN_ROOTLESS_RUNTIME_DIR")),
    }
}

impl User {
    /// A command that runs as this user, with the environment of a login.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(fact("FLOTTA_PODMAN_ROOTLESS_RUN"));
        command.arg(program);
        command
    }

    /// Gives something to this user.
    pub fn own(&self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid)).expect("given");
    }
}

/// A podman service, over its socket.
#[derive(Clone, Debug)]
pub struct Podman {
    pub socket: PathBuf,
    /// It is the user's.
    pub rootless: bool,
}

impl Podman {
    fn service(&self) -> &'static str {
        fact(if self.rootless { "FLOTTA_PODMAN_ROOTLESS_SERVICE" } else { "FLOTTA_PODMAN_SERVICE" })
    }

    /// Whether limits of CPU and memory are kept here.
    pub fn limits(&self) -> bool {
        fact(if self.rootless { "FLOTTA_PODMAN_ROOTLESS_LIMITS" } else { "FLOTTA_PODMAN_LIMITS" }) == "1"
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Json>) -> std::io::Result<(u16, String)> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(deadline()))?;
        let body = body.map(Json::to_string).unwrap_or_default();
        // HTTP/1.0: the answer comes in one piece, and its end is the connection's.
        let head = format!(
            "{method} /v4.0.0/libpod/{path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((code, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned())))
    }

    /// A call that has to be answered.
    pub fn call(&self, method: &str, path: &str, body: Option<&Json>) -> (u16, Json) {
        let (code, text) =
            self.exchange(method, path, body).unwrap_or_else(|why| panic!("podman: {method} {path}: {why}"));
        (code, serde_json::from_str(&text).unwrap_or(Json::String(text)))
    }

    pub fn answers(&self) -> bool {
        self.exchange("GET", "info", None).is_ok_and(|(code, _)| code == 200)
    }

    fn list(&self, what: &str, label: &str) -> Vec<Json> {
        let filter = json!({ "label": [label] }).to_string();
        let encoded: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (code, all) = self.call("GET", &format!("{what}/json?all=true&filters={encoded}"), None);
        assert_eq!(code, 200, "{all}");
        all.as_array().cloned().unwrap_or_default()
    }

    /// Containers with this label, with the pods' own ones.
    pub fn containers(&self, label: &str) -> Vec<Json> {
        self.list("containers", label)
    }

    /// Pods with this label.
    pub fn pods(&self, label: &str) -> Vec<Json> {
        self.list("pods", label)
    }

    /// Everything on this podman whose name has this in it: pods, containers, volumes.
    pub fn named(&self, part: &str) -> Vec<String> {
        let mut found = Vec::new();
        for what in ["pods", "containers", "volumes"] {
            let (_, all) = self.call("GET", &format!("{what}/json?all=true"), None);
            for one in all.as_array().into_iter().flatten() {
                let name = one["Name"].as_str().or(one["Names"][0].as_str()).unwrap_or_default();
                if name.contains(part) {
                    found.push(format!("{what}: {name}"));
                }
            }
        }
        found
    }

    pub fn inspect(&self, what: &str, id: &str) -> Json {
        let (code, found) = self.call("GET", &format!("{what}/{id}/json"), None);
        assert_eq!(code, 200, "{what} {id}: {found}");
        found
    }

    pub fn remove_pod(&self, id: &str) {
        let (code, answer) = self.call("DELETE", &format!("pods/{id}?force=true"), None);
        assert!(matches!(code, 200 | 404), "{code} {answer}");
    }

    /// A pod that is not the agent's, with one container that sleeps; with these labels.
    pub fn foreign(&self, name: &str, labels: Json) -> Foreign {
        let (code, made) = self.call("POST", "pods/create", Some(&json!({ "name": name, "labels": labels })));
        assert_eq!(code, 201, "{made}");
        let id = made["Id"].as_str().expect("an id").to_owned();
        let body = json!({ "name": format!("{name}-c"), "pod": id, "image": image(), "command": ["sleep", "100000"],
            "stop_timeout": 0, "log_configuration": { "size": 1_048_576 } });
        let (code, container) = self.call("POST", "containers/create", Some(&body));
        assert_eq!(code, 201, "{container}");
        let container = container["Id"].as_str().expect("an id").to_owned();
        let (code, answer) = self.call("POST", &format!("containers/{container}/start"), None);
        assert_eq!(code, 204, "{answer}");
        let found = self.inspect("containers", &container);
        Foreign { podman: self.clone(), id, container, before: Foreign::facts(&found) }
    }

    /// One more service on a socket of its own, over the same containers; not started yet.
    pub fn second(&self) -> Service {
        let home = tempfile::tempdir().expect("a directory");
        if self.rootless {
            user().own(home.path());
        }
        let podman = Podman { socket: home.path().join("podman.sock"), rootless: self.rootless };
        Service { podman, child: None, dir: None, _home: Some(home) }
    }

    /// A service with containers of its own, which has the image of the tests. Only for pods without a network of their own:
    /// that one is the machine's.
    pub fn apart(&self, dir: &Path) -> Service {
        let podman = Podman { socket: dir.join("podman.sock"), rootless: self.rootless };
        let mut service = Service { podman, child: None, dir: Some(dir.to_owned()), _home: None };
        service.start();
        let image = self.bytes("GET", &format!("images/{}/get", image().replace('/', "%2F")), &[]);
        service.podman.bytes("POST", "images/load", &image);
        service
    }

    /// A call whose body, or answer, is no JSON.
    fn bytes(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(&self.socket).expect("connected");
        stream.set_read_timeout(Some(deadline())).expect("set");
        let head = format!(
            "{method} /v4.0.0/libpod/{path} HTTP/1.0\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        assert!(answer.starts_with(b"HTTP/1.0 200"), "{}", String::from_utf8_lossy(&answer[..end]));
        answer.split_off(end + 4)
    }
}

/// A pod that the agent may not touch.
pub struct Foreign {
    podman: Podman,
    pub id: String,
    container: String,
    before: Vec<Json>,
}

impl Foreign {
    fn facts(found: &Json) -> Vec<Json> {
        let state = &found["State"];
        vec![state["Pid"].clone(), state["StartedAt"].clone(), state["Status"].clone(), found["Id"].clone()]
    }

    pub fn is_untouched(&self) {
        let now = self.podman.inspect("containers", &self.container);
        assert_eq!(Foreign::facts(&now), self.before, "a pod that is not the agent's was touched");
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.podman.exchange("DELETE", &format!("pods/{}?force=true", self.id), None);
    }
}

/// A service of the test's own, to be killed, stopped, restarted.
pub struct Service {
    pub podman: Podman,
    child: Option<Child>,
    /// Where it has its containers; `None`: where all others have them.
    dir: Option<PathBuf>,
    /// Where its socket is, if that is its own.
    _home: Option<tempfile::TempDir>,
}

impl Service {
    pub fn start(&mut self) {
        let _ = std::fs::remove_file(&self.podman.socket);
        let child = Command::new(self.podman.service())
            .arg(&self.podman.socket)
            .args(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a podman service starts");
        self.child = Some(child);
        until_true("the podman service answers", || self.podman.answers());
    }

    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("signalled");
    }

    /// kill -9, and gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
        // As after a crash: the socket is there, nobody listens.
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(&self.podman.socket);
    }
}
