//! An OpenVEX document out of what is attached to an image.
//!
//! Forms: a Sigstore bundle (github.com/sigstore/protobuf-specs, `sigstore_bundle.proto`), a DSSE envelope
//! (github.com/secure-systems-lab/dsse), an in-toto statement (github.com/in-toto/attestation, spec/v1), and the document
//! alone. Signatures are not verified: who may push to the repository may attach a document.

use oci::{Digest, ENVELOPE, STATEMENT};
use serde_json::Value;

use crate::statement::{is_about, payload};

/// The types of artifacts that may have a document.
pub(super) const TYPES: [&str; 5] = [
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    ENVELOPE,
    STATEMENT,
    "application/vnd.openvex+json",
    "application/openvex+json",
];
/// The name of OpenVEX, with or without a version after it.
const OPEN_VEX: &str = "https://openvex.dev/ns";

/// Whether `kind` is the type of a predicate that is an OpenVEX document.
pub(super) fn is_open_vex(kind: &str) -> bool {
    let version = kind.strip_prefix(OPEN_VEX);
    version.is_some_and(|version| version.is_empty() || version.starts_with('/'))
}

/// The OpenVEX document in `bytes`, which refers to `subject`; `None` if it is a statement of another kind.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn open_vex(bytes: &[u8], subject: &Digest) -> Result<Option<Value>, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("it is not JSON: {e}"))?;
    let envelope = match &value["dsseEnvelope"] {
        Value::Null => &value,
        envelope => envelope,
    };
    let statement = if let Some(kind) = envelope["payloadType"].as_str() {
        if kind != STATEMENT {
            return Ok(None);
        }
        payload(envelope)?
    } else if value["@context"].as_str().is_some_and(is_open_vex) {
        return Ok(Some(value));
    } else if value["_type"].is_string() {
        value
    } else {
        return Err("it is neither an attestation nor an OpenVEX document".to_owned());
    };
    let kind = statement["predicateType"].as_str().unwrap_or_default();
    if !is_open_vex(kind) {
        return Ok(None);
    }
    if !is_about(&statement, subject) {
        return Err("it is a statement about another image".to_owned());
    }
    let mut document = statement["predicate"].clone();
    let Some(fields) = document.as_object_mut() else {
        return Err("its predicate is not an OpenVEX document".to_owned());
    };
    // By it, Trivy tells the forms of documents apart.
    fields.entry("@context").or_insert_with(|| kind.into());
    Ok(Some(document))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    fn statement(kind: &str, subject: &str) -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": kind,
            "subject": [{"name": "other", "digest": {"sha256": "00"}}, {"name": "app", "digest": {"sha256": subject}}],
            "predicate": {"statements": [{"status": "fixed"}]},
        })
    }

    #[test]
    fn a_document_is_read_in_each_form() {
        let digest = Digest::sha256(b"image");
        let hex = digest.hex();
        let own = statement("https://openvex.dev/ns/v0.2.0", hex);
        let envelope = json!({"payloadType": STATEMENT, "payload": STANDARD.encode(own.to_string()), "signatures": []});
        let bare =
            json!({"@context": "https://openvex.dev/ns", "statements": [{"status": "fixed"}]});
        for form in [
            json!({"mediaType": "x", "dsseEnvelope": envelope}),
            envelope,
            own,
            bare,
        ] {
            let document = open_vex(form.to_string().as_bytes(), &digest)
                .unwrap()
                .unwrap();
            assert_eq!(document["statements"][0]["status"], "fixed", "{form}");
            assert!(
                is_open_vex(document["@context"].as_str().unwrap()),
                "{form}"
            );
        }
    }

    #[test]
    fn what_is_not_a_document_on_this_image_is_not_one() {
        let digest = Digest::sha256(b"image");
        let hex = digest.hex();
        let read = |text: &str| open_vex(text.as_bytes(), &digest);
        for other in [
            statement("https://slsa.dev/provenance/v1", hex),
            statement("https://openvex.dev/nsx", hex),
            json!({"payloadType": "text/plain", "payload": "x"}),
        ] {
            assert_eq!(read(&other.to_string()), Ok(None));
        }
        let open_vex = "https://openvex.dev/ns";
        let mut without_document = statement(open_vex, hex);
        without_document["predicate"] = "x".into();
        let table = [
            (
                statement(open_vex, "11").to_string(),
                "it is a statement about another image",
            ),
            (
                without_document.to_string(),
                "its predicate is not an OpenVEX document",
            ),
            (
                "{}".to_owned(),
                "it is neither an attestation nor an OpenVEX document",
            ),
            ("[".to_owned(), "it is not JSON"),
            (
                json!({"payloadType": STATEMENT, "payload": "*"}).to_string(),
                "its payload is not base64",
            ),
            (
                json!({"payloadType": STATEMENT, "payload": "eA=="}).to_string(),
                "its payload is not JSON",
            ),
        ];
        for (text, problem) in table {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with(problem), "{text}: {error}");
        }
    }
}
