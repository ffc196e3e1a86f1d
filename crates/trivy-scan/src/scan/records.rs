//! Reports of images of a registry, kept with Trivy's cache: what was scanned with the same database is not scanned again.

use std::path::{Path, PathBuf};

use actions_toolkit::WorkspacePath;
use oci::{Digest, ImageRef};
use trivy::{Database, Origin, REPORT_LIMIT, Scan, Scanned};

use crate::request::{Request, TrivyConfig, VexSource, files};

/// The directory of the records in Trivy's cache.
const DIRECTORY: &str = "seaworthy-reports";

/// The records of one version of Trivy with one database.
pub(crate) struct Records {
    directory: PathBuf,
    /// What every scan of the run depends on, and is not in its command line: the content of files.
    settings: String,
}

/// An earlier report.
pub(super) struct Record {
    pub(super) scanned: Scanned,
    /// Whether it was made from the SBOM of the image.
    pub(super) is_from_sbom: bool,
}

impl Records {
    /// The records for `request`; those of other databases are removed.
    pub(crate) fn open(request: &Request, version: &str, database: &Database) -> Self {
        let parent = request.database.cache.join(DIRECTORY);
        let java = request.java_database.cache.join("java-db/metadata.json");
        let java = std::fs::read(java).unwrap_or_default();
        let server = match &database.origin {
            Origin::Server { address, version } => format!(" {address} {version}"),
            _ => String::new(),
        };
        let scanner = format!(
            "{version} {} {}{server}",
            database.updated_at,
            Digest::sha256(&java)
        );
        let name = name(&scanner);
        remove_others(&parent, &name);
        let ignore_file = request.ignore_file.as_ref().map(|file| file.path.clone());
        let vex = request
            .vex
            .sources
            .iter()
            .filter_map(|source| match source {
                VexSource::Document(document) => Some(document.path.clone()),
                VexSource::Referrers | VexSource::Repositories => None,
            });
        let policy = request.ignore_policy.as_ref().map(WorkspacePath::absolute);
        let files = ignore_file.into_iter().chain(vex).chain(policy);
        let config = request.trivy_config.as_ref().map(TrivyConfig::content);
        let dependencies = files::dependencies(files, config);
        let mut settings = dependencies.texts;
        if dependencies.is_of_a_day {
            settings.push(jiff::Timestamp::now().strftime("%F").to_string());
        }
        Self {
            directory: parent.join(name),
            settings: settings.join(" "),
        }
    }

    /// The report of `image`, if the same scan was made before.
    pub(super) fn read(&self, scan: &Scan, image: &ImageRef) -> Option<Record> {
        [false, true].into_iter().find_map(|is_from_sbom| {
            let path = self.path(scan, image, is_from_sbom)?;
            let raw = limits::read(&self.directory, &path, REPORT_LIMIT).ok()?;
            let scanned = Scanned::parse(raw).ok()?;
            Some(Record {
                scanned,
                is_from_sbom,
            })
        })
    }

    /// Keep a report.
    ///
    /// # Errors
    /// When it can't be written: a later run scans the image again.
    pub(super) fn write(
        &self,
        scan: &Scan,
        image: &ImageRef,
        record: &Record,
    ) -> std::io::Result<()> {
        let Some(path) = self.path(scan, image, record.is_from_sbom) else {
            return Ok(());
        };
        std::fs::create_dir_all(&self.directory)?;
        // A step that runs at the same time reads all of it or nothing.
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        std::io::Write::write_all(&mut file, &record.scanned.raw)?;
        file.persist(path)?;
        Ok(())
    }

    // `None` for an image without a digest.
    fn path(&self, scan: &Scan, image: &ImageRef, is_from_sbom: bool) -> Option<PathBuf> {
        image.digest()?;
        let key = format!(
            "{image} {:?} {:?} {:?} {:?} {}",
            scan.scanners, scan.platform, scan.skip_dirs, scan.skip_files, self.settings
        );
        let kind = if is_from_sbom { "sbom" } else { "image" };
        Some(self.directory.join(format!("{}.{kind}.json", name(&key))))
    }
}

fn name(key: &str) -> String {
    Digest::sha256(key.as_bytes()).to_tag()
}

// What can't be removed is only not needed.
fn remove_others(parent: &Path, name: &str) {
    let others = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for other in others.filter(|other| *other.file_name() != *name) {
        let _ = std::fs::remove_dir_all(other.path());
    }
}
