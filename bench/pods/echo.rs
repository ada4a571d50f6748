//! The floor of a metric's way to podman: a thread that passes bytes from a TCP connection on to a unix socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Both ends of it.
pub struct Echo {
    into: TcpStream,
    seen: Receiver<Instant>,
}

impl Echo {
    pub fn start() -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let into = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        into.set_nodelay(true).unwrap();
        let mut from = listener.accept().unwrap().0;
        let (mut to, mut end) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = from.read(&mut buffer) {
                to.write_all(&buffer[..got]).unwrap();
            }
        });
        let (tell, seen) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(1..) = end.read(&mut buffer) {
                if tell.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        Echo { into, seen }
    }

    /// From before the write to the first byte at the other end.
    pub fn once(&mut self, bytes: &[u8]) -> Duration {
        let begin = Instant::now();
        self.into.write_all(bytes).unwrap();
        self.seen.recv().unwrap() - begin
    }
}
