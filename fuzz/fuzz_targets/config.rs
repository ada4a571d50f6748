//! The configuration file; after a NUL each, lines of the environment (`LOG_LEVEL=info`).
#![no_main]

use std::ffi::OsString;

use flotta_agent::config::{File, Host, Inputs, build};
use flotta_fuzz::{is_sentence, texts};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let texts = texts(data);
    let Some((file, env)) = texts.split_first() else { return };
    let env = env.iter().filter_map(|line| line.split_once('='));
    let env: Vec<(OsString, OsString)> =
        env.map(|(name, value)| (format!("EDGE_DEVICE_{name}").into(), value.into())).collect();
    let inputs = Inputs {
        file: Some(File { path: "config.yaml".into(), text: (*file).to_owned() }),
        env,
        flags: Vec::new(),
        host: Host { cwd: "/srv".into(), uid: 1000, home: Some("/home/u".into()), ..Host::default() },
    };
    let built = build(&inputs);
    assert_eq!(build(&inputs), built, "the same every time");
    match built {
        Ok(loaded) => {
            let config = &loaded.config;
            for path in [&config.state.dir, &config.manifests.dir, &config.podman.socket, &config.xdg_runtime_dir] {
                assert!(path.is_absolute(), "{}", path.display());
            }
            assert!(!config.mqtt.root.is_empty() && !config.mqtt.root.contains(['+', '#', '\0']));
            assert!(config.workloads.max_operations > 0);
            assert!(loaded.warnings.iter().all(|warning| !warning.message.is_empty()));
        }
        Err(errors) => {
            assert!(!errors.0.is_empty());
            for problem in &errors.0 {
                is_sentence(&problem.message);
                assert!(!problem.to_string().contains('\n'), "one line each: {problem}");
            }
        }
    }
});
