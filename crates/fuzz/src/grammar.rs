//! The grammar of inputs: bytes that libFuzzer mutates are read as a short program over the tokens of a format.
//!
//! What random bytes hardly ever become is one operation: a token repeated thousands of times, brackets nested as deep, a part of
//! the text repeated. That is what a parser with quadratic time or unbounded recursion fails on.

/// The most bytes of an input.
const LIMIT: usize = 256 * 1024;
/// The first byte of an input that is taken as it is, such as a seed.
pub(crate) const LITERAL: u8 = b'\n';

/// The input that `program` is for a format with `tokens`.
pub(crate) fn expand(program: &[u8], tokens: &[&str]) -> Vec<u8> {
    let Some((first, rest)) = program.split_first() else {
        return Vec::new();
    };
    if *first == LITERAL {
        return rest.to_vec();
    }
    let mut bytes = program.iter().copied();
    let mut text = Vec::new();
    let mut closing = Vec::new();
    while let Some(operation) = bytes.next() {
        let token = |byte: u8| tokens[usize::from(byte) % tokens.len()].as_bytes();
        let mut next = || bytes.next().unwrap_or_default();
        match operation % 8 {
            // More often than all others.
            0..=2 => text.extend(token(next())),
            3 => {
                for _ in 0..=operation / 8 {
                    text.push(next());
                }
            }
            4 => {
                let (token, count) = (token(next()), count(next()));
                push_times(&mut text, token, count);
            }
            5 => {
                let (open, close, count) = (token(next()), token(next()), count(next()));
                push_times(&mut text, open, count);
                closing.push((close, count));
            }
            6 => {
                let (length, count) = (usize::from(next()), count(next()));
                let part = text[text.len().saturating_sub(length)..].to_vec();
                push_times(&mut text, &part, count);
            }
            _ => {
                if let Some((close, count)) = closing.pop() {
                    push_times(&mut text, close, count);
                }
            }
        }
        if text.len() >= LIMIT {
            break;
        }
    }
    while let Some((close, count)) = closing.pop() {
        push_times(&mut text, close, count);
    }
    text
}

// Small for most bytes, so that most inputs are fast.
fn count(byte: u8) -> usize {
    match byte {
        0..=199 => usize::from(byte % 8),
        200..=239 => usize::from(byte),
        _ => 1 << (byte - 239),
    }
}

fn push_times(text: &mut Vec<u8>, part: &[u8], count: usize) {
    let room = (2 * LIMIT).saturating_sub(text.len()) / part.len().max(1);
    for _ in 0..count.min(room) {
        text.extend(part);
    }
}
