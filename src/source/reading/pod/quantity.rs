//! Kubernetes' quantities: `500m`, `1.5`, `64Mi`, `1e3`, `100k`.

/// Thousandths of what the text says, rounded up; the text as it is written.
///
/// # Errors
/// A sentence that says what would be right.
pub(crate) fn milli(text: &str) -> Result<u64, String> {
    let wrong = || format!("{:?} is not a quantity: write 500m, 1.5, 64Mi or 1G", super::super::tree::short(text));
    let digits = text.trim_start_matches('+');
    let end = digits
        .char_indices()
        .find(|(index, c)| {
            let exponent = matches!(c, 'e' | 'E') && digits.get(index + 1..).is_some_and(is_exponent);
            !(c.is_ascii_digit() || *c == '.' || exponent || is_in_exponent(digits, *index))
        })
        .map_or(digits.len(), |(index, _)| index);
    let (number, unit) = digits.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let scale = match unit {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        _ => return Err(wrong()),
    };
    let milli = rounded_up(number * scale * 1000.0);
    if !milli.is_finite() || milli < 0.0 || digits.starts_with('-') {
        return Err(wrong());
    }
    // Beyond what a u64 holds it is as good as no limit.
    Ok(if milli >= 9e18 { u64::MAX / 2 } else { format!("{milli:.0}").parse().unwrap_or(u64::MAX / 2) })
}

/// Up, but not from what is only off by the arithmetic: 9 × 0.001 × 1000 is a little more than 9.
fn rounded_up(number: f64) -> f64 {
    let near = number.round();
    if (number - near).abs() <= number.abs() * 4.0 * f64::EPSILON { near } else { number.ceil() }
}

/// `3` or `+3` or `-3` follows the `e`.
fn is_exponent(rest: &str) -> bool {
    let rest = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    rest.starts_with(|c: char| c.is_ascii_digit())
}

fn is_in_exponent(text: &str, index: usize) -> bool {
    let sign = matches!(text.as_bytes().get(index), Some(b'+' | b'-'));
    sign && index > 0 && matches!(text.as_bytes().get(index - 1), Some(b'e' | b'E'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("500m", 500),
            ("0.5", 500),
            ("1", 1_000),
            ("1.5", 1_500),
            ("64Mi", 64 * 1024 * 1024 * 1000),
            ("1G", 1_000_000_000_000),
            ("1e3", 1_000_000),
            ("12E2", 1_200_000),
            ("100k", 100_000_000),
            ("0.0001", 1),
            ("9m", 9),
            ("26m", 26),
            ("2.007", 2_007),
            ("2.0071", 2_008),
        ] {
            assert_eq!(milli(text), Ok(expected), "{text}");
        }
        for wrong in ["", "m", "-1", "1 Mi", "64MB", "0x10", "nan", "inf", "1e", "١"] {
            assert!(milli(wrong).is_err(), "{wrong:?}: {:?}", milli(wrong));
        }
    }
}
