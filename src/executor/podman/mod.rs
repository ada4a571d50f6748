//! Pods on podman, over its API.
//!
//! ```text
//!  start ─► translate (pure) ─► pods/create ─► files, volumes ─► containers/create … ─► start each ─┐
//!  resume ─► what was never started, or is down ─► start ───────────────────────────────────────────┤
//!  stop, remove, limit                                                                              ▼
//!  events ─► hints (which workload) ─► look: one list by label ─► observe (pure) ─► Instance ─► the reconcile loop
//! ```
//!
//! - [`labels`]: what stands on our pods; ours = same owner. [`translate`]: PodSpec to bodies. [`observe`]: lists to phases.
//! - [`ports`]: which are taken, and by whom. [`resolver`]: how the device finds names. `networks`: those a pod joins.
//! - [`transport`], [`client`], [`wire`]: the API, each call with its deadline. [`cpu`]: quotas and what the kernel keeps.
//! - Tasks: one follows the events (reconnects with backoff, replays what it missed, then asks for a relist), one looks at
//!   what the events hinted at, one per image that is being pulled (bounded).
//! - [`probing`]: probes and hooks, run by one more task; podman's own health checks are not used.
//! - [`paths`], [`devices`], [`volumes`]: what a pod mounts, checked and made before it; [`waits`]: what it waits for.
//! - Podman restarts nothing: the scheduler decides (`resume`, in place) after the retry interval.
//! - The table is memory only. A restarted agent knows the same from the labels; that a stop was under way it knows from an
//!   empty file in the pod's directory.
//!
//! Podman's peculiarities that are met here (each has a test against the real one): success with an error inside; 304 for
//! what is so already; `died` without a pod id; quotas lost at a container's restart; pods left behind by a failed creation.

pub mod client;
pub mod cpu;
mod credentials;
mod devices;
mod events;
mod exec;
mod files;
mod images;
pub mod labels;
mod limit;
mod linger;
mod look;
mod lost;
mod networks;
pub mod observe;
mod path_calls;
mod paths;
pub mod ports;
mod probing;
mod provide;
pub mod resolver;
pub mod runtime;
mod secrets;
mod start;
mod stop;
mod sweep;
mod table;
pub mod translate;
pub mod transport;
mod user;
mod volumes;
mod waits;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, RwLock, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::client::{ApiError, Client};
use self::images::Images;
use self::path_calls::PathCalls;
use self::probing::Ticks;
use self::resolver::Resolver;
use self::runtime::{Runtime, RuntimeDir};
use self::table::Table;
use self::translate::Place;
use self::transport::{Socket, Transport};
use self::user::{Found, UserSocket};
pub use self::user::{User, UserPodman};
use self::waits::Waits;
use super::{Call, Claim, End, Executor, ExecutorError, ExecutorEvent, Handle, Instance};
use crate::model::mount::Awaited;
use crate::model::policy::Policy;
use crate::model::status::Reason;
use crate::model::time::Wall;
use crate::model::workload::{RestartPolicy, SharedWorkload};
use crate::probes::Counts as ProbeCounts;

/// So long the removal of a claim waits for starts under way.
const ALONE: std::time::Duration = std::time::Duration::from_secs(5);

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// What an executor of pods needs to know of its device.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The agent's own mark: pods with it are ours.
    pub owner: String,
    /// The device's id.
    pub device: String,
    /// Where what must outlive a start of the machine is kept of pods; belongs to this executor alone, made when it is needed.
    pub pods_dir: PathBuf,
    /// Where the files that pods of root's podman see are: in memory.
    pub runtime_dir: PathBuf,
    /// What a server may ask for.
    pub policy: Policy,
    /// Directories on which something is to be mounted first.
    pub awaited: watch::Receiver<Awaited>,
    /// The service is this user's; `None`: root's.
    pub user: Option<UserPodman>,
    /// `flotta-shim`: it makes connections inside of pods.
    pub shim: PathBuf,
    /// Where probes are counted.
    pub probes: Arc<ProbeCounts>,
    /// While it says so, no probe ends a container: it could not be started again.
    pub spare: Arc<AtomicBool>,
}

