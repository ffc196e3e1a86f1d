//! A release without GitHub and Sigstore: everything up to them, and workflows that use the images.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;

use crate::bases::Bases;
use crate::{Destination, VERSION, changelog, images, publish, reproducibility, tree};
use xtask::pipeline::{self, Trigger, checkout};
use xtask::setup::base_images::{self, Origin};
use xtask::setup::builds::PIPELINE;
use xtask::{actions, paths, progress, stack};

/// What uses the released actions: the workflows of the repository, and the examples. `ci.yml` without the job that needs
/// a runner's Rust and Go. `examples/weekly-patch.yml` is not among them: without a checkout it can't get the CA certificate
/// of the local registry; `copacetic-patch.yml` is the same with one.
const TRIGGERS: &[Trigger<'_>] = &[
    Trigger::new("examples/one-image.yml", "push"),
    Trigger::new("examples/any-cluster.yml", "push"),
    Trigger::new("examples/private-cluster.yml", "push"),
    Trigger::new("examples/matrix.yml", "push"),
    Trigger::new("examples/monorepo.yml", "push"),
    Trigger::new("examples/no-code-scanning.yml", "push"),
    Trigger::new("examples/enterprise-server.yml", "push"),
    Trigger::new(".github/workflows/ci.yml", "push").job("app"),
    Trigger::new(".github/workflows/ci.yml", "pull_request").job("app"),
    Trigger::new(".github/workflows/trivy-scan.yml", "pull_request"),
    Trigger::new(".github/workflows/trivy-scan.yml", "schedule"),
    Trigger::new(".github/workflows/copacetic-patch.yml", "schedule"),
];

// What only the workflow on GitHub can do.
const LEFT: &[&str] = &[
    "the images for arm64: its runner builds them as this machine builds those for amd64",
    "attest the SBOMs and the provenance: `actions/attest` needs GitHub's token service and Sigstore",
    "sign the images: `cosign` needs Sigstore",
    "push the commit of the release, its tag and `v1`, and make the release: GitHub",
];

/// Build, test, push, join, point the actions to the images, and run the workflows that use them; with `if_changed`,
/// only if the tree is not the one of the last successful dry run; with `second_builder`, the programs are built twice.
///
/// # Errors
/// With the step that failed.
pub(crate) fn run(if_changed: bool, second_builder: bool) -> anyhow::Result<()> {
    if let Err(e) = changelog::check(VERSION) {
        progress::line(format!("  not ready yet: {e:#}"));
    }
    let _lock = stack::lock("pipeline")?;
    let stack = stack::up(PIPELINE)?;
    base_images::compilers(stack.origin)?;
    let source = progress::step("preparing the checkout", || {
        checkout::prepare(&paths::root(), &stack)
    })?;
    let is_content = |path: &Path| !path.starts_with(".git") && !path.starts_with(".seaworthy");
    let key = paths::key_of(&source, is_content, "")?;
    let done = Verified::new(if second_builder {
        "dry-run-twice"
    } else {
        "dry-run"
    });
    if if_changed && done.is(&key) {
        progress::line(format!("  this tree ({key}) has passed the dry run before"));
        return Ok(());
    }
    let destination = Destination {
        registry: format!("{}/seaworthy", stack::MIRROR),
        version: VERSION.to_owned(),
        directory: directory(),
        db_repository: (stack.origin == Origin::Made)
            .then(|| format!("{}/trivy-db:2", stack::MIRROR)),
    };
    std::fs::create_dir_all(&destination.directory)?;
    let bases = match stack.origin {
        Origin::Made => progress::step("serving the base images", Bases::serve)?,
        Origin::Pulled => Bases::Named,
    };
    checkout::with_tools(&source, &stack, || {
        images::build_and_push(&source, &bases, &destination)?;
        verify_reproducibility(&source, &bases, &destination, second_builder)
    })?;
    publish::run(&destination)?;
    tree::write(&source, &publish::read(&destination)?)?;
    checkout::commit(&source)?;
    for trigger in TRIGGERS {
        let Trigger {
            workflow, event, ..
        } = trigger;
        progress::line(format!("\n{workflow} ({event}) with the released actions"));
        pipeline::act(&stack, &source, *trigger)?;
    }
    progress::line("\nleft to the workflow on GitHub:");
    for step in LEFT {
        progress::line(format!("- {step}"));
    }
    done.record(&key)
}

// The key of what was last verified.
struct Verified(PathBuf);

impl Verified {
    fn new(what: &str) -> Self {
        Self(paths::cache().join("release").join(what))
    }

    fn is(&self, key: &str) -> bool {
        std::fs::read_to_string(&self.0).is_ok_and(|known| known == key)
    }

    fn record(&self, key: &str) -> anyhow::Result<()> {
        std::fs::write(&self.0, key).context("failed to record a verified key")
    }
}

// Verify that the images can be reproduced, unless that was done with the same sources, tools and base images.
fn verify_reproducibility(
    source: &Path,
    bases: &Bases,
    destination: &Destination,
    second_builder: bool,
) -> anyhow::Result<()> {
    let in_the_image = |path: &Path| {
        // As in `.dockerignore`.
        let not = [
            "crates/fake-azure",
            "crates/fake-github",
            "crates/fuzz",
            "crates/local-services",
            "crates/release",
            "crates/testkit",
            "crates/xtask",
        ];
        let tools = actions::tools();
        let is_tool = tools
            .iter()
            .any(|tool| path.starts_with(Path::new("tools").join(tool)));
        let starts = |directory: &str| path.starts_with(directory);
        // As in `.dockerignore`.
        if path.components().nth(2) == Some(Component::Normal("tests".as_ref())) {
            return false;
        }
        let named = [
            "app",
            "crates",
            "Cargo.toml",
            "Cargo.lock",
            "Dockerfile.action",
            "actions/actions.txt",
        ];
        let is_tool = is_tool || path == Path::new("tools/compiler.env");
        is_tool || named.iter().any(|f| starts(f)) && !not.iter().any(|f| starts(f))
    };
    let key = paths::key_of(source, in_the_image, bases.ids())?;
    let reproduced = Verified::new(if second_builder {
        "reproduced-twice"
    } else {
        "reproduced"
    });
    if reproduced.is(&key) {
        progress::line(format!(
            "  the images of these sources ({key}) were reproduced before"
        ));
        return Ok(());
    }
    reproducibility::check(source, bases, destination, second_builder)?;
    reproduced.record(&key)
}

/// Where the images are.
pub(crate) fn directory() -> PathBuf {
    paths::cache().join("release/images")
}
