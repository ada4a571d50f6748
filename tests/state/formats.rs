//! Earlier and later versions of the agent, and files that are damaged.

use std::path::{Path, PathBuf};

use flotta_agent::agent::core::StoredLock;
use flotta_agent::gates::StoredTruths;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::status::Reason;
use flotta_agent::model::time::Wall;
use flotta_agent::mqtt::external::Undelivered;
use flotta_agent::scheduler::decide::Lock;
use flotta_agent::scheduler::memory::StoredBooks;
use flotta_agent::scheduler::times::Skipped;
use flotta_agent::source::flotta::desired::StoredConfiguration;
use flotta_agent::source::flotta::heartbeat::events::Events;
use flotta_agent::source::flotta::identity::Store;
use flotta_agent::source::manifests::StoredManifests;
use flotta_agent::state::numbers::Reserved;
use flotta_agent::state::{Format, StateDir, load, load_as, load_on, store_as};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Disk;
use super::disk::Sim;
use super::machine::DIR;

/// A state directory as released versions wrote it. Files are added for new formats, never changed.
fn golden() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state/golden"), dir.path());
    dir
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&to).expect("made");
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

fn loaded<T: DeserializeOwned>(dir: &Path, name: &str) -> T {
    let (object, problem) = load(dir, name);
    assert_eq!(problem, None, "{name}");
    object.unwrap_or_else(|| panic!("{name} is not there"))
}

#[test]
fn what_released_versions_have_stored_is_read() {
    let dir = golden();
    let path = dir.path();
    let truths: StoredTruths = loaded(path, "truths");
    let truth = &truths.0["test"]["off"];
    assert_eq!((truth.expression.as_str(), truth.value), ("x<3% || x == nil", true));
    let manifests: StoredManifests = loaded(path, "desired-manifests");
    assert!(manifests.files["a.yaml"].contains("kind: EdgeWorkload"));
    let configuration: Option<StoredConfiguration> = loaded(path, "desired-flotta");
    let configuration = configuration.expect("one");
    assert_eq!((configuration.version.as_str(), configuration.earlier.len()), ("275", 0));
    let events: Events = loaded(path, "server-events");
    assert!(events.waiting() > 3 && events.batch().events[0].message.starts_with("workload w is inactive"));
    assert_eq!(loaded::<Wall>(path, "server-time").rfc3339(), "2026-11-21T17:14:45.000Z");
    let numbers: Reserved = loaded(path, "event-numbers");
    assert_eq!(numbers.up_to, 100_017);
    let undelivered: Undelivered = loaded(path, "events");
    assert_eq!((undelivered.topic.as_str(), undelivered.events[1].seq), ("flotta/devices/toto/events", 2));
    let books: StoredBooks = loaded(path, "workloads");
    let [crash, tick] =
        ["default/crash", "default/tick"].map(|id| &books.workloads[&WorkloadId::parse(id).expect("a name")]);
    assert_eq!((crash.failures, crash.error.as_ref().map(|(why, _)| *why)), (6, Some(Reason::StartFailed)));
    let times = tick.times.as_ref().expect("a schedule");
    assert_eq!((times.of.as_str(), times.skips), ("* * * * * in Europe/Berlin", 2));
    assert_eq!((times.skipped.map(|(_, why)| why), times.due), (Some(Skipped::StillGoing), times.last));
    let lock: StoredLock = loaded(path, "device-lock");
    assert_eq!(lock.lock, Some(Lock { keep: true }));
    let (store, problems) = Store::open(path, "toto");
    assert_eq!(problems, []);
    assert!(store.current().or(store.candidate()).is_some());

    // By name: one that has no line above was forgotten.
    let known = [
        "truths",
        "desired-manifests",
        "desired-flotta",
        "server-events",
        "server-time",
        "event-numbers",
        "events",
        "workloads",
        "device-lock",
    ];
    let files = std::fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let files: Vec<String> =
        files.filter_map(|name| Some(name.into_string().ok()?.strip_suffix(".json")?.to_owned())).collect();
    assert!(files.iter().all(|name| known.contains(&name.as_str())), "{files:?}");

    let state = StateDir::open(path).expect("opened");
    assert_eq!(state.owner(), "7ad20c8a-5e7e-4c83-8468-e295c2f29cb6");
    assert_eq!((state.device_key()[0], state.device_key()[31]), (0xc5, 0x7c));
    assert_eq!(state.problems(), []);
}

/// Three formats of one object: `5`, then `{"n":5}`, then `{"number":5,"unit":"s"}`.
const SECOND: Format<'static> = Format { name: "x", upgrades: &[first_to_second] };
const THIRD: Format<'static> = Format { name: "x", upgrades: &[first_to_second, second_to_third] };
const FIRST: Format<'static> = Format { name: "x", upgrades: &[] };

fn first_to_second(object: Value) -> Result<Value, String> {
    Ok(json!({ "n": object }))
}

fn second_to_third(object: Value) -> Result<Value, String> {
    let n = object["n"].as_u64().ok_or("n is not a number")?;
    Ok(json!({ "number": n, "unit": "s" }))
}

fn sim() -> (Sim, PathBuf) {
    (Sim::new(Path::new(DIR)), PathBuf::from(DIR))
}

