//! How the tag of a patched image follows from the tag of its original.

use actions_toolkit::{BadInput, Scope, Value};
use oci::ImageRef;

use super::Inputs;

/// The placeholder of the original's tag.
const TAG: &str = "{tag}";

/// A tag with `{tag}` for the original's, or the same tag for every image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagTemplate(String);

impl TagTemplate {
    /// The name that the patch of `image` gets in the repository of `moved`.
    ///
    /// # Errors
    /// [`BadInput`] when the original has no tag to name it after, or the tag would be invalid.
    pub(super) fn apply(&self, image: &ImageRef, moved: &ImageRef) -> Result<ImageRef, BadInput> {
        let tag = match image.tag() {
            Some(own) => self.0.replace(TAG, own),
            None if self.0.contains(TAG) => {
                let problem = format!(
                    "`{image}` has no tag to name the patched image after; add one, or set `patched-tag`"
                );
                return Err(BadInput::new(Inputs::image, problem));
            }
            None => self.0.clone(),
        };
        moved.with_tag(&tag).map_err(|_| {
            let problem = format!(
                "the patch of `{image}` would have a tag of {} characters, and at most 128 are allowed; use a shorter `patched-tag`",
                tag.len()
            );
            BadInput::new(Inputs::image, problem)
        })
    }
}

impl Value for TagTemplate {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let rest = text.replace(TAG, "");
        if rest.contains(['{', '}']) {
            return Err(format!(
                "invalid template `{text}`; the only placeholder is `{TAG}`, for the tag of the original"
            ));
        }
        // Any tag of an original can precede or follow the rest, within the limit of its length.
        let example = text.replace(TAG, "1");
        let any: ImageRef = "image".parse().map_err(|e| format!("{e}"))?;
        any.with_tag(&example).map_err(|e| e.to_string())?;
        Ok(Self(text.to_owned()))
    }
}
