//! A connection that is made inside a pod's network, and used from outside of it.
//!
//! A pod of a user's podman has a network that nobody else reaches. An agent that is root sends a thread into the container's
//! network namespace, which makes a socket there and ends: a socket stays where it was made. For one that is not, a short-lived
//! helper (the shim's program) joins the namespaces of the container, the user's too, connects there, and hands the connected
//! socket back: the kernel lets no process with threads do that. It joins before it has read anything but its arguments.
//!
//! ```text
//! agent ── thread: network namespace, socket ──► connect
//! agent ── spawn: enter PID PORT ──► helper: user namespace (unless root), network namespace, connect
//!   ◄──── one message on its standard input: `+` and the socket, or `-` or `!` and why not
//! ```

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use tokio::net::TcpSocket;
use tokio::sync::oneshot;

use super::{Failure, words};

/// The first argument of the helper.
pub const ENTER: &str = "enter";
/// Before a reason of the helper's own, and before one of who was connected to.
const OWN: &str = "!";
const THEIRS: &str = "-";
/// The longest reason that is taken back.
const WORDS_MAX: usize = 512;
/// Of the thread: it lists the addresses of one network.
const STACK: usize = 128 << 10;
/// The agent ends it long before: a helper whose agent was killed.
const LONGEST: Duration = Duration::from_secs(60);

/// Connects to a port inside the network of a container's process. Dropped early, it leaves nothing behind.
///
/// # Errors
/// Why not, in words.
pub async fn through(helper: &Path, pid: i64, port: u16) -> Result<tokio::net::TcpStream, Failure> {
    match by_thread(pid, port).await {
        Some((socket, address)) => socket.connect(address).await.map_err(|why| Failure::of(words(&why))),
        None => by_helper(helper, pid, port).await,
    }
}

/// A socket in the network of a container's process, and where its port is there. `None`: the agent may not enter.
async fn by_thread(pid: i64, port: u16) -> Option<(TcpSocket, SocketAddr)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let (made, socket) = oneshot::channel();
    let enter = move || {
        let network = std::fs::File::open(format!("/proc/{pid}/ns/net")).ok()?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
        let address = SocketAddr::new(own_address(), port);
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        Some((socket.ok()?, address))
    };
    // One of its own: it never comes back out of that network.
    let thread = std::thread::Builder::new().name("door".into()).stack_size(STACK);
    thread.spawn(move || made.send(enter())).ok()?;
    socket.await.ok().flatten()
}

async fn by_helper(helper: &Path, pid: i64, port: u16) -> Result<tokio::net::TcpStream, Failure> {
    let own = |why: io::Error| Failure::own(format!("the agent cannot look into the pod's network: {}", words(&why)));
    let (ours, theirs) = UnixStream::pair().map_err(own)?;
    ours.set_nonblocking(true).map_err(own)?;
    let ours = tokio::net::UnixStream::from_std(ours).map_err(own)?;
    let mut command = Command::new(helper);
    command.args([ENTER, &pid.to_string(), &port.to_string()]);
    command.env_clear().current_dir("/").stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|why| {
        let helper = helper.display();
        Failure::own(format!("{helper}, which is installed beside the agent, cannot be started: {}", words(&why)))
    })?;
    // With it goes our copy of the other end.
    drop(command);
    let _helper = Helper(child);
    let (bytes, socket) = loop {
        ours.readable().await.map_err(own)?;
        match ours.try_io(tokio::io::Interest::READABLE, || receive(&ours)) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
            received => break received.map_err(own)?,
        }
    };
    match socket {
        Some(socket) => {
            let stream = TcpStream::from(socket);
            stream.set_nonblocking(true).map_err(own)?;
            tokio::net::TcpStream::from_std(stream).map_err(own)
        }
        None => {
            let said = String::from_utf8_lossy(&bytes);
            let own =
                || said.strip_prefix(OWN).unwrap_or("the pod's network cannot be looked into: its helper was killed");
            Err(said
                .strip_prefix(THEIRS)
                .map_or_else(|| Failure::own(own().to_owned()), |why| Failure::of(why.to_owned())))
        }
    }
}

/// It has done its work, or is not waited for: ended and reaped.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill().and_then(|()| self.0.wait().map(drop));
    }
}

fn receive(from: &impl AsFd) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; WORDS_MAX];
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    bytes.truncate(got.bytes);
    let mut socket = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sockets) = message {
            socket = sockets.last();
        }
    }
    Ok((bytes, socket))
}

/// The helper's whole life. `args`: what follows [`ENTER`].
#[must_use]
pub fn enter(args: &[String]) -> std::process::ExitCode {
    let stdin = io::stdin();
    let (text, socket) = match connected(args) {
        Ok(socket) => ("+".to_owned(), Some(socket)),
        Err(Failure { why, own }) => (format!("{}{why}", if own { OWN } else { THEIRS }), None),
    };
    let rights = socket.iter().map(AsFd::as_fd).collect::<Vec<_>>();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !rights.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&rights));
    }
    let text = text.as_bytes().get(..WORDS_MAX).unwrap_or(text.as_bytes());
    match sendmsg(stdin.as_fd(), &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL) {
        Ok(_) => std::process::ExitCode::SUCCESS,
        // Not started by an agent, or it does not wait any more.
        Err(_) => std::process::ExitCode::FAILURE,
    }
}

fn connected(args: &[String]) -> Result<TcpStream, Failure> {
    let [pid, port] = args else {
        return Err(Failure::own(format!("flotta-shim {ENTER} is started by flotta-agent")));
    };
    let port: u16 = port.parse().map_err(|_| Failure::own(format!("{port:?} is no port")))?;
    let cannot = |why: io::Error| Failure::own(format!("the pod's network cannot be entered: {}", words(&why)));
    let open = |what: &str| std::fs::File::open(format!("/proc/{pid}/ns/{what}")).map_err(cannot);
    let (user, network) = (open("user")?, open("net")?);
    if !rustix::process::geteuid().is_root() {
        let joined = move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User));
        joined.map_err(|why| cannot(why.into()))?;
    }
    let joined = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
    joined.map_err(|why| cannot(why.into()))?;
    let address = SocketAddr::new(own_address(), port);
    TcpStream::connect_timeout(&address, LONGEST).map_err(|why| Failure::of(words(&why)))
}

/// The pod's address, as others would see it; a pod without a network has itself only.
fn own_address() -> IpAddr {
    let all: Vec<IpAddr> = if_addrs::get_if_addrs().into_iter().flatten().map(|one| one.ip()).collect();
    let usable = |ip: &&IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let found = all.iter().filter(usable).min_by_key(|ip| ip.is_ipv6());
    found.copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
