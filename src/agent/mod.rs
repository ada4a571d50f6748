//! The composition root: puts the parts together, waits, and ends in order.
//!
//! Tasks: the reconcile loop ([`reconcile`]), the manifests' watcher, the broker's and HTTP's listeners, one forwarder per
//! executor, one short task per operation. Everything reaches the loop through [`crate::intake::Intake`] (metrics) or one
//! bounded channel (all else).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::board::Board;
use crate::clock;
use crate::commands::Commands;
use crate::config::{self, Config, Loaded};
use crate::executor::podman::{PodmanExecutor, Setting};
use crate::executor::shell::ShellExecutor;
use crate::executor::{Executor, ExecutorId};
use crate::gates::{Gates, Settings, StoredTruths};
use crate::http;
use crate::intake::Intake;
use crate::model::policy::Policy;
use crate::model::problem::Problem;
use crate::model::time::Wall;
use crate::mqtt::topics::Topics;
use crate::mqtt::{self, Outlet};
use crate::released::build_date;
use crate::scheduler::Limits;
use crate::source::manifests::{self, StoredManifests};
use crate::spec_hash::DeviceKey;
use crate::state::{self, OpenError, Saver, Saves, StateDir};

pub mod core;
mod counters;
mod events;
mod files;
mod memory;
mod reconcile;
mod server;
mod signals;
mod sources;
mod spaced;
mod vital;
mod voice;

use core::{Core, Recalled, object};
use events::EventNumbers;
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
    let voice = Voice::new(topics, link.outlet(), board.clone(), numbers.clone());

    let (inputs, inbox) = mpsc::channel(INPUTS);
    let executors = executors(config, &state, &device_id, &inputs);
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
    let reconcile = Loop::new(core, executors, intake.clone(), voice, saver, inputs.clone());
    let handle = reconcile.handle();
    let looping = vital.spawn("the reconcile loop", reconcile.run(inbox, asked, sources));

    let counters = Arc::new(counters::OfAgent::new(link.counted(), handle.clone(), server.counts()));
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
    inputs: &mpsc::Sender<crate::scheduler::Input>,
) -> BTreeMap<ExecutorId, Arc<dyn Executor>> {
    let (events, heard) = mpsc::channel(64);
    let env = BTreeMap::from([("DEVICE_ID".to_owned(), device_id.to_owned())]);
    let wall: Arc<dyn Fn() -> crate::model::time::Wall + Send + Sync> = Arc::new(clock::wall);
    let shell = ShellExecutor::new(state.runs(), config.shim.clone(), env, wall, events);
    tokio::spawn(reconcile::forward(ExecutorId::Shell, heard, inputs.clone()));
    let mut all: BTreeMap<ExecutorId, Arc<dyn Executor>> = BTreeMap::new();
    all.insert(ExecutorId::Shell, Arc::new(shell));
    let sockets =
        [(ExecutorId::Podman, &config.podman.socket), (ExecutorId::PodmanRootless, &config.podman.rootless_socket)];
    for (id, socket) in sockets {
        let rootless = id == ExecutorId::PodmanRootless;
        let setting = Setting {
            owner: state.owner().to_owned(),
            device: device_id.to_owned(),
            pods_dir: state.pods(rootless),
            policy: policy(config),
            rootless,
        };
        let (events, heard) = mpsc::channel(64);
        all.insert(id, Arc::new(PodmanExecutor::new(socket, setting, Arc::new(clock::wall), events)));
        tokio::spawn(reconcile::forward(id, heard, inputs.clone()));
    }
    all
}

/// The manifests and the server say it themselves, and no longer once it is mended.
fn is_told_elsewhere(absent: &str) -> bool {
    ["manifests.dir:", "CA_ROOT:", "CERT:", "KEY:"].iter().any(|key| absent.starts_with(key))
}

