//! A run's directory as the agent reads it. Anything may be missing, half-written or garbage: then it is not there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::run::{
    EXIT_FILE, Exit, FILE_MAX, OLD_OUTPUT_FILE, OUTPUT_FILE, RUN_FILE, RunSpec, SHIM_FILE, STARTED_FILE, Started,
    TAIL_MAX,
};

/// Of a workload's name this much goes into a handle: a file name has 255 bytes.
const NAME_MAX: usize = 200;
/// Hex digits that make a handle unique.
const UNIQUE: usize = 12;

/// `<name>-<hash>-<12 hex digits that never come again>`.
pub(super) fn new_handle(name: &str, short_hash: &str) -> String {
    let name = name.get(..NAME_MAX).unwrap_or(name);
    let hash: String = short_hash.chars().filter(char::is_ascii_alphanumeric).take(UNIQUE).collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{hash}-{}", unique.get(..UNIQUE).unwrap_or(&unique))
}

/// Whether a directory of this name may be one of ours: others are left alone. Never true of a path.
pub(crate) fn is_handle(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let Some((rest, unique)) = text.rsplit_once('-') else { return false };
    let hex = unique.len() == UNIQUE && unique.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    hex && rest.contains('-') && !text.starts_with('.') && text.chars().all(inside)
}

/// One run's directory.
#[derive(Clone, Debug)]
pub(super) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Not looked at yet. `handle` must be one.
    pub(super) fn of(runs_dir: &Path, handle: &str) -> RunDir {
        RunDir { path: runs_dir.join(handle) }
    }

    /// Makes it, for our own eyes.
    pub(super) fn create(&self) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.path)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there.
    pub(super) fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| found.is_dir())
    }

    /// Writes what is to be run. The file that is returned is locked and stands at its beginning: it becomes the shim's
    /// standard input, and its lock the sign that the shim lives.
    pub(super) fn write_spec(&self, spec: &RunSpec) -> io::Result<File> {
        let path = self.path.join(RUN_FILE);
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(&serde_json::to_vec(spec)?)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Puts onto disk what tells, after a loss of power, that there was a run: its `run.json`, and the names in its
    /// directory and of it. Without them it would be a start that never was, and be made again.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(self.path.join(RUN_FILE))?.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }

    /// What is or was run.
    pub(super) fn spec(&self) -> Option<RunSpec> {
        serde_json::from_slice(&self.read(RUN_FILE)?).ok()
    }

    /// Whether the shim lives. We only ask with a shared lock: those who ask do not disturb each other.
    pub(super) fn is_locked(&self) -> bool {
        let Ok(file) = File::open(self.path.join(RUN_FILE)) else { return false };
        matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// What the shim says its pid is.
    pub(super) fn shim_pid(&self) -> Option<i32> {
        std::str::from_utf8(&self.read(SHIM_FILE)?).ok()?.trim().parse().ok().filter(|pid| *pid > 1)
    }

    /// Whether a process has our `run.json` as its standard input; where we may not see that, the lock's word counts.
    pub(super) fn is_stdin_of(&self, pid: i32) -> bool {
        let Ok(ours) = fs::metadata(self.path.join(RUN_FILE)) else { return false };
        match fs::metadata(format!("/proc/{pid}/fd/0")) {
            Ok(theirs) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
            Err(why) => why.kind() == io::ErrorKind::PermissionDenied,
        }
    }

    /// Whether the command was ever executed.
    pub(super) fn was_started(&self) -> bool {
        self.path.join(STARTED_FILE).exists()
    }

    /// The command as it was executed.
    pub(super) fn started(&self) -> Option<Started> {
        serde_json::from_slice(&self.read(STARTED_FILE)?).ok()
    }

    /// How it ended, if anybody wrote that down.
    pub(super) fn exit(&self) -> Option<Exit> {
        serde_json::from_slice(&self.read(EXIT_FILE)?).ok()
    }

    /// Writes down what we found out ourselves, so that it is found out only once.
    pub(super) fn write_exit(&self, exit: &Exit) -> io::Result<()> {
        let temporary = self.path.join(format!("{EXIT_FILE}.tmp"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(exit)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(EXIT_FILE))
    }

    /// The last lines of the output, at most [`TAIL_MAX`] bytes.
    pub(super) fn tail(&self) -> String {
        let (mut bytes, mut whole) = last_bytes(&self.path.join(OUTPUT_FILE));
        if whole {
            let (mut older, older_whole) = last_bytes(&self.path.join(OLD_OUTPUT_FILE));
            older.append(&mut bytes);
            (bytes, whole) = (older, older_whole);
        }
        tail_of(&bytes, whole)
    }

    /// Removes it. What makes it a run goes first: an end in between leaves something that is removed the next time, not
    /// another run.
    pub(super) fn remove(&self) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let _ = fs::remove_file(self.path.join(RUN_FILE));
        gone(fs::remove_dir_all(&self.path))
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        File::open(self.path.join(name)).ok()?.take(FILE_MAX).read_to_end(&mut text).ok()?;
        Some(text)
    }
}

/// The end of a file, a little more than a tail holds; and whether that is all of it.
fn last_bytes(path: &Path) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let Ok(mut file) = File::open(path) else { return (bytes, true) };
    let window = TAIL_MAX as u64 + 16;
    let from = file.metadata().map_or(0, |found| found.len()).saturating_sub(window);
    if file.seek(SeekFrom::Start(from)).is_ok() {
        let _ = file.take(window).read_to_end(&mut bytes);
    }
    (bytes, from == 0)
}

/// The last whole lines that fit; of a single longer line its end. `whole`: nothing stood before these bytes.
pub(crate) fn tail_of(bytes: &[u8], whole: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\n', '\r']);
    let mut from = text.len().saturating_sub(TAIL_MAX);
    while !text.is_char_boundary(from) {
        from = from.saturating_add(1);
    }
    let cut = text.get(from..).unwrap_or_default();
    let at_line = if from == 0 { whole } else { text.as_bytes().get(from.saturating_sub(1)) == Some(&b'\n') };
    match cut.split_once('\n') {
        Some((_, rest)) if !at_line => rest.to_owned(),
        _ => cut.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_a_file_name_of_ours_and_nothing_else() {
        let handle = new_handle("web.server", "4005f0ea9fd3");
        assert!(handle.starts_with("web.server-4005f0ea9fd3-") && is_handle(&handle), "{handle}");
        assert!(is_handle(&new_handle(&"x".repeat(253), "../..")));
        assert!(new_handle(&"x".repeat(253), "4005f0ea9fd3").len() <= 255);
        let unique = "0123456789ab";
        for other in ["", ".", "..", "lost+found", unique, "a-b", "a-b-0123456789aB"] {
            assert!(!is_handle(other), "{other}");
        }
        for other in [format!("../x-y-{unique}"), format!("/x-y-{unique}"), format!(".x-y-{unique}")] {
            assert!(!is_handle(&other), "{other}");
        }
    }

    #[test]
    fn a_tail_is_whole_lines() {
        assert_eq!(tail_of(b"a\nb\n", true), "a\nb");
        assert_eq!(tail_of(b"a\nb\n", false), "b");
        assert_eq!(tail_of(b"", true), "");
        let lines = "0123456789\n".repeat(200);
        let tail = tail_of(lines.as_bytes(), true);
        assert!(tail.len() <= TAIL_MAX && tail.starts_with("0123456789\n") && tail.ends_with("\n0123456789"));
        assert_eq!(tail_of("x".repeat(3000).as_bytes(), false).len(), TAIL_MAX);
        assert!(tail_of(&[0xff; 2000], true).len() <= TAIL_MAX);
    }
}
