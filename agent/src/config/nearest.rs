//! Suggestions for mistyped words.

/// The candidate that is most like `word`, if any is close enough to be worth a suggestion: one edit for
/// short words, a quarter of the length for long ones.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = (length / 4).clamp(1, 6);
    candidates
        .into_iter()
        // Each character more or less is an edit: most candidates need no further look.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance with neighbouring swaps counted as one edit, over characters.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(128).collect();
    let right: Vec<char> = right.chars().take(128).collect();
    let mut before_previous: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let replaced = previous[column] + usize::from(a != b);
            let mut best = replaced.min(previous[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *a == right[column - 1] && left[row - 1] == *b {
                best = best.min(before_previous[column - 1] + 1);
            }
            current.push(best);
        }
        before_previous = previous;
        previous = current;
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        let cases =
            [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("abc", "abd", 1), ("abc", "acb", 1), ("kitten", "sitting", 3)];
        for (left, right, edits) in cases {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn suggests_only_what_is_close() {
        let words = ["agent.port", "agent.id", "pipeops.token"];
        assert_eq!(nearest("agent.prot", words), Some("agent.port"));
        assert_eq!(nearest("pipeops.tokn", words), Some("pipeops.token"));
        assert_eq!(nearest("something.else", words), None);
        assert_eq!(nearest("x", words), None);
    }
}
