//! Statements about an image (github.com/in-toto/attestation, spec/v1), and the envelopes of signed ones
//! (github.com/secure-systems-lab/dsse). Signatures are not verified.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::Digest;
use serde_json::Value;

/// What is in the `payload` of an envelope.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn payload(envelope: &Value) -> Result<Value, String> {
    let payload = envelope["payload"].as_str().unwrap_or_default();
    let payload = STANDARD
        .decode(payload)
        .map_err(|e| format!("its payload is not base64: {e}"))?;
    serde_json::from_slice(&payload).map_err(|e| format!("its payload is not JSON: {e}"))
}

/// Whether `image` is one of the subjects of `statement`.
pub(crate) fn is_about(statement: &Value, image: &Digest) -> bool {
    let subjects = statement["subject"].as_array();
    let mut subjects = subjects.into_iter().flatten();
    subjects.any(|subject| subject["digest"]["sha256"] == image.hex())
}
