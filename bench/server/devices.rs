//! `server devices DIR DEVICES URL`: many devices in one process, each with the agent's own driver. Waits for a line before
//! it starts them, and ends with the input.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::board::Board;
use flotta_agent::clock;
use flotta_agent::source::flotta::desired::Settings;
use flotta_agent::source::flotta::{self, Configured, Counts, Files, Ports, Setting};
use flotta_agent::spec_hash::DeviceKey;
use flotta_agent::state::{Saver, Saves};
use tokio::sync::{Notify, mpsc, watch};

use crate::serving::device;

pub fn main(arguments: &[String]) {
    let [dir, devices, url] = arguments else { panic!("usage: devices DIR DEVICES URL") };
    let (dir, devices): (PathBuf, usize) = (dir.into(), devices.parse().unwrap());
    // As many as in the agent.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(4).enable_all().build();
    let runtime = runtime.unwrap();
    let saver = Saver::start(dir.clone(), Box::new(|_| {})).unwrap();
    let mut lines = std::io::stdin().lock().lines();
    println!("here");
    lines.next();
    let _guard = runtime.enter();
    for number in 0..devices {
        runtime.spawn(run(&dir, url, &device(number), saver.hand()));
    }
    println!("started");
    for line in lines {
        println!("{}", line.unwrap());
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// One device; what it wants is in force at once.
fn run(dir: &Path, url: &str, id: &str, saves: Saves) -> impl Future<Output = ()> + use<> {
    let file = |name: &str| Some(dir.join(name));
    let files = Files { ca_root: file("ca.pem"), cert: file("register.pem"), key: file("register.key") };
    let state = dir.join(id);
    std::fs::create_dir(&state).unwrap();
    let setting = Setting {
        server: url.to_owned(),
        files,
        device: id.to_owned(),
        namespace: "default".into(),
        before: 0,
        leave: false,
        state,
    };
    let settings = Settings { device_id: id.to_owned(), key: DeviceKey::new([7; 32]) };
    let (configured, _) = Configured::restored(settings, None);
    let (updates, mut inbox) = mpsc::channel::<flotta::Update>(4);
    let (apply, applied) = watch::channel(None);
    let board = Arc::new(Board::new(id.to_owned(), clock::wall(), Duration::from_secs(60)));
    let (reread, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let ports = Ports { updates, applied, board, reread, stop, saves, counts: Arc::new(Counts::default()) };
    async move {
        tokio::spawn(async move {
            while let Some(update) = inbox.recv().await {
                apply.send_replace(update.version);
            }
        });
        flotta::run(setting, configured, ports).await;
    }
}
