//! A container's environment.

use std::collections::BTreeMap;

use super::Place;
use super::fields;
use crate::model::pod::{Container, EnvValue, EnvVar, PodJob, Referred};
use crate::model::workload::Workload;

/// Variables, which are also what `$(NAME)` may stand for.
pub(super) type Environment = BTreeMap<String, Variable>;

/// A variable's value.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) text: String,
    /// It is of a Secret, whole or in part.
    pub(super) secret: bool,
    /// Where the pod was read nobody could know that: it is of a whole Secret (`envFrom`).
    pub(super) untold: bool,
}

impl Variable {
    /// One that everybody may see.
    fn open(text: String) -> Variable {
        Variable { text, secret: false, untold: false }
    }

    fn of(of: Referred, bytes: &[u8]) -> Variable {
        let text = String::from_utf8_lossy(bytes).into_owned();
        // Of nothing there is nothing to hide.
        let secret = of == Referred::Secret && !text.is_empty();
        Variable { text, secret, untold: false }
    }
}

/// The environment.
pub(super) fn environment(container: &Container, workload: &Workload, job: &PodJob, place: &Place) -> Environment {
    let mut env = Environment::from([("DEVICE_ID".to_owned(), Variable::open(place.device.clone()))]);
    for from in &container.env_from {
        for (key, bytes) in job.contents.get(from.of, &from.name).into_iter().flatten() {
            let variable = Variable::of(from.of, bytes);
            let untold = variable.secret;
            env.insert(format!("{}{key}", from.prefix), Variable { untold, ..variable });
        }
    }
    for variable in &container.env {
        let value = match &variable.value {
            EnvValue::Literal(value) => Some(expand(value, &env)),
            EnvValue::Key(key) => {
                let bytes = job.contents.get(key.of, &key.name).and_then(|all| all.get(&key.key));
                bytes.map(|bytes| Variable::of(key.of, bytes))
            }
            EnvValue::Field(field) => Some(Variable::open(fields::field(field, workload, place))),
            EnvValue::Resource(of) => Some(Variable::open(fields::resource(of, &container.name, job, place))),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    env
}

/// What everybody may see of it.
pub(super) fn open(env: &Environment) -> BTreeMap<&str, &str> {
    let open = env.iter().filter(|(_, variable)| !variable.secret);
    open.map(|(name, variable)| (name.as_str(), variable.text.as_str())).collect()
}

/// `$(NAME)` as Kubernetes reads it: an unknown one stays as it is, `$$` is a `$`.
pub(super) fn expand(text: &str, env: &Environment) -> Variable {
    let mut out = Variable::open(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match (after.strip_prefix('$'), reference) {
            (Some(next), _) => {
                out.text.push('$');
                rest = next;
            }
            (None, Some((name, next))) => {
                match env.get(name) {
                    Some(variable) => {
                        out.text.push_str(&variable.text);
                        out.secret |= variable.secret;
                        out.untold |= variable.untold;
                    }
                    None => out.text.push_str(&rest[at..rest.len() - next.len()]),
                }
                rest = next;
            }
            (None, None) => {
                out.text.push('$');
                rest = after;
            }
        }
    }
    out.text.push_str(rest);
    out
}

/// A probe's command as Kubernetes reads it: `$(NAME)` stands for what is written in the manifest itself.
pub(in crate::executor::podman) fn expand_written(command: &mut [String], container: &Container) {
    let literal = |variable: &EnvVar| match &variable.value {
        EnvValue::Literal(value) => Some((variable.name.clone(), Variable::open(value.clone()))),
        _ => None,
    };
    let env: Environment = container.env.iter().filter_map(literal).collect();
    command.iter_mut().for_each(|word| *word = expand(word, &env).text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_are_read_as_kubernetes_reads_them() {
        let open = |text: &str| Variable::open(text.into());
        let env = Environment::from([
            ("A".to_owned(), open("1")),
            ("B".to_owned(), open("$(A)")),
            ("S".to_owned(), Variable { text: "hush".into(), secret: true, untold: false }),
        ]);
        for (text, expected, secret) in [
            ("$(A)", "1", false),
            ("x$(A)y$(A)", "x1y1", false),
            ("$(B)", "$(A)", false),
            ("$$(A)", "$(A)", false),
            ("$$(S)", "$(S)", false),
            ("$(NONE)", "$(NONE)", false),
            ("$A $ $( $", "$A $ $( $", false),
            ("", "", false),
            ("db://$(S)@$(A)", "db://hush@1", true),
        ] {
            let found = expand(text, &env);
            assert_eq!((found.text.as_str(), found.secret), (expected, secret), "{text}");
        }
    }
}
