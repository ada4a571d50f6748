mod damage;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn entry(topic: &str, payload: impl AsRef<[u8]>, qos: u8) -> Entry {
    Entry { topic: topic.into(), payload: Bytes::copy_from_slice(payload.as_ref()), qos }
}

fn dir() -> TempDir {
    TempDir::new().unwrap()
}

/// Topics that all belong into one file.
fn topics_of(shard: usize) -> impl Iterator<Item = String> {
    (0..).map(|n| format!("garden/{n}")).filter(move |topic| shard_of(topic) == shard)
}

fn some(shard: usize, count: usize) -> Vec<Entry> {
    let payloads: [&[u8]; 5] = [b"on", b"\xff\x00\xfe", "zwölf \"%\"\n".as_bytes(), b"\0", b"{\"value\":20}"];
    topics_of(shard)
        .take(count)
        .zip(payloads.iter().cycle())
        .map(|(topic, payload)| entry(&topic, payload, 1))
        .collect()
}

fn lines(shard: usize, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_lines(&mut bytes, shard, entries.iter().cloned()).unwrap();
    bytes
}

/// Reads bytes as a file of this shard.
fn read_as(shard: usize, bytes: &[u8], limits: &Limits) -> Loaded {
    read_bytes(bytes, limits, |topic| shard_of(topic) == shard)
}

