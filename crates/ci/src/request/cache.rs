//! The inputs `cache-from` and `cache-to`: where steps of a build come from, and where they are kept.

use std::collections::BTreeMap;

use actions_toolkit::{BadInput, Context, Scope, Value, WorkspacePath};
use oci::ImageRef;

use super::attributes;
use crate::action::Inputs;

/// The end of the name of the test stage's cache: the image's own would replace it.
const TEST: &str = "test";

/// A line of `cache-from` or `cache-to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CacheLine {
    pub(crate) place: CachePlace,
    /// The other attributes, such as `mode`.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CachePlace {
    /// An image in a registry.
    Registry(ImageRef),
    /// The cache of GitHub Actions.
    GitHub { scope: Option<String> },
    /// A directory of the workspace.
    Local(WorkspacePath),
    /// In the image that is built.
    Inline,
}

/// The build that a cache is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheOf {
    Image,
    TestStage,
}

impl Value for CacheLine {
    fn parse(line: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let image = |text: &str| -> Result<ImageRef, String> {
            text.parse().map_err(|e| format!("`{text}`: {e}"))
        };
        // Docker's short form.
        if !line.contains('=') {
            return Ok(Self {
                place: CachePlace::Registry(image(line)?),
                attributes: BTreeMap::new(),
            });
        }
        let mut attributes = attributes::parse(line)?;
        let mut take = |key: &str| attributes.remove(key);
        let missing = |key: &str| format!("`{line}` has no `{key}`");
        let place = match take("type").as_deref() {
            Some("registry") => {
                let name = take("ref").ok_or_else(|| missing("ref"))?;
                CachePlace::Registry(image(&name)?)
            }
            Some("gha") => CachePlace::GitHub {
                scope: take("scope"),
            },
            Some("local") => {
                let path = take("src").or_else(|| take("dest"));
                let path = path.ok_or_else(|| missing("src` or `dest"))?;
                CachePlace::Local(WorkspacePath::parse(&path, scope)?)
            }
            Some("inline") => CachePlace::Inline,
            Some(other) => {
                return Err(format!(
                    "`{line}` has the unknown type `{other}`; expected one of `registry`, `gha`, `local`, `inline`"
                ));
            }
            None => return Err(missing("type")),
        };
        Ok(Self { place, attributes })
    }
}

impl CacheLine {
    /// Whether Docker's own BuildKit, also that of version 20.10, reads it.
    pub(crate) fn is_read_by_docker(&self) -> bool {
        matches!(self.place, CachePlace::Registry(_))
    }

    /// Whether Docker's own BuildKit writes it.
    pub(crate) fn is_written_by_docker(&self) -> bool {
        self.place == CachePlace::Inline
    }
}

/// The lines of an input as it is used, checked against each other and the run.
pub(super) fn lines(
    ctx: &Context,
    (input, lines): (&'static str, &[CacheLine]),
) -> Result<Vec<CacheLine>, BadInput> {
    for line in lines {
        let problem = match &line.place {
            CachePlace::Inline if input == Inputs::cache_from => {
                "`type=inline` is for `cache-to`; name the image: `type=registry,ref=…`"
            }
            CachePlace::GitHub { .. } if ctx.github().cache().is_none() => {
                "`type=gha` needs the cache of a run in GitHub Actions (`ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_TOKEN`)"
            }
            _ => continue,
        };
        return Err(BadInput::new(input, problem));
    }
    Ok(lines.to_vec())
}

impl CacheOf {
    /// `name` for this build.
    pub(crate) fn name(self, name: &str) -> String {
        match self {
            Self::Image => name.to_owned(),
            Self::TestStage => format!("{name}-{TEST}"),
        }
    }
}
