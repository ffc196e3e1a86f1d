//! Platforms, as image configurations and indexes name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The operating system and architecture that an image is built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`; `unknown` for an attestation.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v7` of `arm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform; use a form such as `linux/arm64` or `linux/arm/v7`")]
pub struct ParsePlatformError;

impl Platform {
    /// Whether `other` is of this platform: without a variant, of any variant.
    pub fn includes(&self, other: &Self) -> bool {
        let is_any = self.variant.is_none() || self.normalized() == other.normalized();
        (&self.os, &self.architecture) == (&other.os, &other.architecture) && is_any
    }

    /// The same in the form of which there is one: `v8` is the only variant of `arm64` (github.com/containerd/platforms,
    /// `Normalize`).
    #[must_use]
    pub fn normalized(&self) -> Self {
        let is_default = self.architecture == "arm64" && self.variant.as_deref() == Some("v8");
        let variant = self
            .variant
            .clone()
            .filter(|variant| !variant.is_empty() && !is_default);
        Self {
            variant,
            ..self.clone()
        }
    }
}

/// The architecture of this machine, as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split('/').collect();
        let is_word = |part: &&str| {
            let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            !part.is_empty() && part.bytes().all(allowed)
        };
        if !parts.iter().all(is_word) {
            return Err(ParsePlatformError);
        }
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(ParsePlatformError),
        };
        Ok(Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(ToOwned::to_owned),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_shown_as_it_was_written() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "linux",
            "linux/",
            "linux/arm/v7/x",
            "Linux/amd64",
            "linux/arm64 x",
        ] {
            assert_eq!(text.parse::<Platform>(), Err(ParsePlatformError), "{text}");
        }
    }

    #[test]
    fn a_platform_without_a_variant_includes_all_of_them() {
        let includes = |one: &str, other: &str| {
            let parse = |text: &str| text.parse::<Platform>().unwrap();
            parse(one).includes(&parse(other))
        };
        for (one, other, expected) in [
            ("linux/arm", "linux/arm/v7", true),
            ("linux/arm/v6", "linux/arm/v7", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/amd64", "linux/arm64", false),
            ("windows/amd64", "linux/amd64", false),
        ] {
            assert_eq!(includes(one, other), expected, "{one} {other}");
        }
    }
}
