//! How much of an output is shown.

use crate::MIB;

/// Lines that are shown.
const LINES: usize = 200_000;
/// Bytes that are shown.
const BYTES: usize = 50 * MIB;

/// Admits the first lines of an output, 200,000 or 50 MiB, and counts the others.
#[derive(Debug, Default)]
pub struct Shown {
    lines: usize,
    bytes: usize,
    omitted: usize,
}

impl Shown {
    /// Whether `line` is shown.
    pub fn admits(&mut self, line: &str) -> bool {
        let bytes = self.bytes + line.len() + 1;
        if self.omitted > 0 || self.lines == LINES || bytes > BYTES {
            self.omitted += 1;
            return false;
        }
        self.lines += 1;
        self.bytes = bytes;
        true
    }

    /// The line to show in place of the others, if there are any.
    pub fn omitted(&self) -> Option<String> {
        (self.omitted > 0).then(|| {
            let lines = if self.omitted == 1 { "line" } else { "lines" };
            format!(
                "… {} more {lines} of output, which are not shown",
                self.omitted
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_shown_and_the_others_are_counted() {
        let mut shown = Shown::default();
        let admitted = (0..LINES + 7).filter(|_| shown.admits("a line")).count();
        assert_eq!(admitted, LINES);
        let note = "… 7 more lines of output, which are not shown";
        assert_eq!(shown.omitted().as_deref(), Some(note));
    }

    #[test]
    fn long_lines_are_limited_by_their_bytes() {
        let (mut shown, line) = (Shown::default(), "x".repeat(MIB));
        let admitted = (0..60).filter(|_| shown.admits(&line)).count();
        assert_eq!((admitted, shown.omitted), (49, 11));
        // Once something is left out, nothing that follows appears to follow directly.
        assert!(!shown.admits(""));
        assert_eq!(Shown::default().omitted(), None);
    }
}
