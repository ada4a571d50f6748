//! From a metric to the first byte at podman's socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::agent::Agent;
use crate::common::figures::figures;
use crate::common::mqtt::Mqtt;
use crate::echo::Echo;
use crate::manifests::{device, pod};
use crate::podman::{Podman, environment};
use crate::record::Record;
use crate::statuses::{Statuses, say};
use crate::{relay, standin, start_agent};

/// How a metric comes in.
enum Sensor {
    Mqtt(Mqtt),
    Http(TcpStream),
}

impl Sensor {
    fn write(&mut self, value: &str) {
        match self {
            Sensor::Mqtt(mqtt) => say(mqtt, "cpu", value),
            Sensor::Http(stream) => stream.write_all(post(value).as_bytes()).unwrap(),
        }
    }

    /// What was said to it, so that it does not stay in the socket.
    fn read(&mut self) {
        if let Sensor::Http(stream) = self {
            let mut answer = [0; 4096];
            let mut got = stream.read(&mut answer).unwrap();
            while !answer[..got].ends_with(b"\r\n\r\n") {
                got += stream.read(&mut answer[got..]).unwrap();
            }
        }
    }
}

fn post(value: &str) -> String {
    let body = format!("{{\"name\":\"cpu\",\"value\":{value}}}");
    format!("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Against the stand-in, then against podman itself.
pub fn run(binary: &Path, podman: &Podman) {
    println!("Metric to podman: a metric opens and closes the gate of a pod with one container.");
    println!(
        "  From before the sensor's write (open no-delay connection) until the first byte of the first request that"
    );
    println!(
        "  changes anything is read at podman's socket (opening: pods/create; closing: containers/…/stop). After each"
    );
    println!(
        "  flip everything comes to rest. The floor: the sensor's bytes over a TCP connection to a thread that writes"
    );
    println!("  them to a unix socket, until they are read there; once before each flip.");
    println!(" A stand-in for podman, which answers at once:");
    let socket = podman.beside("standin.sock");
    let record = standin::start(&socket);
    flips(binary, podman, &socket, &record, &[("MQTT", 250), ("HTTP", 250)], Duration::from_millis(20));
    println!(" Podman itself, behind a relay that records:");
    let socket = podman.beside("latency.sock");
    let record = relay::start(&socket, &podman.socket());
    // Podman's events come up to 250 ms late, and each makes the agent look.
    flips(binary, podman, &socket, &record, &[("MQTT", 40)], Duration::from_millis(400));
    println!();
}

fn flips(
    binary: &Path,
    podman: &Podman,
    socket: &Path,
    record: &Arc<Record>,
    sensors: &[(&str, usize)],
    rest: Duration,
) {
    let manifests = [device(), pod("w", &podman.image, Some("low"))];
    let agent: Agent = start_agent(binary, &manifests, &environment(socket));
    agent.until_states("inactive", 1);
    let mut statuses = Statuses::of(&agent);
    let mut echo = Echo::start();
    for (kind, count) in sensors {
        let mut sensor = match *kind {
            "MQTT" => Sensor::Mqtt(Mqtt::connect(&agent.mqtt, "sensor")),
            _ => {
                let stream = TcpStream::connect(&agent.http).unwrap();
                stream.set_nodelay(true).unwrap();
                Sensor::Http(stream)
            }
        };
        let (mut floor, mut up, mut down, mut asked_first) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for n in 0..2 * count {
            let opens = n % 2 == 0;
            record.quiet(rest);
            floor.push(echo.once(post("20").as_bytes()));
            let place = record.len();
            let begin = Instant::now();
            sensor.write(if opens { "20" } else { "90" });
            let (first, at) = record.wait(place, "a request follows the metric", |calls| {
                calls.iter().position(|call| call.is_change()).map(|first| (first, calls[first].at))
            });
            if opens { &mut up } else { &mut down }.push(at - begin);
            asked_first += usize::from(first > 0);
            sensor.read();
            if opens {
                statuses.until("w", |state| state == "running");
            } else {
                record.wait(place, "the pod is removed", |calls| {
                    calls.iter().find(|call| call.name.starts_with("DELETE pods/")).and_then(|call| call.answered)
                });
                statuses.until("w", |state| state == "inactive");
            }
        }
        let floor = figures("the floor", &mut floor);
        for (what, samples) in [("opening", &mut up), ("closing", &mut down)] {
            let found = figures(&format!("{kind}, {what}: metric to podman's socket"), samples);
            println!("    over the floor: p50 {:+.3} ms, p99 {:+.3} ms", found[0] - floor[0], found[1] - floor[1]);
        }
        println!("    flips with a question to podman before that: {asked_first} of {}", 2 * count);
    }
}