/// What a server may ask for: as configured, and never for what would make it the device's master.
fn policy(config: &Config) -> Policy {
    let remote = &config.remote;
    Policy {
        host_paths: remote.host_paths.clone(),
        privileged: remote.privileged,
        host_network: remote.host_network,
        shell: remote.shell,
        ansible: remote.ansible,
        ours: vec![
            config.state.dir.clone(),
            config.control.socket.clone(),
            config.podman.socket.clone(),
            config.podman.rootless_socket.clone(),
        ],
    }
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

/// Which broker carries our topics.
#[derive(Clone)]
enum Link {
    Embedded(flotta_broker::Broker, Arc<Topics>),
    External(Arc<mqtt::external::External>, Arc<Mutex<Option<rumqttc::EventLoop>>>),
    None,
}

impl Link {
    fn open(
        config: &Config,
        device_id: &str,
        topics: Arc<Topics>,
        metrics: mqtt::metrics::Metrics,
        retained: PathBuf,
    ) -> Link {
        match &config.mqtt.broker {
            config::Broker::None => Link::None,
            config::Broker::Embedded => {
                let limits = config.mqtt.limits.clone();
                Link::Embedded(mqtt::embedded::start(topics.clone(), metrics, limits, retained), topics)
            }
            config::Broker::External { host, port, .. } => {
                let address = mqtt::external::Address {
                    host: host.clone(),
                    port: *port,
                    username: config.mqtt.username.clone(),
                    password_file: config.mqtt.password_file.clone(),
                };
                let (external, events) = mqtt::external::open(address, config.mqtt.keep_alive, device_id, topics);
                Link::External(Arc::new(external), Arc::new(Mutex::new(Some(events))))
            }
        }
    }

    /// What an earlier run did not get rid of. It goes to whichever broker is configured now; to none of ours, where it
    /// is the one inside: nobody has waited for it there.
    fn restore(&self, state: &StateDir, saves: &Saves) -> Option<Problem> {
        let (stored, damaged) = state::load::<mqtt::external::Undelivered>(state.path(), mqtt::external::OBJECT);
        match (self, stored) {
            (Link::External(external, _), stored) => external.restore(stored.unwrap_or_default()),
            (_, Some(stored)) if !stored.events.is_empty() => {
                saves.save(mqtt::external::OBJECT, &mqtt::external::Undelivered::default());
            }
            _ => {}
        }
        damaged
    }

    fn outlet(&self) -> Arc<dyn Outlet> {
        match self {
            Link::Embedded(broker, _) => Arc::new(mqtt::embedded::EmbeddedOutlet(broker.clone())),
            Link::External(external, _) => external.outlet(),
            Link::None => Arc::new(mqtt::Nowhere),
        }
    }

    fn counted(&self) -> counters::Counted {
        match self {
            Link::Embedded(broker, _) => counters::Counted::Embedded(broker.clone()),
            Link::External(external, _) => counters::Counted::External(external.outlet()),
            Link::None => counters::Counted::None,
        }
    }

    async fn keep(
        self,
        listen: std::net::SocketAddr,
        metrics: mqtt::metrics::Metrics,
        board: Arc<Board>,
        endpoints: Arc<Endpoints>,
        saves: Saves,
    ) {
        match self {
            Link::Embedded(broker, _) => {
                let bound = mqtt::embedded::listen(&broker, listen, &board).await;
                endpoints.bound("mqtt", bound);
            }
            Link::External(external, events) => {
                let keep = async {
                    // Before the first plan nothing of ours is known to be true, and all of it would be cleared.
                    while !board.is_planned() {
                        board.planned.notified().await;
                    }
                    let events = events.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(events) = events {
                        external.keep(events, &metrics, &board).await;
                    }
                };
                tokio::select! {
                    () = keep => {}
                    () = external.store(&saves) => {}
                }
            }
            Link::None => {}
        }
    }

    async fn close(&self, saves: &Saves) {
        match self {
            Link::Embedded(broker, topics) => {
                broker.publish(&topics.status(), br#"{"state":"offline"}"#, 1, true);
                broker.shutdown().await;
            }
            Link::External(external, _) => {
                external.close(Duration::from_secs(3)).await;
                external.store_now(saves);
            }
            Link::None => {}
        }
    }
}

/// What was bound, for clients and for tests.
#[derive(Debug)]
struct Endpoints {
    state: StateDir,
    bound: Mutex<BTreeMap<&'static str, String>>,
    changed: Notify,
}

/// How long the banner waits for the listeners; a port that is taken is said in it.
const BANNER_PATIENCE: Duration = Duration::from_secs(2);

impl Endpoints {
    fn new(state: StateDir) -> Endpoints {
        Endpoints { state, bound: Mutex::default(), changed: Notify::new() }
    }

    fn get(&self) -> BTreeMap<&'static str, String> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn bound(&self, what: &'static str, address: impl std::fmt::Display) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        bound.insert(what, address.to_string());
        tracing::debug!(what, %address, "listening");
        // Still locked: two that are bound at the same time must not write over each other.
        if let Err(why) = self.state.write_endpoints(&serde_json::json!(*bound)) {
            tracing::warn!("run/endpoints.json cannot be written: {why}; clients need --url");
        }
        drop(bound);
        self.changed.notify_one();
    }

    async fn wait(&self, with_mqtt: bool) {
        let wanted = ["http", "control"].into_iter().chain(with_mqtt.then_some("mqtt"));
        let wanted: Vec<&str> = wanted.collect();
        let all = async {
            while !wanted.iter().all(|what| self.get().contains_key(what)) {
                self.changed.notified().await;
            }
        };
        // A port that is taken is tried again for ever; nobody has to wait for that here.
        let _ = tokio::time::timeout(BANNER_PATIENCE, all).await;
    }
}

