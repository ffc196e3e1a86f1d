//! Building the images for this machine's platform.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::bases::Bases;
use crate::builder::{Build, Builder};
use crate::{Destination, VERSION, publish, verification};
use xtask::actions::{ACTIONS, Action};
use xtask::setup::command::{command, output};
use xtask::{paths, progress};

/// The time of every file and image, in seconds since 1970: the first of January 1980. BuildKit sets what is newer to
/// it, which is everything; with the time of the commit, layers of an older build would keep their own.
pub(crate) const EPOCH: &str = "315532800";

/// A pushed image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    /// The action.
    pub(crate) action: String,
    /// As OCI names it: `amd64`, `arm64`.
    pub(crate) architecture: String,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// The manifest's media type.
    pub(crate) media_type: String,
    /// The manifest's size in bytes.
    pub(crate) size: u64,
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
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(server), Some(repository)) =
        (variable("GITHUB_SERVER_URL"), variable("GITHUB_REPOSITORY"))
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

/// Build, test and push the images of this working tree, and record them in the directory.
///
/// # Errors
/// With what failed; nothing has a tag then.
pub(crate) fn run(destination: &Destination) -> anyhow::Result<()> {
    build_and_push(&paths::root(), &Bases::Named, destination)
}

/// The same for the checkout `source`, with `bases`.
///
/// # Errors
/// The same.
pub(crate) fn build_and_push(
    source: &Path,
    bases: &Bases,
    destination: &Destination,
) -> anyhow::Result<()> {
    build(
        source,
        bases,
        destination,
        &destination.directory,
        Stages::Kept,
    )?;
    let architecture = oci::architecture();
    let mut images = Vec::new();
    for action in ACTIONS.iter() {
        let Action { name, .. } = action;
        let file = destination.directory.join(format!("{name}.tar"));
        let archive = Archive::open(&file)?;
        progress::step(&format!("testing the image of {name}"), || {
            verification::verify(action, &archive, &file)
        })?;
        progress::step(&format!("writing the SBOM of the image of {name}"), || {
            verification::sbom(destination, name, architecture)
        })?;
        progress::step(&format!("pushing the image of {name}"), || {
            publish::with_registry(destination, async |registry, directory| {
                archive.push(registry, &format!("{directory}/{name}")).await
            })
        })?;
        let manifest = &archive.manifest;
        progress::line(format!(
            "  {name} {architecture}: {}, {:.1} MB compressed",
            manifest.digest,
            megabytes(archive.compressed())
        ));
        images.push(Image {
            action: (*name).to_owned(),
            architecture: architecture.to_owned(),
            digest: manifest.digest.to_string(),
            media_type: manifest.media_type.clone(),
            size: manifest.bytes.len() as u64,
        });
    }
    publish::record(destination, architecture, &images)
}

/// Which stages come from BuildKit's cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stages {
    /// All that have not changed.
    Kept,
    /// Those that compile; the images are assembled from scratch.
    Assembled,
}

/// Build the images of the checkout `source` for `destination` into the directory `out`.
///
/// # Errors
/// With the end of the builder's output.
pub(crate) fn build(
    source: &Path,
    bases: &Bases,
    destination: &Destination,
    out: &Path,
    stages: Stages,
) -> anyhow::Result<()> {
    let commit = commit(source)?;
    let builder = Builder::start(source, out, bases)?;
    for action in ACTIONS.iter() {
        let mut arguments = vec![("SOURCE_DATE_EPOCH", EPOCH.to_owned())];
        let Action { name, images, .. } = action;
        for (argument, other) in images {
            let digest = Archive::open(&out.join(format!("{other}.tar")))?
                .manifest
                .digest;
            let image = format!("{}/{other}@{digest}", destination.registry);
            arguments.push((argument, image));
        }
        let uncached = (stages == Stages::Assembled).then(|| format!("base,{name}"));
        let build = Build {
            context: "",
            dockerfile: "Dockerfile.action",
            target: name,
            arguments,
            labels: labels(name, &commit),
            uncached,
            one_time: true,
        };
        builder.build(name, &build)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// An image that was built here.
pub(crate) struct Built {
    /// The action.
    pub(crate) action: &'static str,
    /// Its archive.
    pub(crate) archive: PathBuf,
    /// Compressed, in bytes.
    pub(crate) compressed: u64,
    tools: &'static [&'static str],
    content: PathBuf,
}

impl Built {
    /// The action's program.
    pub(crate) fn program(&self) -> PathBuf {
        self.content.join("usr/local/bin").join(self.action)
    }

    /// The programs that it starts.
    pub(crate) fn tools(&self) -> Vec<PathBuf> {
        let directory = self.content.join("usr/local/bin");
        let tools = self.tools.iter();
        tools.map(|tool| directory.join(tool)).collect()
    }
}

/// The images of the last dry run.
///
/// # Errors
/// When there was none.
pub(crate) fn built() -> anyhow::Result<Vec<Built>> {
    let directory = crate::dry_run::directory();
    let mut images = Vec::new();
    for action in ACTIONS.iter() {
        let archive = directory.join(format!("{}.tar", action.name));
        ensure!(
            archive.is_file(),
            "the images are not built; run `cargo xtask release dry-run` first"
        );
        images.push(Built {
            action: action.name,
            tools: &action.tools,
            compressed: Archive::open(&archive)?.compressed(),
            content: archive.with_extension("content"),
            archive,
        });
    }
    Ok(images)
}
