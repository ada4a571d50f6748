//! Lines of chance, and a second reader of them that shares no code with the first.

/// Numbers that a seed repeats.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// The bounds of the five fields as crontab(5) has them.
const BOUNDS: [(i64, i64); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A star alone is likely, and so are few values.
pub fn field(dice: &mut Dice, of: usize, stars_in_lists: bool) -> String {
    if dice.one_in(3) {
        return "*".into();
    }
    let (least, greatest) = BOUNDS[of];
    if dice.one_in(5) {
        return format!("*/{}", 1 + dice.below(greatest.unsigned_abs()));
    }
    let mut items = Vec::new();
    for _ in 0..=dice.below(3) {
        let span = u64::try_from(greatest - least + 1).unwrap();
        let (a, b) = (least + dice.below(span) as i64, least + dice.below(span) as i64);
        let (a, b) = (a.min(b), a.max(b));
        let name = |value: i64, named: bool| match (of, named) {
            (3, true) => MONTHS[usize::try_from(value - 1).unwrap()].to_uppercase(),
            (4, true) if value < 7 => DAYS[usize::try_from(value).unwrap()].to_owned(),
            _ => value.to_string(),
        };
        // Not `0-sun`: 0 to Debian's cron, all days to croner.
        let (first, second) = (name(a, dice.one_in(2)), name(b, b > 0 && dice.one_in(2)));
        items.push(match dice.below(4) {
            0 if stars_in_lists => "*/7".to_owned(),
            1 => format!("{first}-{second}"),
            2 => format!("{first}-{second}/{}", 1 + dice.below(9)),
            _ => first,
        });
    }
    items.join(",")
}

/// Any line; it may name a date that never comes.
pub fn line(dice: &mut Dice) -> String {
    let stars = dice.one_in(4);
    (0..5).map(|of| field(dice, of, stars)).collect::<Vec<_>>().join(" ")
}

/// From, to, step of each item of each field.
pub struct Matcher {
    fields: Vec<Vec<(i64, i64, i64)>>,
    either: bool,
    pub fixed: bool,
}

impl Matcher {
    pub fn of(line: &str) -> Matcher {
        let texts: Vec<&str> = line.split(' ').collect();
        let star = |index: usize| texts[index].contains('*');
        let fields = texts.iter().enumerate().map(|(of, text)| text.split(',').map(|item| read(of, item)).collect());
        Matcher { fields: fields.collect(), either: !star(2) && !star(4), fixed: !star(0) && !star(1) }
    }

    fn field(&self, of: usize, value: i64) -> bool {
        self.fields[of].iter().any(|(from, to, step)| value >= *from && value <= *to && (value - from) % step == 0)
    }

    pub fn day(&self, at: &Minute) -> bool {
        let date = self.field(2, at.day);
        let weekday = self.field(4, at.weekday) || at.weekday == 0 && self.field(4, 7);
        self.field(3, at.month) && if self.either { date || weekday } else { date && weekday }
    }

    pub fn matches(&self, at: &Minute) -> bool {
        self.field(0, at.minute) && self.field(1, at.hour) && self.day(at)
    }

    /// Minute by minute, but past days that do not match; a leap day that is a certain weekday comes within 40 years.
    pub fn first_after(&self, after: i64) -> Option<i64> {
        let mut minute = after + 1;
        while minute < after + 45 * 525_960 {
            let shown = Minute::of(minute);
            if self.matches(&shown) {
                return Some(minute);
            }
            minute = if self.day(&shown) { minute + 1 } else { (minute.div_euclid(1_440) + 1) * 1_440 };
        }
        None
    }
}

fn read(of: usize, item: &str) -> (i64, i64, i64) {
    let (range, step) = item.split_once('/').unwrap_or((item, "1"));
    let value = |text: &str| -> i64 {
        let text = text.to_lowercase();
        let month = MONTHS.iter().position(|name| *name == text).map(|at| at as i64 + 1);
        let day = DAYS.iter().position(|name| *name == text).map(|at| at as i64);
        month.or(day).unwrap_or_else(|| text.parse().unwrap())
    };
    let (from, to) = match (range, range.split_once('-')) {
        ("*", _) => BOUNDS[of],
        (_, Some((from, to))) => (value(from), value(to)),
        (only, None) => (value(only), value(only)),
    };
    (from, to, step.parse().unwrap())
}

/// A minute of a clock on the wall.
pub struct Minute {
    pub minute: i64,
    pub hour: i64,
    pub day: i64,
    pub month: i64,
    pub weekday: i64,
}

impl Minute {
    /// From minutes since 1970 of that clock; the date by Howard Hinnant's algorithm, not by a library.
    pub fn of(local: i64) -> Minute {
        let days = local.div_euclid(1_440);
        let of_day = local.rem_euclid(1_440);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let _ = era;
        Minute {
            minute: of_day % 60,
            hour: of_day / 60,
            day: of_year - (153 * month + 2) / 5 + 1,
            month: if month < 10 { month + 3 } else { month - 9 },
            weekday: (days + 4).rem_euclid(7),
        }
    }
}
