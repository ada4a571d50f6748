//! The files, read as compose reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// A compose file with every `${NAME:-default}` at its default and `$$` as `$`.
pub fn compose(path: &str) -> Value {
    let mut file = serde_yaml::from_str(&text(path)).unwrap_or_else(|why| panic!("{path}: {why}"));
    fill_in(&mut file);
    file
}

/// As compose does: in strings, after the YAML was read.
fn fill_in(value: &mut Value) {
    match value {
        Value::String(text) => *text = filled_in(text),
        Value::Array(list) => list.iter_mut().for_each(fill_in),
        Value::Object(map) => map.values_mut().for_each(fill_in),
        _ => {}
    }
}

fn filled_in(text: &str) -> String {
    let Some((before, after)) = text.split_once('$') else { return text.to_owned() };
    if let Some(rest) = after.strip_prefix('$') {
        return format!("{before}${}", filled_in(rest));
    }
    let (variable, rest) = after.strip_prefix('{').and_then(|after| after.split_once('}')).expect("${…} or $$");
    let (_, default) = variable.split_once(":-").unwrap_or_else(|| panic!("${{{variable}}} needs a default"));
    format!("{before}{default}{}", filled_in(rest))
}

/// docker-compose.yml, its services as they stand after their common part was merged in.
pub fn base() -> Value {
    compose("docker-compose.yml")
}

/// A service of docker-compose.yml with what deploy/compose.podman.yml says of it laid over, as compose does that: maps
/// by key, volumes by where they are mounted, the rest replaced.
pub fn with_podman(service: &str) -> Value {
    let (mut base, over) = (base(), compose("deploy/compose.podman.yml"));
    let over = &over["services"][service];
    let service = &mut base["services"][service];
    for (key, value) in over.as_object().expect("a map") {
        match (service.get_mut(key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => under.extend(over.clone()),
            (Some(Value::Array(under)), Value::Array(over)) if key == "volumes" => {
                let target =
                    |mount: &Value| mount.as_str().and_then(|mount| mount.split(':').nth(1)).map(str::to_owned);
                under.retain(|mount| over.iter().all(|over| target(over) != target(mount)));
                under.extend(over.clone());
            }
            _ => service[key] = value.clone(),
        }
    }
    service.clone()
}

pub fn map(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("a map, not {value}"))
}

pub fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("a list, not {value}"));
    list.iter().map(|item| item.as_str().unwrap_or_else(|| panic!("a string, not {item}")).to_owned()).collect()
}

pub fn environment(service: &Value) -> BTreeMap<String, String> {
    let entry = |(name, value): (&String, &Value)| {
        (name.clone(), value.as_str().unwrap_or_else(|| panic!("{name}: a string, not {value}")).to_owned())
    };
    map(&service["environment"]).iter().map(entry).collect()
}

/// Where a service has what mounted: target to source.
pub fn mounts(service: &Value) -> BTreeMap<PathBuf, String> {
    let mount = |mount: String| {
        let (source, target) = mount.split_once(':').expect("source:target");
        (PathBuf::from(target.split(':').next().unwrap_or_default()), source.to_owned())
    };
    strings(&service["volumes"]).into_iter().map(mount).collect()
}

/// What follows a word at the beginning of a line, of every such line.
pub fn after<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let word = format!("{word} ");
    text.lines().filter_map(|line| line.trim_start().strip_prefix(&word)).map(str::trim).collect()
}
