//! Which devices a workload is for: `deviceSelector` or `device` (SPEC "Which EdgeDevice is ours").

use std::collections::BTreeMap;

use crate::source::reading::fields::{Fields, Report, text};

/// All of it must hold; nothing said: every device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// `spec.device`: the device's id.
    pub device: Option<String>,
    /// Labels and their values.
    pub match_labels: BTreeMap<String, String>,
    /// Expressions over labels.
    pub match_expressions: Vec<Requirement>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
}

/// The operators of `matchExpressions`; as in Kubernetes, `NotIn` and `DoesNotExist` hold for a label that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// One of these values.
    In(Vec<String>),
    /// None of these values.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether a device with these labels (the implicit `device` among them) is meant.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.device.as_ref().is_none_or(|id| labels.get("device") == Some(id))
            && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }

    /// Reads what stands under `deviceSelector`, apart from a misplaced `profiles`.
    pub(super) fn read(&mut self, report: &mut Report, mut fields: Fields<'_>) {
        self.match_labels = fields.texts(report, "matchLabels");
        let path = fields.name("matchExpressions");
        for (index, node) in fields.list(report, "matchExpressions").unwrap_or_default().iter().enumerate() {
            let path = format!("{path}[{index}]");
            let Some(mut fields) = Fields::of(report, &path, node) else { continue };
            let key = fields.text(report, "key");
            let operator = fields.text(report, "operator");
            let values_path = fields.name("values");
            let values: Vec<String> = fields
                .list(report, "values")
                .unwrap_or_default()
                .iter()
                .enumerate()
                .filter_map(|(i, value)| text(report, &format!("{values_path}[{i}]"), value))
                .collect();
            let operator = match operator.as_deref() {
                Some("In" | "NotIn") if values.is_empty() => {
                    report.error(node.at, format!("{path}.values: In and NotIn need a list of at least one value"));
                    None
                }
                Some("In") => Some(Operator::In(values)),
                Some("NotIn") => Some(Operator::NotIn(values)),
                Some("Exists") => Some(Operator::Exists),
                Some("DoesNotExist") => Some(Operator::DoesNotExist),
                _ => {
                    report.error(node.at, format!("{path}.operator: must be In, NotIn, Exists or DoesNotExist"));
                    None
                }
            };
            match (key, operator) {
                (Some(key), Some(operator)) => self.match_expressions.push(Requirement { key, operator }),
                (None, _) => report.error(node.at, format!("{path}.key: is missing: the name of a label")),
                _ => {}
            }
            fields.finish(report);
        }
        fields.finish(report);
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
