use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn holds(expression: &str, values: &[(&str, f64)]) -> bool {
    let values: BTreeMap<&str, f64> = values.iter().copied().collect();
    let program = compile(expression).unwrap_or_else(|why| panic!("{expression}: {why}"));
    program.eval(|at| values.get(program.metrics()[at].as_str()).copied())
}

fn refusal(expression: &str) -> String {
    compile(expression).expect_err(expression).to_string()
}

#[test]
fn the_old_readmes_expressions_mean_what_they_say() {
    assert!(holds("x<3% || x == nil", &[("x", 2.0)]));
    assert!(holds("x<3% || x == nil", &[]));
    assert!(!holds("x<3% || x == nil", &[("x", 3.0)]));
    assert!(holds("cpu < 5% || cpu > 40%", &[("cpu", 41.0)]));
    assert!(!holds("cpu > 23%", &[("cpu", 23.0)]));
}

#[test]
fn nil_makes_every_comparison_false_but_its_own() {
    for expression in ["x < 1", "x > 1", "x != 1", "x == 1", "x <= 1", "x >= 1", "x != nil"] {
        assert!(!holds(expression, &[]), "{expression}");
    }
    assert!(holds("x == nil", &[]));
    assert!(holds("x != nil", &[("x", 0.0)]));
}

#[test]
fn and_binds_tighter_than_or() {
    let values = [("a", 1.0), ("b", 0.0), ("c", 0.0)];
    assert!(holds("a == 1 || b == 1 && c == 1", &values));
    assert!(!holds("(a == 1 || b == 1) && c == 1", &values));
    assert!(holds("a==1 or b==1 and c==1", &values));
}

#[test]
fn numbers_have_units_exponents_and_signs() {
    assert!(holds("m == 2.5Gi", &[("m", 2.5 * 1024.0 * 1024.0 * 1024.0)]));
    assert!(holds("m == 2 kB", &[("m", 2000.0)]));
    assert!(holds("m >= -1.5e3", &[("m", -1500.0)]));
    assert!(holds("t > 30 C && t < 40 C", &[("t", 35.0)]));
    assert!(holds("t > 30 and t < 40 or t == 1", &[("t", 35.0)]));
    assert!(holds("x == 23", &[("x", 23.0)]) && holds("x == 23.0", &[("x", 23.0)]));
    assert!(refusal("x < 500m").contains("write 0.5"));
}

#[test]
fn a_wrong_expression_is_answered_with_the_column_and_what_was_expected() {
    let cases = [
        ("", "column 1: expected a metric's name"),
        ("x", "column 2: expected one of =="),
        ("x <", "column 4: expected a number or nil"),
        ("x = 3", "column 3: found \"=\"; to compare, write \"==\""),
        ("3 < x", "column 1: found the number 3; the metric stands on the left"),
        ("x < 3 > 2", "expected \"&&\", \"||\" or the end"),
        ("x < 3 &&", "column 9: expected a metric's name"),
        ("x < 3 & y > 1", "column 7: found \"&\""),
        ("x < 3 | y > 1", "column 7: found \"|\""),
        ("(x < 3", "column 1: this \"(\" is never closed"),
        ("x < 3)", "column 6: found \")\" without"),
        ("x < nil", "column 5: nil can be compared with == and !="),
        ("!x", "column 1: found \"!\""),
        ("x < y", "column 5: expected a number or nil after <, found the name \"y\""),
        ("x < 1. ", "digits must follow the point"),
        ("x < 1e999", "too large"),
        ("x < -", "a digit must follow"),
        ("x < 3 \0", "column 7: found '\\0'"),
        ("é < 3", "column 1: found 'é'"),
        ("nil == nil", "column 1: expected a metric's name"),
    ];
    for (expression, expected) in cases {
        let why = refusal(expression);
        assert!(why.contains(expected), "{expression:?}: {why}");
    }
}

