//! Starting the command, or saying in a sentence why that cannot be done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, PipeReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flotta_agent::executor::shell::proc;
use flotta_agent::executor::shell::run::{MARK, RunSpec, Started};

use crate::users::{self, User};

/// Of the agent's own environment a command gets these (and `LC_*`), nothing else.
const INHERITED: [&str; 10] =
    ["HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR"];
/// Of those, the ones that are another user's own.
const PERSONAL: [&str; 6] = ["HOME", "LOGNAME", "SHELL", "TMPDIR", "USER", "XDG_RUNTIME_DIR"];
/// Where the agent's environment has no `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// No such file, as the kernel says of a program without a format it knows.
const ENOEXEC: i32 = 8;

/// A command that runs.
pub struct Launched {
    /// Its process, also the number of its group.
    pub started: Started,
    /// Its stdout and stderr, not blocking.
    pub output: PipeReader,
}

/// Starts the command: in a process group of its own, with nothing of ours open but the pipe for its output.
pub fn launch(spec: &RunSpec) -> Result<Launched, String> {
    let Some((name, arguments)) = spec.argv.split_first().filter(|(name, _)| !name.is_empty()) else {
        return Err("the command is empty: write command: [\"/path/to/program\", …] or script: …".into());
    };
    let user = other_user(spec)?;
    let env = environment(spec, user.as_ref());
    let directory = spec.working_dir.as_deref().unwrap_or("/");
    check_directory(directory)?;
    let program = find_program(name, directory, env.get("PATH").map_or(PATH, String::as_str))?;

    let broken = |why: io::Error| format!("command {name:?} cannot be started: {why}");
    let (output, writer) = io::pipe().map_err(broken)?;
    rustix::io::ioctl_fionbio(&output, true).map_err(|why| broken(why.into()))?;
    let mut command = Command::new(&program);
    command
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(&env)
        .current_dir(directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(broken)?)
        .stderr(writer);
    if let Some(user) = &user {
        // Supplementary groups are cleared: the standard library does so whenever root becomes somebody.
        command.uid(user.uid).gid(user.gid);
    }
    let child = command.spawn().map_err(|why| explain(&why, name, &program, directory, user.as_ref()))?;
    let pid = i32::try_from(child.id()).unwrap_or(0);
    // The child is not reaped yet, so its pid is its own.
    let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
    Ok(Launched { started: Started { pid, start_ticks }, output })
}

/// The user to become; `None`: we are who we should be.
fn other_user(spec: &RunSpec) -> Result<Option<User>, String> {
    let Some(wanted) = &spec.user else { return Ok(None) };
    let user = users::find(wanted)?;
    let me = rustix::process::geteuid();
    if me.as_raw() == user.uid {
        return Ok(None);
    }
    if !me.is_root() {
        return Err(format!(
            "the agent does not run as root and cannot run this as user {wanted:?}: leave out user, or run the agent as root"
        ));
    }
    Ok(Some(user))
}

fn environment(spec: &RunSpec, user: Option<&User>) -> BTreeMap<String, String> {
    let inherited = |name: &str| INHERITED.contains(&name) || name.starts_with("LC_");
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| inherited(name) && !(user.is_some() && PERSONAL.contains(&name.as_str())))
        .collect();
    env.entry("PATH".into()).or_insert_with(|| PATH.into());
    if let Some(user) = user {
        env.insert("HOME".into(), user.home.clone());
        env.insert("SHELL".into(), user.shell.clone());
        if let Some(name) = &user.name {
            env.insert("USER".into(), name.clone());
            env.insert("LOGNAME".into(), name.clone());
        }
    }
    env.extend(spec.env.iter().map(|(name, value)| (name.clone(), value.clone())));
    env.insert(MARK.into(), spec.handle.clone());
    env
}

fn check_directory(directory: &str) -> Result<(), String> {
    if !directory.starts_with('/') {
        return Err(format!("working directory {directory:?} is not absolute: write it from / on"));
    }
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("working directory {directory:?} is not a directory")),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            Err(format!("working directory {directory:?} does not exist: create it, or name another"))
        }
        Err(why) => Err(format!("working directory {directory:?} cannot be used: {why}")),
    }
}

/// A name without a slash is looked for in PATH, as shells do; one with a slash is taken from the working directory.
fn find_program(name: &str, directory: &str, path: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        let program = Path::new(directory).join(name);
        return match fs::metadata(&program) {
            Ok(found) if found.is_dir() => Err(format!("command {name:?} is a directory")),
            Err(why) if why.kind() == ErrorKind::NotFound => {
                Err(format!("command {name:?} not found: install it, or correct the path"))
            }
            _ => Ok(program),
        };
    }
    let executable = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let absolute = path.split(':').filter(|part| part.starts_with('/'));
    absolute
        .map(|part| Path::new(part).join(name))
        .find(executable)
        .ok_or_else(|| format!("command {name:?} not found in PATH ({path}): install it, or write its whole path"))
}

fn explain(why: &io::Error, name: &str, program: &Path, directory: &str, user: Option<&User>) -> String {
    let whom = user.map_or_else(String::new, |user| {
        format!(" as user {}", user.name.clone().unwrap_or_else(|| user.uid.to_string()))
    });
    match (why.kind(), why.raw_os_error()) {
        (_, Some(ENOEXEC)) => {
            format!("command {name:?} is not a program of this machine: a script needs a first line like #!/bin/sh")
        }
        (ErrorKind::NotFound, _) => format!(
            "command {name:?} cannot be executed: the interpreter that its first line names, or its loader, is not there"
        ),
        (ErrorKind::PermissionDenied, _) if !is_executable(program) => {
            format!("command {name:?} is not executable: chmod +x {}", program.display())
        }
        (ErrorKind::PermissionDenied, _) => format!(
            "command {name:?} cannot be started{whom}: permission denied to it, or to the working directory {directory:?}"
        ),
        (ErrorKind::ArgumentListTooLong, _) => {
            format!("command {name:?} cannot be started: its arguments and environment are too long for this machine")
        }
        (ErrorKind::InvalidInput, _) => {
            format!("command {name:?} cannot be started: an argument or a variable has a NUL character in it")
        }
        _ => format!("command {name:?} cannot be started{whom}: {why}"),
    }
}

fn is_executable(program: &Path) -> bool {
    fs::metadata(program).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
}