/// A line with a good checksum.
fn sealed(json: &str) -> String {
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

fn write_file(dir: &Path, shard: usize, lines: &[&str]) {
    let text: String = lines.iter().map(|json| sealed(json)).collect();
    fs::write(dir.join(name_of(shard)), text).unwrap();
}

const HEADER: &str = r#"{"format":"flotta retained messages","version":1}"#;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|found| found.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn save_all(dir: &Path, entries: &[Entry]) {
    for shard in 0..SHARDS {
        save(dir, shard, entries.iter().filter(|entry| shard_of(&entry.topic) == shard).cloned()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_is_saved_is_loaded(
        messages in proptest::collection::btree_map(
            "[^+#\0$][^+#\0]{0,20}",
            (prop_oneof![proptest::collection::vec(any::<u8>(), 1..40), "\\PC{1,20}".prop_map(String::into_bytes)], 0_u8..=2),
            0..30,
        )
    ) {
        let dir = dir();
        let entries: Vec<_> = messages.iter().map(|(topic, (payload, qos))| entry(topic, payload, *qos)).collect();
        save_all(dir.path(), &entries);
        let loaded = load(dir.path(), &Limits::default());
        prop_assert_eq!(loaded.damaged, vec![]);
        prop_assert_eq!(loaded.entries, entries);
    }

    #[test]
    fn no_bytes_make_the_reader_panic_or_pass_a_limit(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n')], 0..300)
    ) {
        let limits = Limits { retained_count: 1, retained_bytes: 10, packet_bytes: 16, topic_bytes: 4, ..Limits::default() };
        let loaded = read_as(0, &bytes, &limits);
        prop_assert!(loaded.entries.len() <= 1 && !loaded.damaged.is_empty() && loaded.damaged.len() <= 16);
    }
}

#[test]
fn a_person_can_read_the_file() {
    let dir = dir();
    let shard = shard_of("garden/pump");
    let bytes = save(dir.path(), shard, [entry("garden/pump", "on", 1)].into_iter()).unwrap();
    let text = fs::read_to_string(dir.path().join(name_of(shard))).unwrap();
    assert_eq!(bytes, text.len() as u64);
    let rests: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(rests, [HEADER, r#"{"topic":"garden/pump","qos":1,"payload":"on"}"#, r#"{"messages":1}"#]);
    save(dir.path(), shard, [entry("garden/pump", b"\xff\x00", 0)].into_iter()).unwrap();
    let text = fs::read_to_string(dir.path().join(name_of(shard))).unwrap();
    assert!(text.contains(r#"{"topic":"garden/pump","qos":0,"payload_base64":"/wA="}"#), "{text}");
}

#[test]
fn a_topic_stays_in_its_file_in_every_version() {
    // CRC-32 of "123456789" is the check value of the standard.
    assert_eq!(shard_of("123456789"), 0xcbf4_3926 % 16);
    assert_eq!((shard_of(""), shard_of("garden/pump")), (0, 0xb70b_c347 % 16));
    let used: std::collections::BTreeSet<_> = (0..1000).map(|n| shard_of(&format!("a/{n}"))).collect();
    assert_eq!(used.len(), SHARDS);
}

fn sorted(entries: &[Entry]) -> Vec<Entry> {
    let map: BTreeMap<_, _> = entries.iter().map(|entry| (entry.topic.clone(), entry.clone())).collect();
    map.into_values().collect()
}

#[test]
fn a_crash_at_any_step_of_a_save_leaves_the_old_or_the_new_messages() {
    let (old, new) = (some(5, 4), some(5, 9));
    let dir = dir();
    let path = dir.path();
    let loaded = |what: &str| {
        let loaded = load(path, &Limits::default());
        assert_eq!(loaded.damaged, [], "{what}");
        assert_eq!(names(path), [name_of(5)], "{what}: nothing is left over");
        loaded.entries
    };
    save(path, 5, old.iter().cloned()).unwrap();
    let bytes = lines(5, &new);
    for written in 0..=bytes.len() {
        fs::write(beside(path, 5), &bytes[..written]).unwrap();
        assert_eq!(loaded("while the new file is written"), sorted(&old));
    }
    write(&beside(path, 5), 5, new.iter().cloned()).unwrap();
    assert_eq!(loaded("before the rename"), sorted(&old));
    write(&beside(path, 5), 5, new.iter().cloned()).unwrap();
    fs::rename(beside(path, 5), path.join(name_of(5))).unwrap();
    assert_eq!(loaded("after the rename"), sorted(&new));
}

#[test]
fn a_crash_while_a_damaged_file_is_set_aside_loses_nothing_that_could_be_read() {
    let entries = some(2, 5);
    let mut bytes = lines(2, &entries);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    let good = read_as(2, &bytes, &Limits::default()).entries;
    assert_eq!(good.len(), 4);
    let aside = format!("{}.damaged", name_of(2));
    for step in 0..4 {
        let dir = dir();
        let path = dir.path();
        fs::write(path.join(name_of(2)), &bytes).unwrap();
        fs::write(path.join(&aside), "an older one").unwrap();
        if step > 0 {
            fs::remove_file(path.join(&aside)).unwrap();
        }
        if step > 1 {
            fs::hard_link(path.join(name_of(2)), path.join(&aside)).unwrap();
        }
        if step > 2 {
            write(&beside(path, 2), 2, good.iter().cloned()).unwrap();
        }
        let first = load(path, &Limits::default());
        assert_eq!((first.entries, first.damaged.len()), (good.clone(), 2), "step {step}");
        let again = load(path, &Limits::default());
        assert_eq!((again.entries, again.damaged), (good.clone(), vec![]), "step {step}: told once");
        assert_eq!(fs::read(path.join(&aside)).unwrap(), bytes, "step {step}: the damaged file is kept");
        assert_eq!(names(path), [name_of(2), aside.clone()], "step {step}");
    }
}

#[test]
fn no_messages_are_no_file_and_no_directory_is_no_messages() {
    let dir = dir();
    let path = dir.path().join("retained");
    let nothing = load(&path, &Limits::default());
    assert_eq!((nothing.entries, nothing.damaged), (vec![], vec![]));
    assert_eq!(save(&path, 1, std::iter::empty()).unwrap(), 0);
    save(&path, 1, some(1, 2).into_iter()).unwrap();
    assert_eq!(names(&path), [name_of(1)]);
    let cleared = topics_of(1).take(1).map(|topic| entry(&topic, b"", 0));
    assert_eq!(save(&path, 1, cleared).unwrap(), 0);
    assert_eq!(names(&path), [""; 0]);
}

#[test]
fn only_the_agents_user_may_read_the_files() {
    let dir = dir();
    let path = dir.path().join("retained");
    save(&path, 1, some(1, 2).into_iter()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join(name_of(1)))), (0o700, 0o600));
    // An open left-over is replaced, not written into.
    fs::write(beside(&path, 1), "x").unwrap();
    fs::set_permissions(beside(&path, 1), fs::Permissions::from_mode(0o666)).unwrap();
    save(&path, 1, some(1, 2).into_iter()).unwrap();
    assert_eq!(mode(&path.join(name_of(1))), 0o600);
}

#[test]
fn a_save_that_fails_leaves_the_old_file_and_nothing_else() {
    let dir = dir();
    save(dir.path(), 4, some(4, 2).into_iter()).unwrap();
    let foreign = entry(&topics_of(5).next().unwrap(), "x", 0);
    let why = save(dir.path(), 4, some(4, 1).into_iter().chain([foreign])).unwrap_err();
    assert!(why.to_string().contains("does not belong into file 4"), "{why}");
    assert_eq!(names(dir.path()), [name_of(4)]);
    assert_eq!(load(dir.path(), &Limits::default()).entries, sorted(&some(4, 2)));
    assert!(save(dir.path(), SHARDS, std::iter::empty()).is_err());
}
