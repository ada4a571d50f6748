use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use super::*;

fn files(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_damaged_at_any_byte_gives_the_generation_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), "x", &"old").expect("stored");
    store(dir.path(), "x", &"new").expect("stored");
    let path = dir.path().join("x.json");
    let whole = std::fs::read(&path).expect("there");
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("cut");
        let (object, problem) = load::<String>(dir.path(), "x");
        assert_eq!(object.as_deref(), Some("old"), "cut at {cut}");
        assert!(problem.expect("said").message.contains("the generation before it is used"));
        let mut flipped = whole.clone();
        flipped[cut] ^= 0x01;
        std::fs::write(&path, &flipped).expect("flipped");
        let (object, _) = load::<String>(dir.path(), "x");
        assert!(matches!(object.as_deref(), Some("old" | "new")), "flipped at {cut}: {object:?}");
    }
    std::fs::write(&path, &whole).expect("whole");
    assert_eq!(load::<String>(dir.path(), "x"), (Some("new".into()), None));
}

#[test]
fn what_is_stored_alone_leaves_nothing_of_what_was_there_before() {
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), "x", &"a secret").expect("stored");
    store(dir.path(), "x", &"a secret still").expect("stored");
    let saver = Saver::start(dir.path().to_path_buf(), Box::new(|_| {})).expect("a thread");
    saver.save_alone("x", &"nothing");
    saver.end();
    assert_eq!(files(dir.path()), ["x.json"]);
    assert_eq!(load::<String>(dir.path(), "x"), (Some("nothing".into()), None));
}

#[test]
fn a_power_cut_between_the_two_renames_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), "x", &1).expect("stored");
    std::fs::rename(dir.path().join("x.json"), dir.path().join("x.json.1")).expect("the first rename");
    assert_eq!(load::<u32>(dir.path(), "x"), (Some(1), None));
}

#[test]
fn a_failed_write_leaves_what_was_there_and_no_rubbish() {
    let dir = tempfile::tempdir().expect("a directory");
    store(dir.path(), "x", &1).expect("stored");
    // Nobody, root neither, can rename a file over a directory.
    std::fs::create_dir(dir.path().join(".x.json.tmp")).expect("in the way");
    store(dir.path(), "x", &2).expect_err("the way is blocked");
    std::fs::remove_dir(dir.path().join(".x.json.tmp")).expect("still there");
    assert_eq!(load::<u32>(dir.path(), "x"), (Some(1), None));
    assert_eq!(files(dir.path()), ["x.json"]);
}

#[test]
fn everything_is_for_the_owner_alone_and_survives() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state");
    let (owner, key) = {
        let state = StateDir::open(&path).expect("opened");
        store(state.path(), "x", &1).expect("stored");
        (state.owner().to_owned(), state.device_key())
    };
    for name in ["lock", "owner", "owner.1", "device.key", "device.key.1", "x.json"] {
        let mode = std::fs::metadata(path.join(name)).expect(name).permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
    let again = StateDir::open(&path).expect("opened again");
    assert_eq!((again.owner(), again.device_key()), (owner.as_str(), key));
}

#[test]
fn a_second_agent_on_the_same_directory_is_told_whose_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let _first = StateDir::open(dir.path()).expect("opened");
    let why = StateDir::open(dir.path()).expect_err("in use").to_string();
    assert!(why.contains(&format!("pid {}", std::process::id())), "{why}");
}

#[test]
fn the_last_value_is_saved_and_an_equal_one_is_not_written_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let saver = Saver::start(dir.path().to_path_buf(), Box::new(|_| {})).expect("started");
    for n in 0..1000 {
        saver.save("n", &n);
    }
    let counts = saver.shared_counts_at_end();
    assert_eq!(load::<u32>(dir.path(), "n"), (Some(999), None));
    assert!(counts.writes <= 2, "{counts:?}");
    assert!(counts.coalesced >= 997, "{counts:?}");
    let saver = Saver::start(dir.path().to_path_buf(), Box::new(|_| {})).expect("started");
    saver.save("n", &1);
    saver.save("m", &1);
    saver.save("n", &1);
    assert!(saver.shared_counts_at_end().writes <= 3);
}

#[test]
fn a_disk_that_refuses_is_said_and_tried_again_until_it_takes_the_newest_value() {
    let dir = tempfile::tempdir().expect("a directory");
    let blocked = dir.path().join(".n.json.tmp");
    std::fs::create_dir(&blocked).expect("in the way");
    let (said, heard) = std::sync::mpsc::channel();
    let said = Mutex::new(said);
    let report = move |what: Option<String>| {
        let _ = said.lock().expect("not poisoned").send(what);
    };
    let saver = Arc::new(Saver::start(dir.path().to_path_buf(), Box::new(report)).expect("started"));
    saver.save("n", &1);
    let deadline = std::time::Duration::from_secs(30);
    let why = heard.recv_timeout(deadline).expect("said").expect("a complaint");
    assert!(why.contains("n cannot be written") && why.contains("goes on from memory"), "{why}");
    saver.save("n", &2);
    std::fs::remove_dir(&blocked).expect("the way is free");
    assert_eq!(heard.recv_timeout(deadline).expect("said"), None, "well again, without being asked");
    assert_eq!(load::<u32>(dir.path(), "n"), (Some(2), None));
}

impl Saver {
    /// Ends it and says what it counted.
    fn shared_counts_at_end(self) -> Counts {
        let shared = self.shared_for_tests();
        self.end();
        shared()
    }
}

#[test]
fn who_must_know_is_told_by_the_saver_that_it_is_stored_or_why_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let saver = Saver::start(dir.path().to_path_buf(), Box::new(|_| {})).expect("started");
    let (told, heard) = std::sync::mpsc::channel();
    let tell = || {
        let told = told.clone();
        move |result| told.send(result).expect("heard")
    };
    let deadline = std::time::Duration::from_secs(30);
    for n in 0..20 {
        saver.save_and_tell("lock", &n, tell());
        assert_eq!(heard.recv_timeout(deadline), Ok(Ok(())));
        assert_eq!(load::<u32>(dir.path(), "lock"), (Some(n), None), "there when it is told, and without spacing");
    }
    std::fs::create_dir(dir.path().join(".lock.json.tmp")).expect("in the way");
    saver.hand().save_and_tell("lock", &20, tell());
    let why = heard.recv_timeout(deadline).expect("told").expect_err("refused");
    assert!(why.contains("lock cannot be written"), "{why}");
    std::fs::remove_dir(dir.path().join(".lock.json.tmp")).expect("the way is free");
    let hand = saver.hand();
    saver.end();
    assert_eq!(load::<u32>(dir.path(), "lock"), (Some(20), None), "due all the same");
    hand.save_and_tell("lock", &21, tell());
    assert!(heard.recv_timeout(deadline).expect("told").is_err(), "the agent has ended");
}
