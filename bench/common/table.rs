//! Tables as docs/benchmarks.md has them, a row as soon as it is known; medians.

/// A table whose first rows are printed.
pub struct Table(Vec<usize>);

impl Table {
    pub fn new(heads: &[(&str, usize)]) -> Table {
        let table = Table(heads.iter().map(|(head, width)| head.len().max(*width)).collect());
        table.row(&heads.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>());
        println!("|{}", table.0.iter().map(|width| format!("{}|", "-".repeat(width + 2))).collect::<String>());
        table
    }

    pub fn row(&self, cells: &[String]) {
        let cells = cells.iter().zip(&self.0).map(|(cell, width)| format!(" {cell:<width$} |"));
        println!("|{}", cells.collect::<String>());
    }
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// `1 234 000`: three figures count.
pub fn rate(value: f64) -> String {
    if value.is_nan() {
        return "-".into();
    }
    let step = 10f64.powf((value.max(1.0).log10().floor() - 2.0).max(0.0));
    grouped(((value / step).round() * step) as u64)
}

pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

pub fn ratio(value: f64) -> String {
    if value.is_nan() { "-".into() } else { format!("{value:.2}") }
}

/// What is missing, in all rounds.
pub fn lost(sent: u64, got: u64) -> String {
    match sent.saturating_sub(got) {
        0 => "0".into(),
        lost => format!("{} ({:.2} %)", grouped(lost), lost as f64 / sent as f64 * 100.0),
    }
}
