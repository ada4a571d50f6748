//! The part that asks the machine: reads the file and the environment, and looks for what the configuration names.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::build::{ConfigErrors, File, Host, Inputs, Loaded, build};
use super::yaml::MAX_BYTES;
use crate::model::problem::Problem;

/// Read when no `--config` is given, if it is there.
pub const USUAL_FILE: &str = "/etc/flotta-agent/config.yaml";

/// Loads the configuration: `explicit` is what `--config` named; for `flags` see [`super::keys::FLAGS`].
///
/// # Errors
/// Everything that is wrong, an unreadable file among it.
pub fn load(explicit: Option<&Path>, flags: Vec<(&'static str, String)>) -> Result<Loaded, ConfigErrors> {
    let refused =
        |place: &Path, message: String| ConfigErrors(vec![Problem::new(place.display().to_string(), message)]);
    let file = match explicit {
        Some(path) => Some(read(path).map_err(|why| refused(path, format!("cannot read the configuration: {why}")))?),
        None => match read(Path::new(USUAL_FILE)) {
            Ok(file) => Some(file),
            Err(Unreadable::Absent) => None,
            Err(why) => return Err(refused(Path::new(USUAL_FILE), format!("cannot read the configuration: {why}"))),
        },
    };
    build(&Inputs { file, env: std::env::vars_os().collect(), flags, host: host() })
}

/// What the configuration names and is not there: a warning and a status of that part, never a reason not to start. Asks
/// the file system each time, so that it can be asked again.
#[must_use]
pub fn absent(loaded: &Loaded) -> Vec<Problem> {
    let config = &loaded.config;
    let files = [
        ("CA_ROOT", config.server.ca_root.as_ref()),
        ("CERT", config.server.cert.as_ref()),
        ("KEY", config.server.key.as_ref()),
        ("KUBECONFIG", config.kubeconfig.as_ref()),
        ("mqtt.password_file", config.mqtt.password_file.as_ref()),
        ("manifests.dir", Some(&config.manifests.dir)),
    ];
    let mut problems = Vec::new();
    for (key, path) in files {
        let Some(path) = path else { continue };
        let lack = match std::fs::metadata(path) {
            Ok(found) if key == "manifests.dir" && !found.is_dir() => "is not a directory".to_string(),
            Ok(found) if key != "manifests.dir" && found.is_dir() => "is a directory, not a file".to_string(),
            Ok(_) => continue,
            Err(why) if why.kind() == ErrorKind::NotFound => "is not there".to_string(),
            Err(why) => format!("cannot be read: {}", plain(&why)),
        };
        problems.push(Problem::new(loaded.place(key), format!("{key}: {} {lack}", path.display())));
    }
    problems
}

enum Unreadable {
    Absent,
    Because(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unreadable::Absent => "there is no such file",
            Unreadable::Because(why) => why,
        })
    }
}

fn read(path: &Path) -> Result<File, Unreadable> {
    let unreadable = |why: std::io::Error| match why.kind() {
        ErrorKind::NotFound => Unreadable::Absent,
        ErrorKind::IsADirectory => Unreadable::Because("it is a directory".into()),
        _ => Unreadable::Because(plain(&why)),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES {
        return Err(Unreadable::Because("it is larger than 1 MiB".into()));
    }
    let text = String::from_utf8(bytes)
        .map_err(|why| Unreadable::Because(format!("it is not UTF-8 (byte {})", why.utf8_error().valid_up_to())))?;
    Ok(File { path: path.to_path_buf(), text })
}

/// The system's words without `(os error 13)`.
fn plain(why: &std::io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn host() -> Host {
    let dir = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    Host {
        cwd: std::env::current_dir().unwrap_or_else(|_| "/".into()),
        uid: rustix::process::geteuid().as_raw(),
        home: dir("HOME"),
        state_home: dir("XDG_STATE_HOME"),
        runtime_dir: dir("XDG_RUNTIME_DIR"),
        exe_dir: std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf)),
    }
}
