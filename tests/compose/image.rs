//! The Dockerfile, against what it copies and what the services start.

use std::path::Path;

use super::files::{after, base, map, root, strings, text};

/// The Dockerfile, a continued line as one.
fn dockerfile() -> String {
    text("Dockerfile").replace("\\\n", " ")
}

/// What each COPY takes from the repository, or from another stage.
fn copied(from_stage: bool) -> Vec<String> {
    let dockerfile = dockerfile();
    let copies = after(&dockerfile, "COPY").into_iter().filter(|copy| copy.starts_with("--from=") == from_stage);
    let sources = |copy: &str| {
        let words: Vec<&str> = copy.split_ascii_whitespace().filter(|word| !word.starts_with("--")).collect();
        words[..words.len() - 1].iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    copies.flat_map(sources).collect()
}

#[test]
fn what_the_image_is_built_from_is_in_the_repository_and_sent_to_the_builder() {
    let ignore = text(".dockerignore");
    let sent: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copied = copied(false);
    assert!(copied.len() > 3, "{copied:?}");
    for source in &copied {
        assert!(root().join(source).exists(), "{source} is not in the repository");
        assert!(sent.iter().any(|kept| Path::new(source).starts_with(kept)), ".dockerignore keeps {source} back");
    }
    for kept in sent {
        assert!(copied.iter().any(|source| Path::new(source) == Path::new(kept)), "{kept} is sent, and not copied");
    }
}

#[test]
fn the_layer_of_dependencies_has_every_manifest_and_stands_in_for_every_crate_root() {
    let copied = copied(false);
    let manifest = text("Cargo.toml");
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).expect("members").0;
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        let (manifest, lib) = match member {
            "." => ("Cargo.toml".to_owned(), "src/lib.rs".to_owned()),
            member => (format!("{member}/Cargo.toml"), format!("{member}/src/lib.rs")),
        };
        assert!(copied.contains(&manifest), "{manifest} is not copied");
        assert!(dockerfile().contains(&lib), "nothing stands in for {lib}");
    }
    let bins = manifest.split("[[bin]]").skip(1);
    let paths = bins.filter_map(|bin| bin.split_once("path = \"")?.1.split_once('"')).map(|(path, _)| path);
    let paths: Vec<&str> = paths.take(2).collect();
    for path in &paths {
        assert!(root().join(path).exists() && dockerfile().contains(path), "nothing stands in for {path}");
    }
    assert_eq!(paths.len(), 2, "flotta-agent and flotta-shim");
}

#[test]
fn the_image_holds_both_programs_side_by_side() {
    let copied = copied(true);
    let built = [env!("CARGO_BIN_EXE_flotta-agent"), env!("CARGO_BIN_EXE_flotta-shim")];
    let names: Vec<_> = built.iter().map(|path| Path::new(path).file_name()).collect();
    let held: Vec<_> = copied.iter().map(|path| Path::new(path).file_name()).collect();
    assert_eq!(held, names);
    let dockerfile = dockerfile();
    assert_eq!(after(&dockerfile, "ENTRYPOINT"), ["[\"flotta-agent\"]"]);
    assert_eq!(after(&dockerfile, "USER"), ["flotta"], "not root");
}

#[test]
fn compose_names_the_base_images_that_the_dockerfile_names_and_no_registry() {
    let base = base();
    let build = &base["services"]["agent"]["build"];
    assert!(root().join(build["context"].as_str().unwrap()).join("Dockerfile").exists());
    let dockerfile = dockerfile();
    let mut known: Vec<String> = after(&dockerfile, "ARG").into_iter().map(str::to_owned).collect();
    let mut given: Vec<String> =
        map(&build["args"]).iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
    known.sort();
    given.sort();
    assert_eq!(known, given);
    let image = base["services"]["mosquitto"]["image"].as_str().unwrap().to_owned();
    for image in known.iter().filter_map(|arg| Some(arg.split_once('=')?.1)).chain([image.as_str()]) {
        assert!(!image.contains('/') && image.contains(':'), "a short name with a tag, not {image}");
    }
    assert_eq!(strings(&base["services"]["agent"]["healthcheck"]["test"])[0], "CMD", "slim images: no shell needed");
}