#[test]
fn an_object_of_any_earlier_format_is_upgraded_step_by_step() {
    let (disk, dir) = sim();
    store_as(&disk, &dir, &FIRST, &5).expect("stored");
    assert_eq!(load_as::<Value>(&disk, &dir, &THIRD), (Some(json!({ "number": 5, "unit": "s" })), None));
    store_as(&disk, &dir, &SECOND, &json!({ "n": 6 })).expect("stored");
    assert_eq!(load_as::<Value>(&disk, &dir, &THIRD), (Some(json!({ "number": 6, "unit": "s" })), None));
    store_as(&disk, &dir, &THIRD, &json!({ "number": 7, "unit": "s" })).expect("stored");
    assert_eq!(load_as::<Value>(&disk, &dir, &THIRD), (Some(json!({ "number": 7, "unit": "s" })), None));
    assert_eq!(disk.files().len(), 2, "{:?}", disk.files());
}

#[test]
fn one_that_cannot_be_upgraded_is_kept_aside_and_said() {
    let (disk, dir) = sim();
    store_as(&disk, &dir, &SECOND, &json!({ "m": 6 })).expect("stored");
    let (object, problem) = load_as::<Value>(&disk, &dir, &THIRD);
    assert_eq!(object, None);
    let said = problem.expect("said").message;
    assert!(
        said.contains("cannot be upgraded from format 2: n is not a number") && said.contains("x.json.damaged"),
        "{said}"
    );
}

#[test]
fn what_a_later_version_wrote_is_kept_aside_for_it_and_comes_back_with_it() {
    let (disk, dir) = sim();
    store_as(&disk, &dir, &THIRD, &json!({ "number": 7, "unit": "s" })).expect("stored");
    store_as(&disk, &dir, &THIRD, &json!({ "number": 8, "unit": "s" })).expect("stored");
    let (object, problem) = load_as::<Value>(&disk, &dir, &FIRST);
    assert_eq!(object, None);
    let said = problem.expect("said").message;
    assert!(
        said.contains("later version") && said.contains("x.json.from-format-3") && said.contains("goes on without"),
        "{said}"
    );
    // It goes on with its own, for a long time.
    for value in 0..5 {
        store_as(&disk, &dir, &FIRST, &value).expect("stored");
        assert_eq!(load_as::<Value>(&disk, &dir, &FIRST), (Some(json!(value)), None));
    }
    // A person puts it back under the later version.
    disk.rename(&dir.join("x.json.from-format-3"), &dir.join("x.json")).expect("renamed");
    assert_eq!(load_as::<Value>(&disk, &dir, &THIRD).0, Some(json!({ "number": 8, "unit": "s" })));
}

#[test]
fn a_downgrade_right_after_an_upgrade_goes_on_with_what_it_wrote_itself() {
    let (disk, dir) = sim();
    store_as(&disk, &dir, &FIRST, &5).expect("stored");
    store_as(&disk, &dir, &SECOND, &json!({ "n": 6 })).expect("stored");
    let (object, problem) = load_as::<Value>(&disk, &dir, &FIRST);
    assert_eq!(object, Some(json!(5)));
    assert!(problem.expect("said").message.contains("the generation before it is used"));
    store_as(&disk, &dir, &FIRST, &7).expect("stored");
    assert_eq!(load_as::<Value>(&disk, &dir, &FIRST), (Some(json!(7)), None));
    assert!(disk.exists(&dir.join("x.json.from-format-2")));
}

#[test]
fn a_later_envelope_is_kept_aside_too() {
    let (disk, dir) = sim();
    disk.write_synced(&dir.join("x.json"), b"{\"format\":2,\"all\":\"new\",\"sha256\":\"\"}\nabc").expect("written");
    let (object, problem) = load_on::<u64>(&disk, &dir, "x");
    assert_eq!(object, None);
    assert!(problem.expect("said").message.contains("x.json.from-format-2"));
    assert_eq!(disk.files(), [dir.join("x.json.from-format-2")]);
}

#[test]
fn damage_in_both_generations_is_kept_aside_once_said_and_does_not_grow() {
    let (disk, dir) = sim();
    for round in 0..5 {
        store_as(&disk, &dir, &FIRST, &1).expect("stored");
        store_as(&disk, &dir, &FIRST, &2).expect("stored");
        for name in ["x.json", "x.json.1"] {
            disk.corrupt(&dir.join(name), |bytes| bytes.truncate(70 + round));
        }
        let (object, problem) = load_as::<Value>(&disk, &dir, &FIRST);
        assert_eq!(object, None);
        let said = problem.expect("said").message;
        assert!(said.contains("kept as x.json.damaged") && said.contains("goes on without"), "{said}");
        let kept = disk.read(&dir.join("x.json.damaged")).expect("kept");
        assert_eq!(kept.len(), 70 + round, "the newest one");
        assert!(disk.files().len() <= 3, "{:?}", disk.files());
    }
}

#[test]
fn a_format_that_is_not_the_first_is_part_of_what_the_checksum_covers() {
    let (disk, dir) = sim();
    store_as(&disk, &dir, &SECOND, &json!({ "n": 6 })).expect("stored");
    let whole = disk.read(&dir.join("x.json")).expect("there");
    for at in 0..whole.len() {
        for bit in 0..8 {
            disk.corrupt(&dir.join("x.json"), |bytes| {
                bytes.clone_from(&whole);
                bytes[at] ^= 1 << bit;
            });
            match load_as::<Value>(&disk, &dir, &THIRD) {
                (Some(object), None) => assert_eq!(object, json!({ "number": 6, "unit": "s" }), "byte {at}, bit {bit}"),
                (object, problem) => assert!(object.is_none() && problem.is_some(), "byte {at}, bit {bit}"),
            }
            for file in disk.files() {
                disk.remove(&file).expect("removed");
            }
            disk.write_synced(&dir.join("x.json"), &whole).expect("written");
        }
    }
}
