//! Changes of a text, by the ranges of its bytes.

use std::ops::Range;

/// Changes that do not overlap.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(Range<usize>, String)>);

/// Two changes of the same bytes.
#[derive(Debug, thiserror::Error)]
#[error("two changes overlap")]
pub(crate) struct Overlap;

impl Edits {
    pub(crate) fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        let edit = (range, with.into());
        // A node that several aliases name is changed once.
        if !self.0.contains(&edit) {
            self.0.push(edit);
        }
    }

    pub(crate) fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (range, with) in other.0 {
            self.replace(range, with);
        }
    }

    /// The text with these changes.
    pub(crate) fn apply(mut self, text: &str) -> Result<String, Overlap> {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let mut changed = String::new();
        let mut at = 0;
        for (range, with) in self.0 {
            changed.push_str(text.get(at..range.start).ok_or(Overlap)?);
            changed.push_str(&with);
            at = range.end;
        }
        changed.push_str(text.get(at..).ok_or(Overlap)?);
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_made_in_the_order_of_the_text() {
        let mut edits = Edits::default();
        edits.replace(4..5, "X");
        edits.insert(2, "+");
        edits.replace(0..1, "");
        edits.replace(4..5, "X");
        assert_eq!(edits.apply("abcdef").unwrap(), "b+cdXf");
    }

    #[test]
    fn overlapping_changes_are_an_error() {
        let mut edits = Edits::default();
        edits.replace(0..3, "");
        edits.replace(2..4, "");
        assert!(edits.apply("abcdef").is_err());
    }
}
