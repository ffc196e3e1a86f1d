//! What to scan.

use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, Value as _, Workspace, WorkspacePath, invalid_choice};
use oci::{Digest, ImageRef, Platform};
use trivy::{Scanner, Target};

use super::{Inputs, ScanType};

/// One target of the step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetRequest {
    pub(crate) scan_type: ScanType,
    /// The image or path of the input.
    pub(crate) input: String,
    pub(crate) target: Target,
    /// The name in categories and fingerprints: without tag, digest or the name of an archive.
    pub(crate) name: String,
    /// The scanned directory, relative to the workspace; empty for the workspace itself.
    pub(crate) prefix: String,
    /// Which of the images of `input` it is, if there is one for each of several platforms.
    pub(crate) platform: Option<Platform>,
    /// The checkout that it is in, if that is not the workspace.
    pub(crate) checkout: Option<PathBuf>,
    /// Set if its registry listed it.
    pub(crate) listed: Option<Listed>,
}

/// What a registry has under the name of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The digest: of an index, or of the image itself.
    pub(crate) root: Digest,
    /// Other tags of the same image.
    pub(crate) also: Vec<String>,
    /// Of its layers, compressed.
    pub(crate) bytes: u64,
    /// When it was made, RFC 3339, where that decides.
    pub(crate) created: String,
}

impl TargetRequest {
    /// The target of `scan-type`, `image` and `path`, or those of `targets`; none if there is only something to upload.
    pub(super) fn all(inputs: &Inputs, workspace: &Workspace) -> Result<Vec<Self>, BadInput> {
        if inputs.targets.is_empty() {
            let names_nothing = inputs.scan_type == ScanType::Image && inputs.image.is_none();
            let has_others = !inputs.sarif.is_empty() || inputs.selection.registry.is_some();
            if names_nothing && has_others {
                return Ok(Vec::new());
            }
            let target = if inputs.scan_type == ScanType::Image {
                let image = inputs.image.as_deref();
                let required =
                    || BadInput::new(Inputs::image, "is required for `scan-type: image`");
                Self::image(Inputs::image, image.ok_or_else(required)?)?
            } else {
                Self::path(inputs.scan_type, &inputs.path)?
            };
            return Ok(vec![target]);
        }
        if inputs.image.is_some() {
            return Err(BadInput::new(
                Inputs::image,
                "is not allowed together with `targets`; use a line `image NAME` there",
            ));
        }
        let mut targets: Vec<Self> = Vec::new();
        for line in &inputs.targets {
            let target = Self::parse(line, workspace)?;
            let is_twin = |other: &&Self| {
                (other.scan_type, &other.input) == (target.scan_type, &target.input)
            };
            if targets.iter().any(|other| is_twin(&other)) {
                let problem = format!("`{line}` is in it twice");
                return Err(BadInput::new(Inputs::targets, problem));
            }
            targets.push(target);
        }
        Ok(targets)
    }

    // A line of `targets`.
    fn parse(line: &str, workspace: &Workspace) -> Result<Self, BadInput> {
        let bad = |problem| BadInput::new(Inputs::targets, problem);
        let (scan_type, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let scan_type: ScanType = scan_type.parse().map_err(|_| {
            let problem = invalid_choice(scan_type, ScanType::CHOICES);
            bad(format!("`{line}`: {problem}"))
        })?;
        match text.trim() {
            "" => Err(bad(format!("`{line}` does not name an image or path"))),
            image if scan_type == ScanType::Image => Self::image(Inputs::targets, image),
            path => {
                let path = workspace.path(Inputs::targets, path).map_err(bad)?;
                Self::path(scan_type, &path)
            }
        }
    }

    fn image(input: &'static str, text: &str) -> Result<Self, BadInput> {
        let image: ImageRef = text
            .parse()
            .map_err(|e| BadInput::new(input, format!("`{text}`: {e}")))?;
        Ok(Self {
            scan_type: ScanType::Image,
            input: text.to_owned(),
            target: Target::Image(text.to_owned()),
            name: image.repository().to_owned(),
            prefix: String::new(),
            platform: None,
            checkout: None,
            listed: None,
        })
    }

    fn path(scan_type: ScanType, path: &WorkspacePath) -> Result<Self, BadInput> {
        let existing = path.existing()?;
        let relative = path.relative();
        let name = match scan_type {
            // Replaced by the image's name, which is in the report.
            ScanType::Archive => "image",
            _ if relative.is_empty() => "repository",
            _ => relative,
        };
        let (target, prefix) = match scan_type {
            ScanType::Archive => (Target::Archive(existing), ""),
            ScanType::Config => (Target::Config(existing), relative),
            ScanType::Rootfs => (Target::Rootfs(existing), relative),
            ScanType::Sbom => (Target::Sbom(existing), relative),
            _ => (Target::Filesystem(existing), relative),
        };
        Ok(Self {
            scan_type,
            input: path.given().to_owned(),
            target,
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            platform: None,
            checkout: None,
            listed: None,
        })
    }

    /// The same target in another checkout; `None` for an image.
    pub(crate) fn in_directory(&self, directory: &Path) -> Option<Self> {
        let path = directory.join(&self.prefix);
        // Trivy scans nothing behind a link. One that leads out of the checkout stays one.
        let resolved = path.canonicalize().ok();
        let resolved = resolved.filter(|path| path.starts_with(directory));
        let path = resolved.unwrap_or(path);
        let target = match self.target {
            Target::Filesystem(_) => Target::Filesystem(path),
            Target::Config(_) => Target::Config(path),
            Target::Rootfs(_) => Target::Rootfs(path),
            Target::Sbom(_) => Target::Sbom(path),
            Target::Image(_) | Target::Archive(_) => return None,
        };
        Some(Self {
            target,
            checkout: Some(directory.to_owned()),
            ..self.clone()
        })
    }

    /// Whether there is no such file or directory, as in a base that does not have it yet.
    pub(crate) fn is_absent(&self) -> bool {
        match &self.target {
            Target::Filesystem(path)
            | Target::Config(path)
            | Target::Rootfs(path)
            | Target::Sbom(path) => !path.exists(),
            Target::Image(_) | Target::Archive(_) => false,
        }
    }

    /// What to look for in this target, given the input `scanners`.
    pub(crate) fn scanners(&self, scanners: &[Scanner]) -> Vec<Scanner> {
        match self.scan_type {
            ScanType::Secret => vec![Scanner::Secrets],
            // It has no files.
            ScanType::Sbom => {
                let without = scanners.iter().filter(|s| **s != Scanner::Secrets);
                without.copied().collect()
            }
            _ => scanners.to_vec(),
        }
    }

    /// What is the same in every run, and another one for each target, with the `name` of this one: the end of its category.
    pub(crate) fn key(&self, name: &str) -> String {
        match &self.platform {
            Some(platform) => format!("{}/{name}/{platform}", self.scan_type),
            None => format!("{}/{name}", self.scan_type),
        }
    }

    /// `name`, this target's, for a person: with the platform, if it is one of several.
    pub(crate) fn title(&self, name: &str) -> String {
        match &self.platform {
            Some(platform) => format!("{name} ({platform})"),
            None => name.to_owned(),
        }
    }

    pub(crate) fn is_image(&self) -> bool {
        matches!(self.scan_type, ScanType::Image | ScanType::Archive)
    }
}
