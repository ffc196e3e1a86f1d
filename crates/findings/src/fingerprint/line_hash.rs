//! The hash of a line of a file, as GitHub computes it for `primaryLocationLineHash`.
//!
//! A rolling hash of the hundred UTF-16 code units from the start of the line on, without spaces and
//! tabs (`src/fingerprints.ts` of codeql-action): the same line has the same hash when lines above it
//! come or go.

use std::collections::HashMap;

const BLOCK: usize = 100;
const FACTOR: u64 = 37;
const TAB: u16 = 0x09;
const LINE_FEED: u16 = 0x0a;
const RETURN: u16 = 0x0d;
const SPACE: u16 = 0x20;
const END: u16 = 0xffff;

/// The hashes of the lines of `text`, the first line first: `<hash>:<its number among equal hashes>`.
pub(crate) fn hash_lines(text: &str) -> Vec<String> {
    let mut state = State::new();
    for unit in text.encode_utf16() {
        state.read(unit);
    }
    state.read(END);
    for _ in 0..BLOCK {
        state.complete();
        state.shift(0);
    }
    state.hashes
}

struct State {
    window: [u16; BLOCK],
    // Whether the line that starts at this position of the window still lacks its hash.
    waiting: [bool; BLOCK],
    at: usize,
    hash: u64,
    oldest: u64,
    line_starts: bool,
    after_return: bool,
    seen: HashMap<u64, u32>,
    hashes: Vec<String>,
}

impl State {
    fn new() -> Self {
        let oldest = (0..BLOCK).fold(1_u64, |power, _| power.wrapping_mul(FACTOR));
        Self {
            window: [0; BLOCK],
            waiting: [false; BLOCK],
            at: 0,
            hash: 0,
            oldest,
            line_starts: true,
            after_return: false,
            seen: HashMap::new(),
            hashes: Vec::new(),
        }
    }

    fn read(&mut self, unit: u16) {
        if unit == SPACE || unit == TAB || (self.after_return && unit == LINE_FEED) {
            self.after_return = false;
            return;
        }
        self.after_return = unit == RETURN;
        let unit = if unit == RETURN { LINE_FEED } else { unit };
        self.complete();
        if self.line_starts {
            self.line_starts = false;
            self.waiting[self.at] = true;
        }
        self.line_starts = unit == LINE_FEED;
        self.shift(unit);
    }

    // The window is about to leave the line that started here: its hash is complete.
    fn complete(&mut self) {
        if self.waiting[self.at] {
            self.waiting[self.at] = false;
            let times = self.seen.entry(self.hash).or_insert(0);
            *times += 1;
            self.hashes.push(format!("{:x}:{times}", self.hash));
        }
    }

    fn shift(&mut self, unit: u16) {
        let removed = std::mem::replace(&mut self.window[self.at], unit);
        self.hash = FACTOR
            .wrapping_mul(self.hash)
            .wrapping_add(u64::from(unit))
            .wrapping_sub(self.oldest.wrapping_mul(u64::from(removed)));
        self.at = (self.at + 1) % BLOCK;
    }
}

#[cfg(test)]
mod tests {
    use super::hash_lines;

    #[test]
    fn hashes_equal_those_of_githubs_uploader() {
        assert_eq!(hash_lines(""), ["c129715d7a2bc9a3:1"]);
        let expected = [
            "271789c17abda88f:1",
            "54703d4cd895b18:1",
            "180aee12dab6264:1",
            "a23a3dc5e078b07b:1",
        ];
        assert_eq!(hash_lines(" a\nb\n  \t\tc\n d"), expected);
        assert_eq!(hash_lines(" a\r\nb\r  \t\tc\n d"), expected);
    }

    #[test]
    fn a_line_keeps_its_hash_when_lines_are_added_above() {
        let tail = "x".repeat(200);
        let before = hash_lines(&format!("RUN apt-get update\n{tail}"));
        let after = hash_lines(&format!("FROM debian\nRUN apt-get update\n{tail}"));
        assert_eq!(before[0], after[1]);
    }

    #[test]
    fn equal_lines_are_counted() {
        let text = format!("{0}\n{0}\n", "y".repeat(150));
        let hashes = hash_lines(&text);
        let (first, second) = (&hashes[0], &hashes[1]);
        assert!(
            first.ends_with(":1") && second.ends_with(":2"),
            "{hashes:?}"
        );
    }
}
