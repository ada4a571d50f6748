//! A socket that systemd holds: the first connection starts the service, which ends by itself when nobody asks.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};

use super::super::device::{millis, until_true};
use super::super::place::Place;
use super::super::service::{Podman, rootless, user};
use super::super::specs::WAITS;

/// As `podman.socket` of systemd does it: listens, and starts podman with what it listens on.
struct Activated {
    podman: Podman,
    started: Arc<AtomicU32>,
    child: Arc<Mutex<Option<Child>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _home: tempfile::TempDir,
}

impl Activated {
    fn new() -> Activated {
        let home = tempfile::tempdir().expect("a directory");
        user().own(home.path());
        let socket: PathBuf = home.path().join("podman.sock");
        let listener = UnixListener::bind(&socket).expect("bound");
        user().own(&socket);
        let (started, child, over) =
            (Arc::<AtomicU32>::default(), Arc::<Mutex<Option<Child>>>::default(), Arc::<AtomicBool>::default());
        let thread = {
            let (started, child, over) = (started.clone(), child.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut held = child.lock().expect("whole");
                    if held.as_mut().is_some_and(|child| child.try_wait().expect("asked").is_some()) {
                        *held = None;
                    }
                    let runs = held.is_some();
                    let tick = rustix::time::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
                    let mut wait = [PollFd::new(&listener, PollFlags::IN)];
                    let asked = !runs && poll(&mut wait, Some(&tick)).expect("polled") > 0;
                    if asked {
                        // A board that swaps: who connected waits for this.
                        let begin = millis();
                        until_true("the slow start", || millis() - begin > 2_000);
                        let fd = rustix::io::dup(&listener).expect("one more");
                        let script =
                            "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec podman system service --time=1";
                        let mut command = user().command(Path::new("sh"));
                        command.args(["-c", script]).stdin(fd).stdout(Stdio::null()).stderr(Stdio::null());
                        *held = Some(command.spawn().expect("podman starts"));
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(held);
                    if runs {
                        let _ = poll(&mut [], Some(&tick));
                    }
                }
            })
        };
        let podman = Podman { socket, rootless: true };
        Activated { podman, started, child, over, thread: Some(thread), _home: home }
    }

    fn started(&self) -> u32 {
        self.started.load(Ordering::Relaxed)
    }

    fn kill(&self) {
        if let Some(child) = self.child.lock().expect("whole").as_mut() {
            let _ = child.kill();
        }
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        if let Some(mut child) = self.child.lock().expect("whole").take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_podman_that_its_first_connection_starts_is_waited_for_and_one_that_ended_is_started_again() {
    if rootless().is_none() {
        return;
    }
    let service = Activated::new();
    let mut place = Place::on(service.podman.clone());
    place.script("w", "", WAITS);
    assert_eq!(service.started(), 0);
    place.start();
    place.until_state("w", "running");
    assert_eq!(service.started(), 1);
    let before = place.one("w", "c");
    service.kill();
    // Whoever asks next starts it: the agent, which follows its events.
    until_true("it was started again", || service.started() >= 2);
    place.script("new", "", WAITS);
    place.until_state("new", "running");
    assert_eq!(place.until_state("w", "running")["restarts"], 0);
    assert_eq!(place.one("w", "c")["Pid"], before["Pid"]);
}
