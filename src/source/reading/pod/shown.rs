//! Secrets where everybody sees them: `$(NAME)` of a Secret in a command line, which process lists and podman show.

use std::collections::BTreeSet;

use super::super::fields::{Fields, Report};
use super::super::tree::{Node, Value, short};
use crate::model::pod::{Container, EnvValue, Referred};

/// The words of a container's `command` and `args`, each with its path.
pub(super) fn words<'a>(fields: &Fields<'a>) -> Vec<(String, &'a Node)> {
    let list = |field: &str| -> Vec<(String, &'a Node)> {
        let path = fields.name(field);
        match fields.entry(field).map(|(_, node)| &node.value) {
            Some(Value::List(items)) => {
                items.iter().enumerate().map(|(index, node)| (format!("{path}[{index}]"), node)).collect()
            }
            _ => Vec::new(),
        }
    };
    [list("command"), list("args")].concat()
}

/// Warns about each word that has a Secret's value in it. Of a whole Secret (`envFrom`) the names are not known here: that is
/// said when the pod is translated.
pub(super) fn warn(report: &mut Report, words: &[(String, &Node)], container: &Container) {
    let mut secret = BTreeSet::new();
    for variable in &container.env {
        let of_secret = match &variable.value {
            EnvValue::Key(key) => key.of == Referred::Secret,
            EnvValue::Literal(text) => references(text).any(|name| secret.contains(name)),
            EnvValue::Field(_) | EnvValue::Resource(_) => false,
        };
        if of_secret {
            secret.insert(variable.name.as_str());
        } else {
            secret.remove(variable.name.as_str());
        }
    }
    for (path, node) in words {
        let Value::Text(text) = &node.value else { continue };
        if let Some(name) = references(text).find(|name| secret.contains(name)) {
            let name = short(name);
            report.warn(node.at, format!("{path}: $({name}) is of a Secret: {}", crate::model::pod::SECRET_IS_SHOWN));
        }
    }
}

/// The names in `$(…)`, as they are read when they are replaced.
fn references(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('$')?;
            rest = after;
            if let Some(next) = after.strip_prefix('$') {
                rest = next;
            } else if let Some((name, next)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                rest = next;
                return Some(name);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::references;

    #[test]
    fn names_are_found_where_they_are_replaced() {
        let found = |text| references(text).collect::<Vec<_>>();
        assert_eq!(found("a$(A)b$(B)"), ["A", "B"]);
        assert_eq!(found("$$(A) $A $( $"), [""; 0]);
        assert_eq!(found("$$$(A)"), ["A"]);
    }
}
