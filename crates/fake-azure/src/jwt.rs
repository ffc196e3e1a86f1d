//! Signed tokens (RFC 7519), ES256.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

/// A key that signs tokens.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    chain: Option<String>,
}

impl Signer {
    /// A new key.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate().context("failed to generate a key")?;
        Ok(Self {
            key: pair(&key.serialize_der())?,
            chain: None,
        })
    }

    /// The key of `token.key` in `directory`; tokens name `token.crt` (header `x5c`).
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_file(directory.join("token.key"))
            .context("failed to read the signer's key")?;
        let certificate = CertificateDer::from_pem_file(directory.join("token.crt"))
            .context("failed to read the signer's certificate")?;
        Ok(Self {
            key: pair(key.secret_pkcs8_der())?,
            chain: Some(testkit::base64(&certificate)),
        })
    }

    pub(crate) fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let mut header = json!({"typ": "JWT", "alg": "ES256"});
        match &self.chain {
            Some(chain) => header["x5c"] = json!([chain]),
            None => header["kid"] = json!(self.id()),
        }
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&header), encode(claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), text.as_bytes())
            .map_err(|_| anyhow!("failed to sign a token"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    // The key's thumbprint (RFC 7638).
    fn id(&self) -> String {
        let (x, y) = self.point();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
    }

    // The coordinates of an uncompressed point: a byte `4`, then 32 bytes each (SEC 1, 2.3.3).
    fn point(&self) -> (String, String) {
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
    }

    /// The public key as a JWK (RFC 7517).
    pub(crate) fn public(&self) -> Value {
        let (x, y) = self.point();
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id(), "x": x, "y": y})
    }

    /// The claims of a token that this key signed.
    pub(crate) fn verify(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        key.verify(text.as_bytes(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?).ok()
    }
}

fn pair(pkcs8: &[u8]) -> anyhow::Result<EcdsaKeyPair> {
    EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        pkcs8,
        &SystemRandom::new(),
    )
    .map_err(|e| anyhow!("invalid key: {e}"))
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