/// What a person is told when the agent is up.
#[derive(Debug)]
pub struct Banner<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// Who the device is.
    pub device_id: &'a str,
    /// What was bound: `http`, `mqtt`, `control`.
    pub endpoints: BTreeMap<&'static str, String>,
    /// What a person should mend.
    pub problems: &'a [Problem],
}

impl std::fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Banner { config, device_id, endpoints, problems } = self;
        let root = &config.mqtt.root;
        let port_of =
            |what: &str| endpoints.get(what).and_then(|at| at.rsplit_once(':')).map(|(_, port)| port.to_owned());
        writeln!(f, "flotta-agent {} runs device {device_id}", env!("CARGO_PKG_VERSION"))?;
        writeln!(
            f,
            "  manifests  {}  (edit, add or delete a file: it follows at once)",
            config.manifests.dir.display()
        )?;
        writeln!(f, "  state      {}", config.state.dir.display())?;
        let at = |what: &str| endpoints.get(what).cloned().unwrap_or_else(|| "not yet: see below".into());
        writeln!(f, "  HTTP       {}", at("http"))?;
        writeln!(f, "  commands   {}", at("control"))?;
        match &config.mqtt.broker {
            config::Broker::Embedded => writeln!(f, "  MQTT       {}  (the broker inside)", at("mqtt"))?,
            config::Broker::External { host, port, .. } => writeln!(f, "  MQTT       {host}:{port}")?,
            config::Broker::None => writeln!(f, "  MQTT       none")?,
        }
        for problem in *problems {
            writeln!(f, "  problem    {problem}")?;
        }
        writeln!(f, "Next, in another terminal:")?;
        if let Some(port) = port_of("mqtt") {
            let port = if port == "1883" { String::new() } else { format!(" -p {port}") };
            writeln!(f, "  mosquitto_sub{port} -v -t '{root}/#'")?;
            writeln!(f, "  mosquitto_pub{port} -t {root}/metrics/cpu -m 20")?;
        }
        if let Some(at) = endpoints.get("http") {
            writeln!(f, "  curl -d '{{\"value\":90,\"name\":\"cpu\"}}' {at}/metrics")?;
            // As it was called, so that it can be typed as it stands.
            let program = std::env::args().next().unwrap_or_else(|| "flotta-agent".into());
            writeln!(f, "  {program} status --url http://{at}")?;
        }
        write!(f, "Ctrl-C ends it")
    }
}
