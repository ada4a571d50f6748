//! `metric set NAME VALUE`.

use std::io::Write;

use serde_json::{Value, json};

use super::Trouble;
use super::client::Agent;
use super::text::line;

/// Sends one value and says what was set.
pub(super) async fn set(agent: &Agent, name: &str, value: &str, out: &mut dyn Write) -> Result<(), Trouble> {
    let Some(reading) = read(value) else {
        return Err(Trouble::Wrong(format!(
            "{value:?} is not a value: write a number like 20, 20.5 or 20%, or true or false; nil clears"
        )));
    };
    let (mut body, said) = match reading {
        Reading::Clear => (json!({ "value": Value::Null }), format!("{name} is cleared")),
        Reading::Number(number, "") => (json!({ "value": number }), format!("{name} = {number}")),
        Reading::Number(number, unit) => {
            (json!({ "value": number, "unit": unit }), format!("{name} = {number} {unit}"))
        }
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("name".into(), name.into());
    }
    agent.post("/metrics", &body).await?;
    Ok(writeln!(out, "{}", line(&said))?)
}

#[derive(Debug, PartialEq)]
enum Reading<'a> {
    Clear,
    Number(f64, &'a str),
}

/// `-?digits[.digits][e±digits]`, then, with or without a blank, a unit, which the agent judges.
fn read(text: &str) -> Option<Reading<'_>> {
    let text = text.trim();
    match text {
        "" | "nil" | "null" => return Some(Reading::Clear),
        "true" | "on" => return Some(Reading::Number(1.0, "")),
        "false" | "off" => return Some(Reading::Number(0.0, "")),
        _ => {}
    }
    let digits = |from: usize| text.bytes().skip(from).take_while(u8::is_ascii_digit).count();
    let sign = usize::from(text.starts_with('-'));
    let mut end = sign + digits(sign);
    if end == sign {
        return None;
    }
    let at = |index: usize| text.as_bytes().get(index).copied();
    if at(end) == Some(b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + signed);
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    let number: f64 = text.get(..end)?.parse().ok()?;
    let unit = text.get(end..)?.trim_start();
    number.is_finite().then_some(Reading::Number(number, unit))
}

#[cfg(test)]
mod tests {
    use super::{Reading, read};

    #[test]
    fn values_are_read_as_people_write_them() {
        let number = |number, unit| Some(Reading::Number(number, unit));
        assert_eq!(read("20"), number(20.0, ""));
        assert_eq!(read("-20.5 %"), number(-20.5, "%"));
        assert_eq!(read("2.5Gi"), number(2.5, "Gi"));
        assert_eq!(read("1e3"), number(1000.0, ""));
        assert_eq!(read("2eggs"), number(2.0, "eggs"));
        assert_eq!(read("20°C"), number(20.0, "°C"));
        assert_eq!((read("on"), read("false")), (number(1.0, ""), number(0.0, "")));
        assert_eq!(
            (read("nil"), read("null"), read("  ")),
            (Some(Reading::Clear), Some(Reading::Clear), Some(Reading::Clear))
        );
        for wrong in ["high", ".5", "5.", "+5", "-", "--5", "NaN", "inf", "1e999", "%", "ä"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
