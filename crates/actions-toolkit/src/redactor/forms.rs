//! The forms in which a secret appears in a text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::text::{self, ZERO_WIDTH_SPACE};

/// A text may be cut in the middle of a secret: this many bytes of its start give it away.
const GIVEN_AWAY: usize = 12;
/// What `encodeURIComponent` and RFC 3986 leave as it is.
const URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// What a workflow command escapes (`Runner.Common/ActionCommand.cs`).
const COMMAND: &AsciiSet = &AsciiSet::EMPTY.add(b'%').add(b'\r').add(b'\n');

/// A secret as it appears in a text.
#[derive(Debug)]
pub(super) struct Form(String);

impl Form {
    /// The start of the form, by which it is recognized: all of it if it is short.
    pub(super) fn recognized(&self) -> &[u8] {
        let bytes = self.0.as_bytes();
        match bytes.len() {
            length @ ..8 => &bytes[..length],
            length => &bytes[..GIVEN_AWAY.min(length * 3 / 4)],
        }
    }

    /// The number of bytes in which `text` begins like this form. What escapes a character there is skipped (a text may be escaped
    /// more than once).
    pub(super) fn common_prefix(&self, text: &[u8]) -> usize {
        let mut end = 0;
        let mut at = 0;
        for byte in self.0.bytes() {
            while text.get(at) != Some(&byte) {
                match &text[at.min(text.len())..] {
                    [b'\\', ..] => at += 1,
                    [0xe2, 0x80, 0x8b, ..] => at += ZERO_WIDTH_SPACE.len_utf8(),
                    _ => return end,
                }
            }
            at += 1;
            end = at;
        }
        end
    }
}

/// Every form of `value`, which is one line.
pub(super) fn of(value: &str) -> Vec<Form> {
    let encoded = utf8_percent_encode(value, URL).to_string();
    let form_encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut forms = vec![
        value.to_owned(),
        lower_case_escapes(&encoded),
        encoded,
        form_encoded,
        utf8_percent_encode(value, COMMAND).to_string(),
        text::printable(value).into_owned(),
        text::log_line(value),
        text::markdown(value),
        // In the middle of a line, where its first character has no meaning.
        text::markdown(&format!("x{value}"))[1..].to_owned(),
        code(value),
        text::html(value),
    ];
    // A document in JSON escapes what another form leaves.
    let in_json: Vec<_> = forms.iter().map(|form| in_json(form)).collect();
    for form in in_json {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms.extend((0..3).flat_map(|offset| base64(value, offset)));
    forms.retain(|form| form.len() >= super::SHORTEST);
    forms.into_iter().map(Form).collect()
}

// As the text of a string, without its quotes.
fn in_json(value: &str) -> String {
    let text = serde_json::Value::from(value).to_string();
    text[1..text.len() - 1].to_owned()
}

// Without what makes it code.
fn code(value: &str) -> String {
    let code = text::code(value);
    let tagged = code
        .strip_prefix("<code>")
        .and_then(|code| code.strip_suffix("</code>"));
    tagged.map_or_else(
        || code.trim_matches('`').trim().to_owned(),
        ToOwned::to_owned,
    )
}

// `%2f` for `%2F`: both are right (RFC 3986, section 2.1).
fn lower_case_escapes(encoded: &str) -> String {
    let mut out = String::with_capacity(encoded.len());
    for (index, part) in encoded.split('%').enumerate() {
        let (digits, rest) = match index {
            0 => ("", part),
            _ => part.split_at_checked(2).unwrap_or((part, "")),
        };
        out.push_str(if index == 0 { "" } else { "%" });
        out.push_str(&digits.to_ascii_lowercase());
        out.push_str(rest);
    }
    out
}

// The characters that depend on `value` alone, wherever it is in the encoded text: 3 bytes are 4 characters. A short
// value leaves too little to tell it from other text.
fn base64(value: &str, offset: usize) -> Vec<String> {
    let padded = [&vec![0; offset], value.as_bytes()].concat();
    let start = (offset * 4).div_ceil(3);
    let end = padded.len() * 8 / 6;
    let both = [
        STANDARD_NO_PAD.encode(&padded),
        URL_SAFE_NO_PAD.encode(&padded),
    ];
    let cores = both.map(|text| text.get(start..end).unwrap_or_default().to_owned());
    cores.into_iter().filter(|core| core.len() >= 8).collect()
}
