use super::*;

/// Deep, wide and endless texts: an answer, and not a long wait or the end of the process.
#[test]
fn no_text_however_hostile_does_more_than_be_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for i in 1..20 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","));
    }
    let hostile = [
        "[".repeat(1_000_000),
        "- ".repeat(500_000),
        "? ".repeat(500_000),
        "!a ".repeat(300_000),
        "a: ".repeat(300_000),
        "{\"a".repeat(300_000),
        "a: &a [*a]\n".to_owned(),
        "a: \0\n".to_owned(),
        bomb,
    ];
    for text in hostile {
        let begin: String = text.chars().take(20).collect();
        let why = parse(&text).err().unwrap_or_else(|| panic!("{begin:?} is refused"));
        assert!(!why.message.is_empty(), "{begin:?}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_column() {
    for (text, line) in [("a:\n\tb: 1\n", 2), ("a: [1, 2\nb: 3\n", 2), ("a: 1\na: 2\n", 2), ("a: b: c\n", 1)] {
        let why = parse(text).err().unwrap_or_else(|| panic!("{text:?} is refused"));
        assert_eq!(why.at.line, line, "{text:?}: {} {}", why.at, why.message);
    }
}

#[test]
fn a_cron_line_without_quotes_is_answered_with_one_that_has_them() {
    for value in ["*\\1 * * * *", "*/1 * * * *", "@daily"] {
        let why = parse(&format!("spec:\n  cron: {value}\n  x: 1\n")).err().unwrap_or_else(|| panic!("{value}"));
        assert!(why.message.contains("with quotes") && why.at.line == 2, "{value}: {} {}", why.at, why.message);
    }
}
