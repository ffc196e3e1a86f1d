//! Documents in JSON: what is redacted is the text of each string, so that the document stays one.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// `document` with each string, names of fields included, changed by `redact`. `None` if it is not JSON.
///
/// The document is not held as values: a report of a hundred megabytes would be ten times as large.
pub(super) fn redacted<'a>(
    document: &'a str,
    redact: impl for<'t> Fn(&'t str) -> Cow<'t, str>,
) -> Option<Cow<'a, str>> {
    let is_document = document.trim_start().starts_with(['{', '[']);
    if !is_document || serde_json::from_str::<IgnoredAny>(document).is_err() {
        return None;
    }
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(start) = document[at..].find('"').map(|start| at + start) {
        let end = end_of_string(document, start);
        let literal = &document[start..end];
        if let Some(changed) = changed(literal, &redact) {
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

// The document is valid, so each string has an end.
fn end_of_string(document: &str, start: usize) -> usize {
    let bytes = document.as_bytes();
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') => return at + 1,
            Some(_) => at += 1,
            None => return document.len(),
        }
    }
}

fn changed(literal: &str, redact: impl for<'t> Fn(&'t str) -> Cow<'t, str>) -> Option<String> {
    let text: Cow<'_, str> = if literal.contains('\\') {
        serde_json::from_str::<String>(literal).ok()?.into()
    } else {
        literal.get(1..literal.len() - 1)?.into()
    };
    match redact(&text) {
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
            assert_eq!(
                redacted(document, redact).as_deref(),
                expected,
                "{document}"
            );
        }
    }
}
