//! One image to patch.

use actions_toolkit::BadInput;
use oci::ImageRef;

use super::TagTemplate;

/// An image, and the name that its patch gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) image: ImageRef,
    pub(crate) patched: ImageRef,
}

impl Target {
    /// The patch of `image` gets the tag that `template` makes of the image's own.
    ///
    /// # Errors
    /// [`BadInput`] when there is no such tag, or it is the image's own.
    pub(crate) fn new(image: &ImageRef, template: &TagTemplate) -> Result<Self, BadInput> {
        Ok(Self {
            patched: template.apply(image)?,
            image: image.clone(),
        })
    }
}
