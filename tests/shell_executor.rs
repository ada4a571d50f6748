//! What the shell executor promises, with the real shim and real processes.
//!
//! Nothing here waits for a time to pass: every wait is for an event, with a deadline.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::shell::{ShellExecutor, proc, run};
use flotta_agent::executor::{End, Executor, ExecutorEvent, Handle, Instance, Phase};
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::Reason;
use flotta_agent::model::time::Wall;
use flotta_agent::model::workload::{
    Kind, Payload, RestartPolicy, Retry, SharedWorkload, ShellSpec, SourceKind, SpecHash, Workload,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(5);
const NOW: Wall = Wall(1_790_000_000_000);

struct Device {
    dir: tempfile::TempDir,
}

struct Agent {
    shell: ShellExecutor,
    events: mpsc::Receiver<ExecutorEvent>,
}

impl Device {
    fn new() -> Device {
        Device { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn runs(&self) -> PathBuf {
        self.path("runs")
    }

    fn agent(&self) -> Agent {
        agent(self.runs())
    }

    fn run_dirs(&self) -> usize {
        fs::read_dir(self.runs()).map_or(0, Iterator::count)
    }

    fn run_file(&self, handle: &Handle, name: &str) -> PathBuf {
        self.runs().join(&*handle.0).join(name)
    }

    fn shim_pid(&self, handle: &Handle) -> i32 {
        fs::read_to_string(self.run_file(handle, run::SHIM_FILE)).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Device {
    /// No test leaves a process behind, also when it fails.
    fn drop(&mut self) {
        for run in fs::read_dir(self.runs()).into_iter().flatten().flatten() {
            let handle = run.file_name().into_string().unwrap();
            let shim = fs::read_to_string(run.path().join(run::SHIM_FILE)).unwrap_or_default();
            if let Ok(shim) = shim.trim().parse::<i32>() {
                let cmdline = fs::read(format!("/proc/{shim}/cmdline")).unwrap_or_default();
                if String::from_utf8_lossy(&cmdline).contains(&handle) {
                    kill(shim, Signal::KILL);
                }
            }
            flotta_agent::executor::shell::tree::kill_remains(&handle, None);
        }
    }
}

fn agent(runs: PathBuf) -> Agent {
    let (sender, events) = mpsc::channel(64);
    let env = BTreeMap::from([("DEVICE_ID".to_owned(), "toto".to_owned())]);
    let shim = PathBuf::from(env!("CARGO_BIN_EXE_flotta-shim"));
    Agent { shell: ShellExecutor::new(runs, shim, env, Arc::new(|| NOW), sender), events }
}

impl Agent {
    async fn start(&self, workload: SharedWorkload) -> Instance {
        within("start", self.shell.start(workload, None)).await.unwrap()
    }

    async fn sh(&self, script: &str) -> Instance {
        self.start(sh(script)).await
    }

    async fn list(&self) -> Vec<Instance> {
        within("list", self.shell.list()).await.unwrap()
    }

    async fn stop(&self, handle: &Handle) -> End {
        within("stop", self.shell.stop(handle.clone())).await.unwrap()
    }

    /// The end of a run as the executor tells it by itself.
    async fn end_of(&mut self, handle: &Handle) -> End {
        loop {
            match within("an event", self.events.recv()).await.unwrap() {
                ExecutorEvent::Changed(Instance { handle: of, phase: Phase::Ended(end), .. }) if of == *handle => {
                    return end;
                }
                _ => {}
            }
        }
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(what, async {
        while !is_so() {
            tokio::time::sleep(STEP).await;
        }
    })
    .await;
}

fn spec(argv: &[&str]) -> ShellSpec {
    ShellSpec {
        argv: argv.iter().map(|part| (*part).to_owned()).collect(),
        env: BTreeMap::new(),
        working_dir: None,
        user: None,
        grace: Duration::from_secs(10),
    }
}

fn workload(shell: ShellSpec) -> SharedWorkload {
    Arc::new(Workload {
        id: WorkloadId::try_new("", "job").unwrap(),
        hash: SpecHash("4005f0ea9fd34005f0ea9fd3".into()),
        kind: Kind::Shell,
        rootless: false,
        payload: Payload::Shell(shell),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        gates: Vec::new(),
        cron: None,
        retry: Retry::DEFAULT,
        restart: RestartPolicy::OnFailure,
        priority: 0,
        source: SourceKind::Manifests,
        origin: String::new(),
        warnings: Vec::new(),
    })
}

fn sh(script: &str) -> SharedWorkload {
    workload(spec(&["/bin/sh", "-c", script]))
}

fn sh_with_grace(script: &str, grace: Duration) -> SharedWorkload {
    workload(ShellSpec { grace, ..spec(&["/bin/sh", "-c", script]) })
}

fn kill(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

fn alive(pid: i32) -> bool {
    proc::stat(pid).is_some_and(|stat| !stat.zombie)
}

/// A pid that a script wrote into a file.
async fn pid_in(path: &Path) -> i32 {
    let read = || fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))?.trim().parse().ok();
    until(&format!("a pid in {}", path.display()), || read().is_some()).await;
    read().unwrap()
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_at_once() {
    let device = Device::new();
    let mut agent = device.agent();
    for (script, code, how) in [
        ("exit 0", 0, "exit code 0"),
        ("exit 3", 3, "exit code 3"),
        ("kill -9 $$", 137, "killed by SIGKILL"),
        ("kill -TERM $$", 143, "killed by SIGTERM"),
    ] {
        let run = agent.sh(script).await;
        assert_eq!((run.phase, run.started_at), (Phase::Running, NOW));
        let end = agent.end_of(&run.handle).await;
        assert_eq!((end.code, end.how.as_str(), end.cut_off), (Some(code), how, false), "{script}");
        assert_eq!(agent.stop(&run.handle).await, end, "of one that has ended, at once");
        within("remove", agent.shell.remove(run.handle.clone())).await.unwrap();
        within("remove", agent.shell.remove(run.handle)).await.unwrap();
    }
    assert_eq!(device.run_dirs(), 0);
    assert_eq!(agent.list().await, []);
}

#[tokio::test]
async fn stop_is_term_and_within_the_grace_period_the_command_may_end_as_it_likes() {
    let device = Device::new();
    let agent = device.agent();
    let ready = device.path("ready");
    let script = format!("trap 'exit 7' TERM; echo $$ > {}; while :; do sleep 0.05; done", ready.display());
    let run = agent.sh(&script).await;
    let pid = pid_in(&ready).await;
    let end = agent.stop(&run.handle).await;
    assert_eq!(end.code, Some(7));
    assert!(!alive(pid));
}

#[tokio::test]
async fn what_ignores_term_is_killed_after_the_grace_period() {
    let device = Device::new();
    let agent = device.agent();
    let ready = device.path("ready");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done", ready.display());
    let grace = Duration::from_millis(300);
    let run = agent.start(sh_with_grace(&script, grace)).await;
    let pid = pid_in(&ready).await;
    let before = tokio::time::Instant::now();
    let end = agent.stop(&run.handle).await;
    let took = before.elapsed();
    assert_eq!((end.code, end.how.as_str()), (Some(137), "killed by SIGKILL"));
    assert!(took >= grace && took < grace + Duration::from_secs(3), "{took:?}");
    assert!(!alive(pid));
}

#[tokio::test]
async fn grandchildren_in_sessions_of_their_own_end_with_a_stop() {
    let device = Device::new();
    let agent = device.agent();
    let (polite, rude) = (device.path("polite"), device.path("rude"));
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 1000' & setsid sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 0.05; done' & wait",
        polite.display(),
        rude.display()
    );
    let run = agent.start(sh_with_grace(&script, Duration::from_millis(300))).await;
    let (polite, rude) = (pid_in(&polite).await, pid_in(&rude).await);
    let end = agent.stop(&run.handle).await;
    assert_eq!(end.code, Some(143));
    assert!(!alive(polite) && !alive(rude));
}

#[tokio::test]
async fn what_the_command_leaves_behind_ends_with_it() {
    let device = Device::new();
    let mut agent = device.agent();
    let (same, own) = (device.path("same"), device.path("own"));
    let script = format!(
        "sleep 1000 & echo $! > {}; (setsid sh -c 'echo $$ > {}; exec sleep 1000' &) ; while ! [ -s {} ]; do sleep 0.01; done; exit 5",
        same.display(),
        own.display(),
        own.display()
    );
    let run = agent.sh(&script).await;
    let end = agent.end_of(&run.handle).await;
    assert_eq!(end.code, Some(5));
    assert!(!alive(pid_in(&same).await) && !alive(pid_in(&own).await));
}

#[tokio::test]
async fn output_is_kept_within_two_files_and_its_end_is_told() {
    let device = Device::new();
    let mut agent = device.agent();
    let run = agent.sh("yes 0123456789 | head -c 5000000; echo; echo the end; echo of it >&2; exit 1").await;
    let end = agent.end_of(&run.handle).await;
    assert_eq!(end.code, Some(1));
    assert!(end.tail.ends_with("\nthe end\nof it") && end.tail.len() <= run::TAIL_MAX, "{}", end.tail);
    assert!(end.tail.starts_with("0123456789\n"), "{}", end.tail);
    let size = |name: &str| fs::metadata(device.run_file(&run.handle, name)).unwrap();
    assert_eq!(size(run::OLD_OUTPUT_FILE).len(), run::OUTPUT_FILE_MAX);
    assert!(size(run::OUTPUT_FILE).len() <= run::OUTPUT_FILE_MAX);
    assert_eq!(size(run::OUTPUT_FILE).permissions().mode() & 0o777, 0o600);
    assert_eq!(size(run::RUN_FILE).permissions().mode() & 0o777, 0o600);
    assert_eq!(size(".").permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn output_that_cannot_be_written_stops_nobody() {
    let device = Device::new();
    let mut agent = device.agent();
    let go = device.path("go");
    let run =
        agent.sh(&format!("while ! [ -e {} ]; do sleep 0.01; done; yes | head -c 3000000; exit 4", go.display())).await;
    // In the way of both files: what a broken disk is to the shim, also for root.
    for name in [run::OUTPUT_FILE, run::OLD_OUTPUT_FILE] {
        fs::create_dir(device.run_file(&run.handle, name)).unwrap();
    }
    fs::write(&go, "").unwrap();
    let end = agent.end_of(&run.handle).await;
    assert_eq!((end.code, end.tail.as_str()), (Some(4), ""));
    let exit: run::Exit =
        serde_json::from_slice(&fs::read(device.run_file(&run.handle, run::EXIT_FILE)).unwrap()).unwrap();
    assert_eq!(exit.output_dropped_bytes, 3_000_000);
}

#[tokio::test]
async fn environment_and_working_directory_are_as_asked() {
    let device = Device::new();
    let mut agent = device.agent();
    let directory = fs::canonicalize(device.dir.path()).unwrap();
    let mut shell = spec(&[
        "/bin/sh",
        "-c",
        "pwd; echo $DEVICE_ID $MINE; env | grep -c ^CARGO; readlink /proc/self/fd/0; ls -l /proc/self/fd",
    ]);
    shell.env = BTreeMap::from([("MINE".into(), "a b".into())]);
    shell.working_dir = Some(directory.to_str().unwrap().into());
    let run = agent.start(workload(shell)).await;
    let end = agent.end_of(&run.handle).await;
    let expected = format!("{}\ntoto a b\n0\n/dev/null\n", directory.display());
    let open = end.tail.strip_prefix(&expected).unwrap_or_else(|| panic!("{}", end.tail));
    assert!(!open.contains("runs/"), "nothing of the run's own is open in the command: {open}");

    let run = agent.sh("pwd").await;
    assert_eq!(agent.end_of(&run.handle).await.tail, "/");

    let mut shell = spec(&["sh", "-c", "echo $DEVICE_ID"]);
    shell.env = BTreeMap::from([("DEVICE_ID".into(), "other".into())]);
    let run = agent.start(workload(shell)).await;
    assert_eq!(agent.end_of(&run.handle).await.tail, "other");
}

#[tokio::test]
async fn another_user_is_one_in_full() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can become somebody: skipped");
        return;
    }
    let device = Device::new();
    let mut agent = device.agent();
    let mut shell = spec(&["/bin/sh", "-c", "id -u; id -g; echo $HOME; grep ^Uid /proc/self/status"]);
    shell.user = Some("4711".into());
    let run = agent.start(workload(shell)).await;
    let end = agent.end_of(&run.handle).await;
    assert_eq!(end.tail, "4711\n4711\n/\nUid:\t4711\t4711\t4711\t4711");
}

#[tokio::test]
async fn a_failed_start_says_why_and_leaves_nothing() {
    let device = Device::new();
    let mut agent = device.agent();
    let script = device.path("script");
    fs::write(&script, "echo no first line\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let plain = device.path("plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    let orphan = device.path("orphan");
    fs::write(&orphan, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&orphan, fs::Permissions::from_mode(0o755)).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();

    let somewhere = ShellSpec { working_dir: Some("/no/such/directory".into()), ..spec(&["true"]) };
    let relative = ShellSpec { working_dir: Some("tmp".into()), ..spec(&["true"]) };
    let by_bob = ShellSpec { user: Some("no-such-bob".into()), ..spec(&["true"]) };
    let cases = [
        (spec(&["/no/such/program"]), "command \"/no/such/program\" not found"),
        (spec(&["no-such-program"]), "command \"no-such-program\" not found in PATH"),
        (spec(&["/tmp"]), "command \"/tmp\" is a directory"),
        (spec(&[]), "the command is empty"),
        (spec(&["/bin/echo", "a\0b"]), "has a NUL character"),
        (spec(&["/bin/echo", &"x".repeat(1 << 20)]), "too long for this machine"),
        (spec(&[&path(&script)]), "needs a first line like #!/bin/sh"),
        (spec(&[&path(&plain)]), "is not executable: chmod +x"),
        (spec(&[&path(&orphan)]), "the interpreter that its first line names"),
        (somewhere, "working directory \"/no/such/directory\" does not exist"),
        (relative, "working directory \"tmp\" is not absolute"),
        (by_bob, "user \"no-such-bob\" does not exist on this device"),
    ];
    for (shell, expected) in cases {
        let error = within("start", agent.shell.start(workload(shell), None)).await.unwrap_err();
        assert_eq!(error.reason, Reason::StartFailed);
        assert!(error.message.contains(expected), "{error} / {expected}");
        assert_eq!(device.run_dirs(), 0, "{expected}");
    }
    assert_eq!(agent.list().await, []);
    assert!(agent.events.try_recv().is_err());
}

#[tokio::test]
async fn without_a_shim_a_start_says_so() {
    let device = Device::new();
    let (sender, _events) = mpsc::channel(1);
    let shell = ShellExecutor::new(device.runs(), device.path("no-shim"), BTreeMap::new(), Arc::new(|| NOW), sender);
    let error = within("start", shell.start(sh("true"), None)).await.unwrap_err();
    assert!(error.message.contains("no-shim, which is installed beside the agent, cannot be started"), "{error}");
    let shell = ShellExecutor::new(
        device.runs(),
        PathBuf::from("/bin/true"),
        BTreeMap::new(),
        Arc::new(|| NOW),
        mpsc::channel(1).0,
    );
    let error = within("start", shell.start(sh("true"), None)).await.unwrap_err();
    assert!(error.message.contains("ended before it started the command"), "{error}");
    assert_eq!(device.run_dirs(), 0);
}

#[tokio::test]
async fn a_new_agent_adopts_what_runs_and_learns_its_end() {
    let device = Device::new();
    let (go, first) = (device.path("go"), device.agent());
    let run = first.sh(&format!("while ! [ -e {} ]; do sleep 0.01; done; exit 6", go.display())).await;
    drop(first);

    let mut second = device.agent();
    let listed = second.list().await;
    assert_eq!(listed, std::slice::from_ref(&run), "as it was, also its time");
    assert_eq!(second.list().await, listed, "listed twice, there once");
    assert_eq!(device.agent().list().await, listed, "also for a third");
    let refused = within("remove", second.shell.remove(run.handle.clone())).await.unwrap_err();
    assert_eq!(refused.reason, Reason::StopFailed);
    fs::write(go, "").unwrap();
    assert_eq!(second.end_of(&run.handle).await.code, Some(6));
}

#[tokio::test]
async fn an_adopted_run_can_be_stopped() {
    let device = Device::new();
    let run = device.agent().sh("exec sleep 1000").await;
    let second = device.agent();
    // Not even listed before.
    assert_eq!(second.stop(&run.handle).await.code, Some(143));
}

#[tokio::test]
async fn an_end_while_no_agent_is_there_is_known_later() {
    let device = Device::new();
    let go = device.path("go");
    let run =
        device.agent().sh(&format!("while ! [ -e {} ]; do sleep 0.01; done; echo bye; exit 9", go.display())).await;
    let shim = device.shim_pid(&run.handle);
    fs::write(go, "").unwrap();
    until("the shim's end", || !alive(shim)).await;

    let agent = device.agent();
    let listed = agent.list().await;
    let [Instance { phase: Phase::Ended(end), .. }] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((end.code, end.tail.as_str()), (Some(9), "bye"));
    assert_eq!(agent.list().await, listed);
}

/// This test program as the agent that is killed: starts a run, says so, and waits for its death.
async fn be_the_agent(runs: PathBuf) {
    let go = runs.parent().unwrap().join("go");
    let agent = agent(runs.clone());
    let run = agent.sh(&format!("i=0; while ! [ -e {} ]; do sleep 0.01; echo tick; done; exit 11", go.display())).await;
    fs::write(runs.parent().unwrap().join("started.tmp"), &*run.handle.0).unwrap();
    fs::rename(runs.parent().unwrap().join("started.tmp"), runs.parent().unwrap().join("started")).unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn a_run_survives_kill_9_of_its_agent() {
    if let Some(runs) = std::env::var_os("FLOTTA_TEST_RUNS") {
        return be_the_agent(runs.into()).await;
    }
    let device = Device::new();
    let mut first = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_run_survives_kill_9_of_its_agent"])
        .env("FLOTTA_TEST_RUNS", device.runs())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the first agent's start", || device.path("started").exists()).await;
    first.kill().unwrap();
    first.wait().unwrap();
    let handle = Handle(fs::read_to_string(device.path("started")).unwrap().into());
    assert!(alive(device.shim_pid(&handle)));

    let mut second = device.agent();
    let listed = second.list().await;
    assert_eq!(listed.iter().map(|run| (&run.handle, &run.phase)).collect::<Vec<_>>(), [(&handle, &Phase::Running)]);
    fs::write(device.path("go"), "").unwrap();
    let end = second.end_of(&handle).await;
    assert_eq!(end.code, Some(11));
    assert!(end.tail.ends_with("tick"));
}

#[tokio::test]
async fn kill_9_at_any_moment_of_a_start_leaves_a_run_or_nothing() {
    let device = Device::new();
    for pause_us in (0..40).map(|step| step * 250) {
        let mut first = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_run_survives_kill_9_of_its_agent"])
            .env("FLOTTA_TEST_RUNS", device.runs())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        until("the run's directory", || device.run_dirs() > 0).await;
        tokio::time::sleep(Duration::from_micros(pause_us)).await;
        first.kill().unwrap();
        first.wait().unwrap();
        let agent = device.agent();
        let listed = agent.list().await;
        assert_eq!(listed.len(), device.run_dirs(), "{pause_us} µs: {listed:?}");
        assert!(listed.len() <= 1);
        for run in listed {
            assert_eq!(run.phase, Phase::Running, "{pause_us} µs");
            assert_eq!(agent.stop(&run.handle).await.code, Some(143), "{pause_us} µs");
            within("remove", agent.shell.remove(run.handle)).await.unwrap();
        }
        assert_eq!(device.run_dirs(), 0);
    }
}

#[tokio::test]
async fn when_the_shim_is_killed_what_it_ran_is_too() {
    let device = Device::new();
    let mut agent = device.agent();
    let (leader, other) = (device.path("leader"), device.path("other"));
    let script = format!(
        "echo $$ > {}; setsid sh -c 'echo $$ > {}; exec sleep 1000' & sleep 1000",
        leader.display(),
        other.display()
    );
    let run = agent.sh(&script).await;
    let pids = [pid_in(&leader).await, pid_in(&other).await];
    kill(device.shim_pid(&run.handle), Signal::KILL);
    let end = agent.end_of(&run.handle).await;
    assert_eq!((end.code, end.how.as_str(), end.cut_off), (None, "its parent process was killed", false));
    assert!(!pids.into_iter().any(alive));
    let listed = device.agent().list().await;
    assert_eq!(listed[0].phase, Phase::Ended(end), "and it stays so for the next agent");
}

#[tokio::test]
async fn when_the_shim_is_killed_without_an_agent_the_next_one_cleans_up() {
    let device = Device::new();
    let run = device.agent().sh("exec sleep 1000").await;
    let started: run::Started =
        serde_json::from_slice(&fs::read(device.run_file(&run.handle, run::STARTED_FILE)).unwrap()).unwrap();
    let shim = device.shim_pid(&run.handle);
    kill(shim, Signal::KILL);
    until("the shim's end", || !alive(shim)).await;
    assert!(alive(started.pid));
    let listed = device.agent().list().await;
    assert!(matches!(&listed[0].phase, Phase::Ended(End { code: None, cut_off: false, .. })), "{listed:?}");
    assert!(!alive(started.pid));
}

#[tokio::test]
async fn a_restart_of_the_machine_is_told_from_a_bad_end() {
    let device = Device::new();
    let run = device.agent().sh("exec sleep 1000").await;
    kill(device.shim_pid(&run.handle), Signal::KILL);
    let file = device.run_file(&run.handle, run::RUN_FILE);
    let mut spec: run::RunSpec = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    spec.boot_id = "another".into();
    fs::write(&file, serde_json::to_vec(&spec).unwrap()).unwrap();
    until("the lock's end", || {
        rustix::fs::flock(fs::File::open(&file).unwrap(), rustix::fs::FlockOperation::NonBlockingLockShared).is_ok()
    })
    .await;
    let listed = device.agent().list().await;
    let [Instance { phase: Phase::Ended(end), .. }] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((end.code, end.cut_off, end.how.as_str()), (None, true, "cut off by a restart of the machine"));
}

/// A process that is none of the executor's business.
struct Stranger(std::process::Child);

impl Stranger {
    fn new() -> Stranger {
        let mut command = std::process::Command::new("sleep");
        Stranger(
            command
                .arg("1000")
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_pid_that_is_somebody_elses_is_never_signalled() {
    let device = Device::new();
    let stranger = Stranger::new();
    let pid = i32::try_from(stranger.0.id()).unwrap();

    // Dead, its pids used again.
    let dead = device.agent().sh("exit 0").await;
    let shim = device.shim_pid(&dead.handle);
    until("the shim's end", || !alive(shim)).await;
    fs::remove_file(device.run_file(&dead.handle, run::EXIT_FILE)).unwrap();
    fs::write(device.run_file(&dead.handle, run::SHIM_FILE), format!("{pid}\n")).unwrap();
    let started = run::Started { pid, start_ticks: 1 };
    fs::write(device.run_file(&dead.handle, run::STARTED_FILE), serde_json::to_vec(&started).unwrap()).unwrap();
    let agent = device.agent();
    let listed = agent.list().await;
    assert!(matches!(&listed[0].phase, Phase::Ended(End { code: None, .. })), "{listed:?}");

    // Alive, but another pid stands in its file.
    let run = device.agent().sh("exec sleep 1000").await;
    let shim = device.shim_pid(&run.handle);
    fs::write(device.run_file(&run.handle, run::SHIM_FILE), format!("{pid}\n")).unwrap();
    let agent = device.agent();
    assert!(agent.list().await.iter().all(|listed| listed.handle != run.handle));
    agent.stop(&run.handle).await;
    assert!(alive(pid) && alive(shim));
    fs::write(device.run_file(&run.handle, run::SHIM_FILE), format!("{shim}\n")).unwrap();
    assert_eq!(agent.stop(&run.handle).await.code, Some(143), "looked at again");
    assert!(alive(pid));
}

#[tokio::test]
async fn garbage_among_the_runs_is_no_crash() {
    let device = Device::new();
    let runs = device.runs();
    let ours = |number: usize| runs.join(format!("job-4005f0ea9fd3-{number:012x}"));
    for (number, texts) in [
        &[][..],
        &[("run.json", "")],
        &[("run.json", "{")],
        &[("run.json", "[1,2]"), ("exit.json", "{}")],
        &[("run.json", "{\"handle\":1}"), ("started", "x"), ("shim.pid", "-1")],
        &[("shim.pid", "1"), ("started", "{\"pid\":1,\"start_ticks\":0}")],
    ]
    .iter()
    .enumerate()
    {
        fs::create_dir_all(ours(number)).unwrap();
        for (name, text) in *texts {
            fs::write(ours(number).join(name), text).unwrap();
        }
    }
    fs::create_dir_all(ours(100).join("run.json")).unwrap();
    // Not ours: left alone.
    fs::create_dir_all(runs.join("lost+found")).unwrap();
    fs::write(runs.join("job-4005f0ea9fd3-0123456789ab"), "a file").unwrap();
    std::os::unix::fs::symlink("/", runs.join("job-4005f0ea9fd3-0123456789ac")).unwrap();

    let mut agent = device.agent();
    assert_eq!(agent.list().await, []);
    let run = agent.sh("exit 2").await;
    assert_eq!(agent.end_of(&run.handle).await.code, Some(2));
    assert_eq!(agent.list().await.len(), 1);
    let mut left: Vec<_> =
        fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.retain(|name| *name != *run.handle.0);
    left.sort();
    assert_eq!(left, ["job-4005f0ea9fd3-0123456789ab", "job-4005f0ea9fd3-0123456789ac", "lost+found"]);
}

#[tokio::test]
async fn what_is_not_a_handle_of_ours_is_gone() {
    let device = Device::new();
    let agent = device.agent();
    let precious = device.path("precious-4005f0ea9fd3-0123456789ab");
    fs::create_dir_all(&precious).unwrap();
    for name in ["", "..", "../precious-4005f0ea9fd3-0123456789ab", "job-4005f0ea9fd3-0123456789ab", "/tmp"] {
        let handle = Handle(name.into());
        assert_eq!(agent.stop(&handle).await.code, None);
        within("remove", agent.shell.remove(handle)).await.unwrap();
    }
    assert!(precious.exists());
}

#[tokio::test]
async fn a_list_beside_starts_disturbs_none() {
    let device = Device::new();
    let agent = Arc::new(device.agent());
    let starts: Vec<_> = (0..10)
        .map(|_| {
            let agent = Arc::clone(&agent);
            tokio::spawn(async move { agent.sh("exec sleep 1000").await })
        })
        .collect();
    while !starts.iter().all(tokio::task::JoinHandle::is_finished) {
        agent.list().await;
        tokio::task::yield_now().await;
    }
    let listed = agent.list().await;
    assert_eq!(listed.len(), 10);
    let stops: Vec<_> = listed.into_iter().map(|run| agent.shell.stop(run.handle)).collect();
    for stop in stops {
        assert_eq!(within("stop", stop).await.unwrap().code, Some(143));
    }
}
