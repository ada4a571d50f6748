//! The composition root: puts the parts together, waits, and ends in order.
//!
//! Tasks: the reconcile loop ([`reconcile`]), the manifests' watcher, the broker's and HTTP's listeners, one forwarder per
//! executor, one short task per operation. Everything reaches the loop through [`crate::intake::Intake`] (metrics) or one
//! bounded channel (all else).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::board::Board;
use crate::clock;
use crate::commands::Commands;
use crate::config::{self, Config, Loaded};
use crate::executor::podman::{PodmanExecutor, Setting, User, UserPodman};
use crate::executor::shell::ShellExecutor;
use crate::executor::{Executor, ExecutorId};
use crate::gates::{Gates, Settings, StoredTruths};
use crate::http;
use crate::intake::Intake;
use crate::model::policy::Policy;
use crate::model::problem::Problem;
use crate::model::time::Wall;
use crate::mqtt;
use crate::mqtt::topics::Topics;
use crate::node::mounts::Mounts;
use crate::released::build_date;
use crate::scheduler::Limits;
use crate::source::manifests::{self, StoredManifests};
use crate::spec_hash::DeviceKey;
use crate::state::{self, OpenError, Saver, StateDir};

mod banner;
mod claims;
pub mod core;
mod counters;
mod endpoints;
mod events;
mod files;
mod inside;
mod link;
mod memory;
mod reconcile;
mod server;
mod signals;
mod sources;
mod spaced;
mod vital;
mod voice;

pub use banner::Banner;
use core::{Core, Recalled, object};
use endpoints::Endpoints;
use events::EventNumbers;
use link::Link;
use reconcile::{INPUTS, Loop};
use vital::Vital;
use voice::Voice;

/// Why the agent does not start, or ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] OpenError),
    /// Something of the machine's.
    #[error("{what}: {why}")]
    Machine {
        /// What was asked for.
        what: &'static str,
        /// Why it was not to be had.
        why: std::io::Error,
    },
    /// A part of it ended by an error of its own; workloads go on, and the next agent adopts them.
    #[error(
        "{0} ended by an error of the agent itself (see the log; please report it); workloads go on, start the agent again"
    )]
    Died(&'static str),
}

