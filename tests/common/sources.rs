//! The source of the tests themselves: what documents name as a test is one.

use std::path::Path;

/// All source text there is below a directory.
pub fn sources(dir: &Path, text: &mut String) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|end| end == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("readable"));
        }
    }
}
