//! Digests of blobs and manifests.

use std::fmt;
use std::str::FromStr;

use crate::ParseImageError;

/// The sha256 digest of a blob or manifest, `sha256:` and 64 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// The digest with its algorithm: `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hex digits without the algorithm.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The tag of an index of what refers to the digest, in a registry without that API (distribution specification 1.1, "Referrers
    /// tag schema").
    pub fn to_tag(&self) -> String {
        self.0.replace(':', "-")
    }

    /// The tag with which cosign up to 2 attaches to the digest: signatures with the `end` `sig`, attestations with `att`
    /// (github.com/sigstore/cosign, `pkg/oci/remote`).
    pub fn cosign_tag(&self, end: &str) -> String {
        format!("{}.{end}", self.to_tag())
    }

    /// The digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self::from_hash(&Sha256::digest(bytes))
    }

    /// The digest of everything that `source` yields.
    ///
    /// # Errors
    /// When reading fails.
    pub fn from_reader(mut source: impl std::io::Read) -> std::io::Result<Self> {
        use sha2::{Digest as _, Sha256};
        let mut hash = Sha256::new();
        std::io::copy(&mut source, &mut hash)?;
        Ok(Self::from_hash(&hash.finalize()))
    }

    /// The digest whose 32 bytes are `hash`.
    fn from_hash(hash: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut text = "sha256:".to_owned();
        for byte in hash {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }
}

/// Hashes content that arrives piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Hasher(sha2::Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest::from_hash(&sha2::Digest::finalize(self.0))
    }
}

impl FromStr for Digest {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() == 64 && hex.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseImageError::Digest(text.to_owned()))
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
