//! Devices in containers. A bind mount of a device shows it, and the container's cgroup keeps it shut: podman has to be told
//! that it is a device. Pure.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::labels;
use super::paths::Found;
use super::translate::Blueprint;

/// Turns binds of devices into devices, by what was found at their paths.
pub(super) fn give(blueprint: &mut Blueprint, found: &BTreeMap<String, Found>) {
    for container in &mut blueprint.containers {
        let body = &mut container.body;
        // Of a privileged container podman ignores them: all devices are its, where it has them as well by a bind.
        let privileged = body["privileged"] == true;
        let Some(binds) = body["mounts"].as_array().cloned() else { continue };
        let (mut left, mut given, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for bind in binds {
            let source = bind["source"].as_str().unwrap_or_default().to_owned();
            let device = found.get(&source).and_then(|found| Some((found, found.device?)));
            if let Some((_, (major, minor))) = device {
                numbers.push(format!("{major}:{minor} {source}"));
            }
            match device {
                Some((at, _)) if !privileged && is_plain(at, &bind) => {
                    let access = if reads_only(&bind) { "r" } else { "rwm" };
                    let to = bind["destination"].as_str().unwrap_or_default();
                    given.push(json!({ "path": format!("{}:{to}:{access}", at.real.display()) }));
                }
                _ => left.push(bind),
            }
        }
        body["mounts"] = json!(left);
        if !given.is_empty() {
            body["devices"] = json!(given);
        }
        if !numbers.is_empty() {
            numbers.sort();
            body["labels"][labels::DEVICES] = json!(numbers.join("\n"));
        }
    }
}

/// Podman reads paths of devices up to the next colon.
fn is_plain(found: &Found, bind: &Json) -> bool {
    !found.real.to_string_lossy().contains(':') && bind["destination"].as_str().is_some_and(|to| !to.contains(':'))
}

fn reads_only(bind: &Json) -> bool {
    bind["options"].as_array().is_some_and(|options| options.iter().any(|option| option == "ro"))
}

/// Whether a device that a container was given has another number by now; one that is not there has not.
pub(super) fn have_changed(label: &str, now: impl Fn(&str) -> Option<(u32, u32)>) -> bool {
    let changed = |line: &str| {
        let (number, path) = line.split_once(' ')?;
        let (major, minor) = now(path)?;
        Some(number != format!("{major}:{minor}"))
    };
    label.lines().any(|line| changed(line) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::podman::translate::NewContainer;
    use crate::model::pod::PullPolicy;

    fn bind(source: &str, to: &str, access: &str) -> Json {
        json!({ "destination": to, "source": source, "type": "bind", "options": ["rbind", "rprivate", access] })
    }

    fn given(privileged: bool, binds: &[Json]) -> Json {
        let mut body = json!({ "mounts": binds, "labels": {} });
        if privileged {
            body["privileged"] = json!(true);
        }
        let container = NewContainer {
            name: "c".into(),
            init: false,
            image: String::new(),
            pull: PullPolicy::Never,
            non_root: false,
            group: None,
            body,
        };
        let mut blueprint = Blueprint {
            name: "p".into(),
            pod: json!({}),
            volumes: Vec::new(),
            claims: Vec::new(),
            secrets: Vec::new(),
            files: Vec::new(),
            host_paths: Vec::new(),
            containers: vec![container],
            warnings: Vec::new(),
        };
        let at = |real: &str, device| Found { real: real.into(), device, shut: None };
        let found = BTreeMap::from([
            ("/dev/serial/by-id/a:b".to_owned(), at("/dev/ttyUSB0", Some((188, 0)))),
            ("/srv".to_owned(), at("/srv", None)),
        ]);
        give(&mut blueprint, &found);
        give(&mut blueprint, &found);
        blueprint.containers.remove(0).body
    }

    #[test]
    fn a_device_is_given_by_its_real_path_and_all_else_stays_a_bind() {
        let (srv, tty) = (bind("/srv", "/srv", "rw"), bind("/dev/serial/by-id/a:b", "/dev/modem", "rw"));
        let body = given(false, &[srv.clone(), tty.clone()]);
        assert_eq!(body["mounts"], json!([srv]));
        assert_eq!(body["devices"], json!([{ "path": "/dev/ttyUSB0:/dev/modem:rwm" }]));
        assert_eq!(body["labels"][labels::DEVICES], "188:0 /dev/serial/by-id/a:b");
        let read_only = given(false, &[bind("/dev/serial/by-id/a:b", "/dev/modem", "ro")]);
        assert_eq!(read_only["devices"], json!([{ "path": "/dev/ttyUSB0:/dev/modem:r" }]));
        let privileged = given(true, std::slice::from_ref(&tty));
        assert_eq!((&privileged["mounts"], &privileged["devices"]), (&json!([tty]), &Json::Null));
    }

    #[test]
    fn a_device_with_another_number_has_changed_and_one_that_is_away_has_not() {
        let now = |path: &str| match path {
            "/dev/a b" => Some((188, 0)),
            "/dev/c" => Some((188, 1)),
            _ => None,
        };
        for (label, changed) in [
            ("188:0 /dev/a b", false),
            ("188:0 /dev/a b\n188:2 /dev/c", true),
            ("188:0 /dev/away", false),
            ("", false),
            ("nonsense", false),
        ] {
            assert_eq!(have_changed(label, now), changed, "{label:?}");
        }
    }
}