impl Setting {
    /// Where the files that pods see are now, and whose; `None`: nobody knows whose podman it is.
    fn find_runtime_dir(&self) -> runtime::Find {
        let (user, path) = (self.user.clone(), self.runtime_dir.clone());
        Box::new(move || {
            let Some(user) = &user else { return Some(RuntimeDir { path: path.clone(), owner: None }) };
            let found = user.find().ok()?;
            let owner = (found.user != User::own()).then_some((found.user.uid, found.user.gid));
            Some(RuntimeDir { path: found.files(), owner })
        })
    }
}

/// Runs pods.
pub struct PodmanExecutor {
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

struct Inner {
    client: Client,
    setting: Setting,
    /// What people call root's service.
    system: String,
    clock: Clock,
    events: mpsc::Sender<ExecutorEvent>,
    table: Table,
    images: Images,
    runtime: Runtime,
    /// Starts that wait for something of the device's.
    waits: Waits,
    path_calls: PathCalls,
    /// Held by starts, and alone by whoever removes claims.
    claims: RwLock<()>,
    /// Whether podman can limit the size of volumes, or why not; asked again after each reconnection.
    sizes: Mutex<Option<Result<(), String>>>,
    /// Drawn before each look; see [`Instance::look`].
    looks: AtomicU64,
    /// What podman can do on this machine; asked again after each reconnection.
    abilities: Mutex<Option<Abilities>>,
    /// Workloads that something was heard of.
    hinted: Notify,
    /// What is probed may have changed.
    probing: Notify,
    ticks: Ticks,
    /// A call found nobody who answers.
    lost: Notify,
    /// What pods that are no more left was looked for, and is gone.
    swept: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Abilities {
    cpu: bool,
    memory: bool,
    cgroups_v1: bool,
    cores: u64,
    memory_total: u64,
}

impl PodmanExecutor {
    /// Over root's unix socket, or a user's ([`Setting::user`]), which need not be there yet. Needs a tokio runtime.
    #[must_use]
    pub fn new(socket: &Path, setting: Setting, clock: Clock, events: mpsc::Sender<ExecutorEvent>) -> PodmanExecutor {
        let transport: Arc<dyn Transport> = match &setting.user {
            Some(user) => Arc::new(UserSocket::new(user.clone())),
            None => Arc::new(Socket::new(socket)),
        };
        PodmanExecutor::timed(transport, &socket.display().to_string(), setting, clock, events, Ticks::Boot)
    }

    /// Over any way to a podman service, on the runtime's clock; `shown` is what people call it.
    #[must_use]
    pub fn over(
        transport: Arc<dyn Transport>,
        shown: &str,
        setting: Setting,
        clock: Clock,
        events: mpsc::Sender<ExecutorEvent>,
    ) -> PodmanExecutor {
        PodmanExecutor::timed(transport, shown, setting, clock, events, Ticks::Runtime(Instant::now()))
    }

    fn timed(
        transport: Arc<dyn Transport>,
        shown: &str,
        setting: Setting,
        clock: Clock,
        events: mpsc::Sender<ExecutorEvent>,
        ticks: Ticks,
    ) -> PodmanExecutor {
        let inner = Arc::new(Inner {
            client: Client::new(transport),
            runtime: Runtime::new(setting.find_runtime_dir(), &setting.owner),
            setting,
            system: shown.to_owned(),
            clock,
            events,
            table: Table::default(),
            images: Images::default(),
            waits: Waits::default(),
            path_calls: PathCalls::default(),
            claims: RwLock::new(()),
            sizes: Mutex::new(None),
            looks: AtomicU64::new(0),
            abilities: Mutex::new(None),
            hinted: Notify::new(),
            probing: Notify::new(),
            ticks,
            lost: Notify::new(),
            swept: AtomicBool::new(false),
        });
        let follow = tokio::spawn(events::follow(inner.clone()));
        let look = tokio::spawn(look::at_hints(inner.clone()));
        let probe = tokio::spawn(probing::follow(inner.clone()));
        let waits = tokio::spawn(waits::follow(inner.clone()));
        let tasks = [follow, look, probe, waits].iter().map(tokio::task::JoinHandle::abort_handle).collect();
        PodmanExecutor { inner, tasks }
    }

