//! A recording relay: a socket that passes every byte on to podman's and back.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::record::{Parser, Record};

/// Begins to pass on what comes to `socket`.
pub fn start(socket: &Path, to: &Path) -> Arc<Record> {
    let record = Arc::new(Record::default());
    let listener = UnixListener::bind(socket).unwrap();
    let (of_relay, to) = (record.clone(), to.to_path_buf());
    thread::spawn(move || {
        for agent in listener.incoming().map_while(Result::ok) {
            pass(agent, &to, of_relay.clone());
        }
    });
    record
}

fn pass(agent: UnixStream, to: &PathBuf, record: Arc<Record>) {
    // Podman is gone: so is the connection.
    let Ok(podman) = UnixStream::connect(to) else { return };
    let open: Arc<Mutex<Option<usize>>> = Arc::default();
    let streams = Arc::new(AtomicBool::new(false));
    let (mut from_agent, mut to_podman) = (agent.try_clone().unwrap(), podman.try_clone().unwrap());
    let (of_asking, asked, is_stream) = (open.clone(), record.clone(), streams.clone());
    thread::spawn(move || {
        let mut parser = Parser::default();
        copy(&mut from_agent, &mut to_podman, |bytes, now| {
            for request in parser.feed(bytes, now) {
                is_stream.store(request.name() == "GET events", Ordering::Release);
                *of_asking.lock().unwrap() = Some(asked.note(request.at, request.name()));
            }
        });
    });
    thread::spawn(move || {
        let answered = || {
            if let Some(place) = open.lock().unwrap().take() {
                record.answered(place);
            }
        };
        let (mut podman, mut agent) = (podman, agent);
        copy(&mut podman, &mut agent, |bytes, now| {
            answered();
            if streams.load(Ordering::Acquire) {
                record.event(now, bytes);
            }
        });
        answered();
    });
}

/// Until one side closes; `seen` is told before the bytes go on.
fn copy(from: &mut UnixStream, to: &mut UnixStream, mut seen: impl FnMut(&[u8], Instant)) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(got) = from.read(&mut buffer) {
        let now = Instant::now();
        if got == 0 {
            break;
        }
        seen(&buffer[..got], now);
        if to.write_all(&buffer[..got]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
