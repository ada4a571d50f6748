//! docs/configuration.md says what the key table says.

use flotta_agent::config::doc::markdown;

#[test]
fn the_docs_say_what_the_key_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("FLOTTA_WRITE_DOCS").is_some() {
        std::fs::write(path, markdown()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == markdown(),
        "docs/configuration.md differs from src/config/keys.rs; make it anew with: FLOTTA_WRITE_DOCS=1 cargo test --test config_doc"
    );
}
