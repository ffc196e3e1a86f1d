//! Image references, as the OCI distribution specification and Docker's CLI write them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::Digest;
use crate::hosts::{is_docker_hub, path_in_api};

/// The registry of an image that names none.
const DOCKER_HUB: &str = "docker.io";

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseImageError {
    /// The repository is missing.
    #[error("missing repository; use the form `repository:tag`")]
    Empty,
    /// A part of the repository's path is malformed.
    #[error(
        "invalid repository name `{0}`; use lower-case letters and digits, separated by single `.`, `_` or `-`"
    )]
    Repository(String),
    /// The tag is malformed.
    #[error(
        "invalid tag `{0}`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
    )]
    Tag(String),
    /// The digest is malformed.
    #[error("invalid digest `{0}`; use `sha256:` and 64 hex digits")]
    Digest(String),
    /// The registry's host or port is malformed.
    #[error("invalid registry host `{0}`")]
    Registry(String),
}

/// A reference to an image: an optional registry, a repository, and a tag or digest or both.
///
/// It is shown as it was written; [`ImageRef::registry`] knows the default that Docker assumes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    registry: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// The registry's host (and port), if it was written.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// The repository's path in its registry, as written.
    pub fn repository(&self) -> &str {
        &self.path
    }

    /// The registry's host, and the repository's path as its API has it: `debian` is `library/debian` of Docker Hub.
    pub fn in_registry(&self) -> (&str, Cow<'_, str>) {
        let host = self.registry().filter(|host| !is_docker_hub(host));
        (host.unwrap_or(DOCKER_HUB), path_in_api(host, &self.path))
    }

    /// The last part of the repository's path: the image's name.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The tag, if it was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if it was written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// When `tag` is malformed.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ParseImageError> {
        check_tag(tag)?;
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository by digest, without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }

    /// The same tag and digest in another registry, under another path.
    ///
    /// # Errors
    /// When `registry` or `path` is malformed.
    pub fn moved_to(&self, registry: &str, path: &str) -> Result<Self, ParseImageError> {
        let moved: Self = format!("{registry}/{path}").parse()?;
        Ok(Self {
            tag: self.tag.clone(),
            digest: self.digest.clone(),
            ..moved
        })
    }

    /// Registry and repository, without tag and digest.
    pub fn without_version(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The normalized name: `debian` and `docker.io/library/debian:latest` are the same image
    /// (github.com/distribution/reference, `ParseDockerRef`).
    pub fn normalized(&self) -> String {
        let (host, path) = self.in_registry();
        let separator = if self.digest.is_some() { '@' } else { ':' };
        format!("{host}/{path}{separator}{}", self.reference())
    }

    /// The digest, else the tag, else `latest`.
    pub fn reference(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

// Grammar: github.com/distribution/reference.
fn check_path_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = bytes.first().zip(bytes.last());
    if !ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last)) {
        return false;
    }
    part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

fn check_tag(tag: &str) -> Result<(), ParseImageError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = tag.bytes().next().is_some_and(word);
    if first && tag.len() <= 128 && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
        Ok(())
    } else {
        Err(ParseImageError::Tag(tag.to_owned()))
    }
}

fn check_registry(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let name_ok = !name.is_empty()
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
    name_ok && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

impl FromStr for ImageRef {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // The first part is a registry if it can't be part of a name on Docker Hub.
        let (registry, rest) = match rest.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                if !check_registry(host) {
                    return Err(ParseImageError::Registry(host.to_owned()));
                }
                (Some(host.to_owned()), rest)
            }
            _ => (None, rest),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => {
                check_tag(tag)?;
                (path, Some(tag.to_owned()))
            }
            _ => (rest, None),
        };
        if path.is_empty() {
            return Err(ParseImageError::Empty);
        }
        if let Some(bad) = path.split('/').find(|part| !check_path_part(part)) {
            return Err(ParseImageError::Repository(bad.to_owned()));
        }
        Ok(Self {
            registry,
            path: path.to_owned(),
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_version())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
