//! The podman of a user: who that is, and the way to it.
//!
//! An agent that is root makes files for that user and hands pods to whoever answers. So it talks to a socket only when it
//! belongs to that user, and to exactly the one it looked at: a user can put a link to another's socket where the own one
//! was.

use std::fs::{self, Metadata};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::transport::{Answer, Later, Request, Socket, Transport};

/// A user of this device, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The main group.
    pub gid: u32,
}

impl User {
    /// Who the agent is.
    #[must_use]
    pub fn own() -> User {
        User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// Where its own settings are.
    pub(super) fn home(self) -> Option<PathBuf> {
        entries().ok()?.into_iter().find(|entry| entry.user.uid == self.uid).map(|entry| entry.home)
    }

    /// Makes a path the user's that was made for pods; nothing to do where the agent is that user. Never through a link:
    /// somebody may have put it there, to be given what it leads to.
    pub(super) fn own_path(self, path: &str) -> std::io::Result<()> {
        if self == User::own() {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)?;
        std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))
    }
}

/// What is configured of a user's podman. Users and sockets come and go: who and where is found anew for each call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPodman {
    /// `podman.rootless_user`, a name or a number; `None`: the agent's own user, or for an agent that is root the owner of
    /// the socket.
    pub user: Option<String>,
    /// `podman.rootless_socket`; `None`: in the runtime directory.
    pub socket: Option<PathBuf>,
    /// The user's runtime directory; `None`: `/run/user/<uid>`.
    pub runtime_dir: Option<PathBuf>,
    /// Root's podman: a user's does not listen there.
    pub system: PathBuf,
    /// Who the agent is.
    pub agent: User,
}

/// A user's podman that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose.
    pub user: User,
    /// The user's runtime directory (a tmpfs).
    pub runtime_dir: PathBuf,
    /// Where podman listens; it need not be there.
    pub socket: PathBuf,
}

impl Found {
    /// Where the files of the user's pods are.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.runtime_dir.join("flotta-agent")
    }
}

/// Of an agent that is root and was told of no user.
const WHO: &str = "which user's podman runs rootless pods is not said: set podman.rootless_user";

impl UserPodman {
    /// Who and where. The error: what to set or make.
    ///
    /// # Errors
    /// The user does not exist, or nobody says who it is.
    pub fn find(&self) -> Result<Found, String> {
        let named = match &self.user {
            Some(name) => Some(by_name(name)?),
            None if self.agent.uid != 0 => Some(self.agent),
            None => None,
        };
        let below = |uid: u32| self.runtime_dir.clone().unwrap_or_else(|| format!("/run/user/{uid}").into());
        let at = |runtime_dir: &Path| self.socket.clone().unwrap_or_else(|| runtime_dir.join("podman/podman.sock"));
        let (user, socket) = match named {
            Some(user) => (user, at(&below(user.uid))),
            None => {
                let socket = at(&below(0));
                (owner(&socket)?, socket)
            }
        };
        if self.agent.uid == 0 && user.uid == 0 {
            let whose = self.user.as_ref().map_or(socket.display().to_string(), |name| format!("{name:?}"));
            return Err(format!("{whose} is root's, and no user's podman: set podman.rootless_user to a user"));
        }
        if socket == self.system {
            return Err(format!("{} is podman.socket too: one of the two is root's", socket.display()));
        }
        let mut runtime_dir = below(user.uid);
        let is_theirs = || fs::metadata(&runtime_dir).is_ok_and(|dir| dir.uid() == user.uid);
        if self.agent.uid == 0 && !is_theirs() {
            // What root's own surroundings say is not about that user.
            runtime_dir = format!("/run/user/{}", user.uid).into();
        }
        Ok(Found { user, runtime_dir, socket })
    }
}

impl UserPodman {
    /// Where it listens, as far as that is known.
    pub(super) fn shown(&self) -> String {
        let found = self.find().ok().map(|found| found.socket).or_else(|| self.socket.clone());
        found.map_or_else(|| "a user's socket".to_owned(), |socket| socket.display().to_string())
    }

    /// What no podman can mend: nobody says whose it is, or what is there is somebody else's.
    pub(super) fn trouble(&self) -> Option<String> {
        let found = match self.find() {
            Ok(found) => found,
            Err(why) => return Some(why),
        };
        let dir = fs::symlink_metadata(found.socket.parent()?).ok()?;
        let socket = fs::metadata(&found.socket).ok()?;
        (self.agent.uid == 0).then(|| check(&found, &socket, &dir).err()).flatten()
    }
}

/// Whose podman listens at a socket, where nobody says it: whoever alone can put something there.
fn owner(socket: &Path) -> Result<User, String> {
    let unknown = |why: std::io::Error| format!("{}: {}; {WHO}", socket.display(), plain(&why));
    let dir = fs::symlink_metadata(socket.parent().unwrap_or(socket)).map_err(unknown)?;
    if dir.uid() != 0 {
        return Ok(main_group(dir.uid(), dir.gid()));
    }
    if dir.mode() & 0o022 != 0 {
        return Err(format!("{} is in a directory that others may write to, and {WHO}", socket.display()));
    }
    let found = fs::metadata(socket).map_err(unknown)?;
    Ok(main_group(found.uid(), found.gid()))
}

fn plain(why: &std::io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

struct Entry {
    name: String,
    user: User,
    home: PathBuf,
}

/// `name:password:uid:gid:comment:home:…` of `/etc/passwd` (a device without a name service is the normal case).
fn entries() -> std::io::Result<Vec<Entry>> {
    let text = fs::read("/etc/passwd")?;
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let user = User { uid: uid.parse().ok()?, gid: gid.parse().ok()? };
        Some(Entry { name: name.to_owned(), user, home: fields.nth(1).unwrap_or_default().into() })
    };
    Ok(String::from_utf8_lossy(&text).lines().filter_map(entry).collect())
}