    /// How many calls of podman's API were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.inner.client.calls()
    }
}

impl Drop for PodmanExecutor {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.inner.images.abort();
    }
}

impl Executor for PodmanExecutor {
    fn list(&self) -> Call<'_, Vec<Instance>> {
        Box::pin(look::list(&self.inner))
    }

    fn start(&self, workload: SharedWorkload, cpu_quota_us: Option<u32>) -> Call<'_, Instance> {
        Box::pin(async move { start::start(&self.inner, &workload, cpu_quota_us).await })
    }

    fn resume(&self, handle: Handle, workload: SharedWorkload, policy: RestartPolicy) -> Call<'_, Instance> {
        Box::pin(async move { start::resume(&self.inner, &handle, &workload, policy).await })
    }

    fn adopt(&self, handle: Handle, workload: SharedWorkload) {
        probing::adopt(&self.inner, &handle, &workload);
    }

    fn limit(&self, handle: Handle, cpu_quota_us: Option<u32>) -> Call<'_, Instance> {
        Box::pin(async move { limit::limit(&self.inner, &handle, cpu_quota_us).await })
    }

    fn stop(&self, handle: Handle) -> Call<'_, End> {
        Box::pin(async move { stop::stop(&self.inner, &handle).await })
    }

    fn remove(&self, handle: Handle) -> Call<'_, ()> {
        Box::pin(async move { stop::remove(&self.inner, &handle).await })
    }

    fn claims(&self) -> Call<'_, Vec<Claim>> {
        Box::pin(async move { volumes::claims(&self.inner).await })
    }

    fn remove_claim(&self, namespace: String, name: String) -> Call<'_, ()> {
        Box::pin(async move {
            // Starts wait behind whoever waits here: not for long.
            let alone = tokio::time::timeout(ALONE, self.inner.claims.write()).await;
            let _alone = alone.map_err(|_| ExecutorError {
                reason: Reason::StopFailed,
                message: "a pod is being started, which may use it: try again".into(),
            })?;
            volumes::remove_claim(&self.inner, &namespace, &name).await
        })
    }
}

impl Inner {
    fn draw(&self) -> u64 {
        self.looks.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// Something may have been left behind: looked for after the next list.
    fn sweep_again(&self) {
        self.swept.store(false, Ordering::Relaxed);
    }

    fn owned(&self) -> String {
        format!("{}={}", labels::OWNER, self.setting.owner)
    }

    /// Nanoseconds of the clock by which podman dates its events.
    fn now_ns(&self) -> i64 {
        (self.clock)().0.saturating_mul(1_000_000)
    }

    /// Whose podman it is, and where; `None`: root's, or nobody knows (no call can be made then).
    fn user_podman(&self) -> Option<Found> {
        self.setting.user.as_ref()?.find().ok()
    }

    /// Who owns files that are made for pods, where that is not the agent.
    fn user(&self) -> Option<User> {
        self.user_podman().map(|found| found.user)
    }

    /// It is a user's podman, and nobody knows whose: then nothing that it names is touched.
    fn is_anybodys(&self) -> bool {
        self.setting.user.is_some() && self.user_podman().is_none()
    }

    fn pod_dir(&self, pod_name: &str) -> PathBuf {
        self.setting.pods_dir.join(pod_name)
    }

    async fn abilities(&self) -> Result<Abilities, ApiError> {
        let known = *self.abilities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known {
            return Ok(known);
        }
        let host = self.client.info().await?.host;
        if self.setting.user.is_some() && host.security.rootless == Some(false) {
            let why = "what answers there is root's podman, and no user's: set podman.rootless_user";
            return Err(ApiError::Unreachable(why.into()));
        }
        let controllers = host.cgroup_controllers.unwrap_or_default();
        let has = |name: &str| controllers.iter().any(|controller| controller == name);
        let cgroups_v1 = host.cgroup_version == "v1";
        let (cores, memory_total) = (host.cpus, host.mem_total);
        let found = Abilities { cpu: has("cpu"), memory: has("memory"), cgroups_v1, cores, memory_total };
        *self.abilities.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(found)
    }

    /// Whether podman can limit the size of volumes, if that is known.
    fn sizes(&self) -> Option<Result<(), String>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn_sizes(&self, can: Result<(), String>) {
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner) = Some(can);
    }

