use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;
use crate::text;

fn knowing(values: &[&str]) -> Redactor {
    let redactor = Redactor::default();
    for value in values {
        redactor.learn(value);
    }
    redactor
}

#[test]
fn a_secret_is_masked_in_every_form() {
    let secret = "p@ss/wörd+1\"<|>";
    let redactor = knowing(&[secret]);
    let pair = format!("user:{secret}");
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let forms = [
        secret.to_owned(),
        serde_json::json!({ "a": secret }).to_string(),
        format!("{secret:?}"),
        url.to_lowercase(),
        url,
        STANDARD.encode(secret),
        STANDARD.encode(&pair),
        STANDARD.encode(format!("me:{secret}@")),
        URL_SAFE.encode(&pair),
        text::markdown(secret),
        text::code(secret),
        text::html(secret),
    ];
    for form in forms {
        let redacted = redactor.redact(&form).into_owned();
        assert!(redacted.contains(MASK), "{form} → {redacted}");
        for part in ["wörd", "rd+1", "rd%2b1", "w%c3"] {
            assert!(
                !redacted.to_lowercase().contains(part),
                "{form} → {redacted}"
            );
        }
    }
}

#[test]
fn a_secret_that_was_cut_is_masked_too() {
    let redactor = knowing(&["ghs_0123456789abcdefghij"]);
    assert_eq!(
        redactor.redact("the token ghs_0123456789ab…"),
        "the token ***…"
    );
    assert_eq!(redactor.redact("the token ghs_0123"), "the token ghs_0123");
}

#[test]
fn what_is_no_secret_stays() {
    let redactor = knowing(&[
        "true",
        "12345",
        "abc",
        "",
        "-----BEGIN KEY-----\nMIIE1234\n-----END KEY-----",
    ]);
    let text = "true 12345 abc -----BEGIN KEY----- https://git@github.com/x";
    assert_eq!(redactor.redact(text), text);
    assert_eq!(redactor.redact("MIIE1234"), "***");
}

#[test]
fn the_password_of_a_url_is_masked_without_being_known() {
    let table = [
        (
            "proxy http://me:p@ss@proxy:3128/ failed",
            "proxy http://me:***@proxy:3128/ failed",
        ),
        ("https://:token@host", "https://:***@host"),
        ("https://host/a:b@c", "https://host/a:b@c"),
        ("ssh://git@host \"a:b@c\"", "ssh://git@host \"a:b@c\""),
    ];
    for (text, expected) in table {
        assert_eq!(Redactor::default().redact(text), expected);
    }
}

#[test]
fn json_stays_json() {
    let redactor = knowing(&["s3cret", "99999999"]);
    let json = serde_json::json!({ "s3cret": ["a s3cret"], "number": 99_999_999 });
    let json = redactor
        .redact_bytes(json.to_string().as_bytes())
        .into_owned();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "***": ["a ***"], "number": 99_999_999 })
    );
}

#[test]
fn a_text_that_is_escaped_twice_has_no_rest_of_a_secret() {
    let redactor = knowing(&["runtime-token_of-the|run"]);
    for text in [
        r"a runtime-token\\_of-the\\|run b",
        r"a runtime-token\_of-the%7Crun b",
        "a runtime-token\u{200b}_of-the|run b",
    ] {
        assert_eq!(redactor.redact(text), "a *** b");
    }
    let code = text::code("runtime-token_of-the|run 1.0");
    assert_eq!(redactor.redact(&code), "<code>*** 1.0</code>");
    let url = text::markdown("at https://me:in-a-url@example.com");
    assert!(!redactor.redact(&url).contains("in-a-url"), "{url}");
}

#[test]
fn a_document_stays_json_and_numbers_stay() {
    let redactor = knowing(&["runtime-token_of-the|run", "99999999"]);
    let markdown = text::markdown("runtime-token_of-the|run");
    let document = serde_json::json!({ "runtime-token_of-the|run": markdown, "n": 99_999_999 });
    let redacted = redactor
        .redact_bytes(document.to_string().as_bytes())
        .into_owned();
    let redacted: serde_json::Value = serde_json::from_slice(&redacted).unwrap();
    assert_eq!(
        redacted,
        serde_json::json!({ "***": "***", "n": 99_999_999 })
    );
}