/// Runs the agent until it is told to stop. `ready` is called with a few lines for a person once everything listens.
///
/// # Errors
/// Before anything was started; later, when a part of it died.
pub async fn run(loaded: Loaded, ready: impl FnOnce(&Banner<'_>)) -> Result<(), StartError> {
    let config = &loaded.config;
    let since = clock::now();
    let mut signals = signals::Signals::install();
    let state = StateDir::open(&config.state.dir)?;
    let (truths, damaged_truths) = state::load::<StoredTruths>(state.path(), object::TRUTHS);
    let (books, damaged_books) = state::load(state.path(), object::WORKLOADS);
    let (lock, damaged_lock) = state::load(state.path(), object::LOCK);
    let (stored, damaged_manifests) = state::load::<StoredManifests>(state.path(), object::MANIFESTS);

    // Desired state comes first: it may name the device.
    let (updates, mut desired) = mpsc::channel(4);
    let reread = Arc::new(Notify::new());
    let fallback_id = machine_id().unwrap_or_else(|| state.owner().to_owned());
    let key = DeviceKey::new(state.device_key());
    let settings =
        manifests::Settings { device_id: config.device_id.clone(), fallback_id: fallback_id.clone(), key: key.clone() };
    let mut vital = Vital::new();
    let watcher = vital.spawn(
        "the manifests' watcher",
        manifests::run(config.manifests.dir.clone(), settings, stored.unwrap_or_default(), reread.clone(), updates),
    );
    let first = desired.recv().await;
    let named = first.as_ref().and_then(|update| update.desired.device_id.clone());
    let device_id = config.device_id.clone().or(named).unwrap_or(fallback_id);

    let board = Arc::new(Board::new(device_id.clone(), since.wall, config.mqtt.alive));
    let mut problems = loaded.warnings.clone();
    problems.extend(config::absent(&loaded).into_iter().filter(|problem| !is_told_elsewhere(&problem.message)));
    problems.extend([damaged_truths, damaged_books, damaged_lock, damaged_manifests].into_iter().flatten());
    problems.extend(state.problems().iter().cloned());
    problems.extend(files::allow(config).err());
    let of_saver = board.clone();
    let report = move |what: Option<String>| {
        of_saver.set_problems("state", what.map(|message| Problem::new("state", message)).into_iter().collect());
    };
    let saver = Saver::start(state.path().to_path_buf(), Box::new(report))
        .map_err(|why| StartError::Machine { what: "no thread for the state", why })?;
    let (numbers, damaged_numbers) = EventNumbers::open(&state, saver.hand());
    let numbers = Arc::new(numbers);
    problems.extend(damaged_numbers);

    let ttl = Some(config.metrics.ttl).filter(|ttl| !ttl.is_zero());
    let mut gates = Gates::new(Settings { default_ttl: ttl, restart_grace: config.metrics.restart_grace });
    gates.restore(truths.unwrap_or_default(), since);
    let intake = Arc::new(Intake::new(gates));

    let topics = Arc::new(Topics::new(&config.mqtt.root, &device_id));
    let metrics = mqtt::metrics::Metrics::new(topics.clone(), intake.clone());
    let link = Link::open(config, &device_id, topics.clone(), metrics.clone(), state.retained());
    if let Link::Embedded(broker, _) = &link {
        board.set_problems("mqtt.retained", mqtt::embedded::damage(broker));
    }
    problems.extend(link.restore(&state, &saver.hand()));
    board.set_problems("configuration", problems);
    board.set_problems("podman", inside::problems(&runtime_dirs(config)));
    let voice = Voice::new(topics, link.outlet(), board.clone(), numbers.clone());

    let (inputs, inbox) = mpsc::channel(INPUTS);
    let (probes, spare) = (Arc::default(), Arc::default());
    let mounts = Mounts::new(policy(config));
    let executors = executors(config, &state, &device_id, (&inputs, &mounts), (&probes, &spare));
    let setting = core::Setting {
        limits: Limits { starts: config.workloads.max_operations, ..Limits::default() },
        policy: policy(config),
        executors: executors.keys().copied().collect(),
        clock_from: if config.cron.trust_clock { Wall(i64::MIN) } else { build_date() },
        seed: seed(state.owner()),
        boot: clock::boot_id(),
    };
    let before = numbers.used();
    let recalled = Recalled { books: books.unwrap_or_default(), lock: lock.unwrap_or_default(), last_event: before };
    let core = Core::new(setting, recalled);
    let mut sources = sources::Sources::new(first, desired);
    let server = server::Server::prepare(config, &state, &device_id, key, (&board, saver.hand(), before), &mut sources);
    let saves = saver.hand();
    let (commands, asked) = Commands::channel();
    let reconcile = Loop::new(core, executors, intake.clone(), voice, saver, (mounts.clone(), spare), inputs.clone());
    let handle = reconcile.handle();
    let mounting = vital.spawn("what mounts", mounts.run(board.clone()));
    let looping = vital.spawn("the reconcile loop", reconcile.run(inbox, asked, sources));

    let counters = Arc::new(counters::OfAgent::new(link.counted(), handle.clone(), server.counts(), probes));
    let shared = http::Shared {
        board: board.clone(),
        intake: intake.clone(),
        counters,
        hosts: config.http.hosts.clone().into(),
        socket: config.control.socket.as_path().into(),
    };
    let endpoints = Arc::new(Endpoints::new(state));
    let controlling =
        vital.spawn("the commands' socket", serve_control(shared.clone(), commands, board.clone(), endpoints.clone()));
    let serving = vital.spawn("HTTP", serve_http(config.http.listen, shared, board.clone(), endpoints.clone()));
    let talking = vital
        .spawn("MQTT", link.clone().keep(config.mqtt.listen, metrics, board.clone(), endpoints.clone(), saves.clone()));

    endpoints.wait(matches!(config.mqtt.broker, config::Broker::Embedded)).await;
    ready(&Banner {
        config,
        device_id: &device_id,
        endpoints: endpoints.get(),
        problems: &board.device(clock::now()).problems,
    });
    let rereads = [reread, server.reread()];
    let server = server.start(&vital);
    signals::notify_ready();
    let died = tokio::select! {
        () = signals.end(&rereads) => None,
        what = vital.died() => Some(what),
    };
    signals::notify_stopping();

    let stop = config.workloads.on_exit == config::OnEnd::Stop && died.is_none();
    tracing::info!(workloads = if stop { "stopped" } else { "left running" }, "stopping");
    let grace = config.graceful_shutdown;
    tokio::select! {
        () = handle.end(stop, grace) => {}
        () = signals.end(&rereads) => {
            tracing::warn!("told to stop a second time: at once");
            handle.end(false, Duration::ZERO).await;
        }
    }
    watcher.abort();
    serving.abort();
    controlling.abort();
    mounting.abort();
    server.end().await;
    let saver = looping.await;
    numbers.end();
    // What is not delivered in these last seconds is kept for the next start.
    link.close(&saves).await;
    if let Ok(saver) = saver {
        saver.end();
    }
    talking.abort();
    died.map_or(Ok(()), |what| Err(StartError::Died(what)))
}

fn executors(
    config: &Config,
    state: &StateDir,
    device_id: &str,
    (inputs, mounts): (&mpsc::Sender<crate::scheduler::Input>, &Mounts),
    (probes, spare): (&Arc<crate::probes::Counts>, &Arc<AtomicBool>),
) -> BTreeMap<ExecutorId, Arc<dyn Executor>> {
    let (events, heard) = mpsc::channel(64);
    let env = BTreeMap::from([("DEVICE_ID".to_owned(), device_id.to_owned())]);
    let wall: Arc<dyn Fn() -> crate::model::time::Wall + Send + Sync> = Arc::new(clock::wall);
    let shell = ShellExecutor::new(state.runs(), config.shim.clone(), env, wall, events);
    tokio::spawn(reconcile::forward(ExecutorId::Shell, heard, inputs.clone()));
    let mut all: BTreeMap<ExecutorId, Arc<dyn Executor>> = BTreeMap::new();
    all.insert(ExecutorId::Shell, Arc::new(shell));
    for id in [ExecutorId::Podman, ExecutorId::PodmanRootless] {
        let user = (id == ExecutorId::PodmanRootless).then(|| user_podman(config));
        let setting = Setting {
            owner: state.owner().to_owned(),
            device: device_id.to_owned(),
            pods_dir: state.pods(user.is_some()),
            runtime_dir: config.podman.runtime_dir.clone(),
            policy: policy(config),
            awaited: mounts.awaited(),
            user,
            shim: config.shim.clone(),
            probes: probes.clone(),
            spare: spare.clone(),
        };
        let (events, heard) = mpsc::channel(64);
        let executor = PodmanExecutor::new(&config.podman.socket, setting, Arc::new(clock::wall), events);
        all.insert(id, Arc::new(executor));
        tokio::spawn(reconcile::forward(id, heard, inputs.clone()));
    }
    all
}

fn user_podman(config: &Config) -> UserPodman {
    UserPodman {
        user: config.podman.rootless_user.clone(),
        socket: config.podman.rootless_socket.clone(),
        runtime_dir: config.podman.rootless_runtime_dir.clone(),
        system: config.podman.socket.clone(),
        agent: User::own(),
    }
}

/// Where podmans listen, and where the files of their pods are.
fn runtime_dirs(config: &Config) -> Vec<(PathBuf, PathBuf)> {
    let system = (config.podman.socket.clone(), config.podman.runtime_dir.clone());
    let user = user_podman(config).find().ok().map(|found| (found.socket.clone(), found.files()));
    std::iter::once(system).chain(user).collect()
}

/// The manifests and the server say it themselves, and no longer once it is mended.
fn is_told_elsewhere(absent: &str) -> bool {
    ["manifests.dir:", "CA_ROOT:", "CERT:", "KEY:"].iter().any(|key| absent.starts_with(key))
}

/// What a server may ask for: as configured, and never for what would make it the device's master.
fn policy(config: &Config) -> Policy {
    let remote = &config.remote;
    let user = user_podman(config);
    // One that does not exist yet has no socket to be kept from anybody.
    let user_socket = user.find().ok().map(|found| found.socket).or(user.socket);
    Policy {
        host_paths: remote.host_paths.clone(),
        privileged: remote.privileged,
        host_network: remote.host_network,
        shell: remote.shell,
        ansible: remote.ansible,
        mounts: remote.mounts,
        ours: [
            config.state.dir.clone(),
            config.manifests.dir.clone(),
            config.control.socket.clone(),
            config.podman.socket.clone(),
        ]
        .into_iter()
        .chain(user_socket)
        .chain(runtime_dirs(config).into_iter().map(|(_, dir)| dir))
        .collect(),
    }
    .resolved(|path| std::fs::canonicalize(path).ok())
}

/// Of the device's own: devices that fail together do not try again together.
fn seed(owner: &str) -> u64 {
    uuid::Uuid::try_parse(owner).map_or(0, |id| id.as_u64_pair().0)
}

/// SPEC "Configuration": where nobody names the device, /etc/machine-id does, else the owner id that is made and kept.
fn machine_id() -> Option<String> {
    let text = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = text.trim().to_owned();
    crate::model::id::device_id(&id).ok().map(|()| id)
}

async fn serve_http(listen: std::net::SocketAddr, shared: http::Shared, board: Arc<Board>, endpoints: Arc<Endpoints>) {
    let (listener, bound) = http::server::bind(listen, &board).await;
    endpoints.bound("http", bound);
    http::server::serve(listener, http::router(shared)).await;
}

async fn serve_control(shared: http::Shared, commands: Commands, board: Arc<Board>, endpoints: Arc<Endpoints>) {
    let socket = http::unix::bind(&shared.socket, &board).await;
    endpoints.bound("control", shared.socket.display());
    http::unix::serve(socket, http::router_with_commands(shared, commands)).await;
}
