//! A release: the image of each action, built once, tested as built, and named by its digest.
//!
//! `.github/workflows/release.yml` runs these steps one by one; `rehearse` runs them all against the local
//! registry, up to those that only GitHub and Sigstore can do.

mod archive;
mod base;
mod builder;
mod changelog;
mod images;
mod proof;
mod publish;
mod rehearsal;
mod reproduction;
mod tree;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use builder::purge;
pub(crate) use images::{Built, built};
pub(crate) use proof::load;

/// The actions, each an image of this name: the stages of `Dockerfile.action`. `ci` is the last one, since its image
/// names that of `trivy-scan`.
pub(crate) const ACTIONS: [&str; 4] = ["trivy-scan", "copacetic-patch", "azure-deploy", "ci"];

/// The version that the workspace has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The steps.
#[derive(Subcommand)]
pub(crate) enum Step {
    /// Build the images for this machine's platform, test them as built, and push them by digest.
    Images(Place),
    /// Join the images of all platforms under the version, and say their digests.
    Publish(Place),
    /// Let the actions of this working tree name the published images.
    Tree(Place),
    /// Print what the changelog says of the version.
    Notes,
    /// Do all of it against the local registry, and use the released actions in workflows.
    Rehearse {
        /// Not if the tree is the one of the last rehearsal that held.
        #[arg(long)]
        if_changed: bool,
    },
}

/// Where a release goes.
#[derive(Args)]
pub(crate) struct Place {
    /// The registry and the folder in it, such as `ghcr.io/owner/seaworthy`.
    #[arg(long)]
    registry: String,
    /// The version, as the tag has it.
    #[arg(long)]
    version: String,
    /// Where the steps leave what the next ones need.
    #[arg(long, default_value = "target/release-images")]
    folder: PathBuf,
    /// OCI repository of the vulnerability database; the public ones without it.
    #[arg(long)]
    db_repository: Option<String>,
}

/// Run one step.
///
/// # Errors
/// With what failed.
pub(crate) fn run(step: Step) -> anyhow::Result<()> {
    match step {
        Step::Images(place) => {
            changelog::check(&place.version)?;
            images::make(&place)
        }
        Step::Publish(place) => publish::run(&place),
        Step::Tree(place) => tree::write(&crate::paths::root(), &publish::read(&place)?),
        Step::Notes => changelog::print(),
        Step::Rehearse { if_changed } => rehearsal::run(if_changed),
    }
}
