//! A release: the image of each action, built once, tested as built, and named by its digest.
//!
//! `.github/workflows/release.yml` runs these steps one by one; `dry-run` runs them all against the local
//! registry, up to those that only GitHub and Sigstore can do.

mod archive;
mod bases;
mod builder;
mod changelog;
mod dry_run;
mod images;
mod publish;
mod reproducibility;
mod tree;
mod verification;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use builder::purge;
pub(crate) use images::{Built, built};
pub(crate) use verification::load;

/// The version that the workspace has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The steps.
#[derive(Subcommand)]
pub(crate) enum Step {
    /// Build the images for this machine's platform, test them as built, and push them by digest.
    Images(Destination),
    /// Join the images of all platforms under the version, and print their digests.
    Publish(Destination),
    /// Point the actions of this working tree to the published images.
    Tree(Destination),
    /// Print the section of the changelog for the version.
    Notes,
    /// Do all of it against the local registry, and use the released actions in workflows.
    DryRun {
        /// Skip it if the tree is the one of the last successful dry run.
        #[arg(long)]
        if_changed: bool,
    },
}

/// Where a release goes.
#[derive(Args)]
pub(crate) struct Destination {
    /// The registry and the path in it, such as `ghcr.io/owner/seaworthy`.
    #[arg(long)]
    registry: String,
    /// The version of the tag.
    #[arg(long)]
    version: String,
    /// The directory that the steps pass files in.
    #[arg(long, default_value = "target/release-images")]
    directory: PathBuf,
    /// OCI repository of the vulnerability database instead of the public ones.
    #[arg(long)]
    db_repository: Option<String>,
}

/// Run one step.
///
/// # Errors
/// With what failed.
pub(crate) fn run(step: Step) -> anyhow::Result<()> {
    match step {
        Step::Images(destination) => {
            changelog::check(&destination.version)?;
            images::run(&destination)
        }
        Step::Publish(destination) => publish::run(&destination),
        Step::Tree(destination) => {
            tree::write(&crate::paths::root(), &publish::read(&destination)?)
        }
        Step::Notes => changelog::print(),
        Step::DryRun { if_changed } => dry_run::run(if_changed),
    }
}
