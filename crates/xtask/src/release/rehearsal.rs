//! A release without GitHub and Sigstore: everything up to them, and a workflow that uses the outcome.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use super::base::Bases;
use super::{Place, VERSION, changelog, images, publish, reproduction, tree};
use crate::pipeline::{self, Trigger, checkout};
use crate::setup::base_images::Origin;
use crate::{paths, say, stack};

/// What uses the released actions: the workflows of the repository, and the examples. `ci.yml` without the job that needs
/// a runner's Rust and Go. `examples/weekly-patch.yml` is left out: without a checkout it can't be told whom the local
/// registry's certificate is from; `copacetic-patch.yml` is the same with one.
const TRIGGERS: &[Trigger<'_>] = &[
    Trigger::of("examples/one-image.yml", "push"),
    Trigger::of("examples/any-cluster.yml", "push"),
    Trigger::of("examples/private-cluster.yml", "push"),
    Trigger::of("examples/matrix.yml", "push"),
    Trigger::of("examples/monorepo.yml", "push"),
    Trigger::of("examples/no-code-scanning.yml", "push"),
    Trigger::of("examples/enterprise-server.yml", "push"),
    Trigger::of(".github/workflows/ci.yml", "push").job("app"),
    Trigger::of(".github/workflows/ci.yml", "pull_request").job("app"),
    Trigger::of(".github/workflows/trivy-scan.yml", "pull_request"),
    Trigger::of(".github/workflows/trivy-scan.yml", "schedule"),
    Trigger::of(".github/workflows/copacetic-patch.yml", "schedule"),
];

// What cannot be done here, in the words of the workflow's steps.
const LEFT: &[&str] = &[
    "the images for arm64: its runner builds them as this machine builds those for amd64",
    "attest the bills of materials and the provenance: `actions/attest` needs GitHub's token service and Sigstore",
    "sign the images: `cosign` needs Sigstore",
    "push the commit of the release, its tag and `v1`, and make the release: GitHub",
];

/// Build, test, push, join, point the actions to the outcome, and run the workflows that use them; with `if_changed`,
/// only if the tree is not the one of the last rehearsal that held.
///
/// # Errors
/// With the step that failed.
pub(super) fn run(if_changed: bool) -> anyhow::Result<()> {
    if let Err(e) = changelog::check(VERSION) {
        say::line(format!("  not ready yet: {e:#}"));
    }
    let _turn = stack::turn("pipeline")?;
    let stack = stack::up()?;
    let source = say::step("preparing the checkout", || {
        checkout::prepare(&paths::root(), &stack)
    })?;
    let is_content = |path: &Path| !path.starts_with(".git") && !path.starts_with(".seaworthy");
    let key = paths::key_of(&source, is_content, "")?;
    let rehearsed = Proof::of("rehearsed");
    if if_changed && rehearsed.holds(&key) {
        say::line(format!("  this tree ({key}) was rehearsed before"));
        return Ok(());
    }
    let place = Place {
        registry: format!("{}/seaworthy", stack::MIRROR),
        version: VERSION.to_owned(),
        folder: folder(),
        db_repository: (stack.origin == Origin::Made)
            .then(|| format!("{}/trivy-db:2", stack::MIRROR)),
    };
    std::fs::create_dir_all(&place.folder)?;
    let bases = match stack.origin {
        Origin::Made => say::step("handing the base images over", Bases::serve)?,
        Origin::Pulled => Bases::Named,
    };
    checkout::with_tools(&source, &stack, || {
        images::from(&source, &bases, &place)?;
        once_more(&source, &bases, &place)
    })?;
    publish::run(&place)?;
    tree::write(&source, &publish::read(&place)?)?;
    checkout::commit(&source)?;
    for trigger in TRIGGERS {
        let Trigger {
            workflow, event, ..
        } = trigger;
        say::line(format!("\n{workflow} ({event}) with the released actions"));
        pipeline::act(&stack, &source, *trigger)?;
    }
    say::line("\nleft to the workflow on GitHub:");
    for step in LEFT {
        say::line(format!("- {step}"));
    }
    rehearsed.keep(&key)
}

// What was shown once, of what has this key.
struct Proof(PathBuf);

impl Proof {
    fn of(what: &str) -> Self {
        Self(paths::cache().join("release").join(what))
    }

    fn holds(&self, key: &str) -> bool {
        std::fs::read_to_string(&self.0).is_ok_and(|known| known == key)
    }

    fn keep(&self, key: &str) -> anyhow::Result<()> {
        std::fs::write(&self.0, key).context("while keeping a proof")
    }
}

// See that the images can be reproduced, unless that was done with the same sources, tools and base images.
fn once_more(source: &Path, bases: &Bases, place: &Place) -> anyhow::Result<()> {
    let in_the_image = |path: &Path| {
        let not = ["crates/xtask", "crates/testkit"];
        let starts = |folder: &str| path.starts_with(folder);
        // As in `.dockerignore`.
        if path.components().nth(2) == Some(Component::Normal("tests".as_ref())) {
            return false;
        }
        [
            "app",
            "crates",
            "tools/copa",
            "tools/kustomize",
            "tools/trivy",
        ]
        .iter()
        .any(|f| starts(f))
            && !not.iter().any(|f| starts(f))
            || ["Cargo.toml", "Cargo.lock", "Dockerfile.action"]
                .iter()
                .any(|f| starts(f))
    };
    let key = paths::key_of(source, in_the_image, bases.ids())?;
    let reproduced = Proof::of("reproduced");
    if reproduced.holds(&key) {
        say::line(format!(
            "  the images of these sources ({key}) were reproduced before"
        ));
        return Ok(());
    }
    reproduction::check(source, bases, place)?;
    reproduced.keep(&key)
}

/// Where the images are.
pub(crate) fn folder() -> PathBuf {
    paths::cache().join("release/images")
}
