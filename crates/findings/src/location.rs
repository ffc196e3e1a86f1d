//! Where a finding is shown: where to fix it.
//!
//! GitHub shows an alert in a pull request only when all of its lines are in the diff, so a finding is put on
//! the line that a person would change: the package's line of a lock file, the instruction of the Dockerfile
//! that brought it.

pub(crate) mod layers;
mod source_files;
mod uri;

use std::collections::HashMap;

use trivy::report::{Layer, Lines, ScanResult};

use crate::ecosystems::Ecosystem;
pub use source_files::SourceFiles;
pub use uri::uri;

/// Files in which a package of an image is looked up.
const PACKAGE_FILES: usize = 100;

/// Lines of a file in the repository or, failing that, in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The path, relative to the workspace.
    pub path: String,
    /// First line, from 1.
    pub line: u32,
    /// Last line.
    pub end_line: u32,
}

impl Location {
    /// Whole lines of a file; 0 is the file as a whole, which is shown on its first line.
    pub fn new(path: impl Into<String>, line: u32, end_line: u32) -> Self {
        let line = line.max(1);
        Self {
            path: path.into(),
            line,
            end_line: end_line.max(line),
        }
    }
}

/// Locates the findings of one scan.
pub struct Locator<'a> {
    name: &'a str,
    prefix: &'a str,
    source: &'a SourceFiles,
    dockerfile: Option<Image>,
    in_file: bool,
}

struct Image {
    path: String,
    base: Location,
    // Diff id of a layer, and the instruction that made it.
    layers: HashMap<String, Location>,
    // Files next to the Dockerfile that name packages.
    package_files: Vec<String>,
}

impl<'a> Locator<'a> {
    /// The scan of `name`, whose paths start at `prefix` of the workspace.
    pub fn new(name: &'a str, prefix: &'a str, source: &'a SourceFiles) -> Self {
        Self {
            name,
            prefix,
            source,
            dockerfile: None,
            in_file: false,
        }
    }

    /// One file was scanned that describes something else, such as an SBOM: the paths in its report are not of the
    /// workspace, and everything is shown on the file.
    #[must_use]
    pub fn in_file(self) -> Self {
        Self {
            in_file: true,
            ..self
        }
    }

    /// The image was built from the Dockerfile at `path` of the workspace; `metadata` is that of Trivy's report.
    #[must_use]
    pub fn built_from(mut self, path: &str, metadata: &trivy::report::Metadata) -> Self {
        let path = path.trim_start_matches("./");
        let text = self.source.text(path).unwrap_or_default();
        let layers = layers::locate(path, &text, metadata);
        // The build context is the directory of the Dockerfile or one above.
        let directories = path.match_indices('/').rev().map(|(at, _)| &path[..at]);
        let directories = directories.chain([""]);
        let package_files = directories.flat_map(|directory| self.source.package_files(directory));
        self.dockerfile = Some(Image {
            base: Location::new(path, layers.base, layers.base),
            layers: layers.locations,
            package_files: package_files.take(PACKAGE_FILES).collect(),
            path: path.to_owned(),
        });
        self
    }

    /// The one of several Dockerfiles, at `paths` of the workspace, from which the image was built: the one with most of its
    /// instructions. `None` if its history has none of any.
    pub fn dockerfile_of<'p>(
        &self,
        paths: &'p [String],
        metadata: &trivy::report::Metadata,
    ) -> Option<&'p str> {
        let matched = paths.iter().map(|path| {
            let text = self.source.text(path).unwrap_or_default();
            (layers::locate(path, &text, metadata).by_text, path)
        });
        let best = matched.reduce(|best, other| if other.0 > best.0 { other } else { best });
        best.filter(|(by_text, _)| *by_text > 0)
            .map(|(_, path)| path.as_str())
    }

    /// The name of what was scanned.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The Dockerfile, relative to the workspace.
    pub fn dockerfile(&self) -> Option<&str> {
        self.dockerfile.as_ref().map(|image| image.path.as_str())
    }

    /// Where package `name` of `version` is updated. Trivy found it in `file`, installed by `layer`.
    pub fn package(
        &self,
        result: &ScanResult,
        (name, version): (&str, &str),
        file: &str,
        layer: &Layer,
        lines: Option<&Lines>,
    ) -> Location {
        if self.in_file {
            return Location::new(self.prefix, 1, 1);
        }
        let file = if file.is_empty() {
            &result.target
        } else {
            file
        };
        if let Some(image) = &self.dockerfile {
            let locked = || {
                image
                    .package_files
                    .iter()
                    .find_map(|path| self.package_line(path, result, name, version))
            };
            let is_system = result.class == "os-pkgs";
            return (!is_system)
                .then(locked)
                .flatten()
                .or_else(|| image.layers.get(&layer.diff_id).cloned())
                .unwrap_or_else(|| image.base.clone());
        }
        if result.class == "os-pkgs" {
            return Location::new(self.name, 1, 1);
        }
        if let Some(lines) = lines.filter(|lines| lines.start_line > 0) {
            return self.lines(file, lines.start_line, lines.end_line);
        }
        let path = self.path(file);
        self.package_line(&path, result, name, version)
            .unwrap_or_else(|| Location::new(path, 1, 1))
    }

    fn package_line(
        &self,
        path: &str,
        result: &ScanResult,
        name: &str,
        version: &str,
    ) -> Option<Location> {
        let ecosystem = Ecosystem::from_trivy_type(&result.r#type)?;
        let index = self.source.package_index(path, ecosystem, &result.r#type)?;
        let line = ecosystem.line(&index, name, version)?;
        Some(Location::new(path, line, line))
    }

    /// Lines of a file of the scan.
    pub fn lines(&self, file: &str, start: u32, end: u32) -> Location {
        Location::new(self.path(file), start, end)
    }

    /// The hash of the first line of `location`, if the file is in the workspace.
    pub(crate) fn line_hash(&self, location: &Location) -> Option<String> {
        self.source.line_hash(&location.path, location.line)
    }

    /// The text of the lines of `location`; `None` if the lines are unknown, or the file is not in the workspace.
    pub(crate) fn text(&self, start: u32, location: &Location) -> Option<String> {
        let lines = (start > 0).then_some((location.line, location.end_line))?;
        self.source.lines(&location.path, lines)
    }

    /// The path of a file of the scan, relative to the workspace.
    pub(crate) fn path(&self, file: &str) -> String {
        let file = file.trim_start_matches("./").trim_start_matches('/');
        match (self.prefix, file) {
            ("", "" | ".") => self.name.to_owned(),
            ("", file) => file.to_owned(),
            (prefix, "" | ".") => prefix.to_owned(),
            // One file was scanned: Trivy reports its name without the directory.
            (prefix, file) if prefix == file || prefix.ends_with(&format!("/{file}")) => {
                prefix.to_owned()
            }
            (prefix, file) => format!("{prefix}/{file}"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
