//! Building the images for this machine's platform.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::archive::Archive;
use super::base::Bases;
use super::builder::{Build, Builder};
use super::{ACTIONS, Place, VERSION, proof, publish};
use crate::setup::command::{command, output};
use crate::{paths, say};

/// The time of every file and image, in seconds since 1970: the first of January 1980. BuildKit moves what is newer to
/// it, and everything is; with the time of the commit, what it has from an older build would keep its own.
pub(super) const EPOCH: &str = "315532800";

/// A pushed image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Image {
    /// The action.
    pub(super) action: String,
    /// As OCI names it: `amd64`, `arm64`.
    pub(super) architecture: String,
    /// The digest of its manifest.
    pub(super) digest: String,
    /// The manifest's media type.
    pub(super) media_type: String,
    /// The manifest's size in bytes.
    pub(super) size: u64,
}

/// The labels of the image of `action` of `commit`, below `org.opencontainers.image`
/// (github.com/opencontainers/image-spec/blob/main/annotations.md).
fn labels(action: &str, commit: &str) -> Vec<(&'static str, String)> {
    let mut labels = vec![
        ("title", format!("seaworthy {action}")),
        ("version", VERSION.to_owned()),
        ("licenses", "Apache-2.0".to_owned()),
        ("revision", commit.to_owned()),
    ];
    // By this a package of GitHub's registry belongs to the repository.
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(server), Some(repository)) =
        (given("GITHUB_SERVER_URL"), given("GITHUB_REPOSITORY"))
    {
        labels.push(("source", format!("{server}/{repository}")));
    }
    labels
}

/// The name of the last commit of `source`.
///
/// # Errors
/// When there is none.
fn commit(source: &Path) -> anyhow::Result<String> {
    let mut head = command("git", ["rev-parse", "HEAD"]);
    Ok(output(head.current_dir(source))?.trim().to_owned())
}

/// Build, test and push the images of this working tree, and leave word of them in the folder.
///
/// # Errors
/// With what failed; nothing has a tag then.
pub(super) fn make(place: &Place) -> anyhow::Result<()> {
    from(&paths::root(), &Bases::Named, place)
}

/// The same for the checkout `source`, with `bases`.
///
/// # Errors
/// The same.
pub(super) fn from(source: &Path, bases: &Bases, place: &Place) -> anyhow::Result<()> {
    build(source, bases, place, &place.folder, Stages::Kept)?;
    let architecture = architecture();
    let mut images = Vec::new();
    for action in ACTIONS {
        let file = place.folder.join(format!("{action}.tar"));
        let archive = Archive::open(&file)?;
        say::step(&format!("testing the image of {action}"), || {
            proof::run_on(action, &archive, &file)
        })?;
        say::step(&format!("listing what is in the image of {action}"), || {
            proof::bill(place, action, architecture)
        })?;
        say::step(&format!("pushing the image of {action}"), || {
            publish::with_registry(place, async |registry, folder| {
                archive.push(registry, &format!("{folder}/{action}")).await
            })
        })?;
        let manifest = &archive.manifest;
        say::line(format!(
            "  {action} {architecture}: {}, {:.1} MB compressed",
            manifest.digest,
            megabytes(archive.compressed())
        ));
        images.push(Image {
            action: action.to_owned(),
            architecture: architecture.to_owned(),
            digest: manifest.digest.to_string(),
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
        });
    }
    publish::leave(place, architecture, &images)
}

/// Which stages are taken from what BuildKit keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stages {
    /// All that have not changed.
    Kept,
    /// Those that compile; the images are put together anew.
    Assembled,
}

/// Build the images of the checkout `source` for `place` into the folder `out`.
///
/// # Errors
/// With the end of what the builder printed.
pub(super) fn build(
    source: &Path,
    bases: &Bases,
    place: &Place,
    out: &Path,
    stages: Stages,
) -> anyhow::Result<()> {
    let commit = commit(source)?;
    let builder = Builder::start(source, out, bases)?;
    for action in ACTIONS {
        let mut arguments = vec![("SOURCE_DATE_EPOCH", EPOCH.to_owned())];
        if action == "ci" {
            let scanner = Archive::open(&out.join("trivy-scan.tar"))?.manifest.digest;
            let image = format!("{}/trivy-scan@{scanner}", place.registry);
            arguments.push(("TRIVY_IMAGE", image));
        }
        let anew = (stages == Stages::Assembled).then(|| format!("base,{action}"));
        let build = Build {
            context: "",
            dockerfile: "Dockerfile.action",
            target: action,
            arguments,
            labels: labels(action, &commit),
            anew,
            one_time: true,
        };
        builder.build(action, &build)?;
    }
    Ok(())
}

// As OCI names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[allow(clippy::cast_precision_loss)] // shown with one digit
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// An image that was built here.
pub(crate) struct Built {
    /// The action.
    pub(crate) action: &'static str,
    /// Its archive.
    pub(crate) archive: PathBuf,
    /// What a runner fetches, in bytes.
    pub(crate) compressed: u64,
    content: PathBuf,
}

impl Built {
    /// The action's own program.
    pub(crate) fn program(&self) -> PathBuf {
        self.content.join("usr/local/bin").join(self.action)
    }

    /// The programs that it starts.
    pub(crate) fn tools(&self) -> Vec<PathBuf> {
        let folder = self.content.join("usr/local/bin");
        let tools = proof::tools(self.action).iter();
        tools.map(|tool| folder.join(tool)).collect()
    }
}

/// The images that the last rehearsal built.
///
/// # Errors
/// When there was none.
pub(crate) fn built() -> anyhow::Result<Vec<Built>> {
    let folder = super::rehearsal::folder();
    let mut built = Vec::new();
    for action in ACTIONS {
        let archive = folder.join(format!("{action}.tar"));
        ensure!(
            archive.is_file(),
            "the images are not built: run `cargo xtask release rehearse` first"
        );
        built.push(Built {
            action,
            compressed: Archive::open(&archive)?.compressed(),
            content: archive.with_extension("content"),
            archive,
        });
    }
    Ok(built)
}
