//! What became of an image.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Results after which an image is done again, whether it has changed or not.
const OPEN: [&str; 2] = ["failed", "error"];

/// What became of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `host/repository:tag`; a repository without a tag if its images are not known.
    pub image: String,
    /// What the tag referred to, an index or an image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Other tags that referred to the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// `passed`, `patched`, `partial`, `up-to-date`, `skipped`, `failed` or `error`.
    pub result: String,
    /// Why, if it is skipped, failed or an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, RFC 3339.
    pub time: String,
    /// When the image was made, RFC 3339, where that decides.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// The number of findings that it has, by severity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub findings: BTreeMap<String, usize>,
    /// Further outputs of the action.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map<String, Value>,
}

impl Entry {
    /// What became of `image` now.
    pub fn new(image: &str, result: &str) -> Self {
        Self {
            image: image.to_owned(),
            result: result.to_owned(),
            time: now(),
            ..Self::default()
        }
    }

    /// An image that is not done, or could not be, for `reason`.
    pub fn because(image: &str, result: &str, reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..Self::new(image, result)
        }
    }

    /// Whether it need not be done again as long as the image does not change.
    pub(crate) fn is_done(&self) -> bool {
        !OPEN.contains(&self.result.as_str())
    }

    /// An output of the action, if it is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.outputs.get(name)?.as_str()
    }
}

/// The time, RFC 3339.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%FT%TZ").to_string()
}
