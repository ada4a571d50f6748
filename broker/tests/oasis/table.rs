//! `docs/mqtt-conformance.md` is true: it has every statement of the standard, and exactly the tests that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Appendix B of the standard: its sections, and how many statements each has.
const SECTIONS: [(&str, usize); 39] = [
    ("1.5.3", 3),
    ("2.2.2", 2),
    ("2.3.1", 7),
    ("3.1.0", 2),
    ("3.1.2", 24),
    ("3.1.3", 11),
    ("3.1.4", 5),
    ("3.2.0", 1),
    ("3.2.2", 6),
    ("3.3.1", 12),
    ("3.3.2", 3),
    ("3.3.4", 1),
    ("3.3.5", 2),
    ("3.6.1", 1),
    ("3.8.1", 1),
    ("3.8.3", 4),
    ("3.8.4", 6),
    ("3.9.3", 2),
    ("3.10.1", 1),
    ("3.10.3", 2),
    ("3.10.4", 6),
    ("3.12.4", 1),
    ("3.14.1", 1),
    ("3.14.4", 3),
    ("4.1.0", 2),
    ("4.3.1", 1),
    ("4.3.2", 2),
    ("4.3.3", 2),
    ("4.4.0", 1),
    ("4.5.0", 2),
    ("4.6.0", 6),
    ("4.7.1", 3),
    ("4.7.2", 1),
    ("4.7.3", 4),
    ("4.8.0", 2),
    ("6.0.0", 4),
    ("7.0.0", 2),
    ("7.1.1", 1),
    ("7.1.2", 1),
];

/// A row of the table.
struct Row {
    /// `MQTT-3.1.0-2`
    statement: String,
    tests: Vec<String>,
    /// What stands in place of tests.
    reason: String,
    by: String,
}

fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mqtt-conformance.md");
    let text = fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, statement, short, tests, by, _] = cells[..] else { panic!("not four cells: {line}") };
        assert!(!short.is_empty(), "{line}");
        let names = tests.split('`').filter(|name| name.contains("::")).map(str::to_owned);
        Row { statement: statement.to_owned(), tests: names.collect(), reason: tests.to_owned(), by: by.to_owned() }
    };
    text.lines().filter(|line| line.starts_with("| MQTT-")).map(row).collect()
}

/// `mqtt_3_1_0_2_` for `MQTT-3.1.0-2`.
fn prefix(statement: &str) -> String {
    statement.to_lowercase().replace(['-', '.'], "_") + "_"
}

/// The tests that there are, as `module::name`, and the statement that each quotes.
fn tests() -> BTreeMap<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oasis");
    let mut tests = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_none_or(|extension| extension != "rs") || module == "table" {
            continue;
        }
        let mut quoted = String::new();
        for line in fs::read_to_string(&path).unwrap().lines() {
            if let Some(statement) = line.strip_prefix("/// [") {
                quoted = statement.split(']').next().unwrap().to_owned();
            } else if let Some(name) = line.strip_prefix("async fn ").filter(|name| name.starts_with("mqtt_")) {
                let name = name.split('(').next().unwrap();
                tests.insert(format!("{module}::{name}"), std::mem::take(&mut quoted));
            }
        }
    }
    tests
}

#[test]
fn the_table_has_every_statement_of_the_standard_once() {
    let listed: Vec<_> = rows().into_iter().map(|row| row.statement).collect();
    let all: Vec<_> =
        SECTIONS.iter().flat_map(|(section, count)| (1..=*count).map(move |i| format!("MQTT-{section}-{i}"))).collect();
    assert_eq!(all.len(), 141);
    assert_eq!(listed, all);
}

#[test]
fn the_table_has_every_test_and_no_other() {
    let mut listed = BTreeSet::new();
    for row in rows() {
        for test in row.tests {
            assert!(test.contains(&format!("::{}", prefix(&row.statement))), "{test} is not of {}", row.statement);
            assert!(listed.insert(test.clone()), "{test} is listed twice");
        }
    }
    let there: BTreeSet<_> = tests().into_keys().collect();
    let missing: Vec<_> = there.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(&there).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing {missing:#?}, not there {invented:#?}");
}

#[test]
fn every_test_quotes_the_statement_that_it_is_named_after() {
    for (test, quoted) in tests() {
        assert!(test.contains(&format!("::{}", prefix(&quoted))), "{test} quotes {quoted:?}");
    }
}

#[test]
fn the_table_says_which_client_is_used_or_why_there_is_no_test() {
    for row in rows() {
        let client = |test: &String| match test.split("::").next() {
            Some("by_paho") => "paho",
            Some("by_mosquitto") => "mosquitto",
            _ => "raw",
        };
        let used: BTreeSet<_> = row.tests.iter().map(client).collect();
        let said: BTreeSet<_> = row.by.split(", ").filter(|by| *by != "–").collect();
        assert_eq!(said, used, "{}", row.statement);
        let excused = row.reason.starts_with("clients only") || row.reason.starts_with("not applicable: ");
        assert_eq!(row.tests.is_empty(), excused, "{}", row.statement);
    }
}