    /// Podman can limit CPU here, as far as is known.
    fn limits_cpu(&self) -> bool {
        self.cpu_warning().is_none()
    }

    /// Said of a condition's quota where podman cannot limit CPU.
    fn cpu_warning(&self) -> Option<String> {
        let known = *self.abilities.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|known| !known.cpu).map(|known| {
            format!(
                "LimitNotEnforced: podman cannot limit CPU on this machine, so the condition's cpu has no effect: {}",
                self.no_limits(known.cgroups_v1)
            )
        })
    }

    fn forget_abilities(&self) {
        *self.abilities.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.sizes.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.images.forget_all();
    }

    /// Why podman keeps no limit whose controller it does not name.
    fn no_limits(&self, cgroups_v1: bool) -> &'static str {
        match (&self.setting.user, cgroups_v1) {
            (None, _) => "its cgroup controller is not there",
            (Some(_), true) => "with cgroup v1 a user's podman has no control groups; root's has, and cgroup v2",
            (Some(_), false) => {
                "its cgroup controller is not delegated to that user (Delegate=yes in a drop-in of user@.service)"
            }
        }
    }

    fn place(&self, abilities: Abilities, pod_name: &str) -> Place {
        Place {
            owner: self.setting.owner.clone(),
            device: self.setting.device.clone(),
            cpu: abilities.cpu,
            memory: abilities.memory,
            cores: abilities.cores,
            memory_total: abilities.memory_total,
            no_limits: self.no_limits(abilities.cgroups_v1),
            files: self.runtime.path(pod_name).display().to_string(),
            resolver: Resolver::of_device(),
        }
    }

    /// What an error of podman's means here; `what` could not be done.
    fn error(&self, reason: Reason, what: &str, why: ApiError) -> ExecutorError {
        match why {
            ApiError::Unreachable(why) => {
                self.lost.notify_waiters();
                self.unreachable(&why)
            }
            ApiError::Refused(_, words) => {
                // What root can see, that user may not.
                let who = self.user().filter(|_| words.contains("ermission denied"));
                let who = who.map_or_else(String::new, |user| format!(" (to user {}, whose podman it is)", user.uid));
                ExecutorError { reason, message: format!("{what}: {words}{who}") }
            }
        }
    }

    /// What people call the service.
    fn shown(&self) -> String {
        self.setting.user.as_ref().map_or_else(|| self.system.clone(), UserPodman::shown)
    }

    fn unreachable(&self, why: &str) -> ExecutorError {
        let next = match &self.setting.user {
            // It is not a matter of starting something.
            Some(user) if user.trouble().is_some() => "all goes on by itself when that is so",
            Some(_) => {
                "as that user: systemctl --user enable --now podman.socket (or: podman system service --time=0 &), or set podman.rootless_user; all goes on by itself when podman answers"
            }
            None => {
                "systemctl enable --now podman.socket (or, without systemd: podman system service --time=0 &), or set podman.socket; all goes on by itself when podman answers"
            }
        };
        ExecutorError {
            reason: Reason::ExecutorUnreachable,
            message: format!("podman cannot be reached at {}: {why}; {next}", self.shown()),
        }
    }
}
