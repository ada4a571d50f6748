//! A container's environment.

use std::collections::BTreeMap;

use super::Place;
use super::fields;
use crate::model::pod::{Container, EnvValue, PodJob};
use crate::model::workload::Workload;

/// The environment, which is also what `$(NAME)` may stand for.
pub(super) fn environment(
    container: &Container,
    workload: &Workload,
    job: &PodJob,
    place: &Place,
) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut env = BTreeMap::from([("DEVICE_ID".to_owned(), place.device.clone())]);
    for from in &container.env_from {
        for (key, bytes) in job.contents.get(from.of, &from.name).into_iter().flatten() {
            env.insert(format!("{}{key}", from.prefix), text(bytes));
        }
    }
    for variable in &container.env {
        let value = match &variable.value {
            EnvValue::Literal(value) => Some(expand(value, &env)),
            EnvValue::Key(key) => {
                job.contents.get(key.of, &key.name).and_then(|all| all.get(&key.key)).map(|b| text(b))
            }
            EnvValue::Field(field) => Some(fields::field(field, workload, place)),
            EnvValue::Resource(of) => Some(fields::resource(of, &container.name, job)),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    env
}

/// `$(NAME)` as Kubernetes reads it: an unknown one stays as it is, `$$` is a `$`.
pub(super) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match (after.strip_prefix('$'), reference) {
            (Some(next), _) => {
                out.push('$');
                rest = next;
            }
            (None, Some((name, next))) => {
                match env.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&rest[at..rest.len() - next.len()]),
                }
                rest = next;
            }
            (None, None) => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_are_read_as_kubernetes_reads_them() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$A $ $( $", "$A $ $( $"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }
}
