//! One image to patch.

use actions_toolkit::BadInput;
use oci::ImageRef;

use super::Inputs;

/// An image, and the name that its patch gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) image: ImageRef,
    pub(crate) patched: ImageRef,
}

impl Target {
    /// The patch of `image` gets `tag`, or the image's own tag with `-patched`.
    ///
    /// # Errors
    /// [`BadInput`] when there is neither, or both tags are the same.
    pub(crate) fn new(image: &ImageRef, tag: Option<&str>) -> Result<Self, BadInput> {
        let suffixed = image.tag().map(|own| format!("{own}-patched"));
        let Some(tag) = tag.map(ToOwned::to_owned).or(suffixed) else {
            let problem = format!(
                "`{image}` has no tag to name the patched image after; add one, or set `patched-tag`"
            );
            return Err(BadInput::new(Inputs::image, problem));
        };
        let patched = image
            .with_tag(&tag)
            .map_err(|e| BadInput::new(Inputs::patched_tag, e))?;
        if image.tag() == Some(tag.as_str()) {
            return Err(BadInput::new(
                Inputs::patched_tag,
                "must not be the image's own tag: the original would be overwritten",
            ));
        }
        Ok(Self {
            image: image.clone(),
            patched,
        })
    }
}
