//! "Did you mean": the known word that is nearest to an unknown one.

/// The candidate nearest to `word`, or `None` if nothing is near enough to be meant. Upper and lower case, and the
/// joints `.`, `_` and `-`, count as the same.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let most = (word.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|(away, _)| *away <= most)
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// Longer words are cut: nobody means a key by 64 letters.
const MAX: usize = 64;

fn plain(word: &str) -> Vec<char> {
    word.chars().take(MAX).map(|c| if matches!(c, '.' | '-') { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Levenshtein, where two neighbours that changed places count once.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&last, j + 1) + 1).min(at(&row, j) + 1).min(at(&last, j) + usize::from(x != y));
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_finds_its_word() {
        let words = ["http.listen", "mqtt.listen", "LOG_LEVEL", "SERVER"];
        assert_eq!(nearest("http.lisen", words), Some("http.listen"));
        assert_eq!(nearest("log_level", words), Some("LOG_LEVEL"));
        assert_eq!(nearest("HTTP_LISTEN", words), Some("http.listen"));
        assert_eq!(nearest("SEVRER", words), Some("SERVER"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("", words), None);
    }
}
