//! What became of each image of a run.

use std::fmt;

use oci::ImageRef;

use super::ImageReport;
use crate::request::Target;

/// The outcomes of a run.
pub(crate) struct Outcomes {
    pub(crate) done: Vec<ImageReport>,
    pub(crate) failed: Vec<Failure>,
    pub(crate) skipped: Vec<Skipped>,
}

/// An image that is not patched, because of an error.
pub(crate) struct Failure {
    pub(crate) subject: Subject,
    pub(crate) error: anyhow::Error,
}

/// What an error is about.
#[derive(Debug)]
pub(crate) enum Subject {
    Image {
        image: ImageRef,
        /// The name that its patch would have got, if there is one.
        patched: Option<ImageRef>,
    },
    /// Every image of the repository, `host/path`: they are not known.
    Repository(String),
}

/// An image that is not to be patched, or can't be.
pub(crate) struct Skipped {
    pub(crate) image: ImageRef,
    /// What follows the name in a sentence: `is older than …`.
    pub(crate) reason: String,
    /// Whether that is so as long as the image does not change.
    pub(crate) is_lasting: bool,
}

impl Subject {
    /// Whether the findings of `image` are unknown because of the error.
    pub(crate) fn covers(&self, image: &str) -> bool {
        match self {
            Self::Image {
                image: own,
                patched,
            } => {
                let names = [Some(own), patched.as_ref()];
                names
                    .into_iter()
                    .flatten()
                    .any(|own| own.to_string() == image)
            }
            Self::Repository(repository) => image
                .strip_prefix(repository.as_str())
                .is_some_and(|rest| rest.starts_with([':', '@'])),
        }
    }
}

impl From<&Target> for Subject {
    fn from(target: &Target) -> Self {
        Self::Image {
            image: target.image.clone(),
            patched: Some(target.patched.clone()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { image, .. } => image.fmt(f),
            Self::Repository(repository) => repository.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_fails_leaves_the_findings_of_its_images_unknown() {
        let repository = Subject::Repository("ghcr.io/team/app".to_owned());
        for (image, expected) in [
            ("ghcr.io/team/app:1", true),
            ("ghcr.io/team/app@sha256:0", true),
            ("ghcr.io/team/app-2:1", false),
            ("ghcr.io/team/app/worker:1", false),
        ] {
            assert_eq!(repository.covers(image), expected, "{image}");
        }
    }
}
