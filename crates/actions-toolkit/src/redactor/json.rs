//! Documents in JSON: what is redacted is the text of each string, so that the document stays one.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};
use serde::de::IgnoredAny;

/// `document` with each string, names of fields included, changed by `redact`. `None` if it is not JSON.
///
/// Strings stay as they are if none of `spans`, what is secret in the document as it is written, is in them, and no escape
/// that could hide a secret. `spans` are in the order in which they start. The document is not held as values: a report of a
/// hundred megabytes would be ten times as large.
pub(super) fn redacted<'a>(
    document: &'a str,
    spans: &[(usize, usize)],
    redact: impl for<'t> Fn(&'t str) -> Cow<'t, str>,
) -> Option<Cow<'a, str>> {
    let is_document = document.trim_start().starts_with(['{', '[']);
    if !is_document || serde_json::from_str::<IgnoredAny>(document).is_err() {
        return None;
    }
    let bytes = document.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut spans = spans.iter().peekable();
    while let Some(start) = memchr(b'"', &bytes[at..]).map(|start| at + start) {
        let (end, may_hide) = string(bytes, start);
        while spans.next_if(|(_, after)| *after <= start).is_some() {}
        let has_span = spans.peek().is_some_and(|(from, _)| *from < end);
        if (has_span || may_hide)
            && let Some(changed) = changed(&document[start..end], &redact)
        {
            out.push_str(&document[copied..start]);
            out.push_str(&changed);
            copied = end;
        }
        at = end;
    }
    if copied == 0 {
        return Some(Cow::Borrowed(document));
    }
    out.push_str(&document[copied..]);
    Some(Cow::Owned(out))
}

/// Whether `finds` finds something in the text of a string of `document` that has an escape which could hide it. Every other
/// string is in the document in a form that is searched for.
pub(super) fn hides(document: &str, finds: impl Fn(&str) -> bool) -> bool {
    let bytes = document.as_bytes();
    // No string that starts before `from` is searched again.
    let (mut from, mut at) = (0, 0);
    while let Some(escape) = find(bytes, at, |rest| memchr(b'\\', rest)) {
        at = escape + 2;
        if !may_hide(bytes.get(escape + 1)) {
            continue;
        }
        let Some(start) = opening_quote(bytes, from, escape) else {
            // The document is not JSON.
            from = at.min(bytes.len());
            continue;
        };
        let (end, _) = string(bytes, start);
        if decoded(&document[start..end]).is_some_and(|text| finds(&text)) {
            return true;
        }
        from = end;
        at = at.max(end);
    }
    false
}

// By number, as `\u0026`; of a slash, which needs none; of a backslash, which may itself be of an escape, as in Markdown.
fn may_hide(escaped: Option<&u8>) -> bool {
    matches!(escaped, Some(b'u' | b'/' | b'\\'))
}

fn find(bytes: &[u8], from: usize, search: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    search(bytes.get(from..)?).map(|at| from + at)
}

// The end of the string that starts at `start`, and whether an escape in it could hide something. In a valid document, each
// string has an end.
fn string(document: &[u8], start: usize) -> (usize, bool) {
    let mut hides = false;
    let mut at = start + 1;
    while let Some(found) = find(document, at, |rest| memchr2(b'"', b'\\', rest)) {
        if document[found] == b'"' {
            return (found + 1, hides);
        }
        hides |= may_hide(document.get(found + 1));
        at = found + 2;
    }
    (document.len(), hides)
}

// The last quote between `from` and `before` that is not escaped.
fn opening_quote(document: &[u8], from: usize, before: usize) -> Option<usize> {
    let quotes = memchr_iter(b'"', document.get(from..before)?).rev();
    let mut quotes = quotes.map(|quote| from + quote);
    quotes.find(|quote| {
        let above = document[from..*quote].iter().rev();
        above.take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

// The text of a string with its quotes.
fn decoded(literal: &str) -> Option<Cow<'_, str>> {
    Some(if literal.contains('\\') {
        serde_json::from_str::<String>(literal).ok()?.into()
    } else {
        literal.get(1..literal.len() - 1)?.into()
    })
}

fn changed(literal: &str, redact: impl for<'t> Fn(&'t str) -> Cow<'t, str>) -> Option<String> {
    match redact(&decoded(literal)?) {
        Cow::Owned(text) => Some(serde_json::Value::from(text).to_string()),
        Cow::Borrowed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_change_and_all_else_stays() {
        let redact: &dyn for<'t> Fn(&'t str) -> Cow<'t, str> = &|text| {
            if text.contains("s\"x") {
                return text.replace("s\"x", "***").into();
            }
            text.into()
        };
        let table = [
            (
                r#"{"s\"x": ["as\"x\\", "s"], "n": 1.50}"#,
                Some(r#"{"***": ["a***\\", "s"], "n": 1.50}"#),
            ),
            (r#"[ "a" ]"#, Some(r#"[ "a" ]"#)),
            (r#"{"s\"x": "#, None),
            ("plain", None),
        ];
        for (document, expected) in table {
            let all = [(0, document.len())];
            assert_eq!(
                redacted(document, &all, redact).as_deref(),
                expected,
                "{document}"
            );
        }
    }

    #[test]
    fn a_string_without_a_span_and_without_such_an_escape_is_not_searched() {
        let redact: &dyn for<'t> Fn(&'t str) -> Cow<'t, str> = &|_| Cow::Owned("***".to_owned());
        let document = r#"{"a": "b\nc", "d": "e", "f": "g", "h\u0026": "\/", "i": "\\_"}"#;
        let d = document.find('d').unwrap();
        let g = document.find('g').unwrap();
        let expected = r#"{"a": "b\nc", "***": "e", "f": "***", "***": "***", "i": "***"}"#;
        assert_eq!(
            redacted(document, &[(d, d + 1), (g, g + 1)], redact).as_deref(),
            Some(expected)
        );
        // One that goes over several strings is in each of them.
        let e = document.find("e\"").unwrap();
        let expected = r#"{"a": "b\nc", "d": "***", "***": "***", "***": "***", "i": "***"}"#;
        assert_eq!(
            redacted(document, &[(e, g + 1)], redact).as_deref(),
            Some(expected)
        );
    }

    #[test]
    fn what_an_escape_hides_is_found() {
        let finds =
            |text: &str| text.contains("a&b") || text.contains("a/b") || text.contains("a\\_b");
        let table = [
            (r#"{"x": "a\u0026b"}"#, true),
            (r#"{"a\/b": 1}"#, true),
            (r#"["\"a\\_b\""]"#, true),
            (r#"["\\", "\"", "a\u0026b"]"#, true),
            (r#"["\\", "\"", "a\u0027b"]"#, false),
            (r#"["a&b"]"#, false),
            (r"a\u0026b", false),
            (r#"\\\\"a\u0026b"#, false),
            ("\"\\", false),
            ("\\", false),
        ];
        for (document, expected) in table {
            assert_eq!(hides(document, finds), expected, "{document}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_searched_to_its_end(text in r#"[\\"u/a0é{}]{0,40}"#) {
            hides(&text, |_| false);
            let document = serde_json::json!([text, {text.as_str(): text}]).to_string();
            let all = [(0, document.len())];
            let changed = redacted(&document, &all, |text| text.replace('a', "b").into()).unwrap();
            let text = text.replace('a', "b");
            let expected = serde_json::json!([text, {text.as_str(): text}]);
            let changed: serde_json::Value = serde_json::from_str(&changed).unwrap();
            proptest::prop_assert_eq!(changed, expected);
        }
    }
}
