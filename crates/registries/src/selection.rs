//! The images of a registry that a run works on.

mod newest;

use std::time::Duration;

use actions_toolkit::{Age, BadInput, Scope, Value, inputs};
use oci::{ImageRef, Registry};

use crate::Pattern;

inputs! {
    /// The images of a registry: the inputs.
    pub struct SelectionInputs {
        /// Host of a registry; the images that `repositories` and `tags` match are added to those that are named.
        registry: Option<String>,
        /// Repositories of `registry`, one pattern per line, with `*` for any characters, or a regular expression as `/^team-\\d+$/`.
        repositories: Vec<Pattern> = "*",
        /// Tags of these repositories, one such pattern per line; signatures and attestations are none.
        tags: Vec<Pattern> = "latest",
        /// Images of these that are left out, one such pattern per line, of a `repository` or of `repository:tag`.
        exclude: Vec<Pattern>,
        /// Number of newest tags in each repository: by version, or by date of creation if the tag is none; all by default.
        newest_tags: Option<Count>,
        /// Age above which an image is left out, `90d`; no limit by default.
        max_image_age: Option<Age>,
    }
}

/// A number, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub usize);

impl Value for Count {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let count = text.parse().ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| format!("invalid number `{text}`; use 1 or more"));
        count.map(Self)
    }
}

/// Images of a registry.
#[derive(Debug, Clone)]
pub struct Selection {
    host: String,
    repositories: Vec<Pattern>,
    tags: Vec<Pattern>,
    exclude: Vec<Pattern>,
    newest: Option<usize>,
    max_age: Option<Duration>,
}

/// What a registry lists.
#[derive(Default)]
pub struct Listed {
    /// The images, by repository and tag.
    pub images: Vec<ImageRef>,
    /// Those that `exclude` has.
    pub excluded: Vec<ImageRef>,
    /// Repositories, `host/path`, whose tags can't be listed.
    pub failed: Vec<(String, anyhow::Error)>,
}

impl Selection {
    /// The images that `registry`, `repositories` and `tags` name, if the first is set.
    ///
    /// # Errors
    /// [`BadInput`] when that is not a host.
    pub fn new(inputs: &SelectionInputs) -> Result<Option<Self>, BadInput> {
        let Some(host) = &inputs.registry else {
            return Ok(None);
        };
        let bad = |problem: String| BadInput::new(SelectionInputs::registry, problem);
        let example: ImageRef = format!("{host}/x")
            .parse()
            .map_err(|e| bad(format!("`{host}/x`: {e}")))?;
        if example.registry() != Some(host) {
            return Err(bad(format!(
                "invalid registry host `{host}`; use a form such as `ghcr.io`"
            )));
        }
        Ok(Some(Self {
            host: host.clone(),
            repositories: inputs.repositories.clone(),
            tags: inputs.tags.clone(),
            exclude: inputs.exclude.clone(),
            newest: inputs.newest_tags.map(|Count(count)| count),
            max_age: inputs.max_image_age.map(|Age(age)| age),
        }))
    }

    /// The host of the registry.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether each repository has one tag at most: the only one that `tags` names.
    pub fn has_one_tag(&self) -> bool {
        matches!(&self.tags[..], [only] if only.literal().is_some())
    }

    /// Whether the dates of images decide.
    pub fn needs_dates(&self) -> bool {
        self.newest.is_some() || self.max_age.is_some()
    }

    /// The images that `registry`, which is that of this selection, lists. A repository whose tags can't be listed fails alone.
    ///
    /// # Errors
    /// When the registry does not list its repositories.
    pub async fn list(&self, registry: &Registry) -> anyhow::Result<Listed> {
        // Permission to read a repository does not include permission to list all of them.
        let repositories = match self.named() {
            Some(named) => named,
            None => registry.repositories().await?,
        };
        let mut listed = Listed::default();
        for repository in repositories {
            if !is_any(&self.repositories, &repository) {
                continue;
            }
            let mut tags = match registry.tags(&repository).await {
                Ok(tags) => tags,
                Err(error) => {
                    let name = format!("{}/{repository}", self.host);
                    listed.failed.push((name, error));
                    continue;
                }
            };
            tags.sort_unstable();
            for tag in tags {
                if !is_any(&self.tags, &tag) || is_list_of_referrers(&tag) {
                    continue;
                }
                let image: ImageRef = format!("{}/{repository}:{tag}", self.host).parse()?;
                if self.excludes(&repository, &tag) {
                    listed.excluded.push(image);
                } else {
                    listed.images.push(image);
                }
            }
        }
        Ok(listed)
    }

    /// The error that nothing matches.
    pub fn nothing(&self) -> BadInput {
        let problem = format!(
            "no image in `{}` matches `repositories` and `tags`",
            self.host
        );
        BadInput::new(SelectionInputs::registry, problem)
    }

    // The repositories, if each pattern is the name of one: the registry's catalog is not needed then.
    fn named(&self) -> Option<Vec<String>> {
        let names = self.repositories.iter().map(Pattern::literal);
        names.map(|name| name.map(ToOwned::to_owned)).collect()
    }

    // Whether `exclude` has the repository, or this tag of it.
    fn excludes(&self, repository: &str, tag: &str) -> bool {
        is_any(&self.exclude, repository) || is_any(&self.exclude, &format!("{repository}:{tag}"))
    }
}

fn is_any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(name))
}

// `sha256-<digest>`, where the registry does not keep the list itself (OCI distribution specification, referrers tag
// schema), and the signatures and attestations of cosign, `sha256-<digest>.sig`.
fn is_list_of_referrers(tag: &str) -> bool {
    tag.starts_with("sha256-")
}