fn main_group(uid: u32, else_gid: u32) -> User {
    let known = entries().unwrap_or_default().into_iter().find(|entry| entry.user.uid == uid);
    known.map_or(User { uid, gid: else_gid }, |entry| entry.user)
}

fn by_name(wanted: &str) -> Result<User, String> {
    if let Ok(uid) = wanted.parse::<u32>() {
        // The largest number means nobody to the kernel.
        return match uid {
            u32::MAX => Err(format!("podman.rootless_user is {wanted}, which is no user")),
            uid => Ok(main_group(uid, uid)),
        };
    }
    let entries = entries().map_err(|why| format!("podman.rootless_user {wanted:?}: /etc/passwd: {}", plain(&why)))?;
    entries.into_iter().find(|entry| entry.name == wanted).map(|entry| entry.user).ok_or_else(|| {
        format!(
            "podman.rootless_user is {wanted:?}, and no such user exists on this device: create it (useradd), or name another"
        )
    })
}

/// Whether an agent that is root may talk to this socket.
fn check(found: &Found, socket: &Metadata, dir: &Metadata) -> Result<(), String> {
    let shown = found.socket.display();
    let (uid, wanted) = (socket.uid(), found.user.uid);
    if uid == wanted || (uid == 0 && dir.uid() == 0 && dir.mode() & 0o022 == 0) {
        return Ok(());
    }
    Err(format!(
        "the socket belongs to user {uid}, and not to user {wanted} whose podman it is to be: it is not talked to; give it its owner again ({shown}), or set podman.rootless_user"
    ))
}

/// The way there.
pub(super) struct UserSocket {
    podman: UserPodman,
    held: Mutex<Option<Held>>,
}

/// A socket that was looked at, by its descriptor: connecting through it leads nowhere else.
struct Held {
    identity: (u64, u64, PathBuf),
    /// Open as long as connections are made through it.
    _file: OwnedFd,
    socket: Arc<Socket>,
}

impl UserSocket {
    pub(super) fn new(podman: UserPodman) -> UserSocket {
        UserSocket { podman, held: Mutex::new(None) }
    }

    fn socket(&self) -> Result<Arc<Socket>, String> {
        let found = self.podman.find()?;
        let error = |why: rustix::io::Errno| plain(&why.into());
        let file = rustix::fs::open(&found.socket, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(error)?;
        let stat = rustix::fs::fstat(&file).map_err(error)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err("it is there, and is no socket".into());
        }
        let through = format!("/proc/self/fd/{}", file.as_raw_fd());
        if self.podman.agent.uid == 0 {
            let io = |why: std::io::Error| plain(&why);
            let dir = fs::symlink_metadata(found.socket.parent().unwrap_or(&found.socket)).map_err(io)?;
            check(&found, &fs::metadata(&through).map_err(io)?, &dir)?;
        }
        let identity = (stat.st_dev, stat.st_ino, found.socket);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.identity == identity) {
            return Ok(held.socket.clone());
        }
        let socket = Arc::new(Socket::new(Path::new(&through)));
        *held = Some(Held { identity, _file: file, socket: socket.clone() });
        Ok(socket)
    }
}

impl Transport for UserSocket {
    fn send(&self, request: Request) -> Later<'_, Result<Answer, String>> {
        Box::pin(async move { self.socket()?.send(request).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user: Option<&str>, agent: u32) -> UserPodman {
        UserPodman {
            user: user.map(str::to_owned),
            socket: None,
            runtime_dir: None,
            system: "/run/podman/podman.sock".into(),
            agent: User { uid: agent, gid: agent },
        }
    }

    #[test]
    fn what_is_said_of_the_place_wins_in_this_order() {
        let at = |podman: &UserPodman| podman.find().map(|found| found.socket.display().to_string());
        let mut podman = told(Some("4000000"), 0);
        assert_eq!(at(&podman).as_deref(), Ok("/run/user/4000000/podman/podman.sock"));
        assert_eq!(podman.find().map(|found| found.user), Ok(User { uid: 4_000_000, gid: 4_000_000 }));
        podman.runtime_dir = Some("/other".into());
        assert_eq!(at(&podman).as_deref(), Ok("/other/podman/podman.sock"));
        podman.socket = Some("/third.sock".into());
        assert_eq!(at(&podman).as_deref(), Ok("/third.sock"));
        assert_eq!(at(&told(None, 1234)).as_deref(), Ok("/run/user/1234/podman/podman.sock"), "an ordinary user's own");
    }

    #[test]
    fn who_it_cannot_be_is_said_with_what_to_set() {
        let says = |podman: &UserPodman, words: &str| {
            let why = podman.find().expect_err("nobody's");
            assert!(why.contains(words), "{why}");
        };
        says(&told(Some("no-such-user"), 0), "useradd");
        says(&told(Some("4294967295"), 0), "no user");
        says(&told(Some("root"), 0), "set podman.rootless_user");
        says(&UserPodman { runtime_dir: Some("/nowhere".into()), ..told(None, 0) }, "set podman.rootless_user");
        // Anybody could put something there.
        says(&UserPodman { socket: Some("/tmp/podman.sock".into()), ..told(None, 0) }, "others may write to");
        let same = UserPodman { socket: Some("/run/podman/podman.sock".into()), ..told(Some("4000000"), 0) };
        says(&same, "podman.socket too");
    }
}
