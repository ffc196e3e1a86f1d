//! Where a finding is shown: where it is mended.
//!
//! GitHub shows an alert in a pull request only when all of its lines are in the diff, so a finding is put on
//! the line that a person would change: the package's line of a lock file, the instruction of the Dockerfile
//! that brought it.

mod layer;
pub mod lock_file;
mod source;
mod uri;

use std::collections::HashMap;

pub use docker::Dockerfile;
use trivy::report::{Layer, Lines, ResultOf};

pub use source::SourceFiles;
pub use uri::uri;

/// A place in the repository (or, failing that, in the image).
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
    /// Whole lines of a file; 0 stands for the file as a whole, which is shown on its first line.
    pub fn new(path: impl Into<String>, line: u32, end_line: u32) -> Self {
        let line = line.max(1);
        Self {
            path: path.into(),
            line,
            end_line: end_line.max(line),
        }
    }
}

/// What is known of the places of one scan.
pub struct Places<'a> {
    name: &'a str,
    prefix: &'a str,
    source: &'a SourceFiles,
    dockerfile: Option<Image>,
}

struct Image {
    path: String,
    base: Location,
    // The instruction that made each layer of the image.
    layers: HashMap<String, Location>,
    // Lock files beside the Dockerfile.
    lock_files: Vec<String>,
}

impl<'a> Places<'a> {
    /// The scan of `name`, whose paths start at `prefix` of the workspace.
    pub fn new(name: &'a str, prefix: &'a str, source: &'a SourceFiles) -> Self {
        Self {
            name,
            prefix,
            source,
            dockerfile: None,
        }
    }

    /// The image was built from the Dockerfile at `path` of the workspace; `metadata` is what Trivy says of the
    /// image.
    #[must_use]
    pub fn built_from(mut self, path: &str, metadata: &trivy::report::Metadata) -> Self {
        let path = path.trim_start_matches("./");
        let text = self.source.text(path).unwrap_or_default();
        let file = Dockerfile::parse(&text);
        let chain = file.chain();
        let line = chain.first().map_or(1, |from| from.line);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.dockerfile = Some(Image {
            base: Location::new(path, line, line),
            layers: layer::places(path, &chain, metadata),
            lock_files: self.source.lock_files(folder),
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

    /// The place of package `name` of `version`, found in `file` and brought by `layer`.
    pub fn of_package(
        &self,
        result: &ResultOf,
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
                let kind = lock_file::Ecosystem::of(&result.r#type)?;
                image
                    .lock_files
                    .iter()
                    .find_map(|path| self.in_lock_file(path, kind, name, version))
            };
            let system = result.class == "os-pkgs";
            return (!system)
                .then(locked)
                .flatten()
                .or_else(|| image.layers.get(&layer.diff_id).cloned())
                .unwrap_or_else(|| image.base.clone());
        }
        if result.class == "os-pkgs" {
            return Location::new(self.name, 1, 1);
        }
        if let Some(lines) = lines.filter(|lines| lines.start_line > 0) {
            return self.of_lines(file, lines.start_line, lines.end_line);
        }
        let path = self.path(file);
        lock_file::Ecosystem::of(&result.r#type)
            .and_then(|kind| self.in_lock_file(&path, kind, name, version))
            .unwrap_or_else(|| Location::new(path, 1, 1))
    }

    fn in_lock_file(
        &self,
        path: &str,
        kind: lock_file::Ecosystem,
        name: &str,
        version: &str,
    ) -> Option<Location> {
        let line = self.source.lock_file(path)?.line(kind, name, version)?;
        Some(Location::new(path, line, line))
    }

    /// Lines of a file of the scan.
    pub fn of_lines(&self, file: &str, start: u32, end: u32) -> Location {
        Location::new(self.path(file), start, end)
    }

    /// The identity of a line of a file of the scan, if the file is in the workspace.
    pub(crate) fn line_hash(&self, place: &Location) -> Option<String> {
        self.source.line_hash(&place.path, place.line)
    }

    fn path(&self, file: &str) -> String {
        let file = file.trim_start_matches("./").trim_start_matches('/');
        match (self.prefix, file) {
            ("", "" | ".") => self.name.to_owned(),
            ("", file) => file.to_owned(),
            (prefix, "" | ".") => prefix.to_owned(),
            // One file was scanned: Trivy then calls it by its own name.
            (prefix, file) if prefix == file || prefix.ends_with(&format!("/{file}")) => {
                prefix.to_owned()
            }
            (prefix, file) => format!("{prefix}/{file}"),
        }
    }
}

#[cfg(test)]
mod tests;