#[test]
fn a_secret_that_a_document_escapes_is_masked() {
    let redactor = knowing(&["a&b<secret>/x_y"]);
    for literal in [
        r"a\u0026b\u003csecret\u003e/x_y",
        r"a&b<secret>\/x_y",
        r"\u0061&b<secret>/x_y",
        "a&b<secret>/x_y",
    ] {
        let document = format!(r#"{{"text": "see {literal}", "other": "a\u0026b"}}"#);
        let redacted = redactor.redact_bytes(document.as_bytes()).into_owned();
        let redacted: serde_json::Value = serde_json::from_slice(&redacted).unwrap();
        assert_eq!(
            redacted,
            serde_json::json!({"text": "see ***", "other": "a&b"}),
            "{document}"
        );
    }
}

#[test]
fn a_secret_in_markdown_in_a_document_is_masked() {
    let secret = "ghs_0123456789abcdefghij";
    let redactor = knowing(&[secret]);
    let markdown = text::markdown(&format!("with {secret} in it"));
    let document = serde_json::json!({ "body": markdown }).to_string();
    let redacted = redactor.redact_bytes(document.as_bytes()).into_owned();
    let redacted: serde_json::Value = serde_json::from_slice(&redacted).unwrap();
    assert_eq!(redacted, serde_json::json!({"body": "with *** in it"}));
}

#[test]
fn a_secret_with_a_quote_is_masked_in_every_form_of_a_document() {
    let secret = "p<w\"d-4f8a%61c93e";
    let redactor = knowing(&[secret]);
    let command = secret.replace('%', "%25");
    for form in [
        text::markdown(secret),
        text::code(secret),
        text::html(secret),
        command,
    ] {
        let document = serde_json::json!({"plain": secret, "other": form}).to_string();
        let redacted = redactor.redact_bytes(document.as_bytes()).into_owned();
        let redacted: serde_json::Value = serde_json::from_slice(&redacted).unwrap();
        let other = redacted["other"].as_str().unwrap();
        assert!(!other.contains("d-4f8a"), "{form}: {other}");
        assert_eq!(redacted["plain"], "***");
    }
}

#[test]
fn a_document_without_a_secret_is_not_copied() {
    let redactor = knowing(&["s3cret-of-the-run"]);
    let document = r#"{"a": "pkg:deb/a?x=1\u0026y=2", "b": "https://example.com/\/ \\ \n"}"#;
    let redacted = redactor.redact_bytes(document.as_bytes());
    assert!(matches!(redacted, Cow::Borrowed(_)));
}

#[test]
fn content_is_redacted_once_for_several_places() {
    let redactor = knowing(&["s3cret"]);
    let redacted = |text: &str| redactor.redacted(text.into());
    assert_eq!(redacted("a s3cret").as_bytes(), b"a ***");
    assert_eq!(redacted("plain").into_bytes(), b"plain");
}

#[test]
fn bytes_that_are_not_text_are_redacted() {
    let redactor = knowing(&["s3cret"]);
    assert_eq!(redactor.redact_bytes(b"\xff s3cret").as_ref(), b"\xff ***");
}

proptest! {
    #[test]
    fn nothing_of_a_secret_is_left(
        secret in "[!-~]{8,40}", before in "[ -~]{0,20}", after in "[ -~]{0,20}", cut in 0_usize..80,
    ) {
        let redactor = knowing(&[&secret]);
        let text = format!("{before}{secret}{after}");
        for text in [text.clone(), text::markdown(&text), text::code(&text), text::html(&text)] {
            let redacted = redactor.redact(text::cut(&text, cut)).replace('\u{200b}', "");
            let given_away = &secret[..(secret.len() * 3 / 4).min(12)];
            prop_assert!(!redacted.contains(given_away), "{redacted}");
        }
    }

    #[test]
    fn a_string_of_a_document_is_redacted_as_its_text_is(
        secret in "[!-~]{8,30}", before in "[ -~]{0,20}",
        escaped in proptest::collection::vec(any::<bool>(), 50),
    ) {
        let redactor = knowing(&[&secret]);
        let text = format!("{before}{secret}");
        let literal = text.chars().zip(escaped).map(|(c, is_escaped)| {
            if is_escaped || matches!(c, '"' | '\\') {
                format!("\\u{:04x}", u32::from(c))
            } else {
                c.to_string()
            }
        });
        let document = format!("[\"{}\"]", literal.collect::<String>());
        let redacted = redactor.redact_bytes(document.as_bytes()).into_owned();
        let redacted: Vec<String> = serde_json::from_slice(&redacted).unwrap();
        let expected = redactor.redact(&text).into_owned();
        prop_assert_eq!(&redacted, &[expected]);
    }

    #[test]
    fn text_without_secrets_is_the_same(text in "[ -~]{0,60}") {
        prop_assume!(!text.contains("s3cret-of-the-run"));
        let redactor = knowing(&["s3cret-of-the-run"]);
        prop_assume!(!text.contains("://"));
        prop_assert_eq!(redactor.redact(&text), text.as_str());
    }
}
