//! Every manifest of `examples/` is sound: `flotta-agent check` has nothing to say about it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn yaml_files(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(dir);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&dir).expect("a directory").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn check(manifests: &Path, state: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flotta-agent"))
        .env_clear()
        .env("EDGE_DEVICE_STATE_DIR", state)
        .env("EDGE_DEVICE_MANIFESTS_DIR", manifests)
        .arg("check")
        .output()
        .expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn each_pod_of_the_examples_is_sound_by_itself_and_names_images_that_everybody_can_fetch() {
    let files = yaml_files("pods");
    assert_eq!(files.len(), 10, "{files:?}");
    for file in files {
        let dir = tempfile::tempdir().expect("a directory");
        let manifests = dir.path().join("manifests");
        std::fs::create_dir(&manifests).expect("made");
        std::fs::copy(&file, manifests.join(file.file_name().expect("a name"))).expect("copied");
        let (well, said) = check(&manifests, dir.path());
        assert!(well && said.contains("1 workload") && said.contains("all is well"), "{}: {said}", file.display());
        assert!(!said.contains("warning"), "{}: {said}", file.display());
        let text = std::fs::read_to_string(&file).expect("readable");
        let images: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("image: ")).collect();
        let tagged = |image: &&str| image.starts_with("docker.io/library/") && image.contains(':');
        assert!(!images.is_empty() && images.iter().all(tagged), "{}: {images:?}", file.display());
        assert!(text.starts_with("# "), "{}: says what it is for", file.display());
    }
}

#[test]
fn the_examples_of_make_run_are_sound_together() {
    let dir = tempfile::tempdir().expect("a directory");
    let (well, said) = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/manifests"), dir.path());
    assert!(well && !said.contains("warning"), "{said}");
}
