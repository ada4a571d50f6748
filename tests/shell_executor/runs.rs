//! One run, from its start to its end: codes, signals, output, whose it is, and starts that fail.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotta_agent::executor::shell::{ShellExecutor, run};
use flotta_agent::executor::{Executor, Phase};
use flotta_agent::model::status::Reason;
use flotta_agent::model::workload::ShellSpec;
use tokio::sync::mpsc;

use super::device::{Device, NOW, alive, pid_in, sh, sh_with_grace, spec, within, workload};

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
