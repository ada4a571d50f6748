//! One field of a crontab(5) line: a list of values, ranges and steps, or a star.

/// The names of months, from 1 on.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// The names of weekdays, from 0 on.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Which of the five fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

impl Field {
    pub const ALL: [Field; 5] = [Field::Minute, Field::Hour, Field::DayOfMonth, Field::Month, Field::DayOfWeek];

    pub fn name(self) -> &'static str {
        match self {
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day of month",
            Field::Month => "month",
            Field::DayOfWeek => "day of week",
        }
    }

    /// The least and the greatest number that may be written.
    fn bounds(self) -> (u32, u32) {
        match self {
            Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            // 7 is Sunday, as 0 is.
            Field::DayOfWeek => (0, 7),
        }
    }

    /// Its names, and the number of the first of them.
    fn names(self) -> (&'static [&'static str], u32) {
        match self {
            Field::Month => (&MONTHS, 1),
            Field::DayOfWeek => (&DAYS, 0),
            Field::Minute | Field::Hour | Field::DayOfMonth => (&[], 0),
        }
    }

    /// What may stand there, for sentences.
    fn right(self) -> &'static str {
        match self {
            Field::Minute => "0 to 59",
            Field::Hour => "0 to 23",
            Field::DayOfMonth => "1 to 31",
            Field::Month => "1 to 12 or jan to dec",
            Field::DayOfWeek => "0 to 7 (0 and 7 are Sunday) or sun to sat",
        }
    }
}

/// The values that a field allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    bits: u64,
    /// A star stands in it, alone or with a step: crontab(5) asks for nothing else to tell "any" from "restricted".
    pub star: bool,
}

impl Set {
    pub fn contains(self, value: u32) -> bool {
        value < 64 && self.bits & (1 << value) != 0
    }

    pub fn values(self) -> impl DoubleEndedIterator<Item = u32> {
        (0..64).filter(move |value| self.contains(*value))
    }

    /// Every value of that field.
    pub fn is_full(self, of: Field) -> bool {
        let (from, to) = of.bounds();
        let to = if of == Field::DayOfWeek { 6 } else { to };
        (from..=to).all(|value| self.contains(value))
    }

    fn add(&mut self, of: Field, from: u32, to: u32, step: u32) {
        for value in (from..=to).step_by(step.max(1) as usize) {
            let value = if of == Field::DayOfWeek { value % 7 } else { value };
            self.bits |= 1 << value;
        }
    }
}

/// What is wrong, and where in the field: a count of characters from its first one on, 0 for itself.
pub(super) type Wrong = (usize, String);

/// Reads one field.
pub(super) fn read(of: Field, text: &str) -> Result<Set, Wrong> {
    let mut set = Set { bits: 0, star: false };
    let mut at = 0;
    for item in text.split(',') {
        read_item(of, item, &mut set).map_err(|(inner, why)| (at + inner, why))?;
        at += item.chars().count() + 1;
    }
    Ok(set)
}

fn read_item(of: Field, item: &str, set: &mut Set) -> Result<(), Wrong> {
    let (least, greatest) = of.bounds();
    if item.is_empty() {
        return Err((0, format!("a value is missing; write {}, or *", of.right())));
    }
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => {
            let at = range.chars().count() + 1;
            (range, Some(read_step(of, range, step).map_err(|why| (at, why))?))
        }
        None => (item, None),
    };
    if range == "*" {
        set.star = true;
        set.add(of, least, greatest, step.unwrap_or(1));
        return Ok(());
    }
    if let Some((from, to)) = range.split_once('-') {
        let second = from.chars().count() + 1;
        let (first, last) = (value(of, from)?, value(of, to).map_err(|(at, why)| (second + at, why))?);
        if first > last {
            return Err((0, backwards(of, from, to, first, last)));
        }
        set.add(of, first, last, step.unwrap_or(1));
        return Ok(());
    }
    let only = value(of, range)?;
    if let Some(step) = step {
        let at = range.chars().count();
        return Err((at, format!("a step needs a range to go through; write {range}-{greatest}/{step}")));
    }
    set.add(of, only, only, 1);
    Ok(())
}

fn read_step(of: Field, range: &str, written: &str) -> Result<u32, String> {
    let number = Some(written).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|text| text.parse::<u32>().ok()) {
        Some(0) => Err(format!("a step of 0 goes nowhere; write {range}/1, or without a step {range}")),
        Some(step) => Ok(step),
        None => {
            let example = if of == Field::Month { 3 } else { 5 };
            Err(format!("{} is no step; write a number, as in */{example}", quoted(written)))
        }
    }
}

fn value(of: Field, written: &str) -> Result<u32, Wrong> {
    let (least, greatest) = of.bounds();
    let (names, first) = of.names();
    if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds is as wrong as one too large.
        return match written.parse::<u32>().ok().filter(|number| (least..=greatest).contains(number)) {
            Some(number) => Ok(number),
            None => Err((0, format!("{} is out of range; write {}", quoted(written), of.right()))),
        };
    }
    if let Some(at) = names.iter().position(|name| written.eq_ignore_ascii_case(name)) {
        return Ok(u32::try_from(at).unwrap_or(0) + first);
    }
    Err((0, unknown(of, written)))
}

fn unknown(of: Field, written: &str) -> String {
    let upper = written.to_ascii_uppercase();
    if written.is_empty() {
        return format!("a value is missing; write {}", of.right());
    }
    if written.contains('?') {
        return "? is of another cron; write * for any".into();
    }
    if written.contains('#') {
        return "# (the nth weekday of a month) is of another cron; a week of the month can be said by its days: \
                0 0 1-7 * * runs on the first seven"
            .into();
    }
    if matches!(of, Field::DayOfMonth | Field::DayOfWeek) && (upper.ends_with('L') || upper == "LW") {
        return "L (the last) is of another cron; the first day of the month can be said: 0 0 1 * *".into();
    }
    if of == Field::DayOfMonth && upper.ends_with('W') {
        return "W (the nearest working day) is of another cron; working days can be said: * * 1-5 in the last fields"
            .into();
    }
    if written.contains('~') {
        return "~ (a time drawn by chance) is of another cron; write one number".into();
    }
    if written.contains('*') {
        return format!("* stands alone or with a step, as in */5; {} is neither", quoted(written));
    }
    let (names, first) = of.names();
    let meant = names.iter().position(|name| {
        written.len() > 3
            && written.is_char_boundary(3)
            && written[..3].eq_ignore_ascii_case(name)
            && written.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    match meant {
        Some(at) => {
            let number = u32::try_from(at).unwrap_or(0) + first;
            format!("{} is not known; write {} or {number}", quoted(written), names[at])
        }
        None => format!("{} is not known; write {}", quoted(written), of.right()),
    }
}

fn backwards(of: Field, from: &str, to: &str, first: u32, last: u32) -> String {
    let (least, greatest) = of.bounds();
    let greatest = if of == Field::DayOfWeek { 6 } else { greatest };
    let right = match (of, last) {
        (Field::DayOfWeek, 0) if first == 6 => "6,0".to_owned(),
        (Field::DayOfWeek, 0) => format!("{first}-7"),
        _ => {
            let part = |a: u32, b: u32| if a == b { a.to_string() } else { format!("{a}-{b}") };
            format!("{},{}", part(first, greatest), part(least, last))
        }
    };
    format!("{from}-{to} goes backwards; write {right}")
}

/// At most 20 characters of it, so that a sentence stays one.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(20).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}
