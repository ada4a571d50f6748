//! `broker relay`: what publishers, subscriber and kernel reach when the broker does nothing. It answers what has to be
//! answered, passes whole packets on as they are to the one subscriber if there is one, and looks at nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

type Reader = Arc<Mutex<Option<TcpStream>>>;

/// Says its address, ends with the input.
pub fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let reader = Reader::default();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let reader = reader.clone();
            thread::spawn(move || serve(stream, &reader));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Until the client closes.
fn serve(mut stream: TcpStream, reader: &Reader) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut input = vec![0; 64 * 1024];
    let (mut held, mut answers) = (0, Vec::new());
    loop {
        let count = stream.read(&mut input[held..]).ok().filter(|count| *count > 0)?;
        held += count;
        let (mut at, mut publishes) = (0, 0..0);
        while at + 2 <= held && at + 2 + usize::from(input[at + 1]) <= held {
            let end = at + 2 + usize::from(input[at + 1]);
            let first = input[at];
            match first & 0xf0 {
                0x10 => answers.extend([0x20, 2, 0, 0]),
                0x30 => {
                    if publishes.end != at {
                        pass(reader, &input[publishes])?;
                        publishes = at..at;
                    }
                    publishes.end = end;
                    let id = at + 4 + usize::from(input[at + 3]);
                    match first & 6 {
                        0 => {}
                        2 => answers.extend([0x40, 2, input[id], input[id + 1]]),
                        _ => answers.extend([0x50, 2, input[id], input[id + 1]]),
                    }
                }
                0x60 => answers.extend([0x70, 2, input[at + 2], input[at + 3]]),
                0x80 => {
                    *reader.lock().unwrap() = Some(stream.try_clone().ok()?);
                    answers.extend([0x90, 3, input[at + 2], input[at + 3], 0]);
                }
                0xc0 => answers.extend([0xd0, 0]),
                _ => {}
            }
            at = end;
        }
        pass(reader, &input[publishes])?;
        stream.write_all(&answers).ok()?;
        answers.clear();
        input.copy_within(at..held, 0);
        held -= at;
    }
}

fn pass(reader: &Reader, packets: &[u8]) -> Option<()> {
    let mut reader = reader.lock().unwrap();
    match reader.as_mut().filter(|_| !packets.is_empty()) {
        Some(reader) => reader.write_all(packets).ok(),
        None => Some(()),
    }
}
