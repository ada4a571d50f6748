//! A container's environment.

use super::super::fields::{Fields, Report, as_written};
use super::super::tree::{At, Node, short};
use super::of_pod;
use crate::model::pod::{Container, EnvFrom, EnvValue, EnvVar, KeyRef, Referred};

pub(super) fn read(report: &mut Report, fields: &mut Fields<'_>, container: &mut Container) {
    let path = fields.name("envFrom");
    for (index, node) in fields.list(report, "envFrom").unwrap_or_default().iter().enumerate() {
        container.env_from.extend(env_from(report, &format!("{path}[{index}]"), node));
    }
    let path = fields.name("env");
    for (index, node) in fields.list(report, "env").unwrap_or_default().iter().enumerate() {
        container.env.extend(variable(report, &format!("{path}[{index}]"), node));
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn variable(report: &mut Report, path: &str, node: &Node) -> Option<EnvVar> {
    let mut fields = Fields::of(report, path, node)?;
    let name = fields.text(report, "name").unwrap_or_default();
    if !is_name(&name) {
        report.error(node.at, format!("{path}.name: {:?} cannot be the name of a variable", short(&name)));
    }
    let literal = fields.take("value").map(|node| as_written(report, &format!("{path}.value"), node));
    let from = fields.map(report, "valueFrom").map(|mut from| {
        let value = value_from(report, &mut from, node.at);
        from.finish(report);
        value
    });
    fields.finish(report);
    let value = match (literal, from) {
        (Some(_), Some(_)) => {
            report.error(node.at, format!("{path}: value and valueFrom are both there: keep one"));
            None
        }
        (Some(literal), None) => literal.map(EnvValue::Literal),
        (None, Some(from)) => from,
        (None, None) => Some(EnvValue::Literal(String::new())),
    };
    Some(EnvVar { name, value: value? })
}

fn value_from(report: &mut Report, from: &mut Fields<'_>, at: At) -> Option<EnvValue> {
    let errors = report.errors.len();
    let mut found = None;
    for (field, of) in [("configMapKeyRef", Referred::ConfigMap), ("secretKeyRef", Referred::Secret)] {
        let Some(mut key) = from.map(report, field) else { continue };
        let (name, path) = (key.text(report, "name"), key.path.clone());
        let (of_key, optional) = (key.text(report, "key"), key.boolean(report, "optional").unwrap_or(false));
        key.finish(report);
        match (name, of_key) {
            (Some(name), Some(key)) => found = Some(EnvValue::Key(KeyRef { of, name, key, optional })),
            _ => report.error(at, format!("{path}: name and key are needed: which key of which {}?", of.kind())),
        }
    }
    let of_pod = of_pod::value(report, from);
    found = found.or(of_pod);
    if found.is_none() && report.errors.len() == errors {
        report.error(
            at,
            format!("{}: is empty: write configMapKeyRef, secretKeyRef, fieldRef or resourceFieldRef", from.path),
        );
    }
    found
}

fn env_from(report: &mut Report, path: &str, node: &Node) -> Option<EnvFrom> {
    let mut fields = Fields::of(report, path, node)?;
    let prefix = fields.text(report, "prefix").unwrap_or_default();
    let mut found = None;
    for (field, of) in [("configMapRef", Referred::ConfigMap), ("secretRef", Referred::Secret)] {
        let Some(mut from) = fields.map(report, field) else { continue };
        let (name, optional) = (from.text(report, "name"), from.boolean(report, "optional").unwrap_or(false));
        from.finish(report);
        match name {
            Some(name) => found = Some(EnvFrom { of, name, prefix: prefix.clone(), optional }),
            None => report.error(node.at, format!("{path}.{field}.name: is missing: which {}?", of.kind())),
        }
    }
    fields.finish(report);
    if found.is_none() && report.errors.is_empty() {
        report.error(node.at, format!("{path}: is empty: write configMapRef or secretRef"));
    }
    found
}
