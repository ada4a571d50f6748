//! The unix socket (`control.socket`): whoever may open it may give commands, so only its owner may, from the first moment.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use axum::{Extension, Router};
use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::server::{Door, RETRY, serve_each};
use crate::board::Board;
use crate::model::problem::Problem;

/// Connections at once; further ones wait to be accepted.
pub const MAX_CONNECTIONS: usize = 32;
/// The longest path that the address of a unix socket can hold.
pub const MAX_PATH: usize = 107;
/// Its owner may open it; root may open anything.
const ACCESS: Mode = Mode::RUSR.union(Mode::WUSR);
/// Connections that the kernel holds for us.
const BACKLOG: u32 = 16;

/// Who is at the other end, as the kernel saw it when they connected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub(super) uid: u32,
    pub(super) pid: Option<i32>,
}

/// A bound socket; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file: another's at the same path is not ours to remove.
    file: (u64, u64),
}

impl Drop for Socket {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.file) {
            // If it stays, the next agent finds that nobody listens there.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds; a path that cannot be had is said and tried again, and meanwhile everything else goes on.
pub async fn bind(path: &Path, board: &Board) -> Socket {
    loop {
        match try_bind(path).await {
            Ok(socket) => {
                board.set_problems("control.socket", Vec::new());
                return socket;
            }
            Err(why) => {
                let message = format!(
                    "commands cannot be taken at {}: {why}; tried again every {} s",
                    path.display(),
                    RETRY.as_secs()
                );
                board.set_problems("control.socket", vec![Problem::new("control.socket", message)]);
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Serves, for ever.
pub async fn serve(socket: Socket, router: Router) {
    serve_each(MAX_CONNECTIONS, Unix { socket, router }).await;
}

struct Unix {
    socket: Socket,
    router: Router,
}

impl Door for Unix {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Router)> {
        let (stream, _) = self.socket.listener.accept().await?;
        let from = stream.peer_cred()?;
        let peer = Peer { uid: from.uid(), pid: from.pid() };
        Ok((stream, self.router.clone().layer(Extension(peer))))
    }
}

async fn try_bind(path: &Path) -> Result<Socket, String> {
    let bytes = path.as_os_str().len();
    if bytes > MAX_PATH {
        return Err(format!(
            "this path has {bytes} bytes, and a unix socket's has at most {MAX_PATH}; set control.socket to a shorter one"
        ));
    }
    let bound = match listen(path) {
        Err(why) if why.kind() == ErrorKind::AddrInUse => {
            make_way(path).await?;
            listen(path)
        }
        bound => bound,
    };
    let ours = |listener| {
        let file = std::fs::symlink_metadata(path)?;
        Ok(Socket { listener, path: path.to_path_buf(), file: (file.dev(), file.ino()) })
    };
    bound.and_then(ours).map_err(|why| match why.kind() {
        ErrorKind::NotFound => "its directory is not there; make it, or set control.socket to another path".into(),
        ErrorKind::PermissionDenied => {
            "the agent may not write its directory; set control.socket to a path where it may".into()
        }
        _ => why.to_string(),
    })
}

/// A socket's file gets the mode of the socket itself, less the umask: set before it is bound, so that there is no moment
/// in which others could open it. Afterwards once more, for what a strange umask took away.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    rustix::fs::fchmod(&socket, ACCESS)?;
    socket.bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(ACCESS.bits()))?;
    socket.listen(BACKLOG)
}

/// Removes the socket of an agent that is gone, and nothing else.
async fn make_way(path: &Path) -> Result<(), String> {
    let elsewhere = "set control.socket to another path";
    let what = std::fs::symlink_metadata(path).map_err(|why| why.to_string())?.file_type();
    if !what.is_socket() {
        return Err(format!("something is there that is not a socket, and stays; move it away, or {elsewhere}"));
    }
    match UnixStream::connect(path).await {
        Err(why) if why.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|why| format!("the socket of an agent that is gone cannot be removed ({why}); {elsewhere}")),
        _ => Err(format!("another process listens there; stop that one, or {elsewhere}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).expect("there").mode() & 0o7777
    }

    #[tokio::test]
    async fn a_socket_is_born_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        // As listen() does it, but for what comes after the bind.
        let socket = UnixSocket::new_stream().expect("a socket");
        rustix::fs::fchmod(&socket, ACCESS).expect("set");
        socket.bind(&path).expect("bound");
        assert_eq!(mode(&path), 0o600);
    }

    #[tokio::test]
    async fn the_file_of_a_dead_agent_is_replaced_and_that_of_a_living_one_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "a killed agent leaves it behind");
        let socket = try_bind(&path).await.expect("bound anew");
        assert_eq!(mode(&path), 0o600);
        let why = try_bind(&path).await.expect_err("taken");
        assert!(why.starts_with("another process listens there"), "{why}");
        drop(socket);
        assert!(!path.exists(), "an orderly end leaves nothing");
    }

    #[tokio::test]
    async fn what_is_not_a_socket_stays_and_each_obstacle_has_its_sentence() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        std::fs::write(&file, "mine").expect("written");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("linked");
        for path in [&file, &link] {
            let why = try_bind(path).await.expect_err("taken");
            assert!(why.contains("that is not a socket"), "{why}");
        }
        assert_eq!(std::fs::read(&file).expect("there"), b"mine");
        let why = try_bind(&dir.path().join("no/s")).await.expect_err("no directory");
        assert!(why.starts_with("its directory is not there"), "{why}");
        let long = dir.path().join("x".repeat(MAX_PATH));
        let why = try_bind(&long).await.expect_err("too long");
        assert!(why.contains("has at most 107"), "{why}");
    }

    #[tokio::test]
    async fn the_longest_path_that_fits_is_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let room = MAX_PATH - dir.path().as_os_str().len() - 1;
        let path = dir.path().join("s".repeat(room));
        assert_eq!(path.as_os_str().len(), MAX_PATH);
        try_bind(&path).await.expect("bound");
    }
}
