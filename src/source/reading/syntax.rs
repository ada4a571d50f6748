//! What a YAML error means for the person who wrote the file.

use serde_yaml::granit_parser::{ErrorKind, ScanError};

use super::tree::{At, SyntaxError, short};

/// The sentence for an error on a `cron:` line (SPEC "Sources of desired state", last line).
pub const QUOTE_CRON: &str = "write `cron: \"*/1 * * * *\"`, with quotes";

/// How many lines above an error may hold the `cron:` or the tab that caused it.
const LINES_BACK: usize = 2;

pub(super) fn explain(text: &str, error: &ScanError) -> SyntaxError {
    let at = At { line: error.marker().line().max(1), column: error.marker().col().saturating_add(1) };
    let near = |back: usize| {
        let line = at.line.checked_sub(back).filter(|line| *line > 0)?;
        Some((line, text.lines().nth(line.saturating_sub(1))?))
    };
    for (line, written) in (0..=LINES_BACK).filter_map(near) {
        if let Some((column, value)) = unquoted_cron(written) {
            return SyntaxError {
                at: At { line, column },
                message: format!("cron {:?} must stand in quotes in YAML: {QUOTE_CRON}", short(value)),
            };
        }
    }
    let tab = matches!(
        error.kind(),
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
    );
    for (line, written) in (0..=LINES_BACK).filter_map(near) {
        if let Some(before) = written.find('\t').filter(|tab| written[..*tab].trim().is_empty()) {
            return tab_at(At { line, column: written[..before].chars().count().saturating_add(1) });
        }
    }
    if tab {
        return tab_at(at);
    }
    let next = at.line.saturating_add(1);
    if error.info().contains("tab") && text.lines().nth(at.line).is_some_and(|line| line.starts_with('\t')) {
        return tab_at(At { line: next, column: 1 });
    }
    SyntaxError { at, message: sentence(error) }
}

fn tab_at(at: At) -> SyntaxError {
    SyntaxError {
        at,
        message: "a tab in the indentation: YAML takes only spaces there; replace the tab by spaces".into(),
    }
}

/// The column and text of a cron line's value that begins with what YAML keeps for itself.
fn unquoted_cron(line: &str) -> Option<(usize, &str)> {
    let key = line.find("cron:")?;
    let before = line[..key].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '#') {
        return None;
    }
    let value = line[key..].strip_prefix("cron:")?.trim();
    let start = line.len() - line[key..].strip_prefix("cron:")?.trim_start().len();
    value.starts_with(['*', '@', '%', '`']).then(|| (line[..start].chars().count().saturating_add(1), value))
}

fn sentence(error: &ScanError) -> String {
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => {
            format!("more than {} maps and lists inside each other", super::tree::MAX_DEPTH)
        }
        ErrorKind::UnknownAnchor => {
            "a word that begins with * is an alias, and nothing has that name: put it in quotes if it is text".into()
        }
        _ => format!("not valid YAML: {}", error.info()),
    }
}
