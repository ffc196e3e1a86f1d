//! What a person reads of a Rust source: string literals, and doc comments, which become help and reference pages.

use super::Word;

/// The words of the texts in `source`, up to its tests.
pub(super) fn words(source: &str) -> Vec<Word> {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap_or(source);
    let mut lexer = Lexer {
        rest: source,
        line: 1,
    };
    let mut docs = Vec::new();
    let mut words = Vec::new();
    while let Some(piece) = lexer.next_piece() {
        match piece {
            Piece::Doc(text, line) => docs.push((text, line)),
            // The texts of two literals are never one phrase.
            Piece::Literal(text, line) => {
                let text = readable(text);
                words.extend(super::words(text.lines().zip(line..)));
            }
        }
    }
    words.extend(super::words(docs.into_iter()));
    words.sort_by_key(|word| word.line);
    words
}

enum Piece<'a> {
    Doc(&'a str, usize),
    Literal(&'a str, usize),
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lexer<'a> {
    // Take `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn next_piece(&mut self) -> Option<Piece<'a>> {
        loop {
            let start = self.rest.find(['/', '"', '\'', 'r'])?;
            self.take(start);
            let end_of_line = self.rest.find('\n').unwrap_or(self.rest.len());
            if self.rest.starts_with("//") {
                let line = self.line;
                let comment = self.take(end_of_line);
                let doc = comment.strip_prefix("///").or(comment.strip_prefix("//!"));
                if let Some(doc) = doc {
                    return Some(Piece::Doc(doc, line));
                }
            } else if let Some(hashes) = raw_start(self.rest) {
                self.take(hashes + 2);
                let line = self.line;
                let end = format!("\"{}", "#".repeat(hashes));
                let length = self.rest.find(&end).unwrap_or(self.rest.len());
                let text = self.take(length);
                self.take(end.len().min(self.rest.len()));
                return Some(Piece::Literal(text, line));
            } else if self.rest.starts_with('"') {
                self.take(1);
                let line = self.line;
                let length = string_length(self.rest);
                let text = self.take(length);
                self.take(1.min(self.rest.len()));
                return Some(Piece::Literal(text, line));
            } else if self.rest.starts_with('\'') {
                self.take(char_length(self.rest));
            } else {
                // A `/` that divides, or an identifier: skipped whole, since it may end in `r`.
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                let length = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
                self.take(length.max(1));
            }
        }
    }
}

// The text of a literal without what is not read: escapes, and the names of what is filled in. It keeps its lines.
fn readable(literal: &str) -> String {
    let literal = literal.replace("\\\n", "\n").replace("\\n", ". ");
    let mut text = String::new();
    let mut rest = literal.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let is_name = |c: char| c.is_alphanumeric() || "_:.?#<>$".contains(c);
        let name = after.trim_start_matches(is_name);
        rest = if name.starts_with('}') { name } else { after };
        text.push('{');
    }
    text + rest
}

// The number of `#` of a raw string that starts here.
fn raw_start(text: &str) -> Option<usize> {
    let text = text.strip_prefix('r')?;
    let rest = text.trim_start_matches('#');
    rest.starts_with('"').then_some(text.len() - rest.len())
}

// Up to the closing quote.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

// Of a literal such as `'"'` or `'\''`; of a lifetime, its quote.
fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let Some((_, first)) = chars.next() else {
        return 1;
    };
    if first == '\\' {
        let end = chars.skip(1).find(|(_, c)| *c == '\'');
        return end.map_or(text.len(), |(at, _)| at + 1);
    }
    match chars.next() {
        Some((at, '\'')) => at + 1,
        _ => 1,
    }
}
