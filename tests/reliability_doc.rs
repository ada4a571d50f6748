//! docs/reliability.md promises nothing that no test holds.

#[path = "common/sources.rs"]
mod sources;

use std::path::PathBuf;

use sources::sources;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PLACES: [&str; 6] = ["tests", "src", "broker/src", "broker/tests", "heap", "standin/tests"];

/// The words between backquotes of a table's last column.
fn names(line: &str) -> Vec<&str> {
    let column = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
    column.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_line_of_the_table_names_tests_that_exist() {
    let doc = std::fs::read_to_string(PathBuf::from(ROOT).join("docs/reliability.md")).expect("docs/reliability.md");
    let mut text = String::new();
    PLACES.iter().for_each(|place| sources(&PathBuf::from(ROOT).join(place), &mut text));
    let rows: Vec<&str> = doc.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20, "the table is not where it was: {rows:#?}");
    for row in rows {
        let names = names(row);
        assert!(!names.is_empty(), "no test holds this: {row}");
        for name in names {
            let exists = if name.contains('/') {
                PathBuf::from(ROOT).join(name).is_file()
            } else {
                text.contains(&format!("fn {name}("))
            };
            assert!(exists, "there is no test {name}, which docs/reliability.md names in: {row}");
        }
    }
}
