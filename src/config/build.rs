//! From layers of strings to one [`Config`], with every error at once. Does no I/O.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::keys::{ENV_PREFIX, FLAGS, Fallback, KEYS, Key, find};
use super::near::nearest;
use super::types::{Broker, Config};
use super::value::{Raw, Value};
use super::yaml::{self, Entry};
use crate::model::problem::Problem;

/// A configuration file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// As it was named: it stands in messages, and relative paths inside start in its directory.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// What the machine and the process say where nothing is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Relative paths of the environment and the flags start here.
    pub cwd: PathBuf,
    /// The effective user.
    pub uid: u32,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// The directory of the running executable.
    pub exe_dir: Option<PathBuf>,
}

/// Where configuration comes from, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The file, if there is one.
    pub file: Option<File>,
    /// The environment; names without our prefix are passed over.
    pub env: Vec<(OsString, OsString)>,
    /// Flag and value, as `("--http-listen", "127.0.0.1:0")`; see [`FLAGS`].
    pub flags: Vec<(&'static str, String)>,
    /// What holds where nothing is said.
    pub host: Host,
}

/// A configuration and what a person should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What has no effect or is probably meant differently; never a reason not to start.
    pub warnings: Vec<Problem>,
    /// Where each key that is not at its default was set: `config.yaml:3:7`, `EDGE_DEVICE_SERVER`, `--manifests`.
    pub places: BTreeMap<&'static str, String>,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Where a key was set, else the key itself.
    #[must_use]
    pub fn place<'a>(&'a self, key: &'a str) -> &'a str {
        self.places.get(key).map_or(key, String::as_str)
    }
}

/// Everything that is wrong with a configuration; printed, it is one line each. The process ends with code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, problem) in self.0.iter().enumerate() {
            let newline = if nth == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Builds the configuration: flag over environment over file over default.
///
/// # Errors
/// Everything that is wrong, each with its place.
pub fn build(inputs: &Inputs) -> Result<Loaded, ConfigErrors> {
    let mut build = Build {
        inputs,
        config: Config::blank(),
        errors: Vec::new(),
        warnings: Vec::new(),
        places: BTreeMap::new(),
        runtime_dir: PathBuf::new(),
    };
    let (file, env, flags) = (build.file(), build.environment(), build.flags());
    let file_dir =
        inputs.file.as_ref().map_or_else(|| inputs.host.cwd.clone(), |file| base_of(&inputs.host.cwd, &file.path));
    for key in KEYS {
        build.default(key);
        for (layer, base) in [(&file, file_dir.as_path()), (&env, &inputs.host.cwd), (&flags, &inputs.host.cwd)] {
            for entry in layer.iter().filter(|entry| entry.path == key.path) {
                build.set(key, &entry.raw, base, &entry.place);
            }
        }
        if key.path == "XDG_RUNTIME_DIR" {
            build.runtime_dir = build.config.xdg_runtime_dir.clone();
        }
    }
    build.finish()
}

fn base_of(cwd: &Path, file: &Path) -> PathBuf {
    let whole = cwd.join(file);
    whole.parent().map_or_else(|| cwd.to_path_buf(), Path::to_path_buf)
}

struct Build<'a> {
    inputs: &'a Inputs,
    config: Config,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    places: BTreeMap<&'static str, String>,
    runtime_dir: PathBuf,
}

