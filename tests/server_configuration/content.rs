//! When a configuration is a new one.

use flotta_agent::source::flotta::desired::same_content;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::said::{FULL, captured, outcome, read};

fn same(a: &Json, b: &Json) -> bool {
    same_content(&read(a), &read(b))
}

/// The pointers of all values that hold no others.
pub fn leaves(value: &Json, at: &str, found: &mut Vec<String>) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                leaves(value, &format!("{at}/{index}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

fn another(value: &Json) -> Json {
    match value {
        Json::Null => json!(1),
        Json::Bool(yes) => json!(!yes),
        Json::Number(number) => json!(number.as_f64().map(|number| number + 1.0)),
        Json::String(text) => json!(format!("{text} ")),
        Json::Array(_) | Json::Object(_) => json!("other"),
    }
}

#[test]
fn any_change_of_a_value_is_a_change_but_that_of_the_version() {
    let content = captured(FULL);
    let mut all = Vec::new();
    leaves(&content, "", &mut all);
    assert!(all.len() > 80, "{}", all.len());
    for pointer in all {
        let mut changed = content.clone();
        let value = changed.pointer_mut(&pointer).expect("there");
        *value = another(value);
        assert_eq!(same(&content, &changed), pointer == "/version", "{pointer}");
    }
}

#[test]
fn the_order_of_conditions_and_profiles_counts() {
    let content = captured(FULL);
    for list in [
        "/configuration/profiles",
        "/configuration/profiles/0/conditions",
        "/workloads/0/profiles",
        "/workloads/0/profiles/0/conditions",
    ] {
        let mut turned = content.clone();
        turned.pointer_mut(list).and_then(Json::as_array_mut).expect("a list").reverse();
        assert!(!same(&content, &turned), "{list}");
    }
}

#[test]
fn null_is_the_same_as_absent() {
    let mut content = captured(FULL);
    content["workloads"][1]["labels"] = Json::Null;
    content["future"] = Json::Null;
    assert!(same(&captured(FULL), &content));
}

proptest! {
    #[test]
    fn no_order_of_workloads_secrets_and_configmaps_is_a_change(
        workloads in Just((0..3).collect::<Vec<usize>>()).prop_shuffle(),
        secrets in Just((0..2).collect::<Vec<usize>>()).prop_shuffle(),
        maps in Just((0..2).collect::<Vec<usize>>()).prop_shuffle(),
        version in "[0-9]{1,5}",
    ) {
        let content = captured(FULL);
        let mut turned = content.clone();
        let shuffled = |list: &Json, order: &[usize]| -> Json { order.iter().map(|at| list[*at].clone()).collect() };
        turned["workloads"][0]["configmaps"] = shuffled(&content["workloads"][0]["configmaps"], &maps);
        let with_maps = turned["workloads"].clone();
        turned["workloads"] = shuffled(&with_maps, &workloads);
        turned["secrets"] = shuffled(&content["secrets"], &secrets);
        turned["version"] = json!(version);
        prop_assert!(same(&content, &turned));
        prop_assert_eq!(outcome(&content).desired, outcome(&turned).desired);
    }
}
