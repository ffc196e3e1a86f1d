//! The platforms of an image that are scanned.

use actions_toolkit::{BadInput, Scope, Value};
use oci::Platform;
use trivy::ImageSource;

use super::{Inputs, ScanType, TargetRequest};

/// The value of `platforms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platforms {
    /// Every one that the image has.
    All,
    /// These.
    Some(Vec<Platform>),
}

impl Value for Platforms {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let parts = text.split([',', '\n']).map(str::trim);
        let parts = parts.filter(|part| !part.is_empty());
        let parse = |part: &str| part.parse().map_err(|e| format!("`{part}`: {e}, or `all`"));
        let platforms: Vec<Platform> = parts.map(parse).collect::<Result<_, _>>()?;
        if platforms.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Self::Some(platforms))
    }
}

impl Platforms {
    /// Check what the input needs of other ones.
    pub(super) fn check(inputs: &Inputs, targets: &[TargetRequest]) -> Result<(), BadInput> {
        if inputs.platforms.is_none() {
            return Ok(());
        }
        let is_image = |target: &TargetRequest| target.scan_type == ScanType::Image;
        let problem = if inputs.platform.is_some() {
            "is not allowed together with `platform`"
        } else if !targets.iter().any(is_image) && inputs.selection.registry.is_none() {
            "is for targets of the `scan-type` `image`, and there is none"
        } else if !inputs.image_sources.0.contains(&ImageSource::Remote) {
            "is for images of a registry; `image-sources` must have `remote`"
        } else {
            return Ok(());
        };
        Err(BadInput::new(Inputs::platforms, problem))
    }
}
