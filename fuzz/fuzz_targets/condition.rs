//! The condition language: any text.
#![no_main]

use flotta_agent::condition::{MAX_ATOMS, MAX_BYTES, MAX_NAME, compile};
use flotta_fuzz::is_sentence;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let program = match compile(text) {
        Ok(program) => program,
        Err(why) => {
            is_sentence(&why.message);
            assert!((1..=text.chars().count() + 1).contains(&why.column), "column {} of {text:?}", why.column);
            return;
        }
    };
    assert!(text.len() <= MAX_BYTES);
    assert!(program.metrics().len() <= MAX_ATOMS);
    assert!(program.metrics().iter().all(|name| (1..=MAX_NAME).contains(&name.len())));
    let shown = program.to_string();
    // What is shown may be longer than what was written (1e300), and then too long to be read.
    let again = match compile(&shown) {
        Ok(again) => again,
        Err(why) => {
            assert!(shown.len() > MAX_BYTES, "{text:?} is shown as {shown:?}: {why}");
            return;
        }
    };
    assert_eq!(again.to_string(), shown, "of {text:?}");
    assert_eq!(again.metrics(), program.metrics(), "of {text:?}");
    let all = [None, Some(0.0), Some(-1.0), Some(50.0), Some(f64::MAX)];
    for shift in 0..all.len() {
        let value = |at: usize| all.get((at + shift) % all.len()).copied().flatten();
        assert_eq!(program.eval(value), again.eval(value), "{text:?} and {shown:?}");
    }
});
