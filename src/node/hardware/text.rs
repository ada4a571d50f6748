//! Text from files and firmware, made fit to be sent.

/// Bytes of one text. Paths are not cut but left out, since a cut path is a wrong one.
pub(super) const MAX_TEXT_BYTES: usize = 256;
/// Characters of a label's value in Kubernetes.
pub(super) const MAX_LABEL_CHARS: usize = 63;

/// What firmware says where its maker had nothing to say.
const PLACEHOLDERS: [&str; 14] = [
    "0",
    "0123456789",
    "123456789",
    "default string",
    "empty",
    "invalid",
    "n/a",
    "none",
    "not applicable",
    "not specified",
    "system manufacturer",
    "system product name",
    "system serial number",
    "unknown",
];

/// Bytes as text: no control characters, no blanks around it, at most [`MAX_TEXT_BYTES`]. Absent if nothing is left.
pub(super) fn clean(bytes: &[u8]) -> Option<String> {
    // The device tree ends its texts with a zero, and separates several by zeros.
    let first = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    clean_str(&String::from_utf8_lossy(first))
}

/// As [`clean`], for text.
pub(super) fn clean_str(text: &str) -> Option<String> {
    // A text has no line of its own: a line's end separates words.
    let text: String = text.chars().map(|c| if c.is_ascii_whitespace() { ' ' } else { c }).collect();
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    let text = cut(&text, MAX_TEXT_BYTES).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// At most `max` bytes of a text, cut between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// Whether a name or path can be sent as it is.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control)
}

/// A text of which the server makes a label: it takes the part from the first letter or digit to the last, drops what
/// is no letter, digit, `-`, `_` or `.`, and fails (the whole heartbeat with 500) if more than 63 characters are left. It
/// looks for the first letter in all of Unicode but keeps ASCII only, so that a label can begin with a dash: ASCII it is.
pub(super) fn labelled(text: &str) -> Option<String> {
    let mut kept = 0;
    let ascii = text.chars().filter(char::is_ascii);
    let fits = ascii.take_while(|c| {
        kept += usize::from(is_label_char(*c));
        kept <= MAX_LABEL_CHARS
    });
    clean_str(&fits.collect::<String>())
}

/// As [`labelled`], without what makers write into firmware where they have nothing to say.
pub(super) fn firmware(text: &str) -> Option<String> {
    let text = labelled(text)?;
    let lower = text.to_ascii_lowercase();
    let says_nothing = PLACEHOLDERS.contains(&lower.as_str())
        || lower.starts_with("to be filled")
        || !lower.bytes().any(|byte| byte.is_ascii_alphanumeric());
    (!says_nothing).then_some(text)
}

/// A host name that is its own label. One that is too long loses whole parts from its end, or if its first part alone is
/// too long, the end of that.
pub(super) fn hostname(text: &str) -> Option<String> {
    let name: String = text.chars().filter(|c| is_label_char(*c)).collect();
    let name = name.trim_matches(is_no_alphanumeric);
    let short = match name.get(..=MAX_LABEL_CHARS) {
        // One more than fits: a dot in the last place leaves exactly 63.
        Some(long) => long.rfind('.').map_or(&long[..MAX_LABEL_CHARS], |dot| &long[..dot]),
        None => name,
    };
    let short = short.trim_end_matches(is_no_alphanumeric);
    (!short.is_empty()).then(|| short.to_owned())
}

fn is_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_no_alphanumeric(c: char) -> bool {
    !c.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the server does to a text before it is a label.
    fn label(text: &str) -> Option<String> {
        let lower = text.to_lowercase();
        let legal = |c: char| c.is_lowercase() || c.is_numeric();
        let (first, last) = (lower.find(legal)?, lower.rfind(legal)?);
        let end = last + lower[last..].chars().next().map_or(0, char::len_utf8);
        Some(
            lower[first..end]
                .chars()
                .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(*c))
                .collect(),
        )
    }

    fn is_label(text: &str) -> bool {
        let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
        text.len() <= 63 && text.chars().all(is_label_char) && ends(text.chars().next()) && ends(text.chars().last())
    }

    #[test]
    fn a_long_host_name_is_cut_where_a_valid_label_is_left() {
        let long = "a".repeat(70);
        assert_eq!(hostname(&long), Some("a".repeat(63)));
        assert_eq!(hostname(&format!("{}-tail", "a".repeat(62))), Some("a".repeat(62)));
        assert_eq!(hostname(&format!("gate-7.{}.example", "b".repeat(60))), Some("gate-7".into()));
        assert_eq!(hostname(&format!("{}.example", "c".repeat(63))), Some("c".repeat(63)));
        assert_eq!(hostname("lab-host.example\n"), Some("lab-host.example".into()));
        assert_eq!(hostname("-.-"), None);
    }

    #[test]
    fn placeholders_of_firmware_are_no_serial_numbers() {
        for nothing in ["To Be Filled By O.E.M.", "Default string", " None ", "....", ""] {
            assert_eq!(firmware(nothing), None, "{nothing:?}");
        }
        assert_eq!(firmware("SN-0001"), Some("SN-0001".into()));
    }

    proptest! {
        #[test]
        fn whatever_a_host_is_called_its_name_is_a_label(text in "\\PC{0,200}") {
            prop_assert!(hostname(&text).is_none_or(|name| is_label(&name)));
        }

        #[test]
        fn the_label_the_server_makes_of_a_text_is_valid(text in prop_oneof!["\\PC{0,200}", "[-._A-Za-z0-9 éÄ(@]{0,200}"]) {
            for made in [labelled(&text), firmware(&text)].into_iter().flatten() {
                prop_assert!(label(&made).is_none_or(|label| is_label(&label)), "{made:?}");
            }
        }

        #[test]
        fn clean_text_has_no_control_characters_and_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(text) = clean(&bytes) {
                prop_assert!(text.len() <= MAX_TEXT_BYTES && !text.chars().any(char::is_control));
            }
        }
    }
}
