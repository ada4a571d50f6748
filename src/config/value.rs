//! One value as it was written, and the readers that turn it into a type. Each error is one sentence that names the key,
//! what was found and what would be right.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    /// Text in the file.
    Text(String),
    /// A number in the file, as it is written there.
    Number(String),
    /// `true` or `false` in the file.
    Bool(bool),
    /// A list in the file.
    List(Vec<Raw>),
    /// A mapping in the file, where a value was wanted.
    Map,
    /// From the environment, a flag or a default: text that may stand for any type; lists are separated by commas.
    Untyped(String),
}

impl Raw {
    /// For errors: what was found.
    pub(super) fn found(&self) -> String {
        match self {
            Raw::Text(text) | Raw::Untyped(text) => format!("{:?}", shortened(text)),
            Raw::Number(text) => format!("the number {}", shortened(text)),
            Raw::Bool(truth) => format!("the boolean {truth}"),
            Raw::List(_) => "a list".into(),
            Raw::Map => "a mapping".into(),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Raw::Text(text) | Raw::Untyped(text) if text.is_empty())
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST { text.into() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// What a setter of the key table is handed.
pub(super) struct Value<'a> {
    /// The key's path, for errors.
    pub key: &'static str,
    /// As written.
    pub raw: &'a Raw,
    /// Relative paths start here.
    pub base: &'a Path,
    /// What `$XDG_RUNTIME_DIR` stands for.
    pub runtime_dir: &'a Path,
    /// What `$HOME` stands for.
    pub home: Option<&'a Path>,
}

impl Value<'_> {
    pub(super) fn wrong<T>(&self, right: &str) -> Result<T, String> {
        Err(format!("{} is {}: {right}", self.key, self.raw.found()))
    }

    /// Text; a number counts as the text it is written with.
    pub(super) fn text(&self, right: &str) -> Result<String, String> {
        match self.raw {
            Raw::Text(text) | Raw::Untyped(text) | Raw::Number(text) if !text.contains('\0') => Ok(text.clone()),
            _ => self.wrong(right),
        }
    }

    /// Text, where empty means none.
    pub(super) fn optional_text(&self, right: &str) -> Result<Option<String>, String> {
        if self.raw.is_empty() { Ok(None) } else { self.text(right).map(Some) }
    }

    pub(super) fn boolean(&self) -> Result<bool, String> {
        match self.raw {
            Raw::Bool(truth) => Ok(*truth),
            Raw::Untyped(text) if text == "true" => Ok(true),
            Raw::Untyped(text) if text == "false" => Ok(false),
            Raw::Text(text) if text == "true" || text == "false" => self.wrong("write it without quotes"),
            _ => self.wrong("write true or false"),
        }
    }

    pub(super) fn integer(&self, least: usize, most: usize) -> Result<usize, String> {
        let right = format!("write a whole number from {least} to {most}");
        match self.raw {
            Raw::Number(text) | Raw::Untyped(text) => match text.parse() {
                Ok(number) if (least..=most).contains(&number) => Ok(number),
                _ => self.wrong(&right),
            },
            _ => self.wrong(&right),
        }
    }

    /// `60s`, `1h30m`, `250ms`, or whole seconds.
    pub(super) fn duration(&self, least: Duration) -> Result<Duration, String> {
        let right = "write a duration like 30s or 5m, or whole seconds";
        let (Raw::Text(text) | Raw::Number(text) | Raw::Untyped(text)) = self.raw else { return self.wrong(right) };
        let Some(duration) = duration(text) else { return self.wrong(right) };
        if duration < least {
            return self.wrong(&format!("write at least {}s", least.as_secs()));
        }
        if duration > MAX_DURATION {
            return self.wrong("write at most 365d");
        }
        Ok(duration)
    }

    /// One of a few words; upper and lower case count as the same.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, String> {
        if let Raw::Text(text) | Raw::Untyped(text) = self.raw
            && let Some((_, meant)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text))
        {
            return Ok(*meant);
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.wrong(&format!("write one of {}", words.join(", ")))
    }

    /// A list; a single text counts as a list of one, and text from the environment is split at commas.
    pub(super) fn list(&self, right: &str) -> Result<Vec<String>, String> {
        match self.raw {
            Raw::List(items) => items
                .iter()
                .map(|item| match item {
                    Raw::Text(text) | Raw::Number(text) if !text.is_empty() => Ok(text.clone()),
                    other => Err(format!("{} holds {}: {right}", self.key, other.found())),
                })
                .collect(),
            Raw::Untyped(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(String::from).collect())
            }
            Raw::Text(text) if !text.is_empty() => Ok(vec![text.clone()]),
            _ => self.wrong(right),
        }
    }

    /// An address to listen on; `localhost` is 127.0.0.1.
    pub(super) fn listen(&self) -> Result<SocketAddr, String> {
        let right = format!("write an address and a port, like \"127.0.0.1:{}\"", self.usual_port());
        let (Raw::Text(text) | Raw::Untyped(text)) = self.raw else { return self.wrong(&right) };
        let read = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
            None => text.parse().ok(),
        };
        read.map_or_else(|| self.wrong(&right), Ok)
    }

    fn usual_port(&self) -> u16 {
        if self.key.starts_with("mqtt") { 1883 } else { 8080 }
    }

    /// A path, made absolute; `$XDG_RUNTIME_DIR` and `$HOME` may stand at its beginning.
    pub(super) fn path(&self) -> Result<PathBuf, String> {
        let right = "write a path";
        match self.raw {
            Raw::Text(text) | Raw::Untyped(text) if !text.is_empty() => self.resolve(text),
            _ => self.wrong(right),
        }
    }

    /// A path that is set.
    pub(super) fn some_path(&self) -> Result<Option<PathBuf>, String> {
        self.path().map(Some)
    }

    /// A path, where empty means none.
    pub(super) fn optional_path(&self) -> Result<Option<PathBuf>, String> {
        if self.raw.is_empty() { Ok(None) } else { self.path().map(Some) }
    }

    fn resolve(&self, text: &str) -> Result<PathBuf, String> {
        if text.contains('\0') {
            return self.wrong("a path holds no NUL");
        }
        if text == "~" || text.starts_with("~/") {
            return self.wrong("write the whole path, or begin it with $HOME");
        }
        let Some(rest) = text.strip_prefix('$') else { return Ok(self.base.join(text)) };
        let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
        let start = match name {
            "XDG_RUNTIME_DIR" => self.runtime_dir,
            "HOME" => match self.home {
                Some(home) => home,
                None => return self.wrong("HOME is not set, so write the whole path"),
            },
            _ => return self.wrong("only $XDG_RUNTIME_DIR and $HOME are known at the beginning of a path"),
        };
        Ok(if rest.is_empty() { start.to_path_buf() } else { start.join(rest) })
    }
}

/// Longer than any setting can mean; keeps sums of times far from overflow.
const MAX_DURATION: Duration = Duration::from_secs(365 * 86_400);

/// Reads `60s`, `1h30m`, `250ms`, or whole seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return text.bytes().all(|c| c.is_ascii_digit()).then(|| Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, after) = after.split_at(after.bytes().take_while(u8::is_ascii_alphabetic).count());
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::{Duration, duration};

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).map(|duration: Duration| duration.as_millis());
        assert_eq!(read("60s"), Some(60_000));
        assert_eq!(read("5m"), Some(300_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("90"), Some(90_000));
        for wrong in ["", "s", "5x", "-5s", "+5", "1.5s", "5 s", "99999999999999999999s", "ä", "18446744073709551615d"]
        {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
