//! The stage that GitHub records what runs under.

use actions_toolkit::{Scope, Value};

/// Characters of each part (docs.github.com/rest/orgs/artifact-metadata).
const LIMIT: usize = 128;

/// A stage, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) logical: String,
    /// The region or the data center, if it is given.
    pub(crate) physical: Option<String>,
}

impl Value for Stage {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (logical, physical) = match text.split_once('/') {
            Some((logical, physical)) => (logical, Some(physical)),
            None => (text, None),
        };
        let is_valid = |part: &str| !part.trim().is_empty() && part.chars().count() <= LIMIT;
        if !is_valid(logical) || !physical.is_none_or(is_valid) {
            return Err(format!(
                "invalid stage `{text}`; use a name such as `production`, or with the region `production/westeurope`"
            ));
        }
        Ok(Self {
            logical: logical.to_owned(),
            physical: physical.map(ToOwned::to_owned),
        })
    }
}