#[test]
fn hostile_input_is_refused_and_never_stalls() {
    let million = 1_000_000;
    for text in ["(", "x<1&&", "1", "\0", "x", "-", "=", " ", "x==nil||("] {
        let why = refusal(&text.repeat(million / text.len()));
        assert!(why.contains("at most 4096"), "{text:?}: {why}");
    }
    assert!(refusal(&"(".repeat(4_000)).contains("more than 64 parentheses"));
    assert!(refusal(&vec!["a<1"; 300].join("||")).contains("more than 256 comparisons"));
    assert!(refusal(&format!("{}<1", "a".repeat(300))).contains("at most 256 bytes"));
    assert!(payload::read(&vec![b'1'; million]).is_err());
    assert!(payload::read(b"\xff\xfe").is_err());
    assert!(payload::read(b"1\0").is_err());
}

#[test]
fn the_deepest_allowed_nesting_is_right() {
    // Every level leaves an || and an && waiting.
    let mut expression = String::from("x == 1");
    for _ in 0..60 {
        expression = format!("a == 1 || b == 1 && ({expression})");
    }
    assert!(holds(&expression, &[("x", 1.0), ("b", 1.0)]));
    assert!(!holds(&expression, &[("x", 0.0), ("b", 1.0)]));
}

#[test]
fn payloads_are_read_as_the_spec_says() {
    let value = |text: &str| payload::read(text.as_bytes()).expect(text).value;
    for (text, expected) in [("20", 20.0), ("20.5", 20.5), ("20%", 20.0), (" 7 \n", 7.0), ("on", 1.0), ("false", 0.0)] {
        assert_eq!(value(text), Some(expected), "{text}");
    }
    assert_eq!(value(""), None);
    assert_eq!(value("null"), None);
    assert_eq!(value(r#"{"value":null}"#), None);
    for (text, ttl) in [("1e300", std::time::Duration::MAX), ("1e-300", std::time::Duration::ZERO)] {
        let read = payload::read(format!(r#"{{"value":1,"ttl_seconds":{text}}}"#).as_bytes()).unwrap();
        assert_eq!(read.ttl, Some(ttl), "{text}: not the configured one");
    }
    let full = payload::read(br#"{"value":2,"unit":"Ki","timestamp":"2026-11-21T08:00:00+01:00","ttl_seconds":60}"#);
    let full = full.expect("a payload");
    assert_eq!((full.value, full.unit.as_deref()), (Some(2048.0), Some("Ki")));
    assert_eq!(full.timestamp.map(crate::model::time::Wall::rfc3339).as_deref(), Some("2026-11-21T07:00:00.000Z"));
    assert_eq!(full.ttl, Some(std::time::Duration::from_secs(60)));
}

#[test]
fn metric_names_come_from_topic_levels() {
    assert_eq!(payload::metric_name("room/1/temp").as_deref(), Ok("room.1.temp"));
    assert_eq!(payload::metric_name("a%2Db").as_deref(), Ok("a-b"));
    for bad in ["", "1x", "a b", "a%2", "a%zz", "nil", "node/cpu", "a//b/%ff"] {
        assert!(payload::metric_name(bad).is_err() || bad == "a//b", "{bad:?}");
    }
}

/// An expression as a tree, with a naive reading of it.
#[derive(Clone, Debug)]
enum Tree {
    Compare(usize, Comparison, i32),
    Nil(usize, bool),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

const NAMES: [&str; 4] = ["a", "b_2", "c.d", "e-f"];

impl Tree {
    fn text(&self) -> String {
        match self {
            Tree::Compare(name, op, value) => format!("{} {} {value}", NAMES[*name], op.as_str()),
            Tree::Nil(name, is) => format!("{} {} nil", NAMES[*name], if *is { "==" } else { "!=" }),
            Tree::And(l, r) => format!("({}) && ({})", l.text(), r.text()),
            Tree::Or(l, r) => format!("({} || {})", l.text(), r.text()),
        }
    }

    fn naive(&self, values: &[Option<f64>; 4]) -> bool {
        match self {
            Tree::Compare(name, op, value) => values[*name].is_some_and(|held| {
                let value = f64::from(*value);
                match op {
                    Comparison::Equal => held == value,
                    Comparison::NotEqual => held != value,
                    Comparison::Below => held < value,
                    Comparison::AtMost => held <= value,
                    Comparison::Above => held > value,
                    Comparison::AtLeast => held >= value,
                }
            }),
            Tree::Nil(name, is) => values[*name].is_none() == *is,
            Tree::And(l, r) => l.naive(values) & r.naive(values),
            Tree::Or(l, r) => l.naive(values) | r.naive(values),
        }
    }
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Below,
        Comparison::AtMost,
        Comparison::Above,
        Comparison::AtLeast,
    ])
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (0usize..4, comparison(), -5..5).prop_map(|(name, op, value)| Tree::Compare(name, op, value)),
        (0usize..4, any::<bool>()).prop_map(|(name, is)| Tree::Nil(name, is)),
    ];
    leaf.prop_recursive(5, 32, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::And(Box::new(l), Box::new(r))),
            (inner.clone(), inner).prop_map(|(l, r)| Tree::Or(Box::new(l), Box::new(r))),
        ]
    })
}

fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![Just(None), (-6..6).prop_map(|v| Some(f64::from(v)))]
}

proptest! {
    #[test]
    fn it_agrees_with_a_naive_reading(tree in tree(), values in [value(), value(), value(), value()]) {
        let program = compile(&tree.text()).expect("a valid expression");
        let index = |at: usize| NAMES.iter().position(|name| *name == program.metrics()[at]).expect("a known name");
        prop_assert_eq!(program.eval(|at| values[index(at)]), tree.naive(&values));
    }

    #[test]
    fn what_it_was_understood_as_means_the_same(tree in tree(), values in [value(), value(), value(), value()]) {
        let program = compile(&tree.text()).expect("a valid expression");
        let again = compile(&program.to_string()).expect("what is shown can be read");
        let held = |p: &Program, at: usize| values[NAMES.iter().position(|n| *n == p.metrics()[at]).expect("known")];
        prop_assert_eq!(program.eval(|at| held(&program, at)), again.eval(|at| held(&again, at)));
    }

    #[test]
    fn it_agrees_with_evalexpr_where_that_can_say_the_same(
        parts in prop::collection::vec((0usize..3, comparison(), -50i32..50, any::<bool>()), 1..6),
        values in [-60i32..60, -60i32..60, -60i32..60],
    ) {
        use evalexpr::{ContextWithMutableVariables, HashMapContext, Value, eval_boolean_with_context};
        let names = ["x", "y", "z"];
        let mut text = String::new();
        for (at, (name, op, number, and)) in parts.iter().enumerate() {
            if at > 0 {
                text.push_str(if *and { " && " } else { " || " });
            }
            text.push_str(&format!("{} {} {:.1}", names[*name], op.as_str(), f64::from(*number) / 2.0));
        }
        let mut context = HashMapContext::new();
        for (name, value) in names.iter().zip(values) {
            context.set_value((*name).to_owned(), Value::Float(f64::from(value) / 2.0)).expect("a value");
        }
        let program = compile(&text).expect("a valid expression");
        let ours = program.eval(|at| {
            names.iter().position(|n| *n == program.metrics()[at]).map(|i| f64::from(values[i]) / 2.0)
        });
        prop_assert_eq!(ours, eval_boolean_with_context(&text, &context).expect("evalexpr reads it"), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = compile(&text);
        let _ = payload::read(text.as_bytes());
        let _ = payload::read_request(text.as_bytes());
        let _ = payload::metric_name(&text);
    }

    #[test]
    fn no_mix_of_its_own_words_makes_it_panic(words in prop::collection::vec(
        prop::sample::select(vec!["(", ")", "x", "nil", "and", "||", "&&", "<", "==", "3", "-", "2.5Gi", "%", "é", "m"]), 0..60)) {
        let _ = compile(&words.concat());
        let _ = compile(&words.join(" "));
    }
}
