//! A stream of bytes as lines.

/// Maximum length of a line in bytes; the rest of a longer one is left out.
pub const LINE: usize = 64 * 1024;

/// Splits bytes into lines, each byte looked at once. Text that is not UTF-8 has replacement characters.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// Bytes of the partial line beyond [`LINE`].
    omitted: usize,
}

impl Lines {
    /// Add `bytes`, and pass every line that they complete to `each`, without its line break.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend(&rest[..end]);
            each(self.take());
            rest = &rest[end + 1..];
        }
        self.extend(rest);
    }

    /// The last line, if the bytes do not end with a line break.
    pub fn finish(&mut self) -> Option<String> {
        (!self.partial.is_empty()).then(|| self.take())
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE - self.partial.len();
        let kept = bytes.len().min(room);
        self.partial.extend_from_slice(&bytes[..kept]);
        self.omitted += bytes.len() - kept;
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.partial);
        let mut line = text.trim_end_matches('\r').to_owned();
        if self.omitted > 0 {
            line.push_str(&format!(
                " … ({} more bytes of this line are not shown)",
                self.omitted
            ));
        }
        self.partial.clear();
        self.omitted = 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for chunk in chunks {
            lines.push(chunk, |line| all.push(line));
        }
        all.extend(lines.finish());
        all
    }

    #[test]
    fn lines_may_be_split_anywhere() {
        let table: [(&[&[u8]], &[&str]); 5] = [
            (&[], &[]),
            (&[b"a\nb\n"], &["a", "b"]),
            (&[b"a", b"b\r", b"\n\nc"], &["ab", "", "c"]),
            (&["ä".as_bytes(), b"\xff\n"], &["ä\u{fffd}"]),
            (&[&"ä".as_bytes()[..1], &"ä".as_bytes()[1..]], &["ä"]),
        ];
        for (chunks, expected) in table {
            assert_eq!(lines(chunks), expected);
        }
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        for _ in 0..10_000 {
            lines.push(&[b'x'; 1000], |line| panic!("{line}"));
            assert!(lines.partial.capacity() <= 2 * LINE);
        }
        let mut all = Vec::new();
        lines.push(b"\nnext\n", |line| all.push(line));
        let note = " … (9934464 more bytes of this line are not shown)";
        assert_eq!(all, [format!("{}{note}", "x".repeat(LINE)), "next".into()]);
    }
}
