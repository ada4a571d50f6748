//! Anything may come; what it does not touch stays as it was.

use flotta_agent::source::flotta::desired::{StoredConfiguration, same_content};
use flotta_agent::source::flotta::wire::configuration::Configuration;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::said::{FULL, after, captured, outcome, settings};

/// Every value and list and object of it, by pointer.
fn places(value: &Json, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let children: Vec<(String, &Json)> = match value {
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Json::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in children {
        places(value, &format!("{at}/{key}"), found);
    }
}

fn nested(depth: usize) -> Json {
    (0..depth).fold(json!(1), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "cpu": inner }) })
}

fn anything() -> impl Strategy<Value = Option<Json>> {
    prop_oneof![
        3 => Just(None),
        2 => Just(Some(Json::Null)),
        1 => Just(Some(json!([]))),
        1 => Just(Some(json!({}))),
        1 => any::<bool>().prop_map(|yes| Some(json!(yes))),
        2 => any::<i64>().prop_map(|number| Some(json!(number))),
        1 => any::<f64>().prop_map(|number| Some(json!(number))),
        3 => "\\PC{0,40}".prop_map(|text| Some(json!(text))),
        2 => "[a-z:{}\\[\\]\\n\\t &*\"'|>-]{0,60}".prop_map(|text| Some(json!(text))),
        // As deep as a JSON reader lets through.
        1 => (1..120_usize).prop_map(|depth| Some(nested(depth))),
        1 => (1..120_usize).prop_map(|depth| Some(json!(format!("{}{}", "[".repeat(depth), "]".repeat(depth))))),
        1 => Just(Some(json!("x".repeat((1 << 20) + 1)))),
        1 => (1..3_000_usize).prop_map(|count| Some(Json::Array(vec![json!({ "name": "a" }); count]))),
    ]
}

/// Puts a value there, or takes away what is there.
fn mutate(content: &mut Json, pointer: &str, value: Option<Json>) {
    let Some((parent, key)) = pointer.rsplit_once('/') else {
        *content = value.unwrap_or_default();
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    // An earlier mutation may have taken it away.
    match (content.pointer_mut(parent), value) {
        (Some(Json::Object(fields)), Some(value)) => drop(fields.insert(key, value)),
        (Some(Json::Object(fields)), None) => drop(fields.remove(&key)),
        (Some(Json::Array(items)), value) => match (key.parse::<usize>(), value) {
            (Ok(index), Some(value)) if index < items.len() => items[index] = value,
            (Ok(index), None) if index < items.len() => drop(items.remove(index)),
            _ => {}
        },
        _ => {}
    }
}

/// Which workloads a change at this place may concern; `None`: all.
fn concerned(pointer: &str) -> Option<&'static [&'static str]> {
    let mut parts = pointer.split('/').skip(1);
    match (parts.next(), parts.next()) {
        (Some("workloads"), Some("0")) | (Some("secrets"), _) => Some(&["wl-pod"]),
        (Some("workloads"), Some("1")) => Some(&["wl-k8s"]),
        (Some("workloads"), Some("2")) => Some(&["wl-cron"]),
        (Some("workloads"), _) | (None, _) => None,
        _ => Some(&[]),
    }
}

fn all_places() -> Vec<String> {
    let mut found = Vec::new();
    places(&captured(FULL), "", &mut found);
    found
}

proptest! {

    #[test]
    fn whatever_is_wrong_in_one_place_the_other_workloads_are_as_they_were(
        pointer in prop::sample::select(all_places()),
        value in anything(),
    ) {
        let whole = captured(FULL);
        let good = outcome(&whole);
        let mut content = whole.clone();
        mutate(&mut content, &pointer, value);
        let Ok(configuration) = Configuration::read(&content) else {
            prop_assert!(pointer.is_empty(), "{pointer} is not all of it");
            return Ok(());
        };
        let alone = outcome(&content);
        let with_before = after(&good, &content);
        if let Some(concerned) = concerned(&pointer) {
            for (id, before) in good.desired.workloads.iter().filter(|(id, _)| !concerned.contains(&id.name())) {
                prop_assert_eq!(alone.desired.workloads.get(id), Some(before), "{} at {}", id, pointer);
                prop_assert_eq!(with_before.desired.workloads.get(id), Some(before), "{} at {}", id, pointer);
            }
        }
        // What is stored is what it was, and comes back the same.
        let stored = StoredConfiguration::of(&with_before);
        prop_assert!(same_content(&stored.configuration().expect("one"), &configuration));
        let again = stored.outcome(&settings()).expect("one");
        prop_assert_eq!(&again.desired.workloads, &with_before.desired.workloads);
        prop_assert_eq!(&again.desired.profiles, &with_before.desired.profiles);
    }

    #[test]
    fn many_wrong_things_at_once_do_no_more_than_be_wrong(
        changes in prop::collection::vec((prop::sample::select(all_places()), anything()), 1..12),
    ) {
        let mut content = captured(FULL);
        let good = outcome(&content);
        for (pointer, value) in changes {
            mutate(&mut content, &pointer, value);
        }
        if Configuration::read(&content).is_ok() {
            let now = after(&good, &content);
            let again = after(&now, &content);
            prop_assert_eq!(&now.desired, &again.desired);
        }
    }
}
