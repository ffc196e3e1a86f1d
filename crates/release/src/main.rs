//! A release: the image of each action, built once, tested as built, and named by its digest.
//!
//! `.github/workflows/release.yml` runs these steps one by one; `dry-run` runs them all against the local
//! registry, up to those that only GitHub and Sigstore can do.

mod archive;
mod bases;
mod bench;
mod builder;
mod changelog;
mod dry_run;
mod images;
mod publish;
mod reproducibility;
mod tree;
mod verification;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// The version that the workspace has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Make a release.
#[derive(Parser)]
#[command(name = "cargo xtask release", version, about)]
struct Cli {
    #[command(subcommand)]
    step: Step,
}

/// The steps.
#[derive(Subcommand)]
enum Step {
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
        /// Also build the programs with a second builder, and compare them.
        #[arg(long)]
        second_builder: bool,
    },
    /// Measure the images of the last dry run.
    #[command(hide = true)]
    Bench,
}

/// Where a release goes.
#[derive(Args)]
struct Destination {
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

fn main() -> ExitCode {
    let outcome = match Cli::parse().step {
        Step::Images(destination) => {
            changelog::check(&destination.version).and_then(|()| images::run(&destination))
        }
        Step::Publish(destination) => publish::run(&destination),
        Step::Tree(destination) => publish::read(&destination)
            .and_then(|published| tree::write(&xtask::paths::root(), &published)),
        Step::Notes => changelog::print(),
        Step::DryRun {
            if_changed,
            second_builder,
        } => dry_run::run(if_changed, second_builder),
        Step::Bench => bench::run(),
    };
    xtask::progress::exit_code(&outcome)
}

#[cfg(test)]
mod tests {
    #[test]
    fn containers_of_the_actions_have_the_label_by_which_down_finds_them() {
        assert_eq!(docker::RUN_LABEL, xtask::stack::RUN_LABEL);
    }
}
