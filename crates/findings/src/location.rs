//! Where a finding is shown: where to fix it.
//!
//! GitHub shows an alert in a pull request only when all of its lines are in the diff, so a finding is put on
//! the line that a person would change: the package's line of a lock file, the instruction of the Dockerfile
//! that brought it.

mod layers;
mod source_files;
mod uri;

use std::collections::HashMap;

use docker::Dockerfile;
use trivy::report::{Layer, Lines, ScanResult};

use crate::ecosystems::Ecosystem;
pub use source_files::SourceFiles;
pub use uri::uri;

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
        }
    }

    /// The image was built from the Dockerfile at `path` of the workspace; `metadata` is that of Trivy's report.
    #[must_use]
    pub fn built_from(mut self, path: &str, metadata: &trivy::report::Metadata) -> Self {
        let path = path.trim_start_matches("./");
        let text = self.source.text(path).unwrap_or_default();
        let file = Dockerfile::parse(&text);
        let chain = file.chain();
        let line = chain.first().map_or(1, |from| from.line);
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        self.dockerfile = Some(Image {
            base: Location::new(path, line, line),
            layers: layers::locate(path, &chain, metadata),
            package_files: self.source.package_files(directory),
            path: path.to_owned(),
        });
        self
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
