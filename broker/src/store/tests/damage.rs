//! Files that are not as they were written.

use super::*;

#[test]
fn a_file_cut_anywhere_keeps_every_line_before_the_cut() {
    let entries = some(3, 6);
    let bytes = lines(3, &entries);
    for cut in 0..bytes.len() {
        let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count().saturating_sub(1).min(entries.len());
        let loaded = read_as(3, &bytes[..cut], &Limits::default());
        // One more when only the newline of a line is cut off.
        assert!(loaded.entries.len() == whole || loaded.entries.len() == whole + 1, "cut at {cut}: {loaded:?}");
        assert_eq!(sorted(&entries[..loaded.entries.len()]), loaded.entries, "cut at {cut}");
        let complete = cut == bytes.len() - 1;
        assert_eq!(loaded.damaged.is_empty(), complete, "cut at {cut}: {:?}", loaded.damaged);
    }
}

#[test]
fn a_flipped_bit_costs_its_own_line_only() {
    let entries = some(7, 5);
    let bytes = lines(7, &entries);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let loaded = read_as(7, &flipped, &Limits::default());
            let allowed = if bytes[at] == b'\n' { 2 } else { 1 };
            assert!(loaded.entries.len() + allowed >= entries.len(), "byte {at} bit {bit}: {loaded:?}");
            assert!(loaded.entries.iter().all(|entry| entries.contains(entry)), "byte {at} bit {bit}: {loaded:?}");
            assert!(!loaded.damaged.is_empty(), "byte {at} bit {bit} is not noticed");
        }
    }
}

