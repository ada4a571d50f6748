//! Topics and filters as MQTT 3.1.1 section 4.7 has them.

use crate::{Limits, sys};

/// Why a topic or a filter is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// MQTT forbids it: empty, not UTF-8, a NUL, a misplaced wildcard.
    Malformed,
    /// MQTT allows it, we do not: `$`, too long, too deep.
    Unwelcome,
}

/// The name of a topic that a client may publish to.
pub(crate) fn topic<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, Bad> {
    let topic = std::str::from_utf8(bytes).map_err(|_| Bad::Malformed)?;
    if topic.is_empty() || topic.contains(['+', '#', '\0']) {
        return Err(Bad::Malformed);
    }
    if topic.starts_with('$') { Err(Bad::Unwelcome) } else { size(topic, limits).map(|()| topic) }
}

/// Checks a filter that a client subscribes to. Of the `$` filters there is only `$SYS`; shared
/// subscriptions are not offered.
pub(crate) fn filter(filter: &str, limits: &Limits) -> Result<(), Bad> {
    if filter.is_empty() || filter.contains('\0') {
        return Err(Bad::Malformed);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let whole = level == "+" || (level == "#" && levels.peek().is_none());
        if level.contains(['+', '#']) && !whole {
            return Err(Bad::Malformed);
        }
    }
    if filter.starts_with('$') && !sys::is_of(filter) { Err(Bad::Unwelcome) } else { size(filter, limits) }
}

fn size(name: &str, limits: &Limits) -> Result<(), Bad> {
    let fits = name.len() <= limits.topic_bytes && name.split('/').count() <= limits.topic_levels;
    if fits { Ok(()) } else { Err(Bad::Unwelcome) }
}

/// Whether a valid topic matches a valid filter.
pub(crate) fn matches(topic: &str, filter: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topics = topic.split('/');
    for level in filter.split('/') {
        match (level, topics.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topics.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching_follows_the_examples_of_the_standard() {
        for (topic, filter, expected) in [
            ("sport/tennis/player1", "sport/tennis/player1/#", true),
            ("sport/tennis/player1/ranking", "sport/tennis/player1/#", true),
            ("sport", "sport/#", true),
            ("sport/tennis/player1", "sport/tennis/+", true),
            ("sport/tennis/player1/ranking", "sport/tennis/+", false),
            ("sport", "sport/+", false),
            ("sport/", "sport/+", true),
            ("/finance", "+/+", true),
            ("/finance", "/+", true),
            ("/finance", "+", false),
            ("$SYS/x", "#", false),
            ("$SYS/x", "+/x", false),
            ("$SYS/x", "$SYS/#", true),
            ("é/x", "+/x", true),
            ("a", "#", true),
        ] {
            assert_eq!(matches(topic, filter), expected, "{topic} {filter}");
        }
    }

    #[test]
    fn malformed_names_are_told_from_unwelcome_ones() {
        let limits = Limits::default();
        for bad in ["", "a/#/b", "a+", "a/b#", "#/a", "a/++", "a\0"] {
            assert_eq!(filter(bad, &limits), Err(Bad::Malformed), "{bad:?}");
        }
        for good in ["#", "+", "a/+/b", "a/#", "/", "//", "é"] {
            assert_eq!(filter(good, &limits), Ok(()), "{good:?}");
        }
        assert_eq!(filter("$share/g/a", &limits), Err(Bad::Unwelcome));
        assert_eq!(filter("$SYSTEM/a", &limits), Err(Bad::Unwelcome));
        assert_eq!(filter("$SYS/#", &limits), Ok(()));
        assert_eq!(topic(b"a/+", &limits), Err(Bad::Malformed));
        assert_eq!(topic(b"a\xff", &limits), Err(Bad::Malformed));
        assert_eq!(topic(&[b'a'; 2000], &limits), Err(Bad::Unwelcome));
        assert_eq!(topic(&[b'/'; 200], &limits), Err(Bad::Unwelcome));
        assert_eq!(topic("é/x".as_bytes(), &limits), Ok("é/x"));
    }
}
