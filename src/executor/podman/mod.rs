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
//! - [`transport`], [`client`], [`wire`]: the API, each call with its deadline. [`cpu`]: quotas and what the kernel keeps.
//! - Tasks: one follows the events (reconnects with backoff, replays what it missed, then asks for a relist), one looks at
//!   what the events hinted at, one per image that is being pulled (bounded).
//! - Podman restarts nothing: the scheduler decides (`resume`, in place) after the retry interval.
//! - The table is memory only. A restarted agent knows the same from the labels; that a stop was under way it knows from an
//!   empty file in the pod's directory.
//!
//! Podman's peculiarities that are met here (each has a test against the real one): success with an error inside; 304 for
//! what is so already; `died` without a pod id; quotas lost at a container's restart; pods left behind by a failed creation.

pub mod client;
pub mod cpu;
mod credentials;
mod events;
mod files;
mod images;
pub mod labels;
mod limit;
mod look;
mod lost;
pub mod observe;
mod start;
mod stop;
mod sweep;
mod table;
pub mod translate;
pub mod transport;
mod user;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use self::client::{ApiError, Client};
use self::images::Images;
use self::table::Table;
use self::translate::Place;
use self::transport::{Socket, Transport};
use self::user::{Found, UserSocket};
pub use self::user::{User, UserPodman};
use super::{Call, End, Executor, ExecutorError, ExecutorEvent, Handle, Instance};
use crate::model::policy::Policy;
use crate::model::status::Reason;
use crate::model::time::Wall;
use crate::model::workload::{RestartPolicy, SharedWorkload};

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Wall + Send + Sync>;

/// What an executor of pods needs to know of its device.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The agent's own mark: pods with it are ours.
    pub owner: String,
    /// The device's id.
    pub device: String,
    /// Where files of pods are kept; belongs to this executor alone, made when it is needed.
    pub pods_dir: PathBuf,
    /// What a server may ask for.
    pub policy: Policy,
    /// The service is this user's; `None`: root's.
    pub user: Option<UserPodman>,
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
    /// Drawn before each look; see [`Instance::look`].
    looks: AtomicU64,
    /// What podman can do on this machine; asked again after each reconnection.
    abilities: Mutex<Option<Abilities>>,
    /// Workloads that something was heard of.
    hinted: Notify,
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
}

impl PodmanExecutor {
    /// Over root's unix socket, or a user's ([`Setting::user`]), which need not be there yet. Needs a tokio runtime.
    #[must_use]
    pub fn new(socket: &Path, setting: Setting, clock: Clock, events: mpsc::Sender<ExecutorEvent>) -> PodmanExecutor {
        let transport: Arc<dyn Transport> = match &setting.user {
            Some(user) => Arc::new(UserSocket::new(user.clone())),
            None => Arc::new(Socket::new(socket)),
        };
        PodmanExecutor::over(transport, &socket.display().to_string(), setting, clock, events)
    }

    /// Over any way to a podman service; `shown` is what people call it.
    #[must_use]
    pub fn over(
        transport: Arc<dyn Transport>,
        shown: &str,
        setting: Setting,
        clock: Clock,
        events: mpsc::Sender<ExecutorEvent>,
    ) -> PodmanExecutor {
        let inner = Arc::new(Inner {
            client: Client::new(transport),
            setting,
            system: shown.to_owned(),
            clock,
            events,
            table: Table::default(),
            images: Images::default(),
            looks: AtomicU64::new(0),
            abilities: Mutex::new(None),
            hinted: Notify::new(),
            lost: Notify::new(),
            swept: AtomicBool::new(false),
        });
        let follow = tokio::spawn(events::follow(inner.clone()));
        let look = tokio::spawn(look::at_hints(inner.clone()));
        PodmanExecutor { inner, tasks: vec![follow.abort_handle(), look.abort_handle()] }
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

    fn limit(&self, handle: Handle, cpu_quota_us: Option<u32>) -> Call<'_, Instance> {
        Box::pin(async move { limit::limit(&self.inner, &handle, cpu_quota_us).await })
    }

    fn stop(&self, handle: Handle) -> Call<'_, End> {
        Box::pin(async move { stop::stop(&self.inner, &handle).await })
    }

    fn remove(&self, handle: Handle) -> Call<'_, ()> {
        Box::pin(async move { stop::remove(&self.inner, &handle).await })
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
        let found = Abilities { cpu: has("cpu"), memory: has("memory"), cgroups_v1 };
        *self.abilities.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(found)
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
            no_limits: self.no_limits(abilities.cgroups_v1),
            files: self.pod_dir(pod_name).display().to_string(),
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
