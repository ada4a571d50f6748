//! Numbers with units: one reader for conditions, MQTT payloads and the `unit` of JSON.

/// A number that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Number<'a> {
    /// Finite, already scaled.
    pub value: f64,
    /// The unit as it was written; empty if there was none.
    pub unit: &'a str,
}

/// Reads a whole text as a number with, maybe, a unit: `20`, `20.5`, `23%`, `2.5Gi`, `30 C`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn read(text: &str) -> Result<Number<'_>, String> {
    let text = text.trim();
    let (number, length) = read_prefix(text, &[])?;
    match text.get(length..).unwrap_or_default().trim() {
        "" => Ok(number),
        rest => Err(format!("{:?} stands behind the number; write a number with, maybe, a unit", clip(rest))),
    }
}

/// Reads a number at the beginning of a text; also how many bytes it took. `words` are no units where a blank stands before.
pub(super) fn read_prefix<'a>(text: &'a str, words: &[&str]) -> Result<(Number<'a>, usize), String> {
    let digits_end = literal_length(text)?;
    let literal = text.get(..digits_end).unwrap_or_default();
    let value: f64 = literal.parse().map_err(|_| format!("{:?} is not a number", clip(literal)))?;
    let rest = text.get(digits_end..).unwrap_or_default();
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let after = rest.get(blank..).unwrap_or_default();
    let length: usize = after.chars().take_while(|c| is_unit_char(*c)).map(char::len_utf8).sum();
    let unit = after.get(..length).unwrap_or_default();
    let (unit, taken) =
        if unit.is_empty() || words.contains(&unit) { ("", digits_end) } else { (unit, digits_end + blank + length) };
    let value = value * scale(unit)?;
    if !value.is_finite() {
        return Err(format!("{:?} is too large: numbers go up to 1.7e308", clip(literal)));
    }
    Ok((Number { value, unit }, taken))
}

/// What a unit multiplies by; 1 for decoration.
///
/// # Errors
/// For `m`, which could mean milli or mega.
pub fn scale(unit: &str) -> Result<f64, String> {
    let bare = unit.strip_suffix(['B', 'b']).filter(|bare| !bare.is_empty()).unwrap_or(unit);
    Ok(match bare {
        "m" if unit == "m" => return Err("the unit \"m\" could mean milli or mega; for 500m write 0.5".into()),
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    })
}

/// `-?digits[.digits][e±digits]`; the exponent only where digits follow, so that `3 eggs` and `3e` have a unit.
fn literal_length(text: &str) -> Result<usize, String> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 {
        return Err(match text.chars().next() {
            Some('-') => "a digit must follow \"-\"".into(),
            Some(other) => format!("found {other:?} where a number begins with a digit or \"-\""),
            None => "a number is missing".into(),
        });
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return Err("digits must follow the point".into());
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    Ok(at)
}

fn is_unit_char(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '%' | '°' | '/' | '²' | '³' | 'µ')
}

fn clip(text: &str) -> String {
    text.chars().take(32).collect()
}