#[test]
fn each_kind_of_damage_is_said_with_file_and_line() {
    let limits = Limits { packet_bytes: 20, topic_bytes: 40, ..Limits::default() };
    let topic = topics_of(0).next().unwrap();
    let long = format!(r#"{{"topic":"{topic}","qos":1,"payload":"{}"}}"#, "x".repeat(21));
    let endless = format!(r#"{{"topic":"{topic}","qos":1,"payload":"{}"}}"#, "x".repeat(5000));
    for (json, expected) in [
        (format!(r#"{{"topic":"{topic}","qos":3,"payload":"x"}}"#), "its qos is 3, not 0, 1 or 2"),
        (format!(r#"{{"topic":"{topic}","qos":0}}"#), "it has no payload"),
        (format!(r#"{{"topic":"{topic}","qos":0,"payload":""}}"#), "its payload is empty"),
        (format!(r#"{{"topic":"{topic}","qos":0,"payload":"a","payload_base64":"YQ=="}}"#), "it has two payloads"),
        (format!(r#"{{"topic":"{topic}","qos":0,"payload_base64":"?"}}"#), "its payload is no base64"),
        (format!(r#"{{"topic":"{topic}","payload":"a"}}"#), "it has no topic or no qos"),
        (r#"{"topic":"a/+","qos":0,"payload":"a"}"#.into(), "its topic is none that can be published to"),
        (r#"{"topic":"","qos":0,"payload":"a"}"#.into(), "its topic is none that can be published to"),
        (r#"{"topic":"$SYS/x","qos":0,"payload":"a"}"#.into(), "its topic begins with $"),
        (r#"{"topic":"123456789","qos":0,"payload":"a"}"#.into(), "does not belong into this file"),
        (r#"{"topic":7}"#.into(), "it does not fit: invalid type"),
        (HEADER.into(), "a first line where none should be"),
        (long, "its payload has 21 bytes, more than the limit of 20"),
        (endless, "it is longer than 417 bytes"),
    ] {
        let dir = dir();
        let good = format!(r#"{{"topic":"{topic}","qos":1,"payload":"good"}}"#);
        write_file(dir.path(), 0, &[HEADER, &json, &good, r#"{"messages":1}"#]);
        let loaded = load(dir.path(), &limits);
        assert_eq!(loaded.entries, [entry(&topic, "good", 1)], "{json}");
        let said: Vec<_> = loaded.damaged.iter().map(Damage::to_string).collect();
        let place = format!("{}, line 2: ", dir.path().join(name_of(0)).display());
        assert!(said.len() == 1 && said[0].starts_with(&place) && said[0].contains(expected), "{json}: {said:?}");
    }
}

#[test]
fn a_file_of_another_version_is_set_aside_unread() {
    let (dir, topic) = (dir(), topics_of(0).next().unwrap());
    let good = format!(r#"{{"topic":"{topic}","qos":1,"payload":"good"}}"#);
    write_file(dir.path(), 0, &[&HEADER.replace(":1}", ":2}"), &good, r#"{"messages":1}"#]);
    let loaded = load(dir.path(), &Limits::default());
    assert_eq!(loaded.entries, []);
    assert!(loaded.damaged[0].to_string().ends_with("it has version 2, this agent reads version 1; it is not read"));
    assert_eq!(names(dir.path()), [format!("{}.damaged", name_of(0))]);
}

#[test]
fn lines_that_are_gone_without_a_trace_are_noticed() {
    let entries = some(0, 3);
    let text = String::from_utf8(lines(0, &entries)).unwrap();
    let without: String =
        text.lines().enumerate().filter(|(n, _)| *n != 2).map(|(_, line)| format!("{line}\n")).collect();
    let loaded = read_as(0, without.as_bytes(), &Limits::default());
    assert_eq!((loaded.entries.len(), loaded.damaged[0].what.as_str()), (2, "of its 3 messages 1 are lost"));
}

#[test]
fn the_later_line_of_a_topic_wins() {
    let (dir, topic) = (dir(), topics_of(0).next().unwrap());
    let line = |payload| format!(r#"{{"topic":"{topic}","qos":1,"payload":"{payload}"}}"#);
    write_file(dir.path(), 0, &[HEADER, &line("old"), &line("new"), r#"{"messages":2}"#]);
    let loaded = load(dir.path(), &Limits { retained_count: 1, ..Limits::default() });
    assert_eq!((loaded.entries, loaded.damaged), (vec![entry(&topic, "new", 1)], vec![]));
}

#[test]
fn no_more_is_taken_than_the_limits_allow_and_the_rest_is_kept_aside() {
    for (limits, expected) in [
        (Limits { retained_count: 3, ..Limits::default() }, 3),
        (Limits { retained_bytes: 60, ..Limits::default() }, 3),
    ] {
        let dir = dir();
        let entries: Vec<_> = topics_of(6).take(10).map(|topic| entry(&topic, &b"12345678"[..], 0)).collect();
        save_all(dir.path(), &entries);
        let loaded = load(dir.path(), &limits);
        assert_eq!(loaded.entries, sorted(&entries[..expected]));
        let said = loaded.damaged[0].to_string();
        assert!(said.contains("7 of its messages are not taken: at most"), "{said}");
        let aside = fs::read(dir.path().join(format!("{}.damaged", name_of(6)))).unwrap();
        assert_eq!(read_as(6, &aside, &Limits::default()).entries, sorted(&entries));
    }
}

#[test]
fn a_huge_file_is_read_up_to_the_limit_only() {
    let dir = dir();
    let limits = Limits { retained_count: 2, retained_bytes: 100, ..Limits::default() };
    let mut bytes = lines(0, &some(0, 1));
    bytes.resize(bytes.len() + 5_000_000, b'x');
    fs::write(dir.path().join(name_of(0)), &bytes).unwrap();
    let loaded = load(dir.path(), &limits);
    assert_eq!(loaded.entries.len(), 1);
    let said: Vec<_> = loaded.damaged.iter().map(|damage| damage.what.as_str()).collect();
    assert_eq!(said, ["its checksum is wrong", "it is larger than 1148 bytes; it is not read further"]);
}

#[test]
fn many_damaged_lines_are_counted_rather_than_told() {
    let dir = dir();
    fs::write(dir.path().join(name_of(0)), "rubbish that is long enough\n".repeat(1000)).unwrap();
    let loaded = load(dir.path(), &Limits::default());
    assert_eq!(loaded.damaged.len(), 10);
    assert_eq!(loaded.damaged.last().unwrap().what, "992 more lines are damaged");
}

#[test]
fn what_is_no_file_is_set_aside_too() {
    let dir = dir();
    fs::create_dir(dir.path().join(name_of(0))).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(dir.path().join(name_of(1))).status().unwrap();
    assert!(pipe.success());
    fs::write(dir.path().join(name_of(2)), "").unwrap();
    let loaded = load(dir.path(), &Limits::default());
    let said: Vec<_> = loaded.damaged.iter().map(|damage| damage.what.as_str()).collect();
    let not = "it cannot be opened (not a file); its messages are lost";
    assert_eq!(said, [not, not, "it is empty"]);
    for shard in 0..3 {
        save(dir.path(), shard, some(shard, 1).into_iter()).unwrap();
    }
    assert_eq!(load(dir.path(), &Limits::default()).entries.len(), 3);
}