impl Build<'_> {
    fn file(&mut self) -> Vec<Entry> {
        let Some(file) = &self.inputs.file else { return Vec::new() };
        yaml::entries(&file.path.display().to_string(), &file.text, &mut self.errors)
    }

    fn environment(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (name, value) in &self.inputs.env {
            let name = name.to_string_lossy();
            if !name.starts_with(ENV_PREFIX) {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.env() == name) else {
                let names: Vec<String> = KEYS.iter().map(Key::env).collect();
                let hint = match nearest(&name, names.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "docs/configuration.md lists the keys".into(),
                };
                self.warnings.push(Problem::new(name, format!("no key has this name, so it has no effect: {hint}")));
                continue;
            };
            match value.to_str() {
                Some("") => {}
                Some(text) => {
                    entries.push(Entry { path: key.path, raw: Raw::Untyped(text.into()), place: name.into_owned() });
                }
                None => self.errors.push(Problem::new(name, "its value is not UTF-8")),
            }
        }
        entries
    }

    fn flags(&mut self) -> Vec<Entry> {
        let known = |flag: &str| FLAGS.iter().find(|(name, _)| *name == flag).and_then(|(_, path)| find(path));
        let flags = self.inputs.flags.iter().filter_map(|(flag, text)| {
            let raw = Raw::Untyped(text.clone());
            known(flag).map(|key| Entry { path: key.path, raw, place: (*flag).to_string() })
        });
        flags.collect()
    }

    fn set(&mut self, key: &'static Key, raw: &Raw, base: &Path, place: &str) {
        if let Err(message) = self.apply(key, raw, base) {
            self.errors.push(Problem::new(place, message));
        }
        self.places.insert(key.path, place.into());
    }

    fn apply(&mut self, key: &'static Key, raw: &Raw, base: &Path) -> Result<(), String> {
        let home = self.inputs.host.home.as_deref();
        let value = Value { key: key.path, raw, base, runtime_dir: &self.runtime_dir, home };
        (key.set)(&mut self.config, &value)
    }

    fn default(&mut self, key: &'static Key) {
        match key.default {
            Fallback::Is(text) => {
                if let Err(message) = self.apply(key, &Raw::Untyped(text.into()), Path::new("/")) {
                    self.errors.push(Problem::new("default", message));
                }
            }
            Fallback::Found(_) => self.found(key.path),
            Fallback::Unset => {}
        }
    }

    fn found(&mut self, path: &str) {
        let host = &self.inputs.host;
        match path {
            "XDG_RUNTIME_DIR" => {
                let own = || PathBuf::from(format!("/run/user/{}", host.uid));
                self.config.xdg_runtime_dir = host.runtime_dir.clone().unwrap_or_else(own);
            }
            "state.dir" => self.config.state.dir = state_dir(host).unwrap_or_default(),
            "control.socket" => self.config.control.socket = self.config.state.control(),
            "podman.runtime_dir" => {
                // Beside the files of rootless pods, not among them: each podman's are swept by what it has.
                let users = || self.config.xdg_runtime_dir.join("flotta-agent/system");
                self.config.podman.runtime_dir = if host.uid == 0 { "/run/flotta-agent".into() } else { users() };
            }
            "shim" => {
                let name = Path::new("flotta-shim");
                self.config.shim = host.exe_dir.as_ref().map_or_else(|| name.into(), |dir| dir.join(name));
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Result<Loaded, ConfigErrors> {
        self.check();
        if !self.errors.is_empty() {
            return Err(ConfigErrors(self.errors));
        }
        self.note();
        self.whose_podman();
        let file = self.inputs.file.as_ref().map(|file| file.path.clone());
        Ok(Loaded { config: self.config, warnings: self.warnings, places: self.places, file })
    }

    /// What is right by itself and wrong together.
    fn check(&mut self) {
        let mqtt = &self.config.mqtt;
        if matches!(mqtt.broker, Broker::External { tls: true, .. }) {
            let message = "mqtts:// is not supported by this version yet; use mqtt:// or embedded";
            self.error("mqtt.broker", message.into());
        } else if mqtt.broker == Broker::Embedded && !mqtt.listen.ip().is_loopback() {
            let message = format!(
                "mqtt.listen is {}: the embedded broker listens beyond loopback only with TLS or users configured, which this version does not have yet; write 127.0.0.1:{}",
                mqtt.listen,
                mqtt.listen.port()
            );
            self.error("mqtt.listen", message);
        }
        if self.config.state.dir.as_os_str().is_empty() && !self.places.contains_key("state.dir") {
            self.error("state.dir", "neither XDG_STATE_HOME nor HOME is set: write state: { dir: … }".into());
        }
    }

    /// What is said of the runtime directory by a key wins over the user's own; the agent's own surroundings do not.
    fn whose_podman(&mut self) {
        let told = self.places.contains_key("XDG_RUNTIME_DIR");
        let podman = &mut self.config.podman;
        if told || podman.rootless_user.is_none() {
            podman.rootless_runtime_dir = Some(self.config.xdg_runtime_dir.clone());
        }
    }

    fn error(&mut self, key: &'static str, message: String) {
        let place = self.places.get(key).map_or(key, String::as_str);
        self.errors.push(Problem::new(place, message));
    }

    /// What is allowed and deserves a word.
    fn note(&mut self) {
        let config = &self.config;
        let mut notes: Vec<(&'static str, String)> = Vec::new();
        let server = &config.server;
        let of_server = [("CA_ROOT", &server.ca_root), ("CERT", &server.cert), ("KEY", &server.key)];
        for (key, _) in of_server.iter().filter(|(_, path)| path.is_none() && server.url.is_some()) {
            notes.push(("SERVER", format!("SERVER is set and {key} is not: without it no server can be talked to")));
        }
        for (key, _) in of_server.iter().filter(|(_, path)| path.is_some() && server.url.is_none()) {
            notes.push((key, format!("{key} has no effect: SERVER is not set")));
        }
        let tls = [("mqtt.ca", &config.mqtt.ca), ("mqtt.cert", &config.mqtt.cert), ("mqtt.key", &config.mqtt.key)];
        for (key, _) in tls.iter().filter(|(_, path)| path.is_some()) {
            notes.push((key, format!("{key} has no effect: this version does not speak mqtts:// yet")));
        }
        let login = config.mqtt.username.is_some() || config.mqtt.password_file.is_some();
        if login && !matches!(config.mqtt.broker, Broker::External { .. }) {
            let key = if config.mqtt.username.is_some() { "mqtt.username" } else { "mqtt.password_file" };
            notes.push((key, format!("{key} has no effect: it is for an external broker, and mqtt.broker names none")));
        }
        if !config.http.listen.ip().is_loopback() {
            let message = format!("http.listen is {}: whoever reaches it can set metrics", config.http.listen);
            notes.push(("http.listen", message));
        }
        for (key, message) in notes {
            let place = self.places.get(key).map_or(key, String::as_str);
            self.warnings.push(Problem::new(place, message));
        }
    }
}

fn state_dir(host: &Host) -> Option<PathBuf> {
    if host.uid == 0 {
        return Some("/var/lib/flotta-agent".into());
    }
    let home = || host.home.as_ref().map(|home| home.join(".local/state"));
    host.state_home.clone().or_else(home).map(|state| state.join("flotta-agent"))
}
