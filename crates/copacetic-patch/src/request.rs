//! The inputs, valid by their types.

mod inputs;
mod logins;
mod tag_template;
mod target;

use std::time::Duration;

use actions_toolkit::{BadInput, Context, GitHubToken, Parsed, Secret, Workspace, WorkspacePath};
use github::Leg;
use oci::{ImageRef, Platform};
use registries::{Selection, SelectionInputs};
use trivy::DatabaseRequest;

use crate::verify::SmokeTest;

pub(crate) use inputs::{Inputs, PackageTypes};
pub(crate) use logins::Logins;
pub(crate) use tag_template::TagTemplate;
pub(crate) use target::{Destination, Naming, Target};

/// What is patched, and how.
pub(crate) struct Request {
    pub(crate) workspace: Workspace,
    pub(crate) targets: Vec<Target>,
    /// Further targets, by what a registry has.
    pub(crate) selection: Option<Selection>,
    /// Whether an image is read from its registry even if Docker has it.
    pub(crate) is_remote: bool,
    pub(crate) platforms: Platforms,
    pub(crate) logins: Logins,
    pub(crate) report: Option<WorkspacePath>,
    pub(crate) naming: Naming,
    pub(crate) package_types: PackageTypes,
    pub(crate) smoke_test: SmokeTest,
    pub(crate) buildkit: BuildKitSource,
    pub(crate) tooling: Option<ImageRef>,
    /// Images that are patched at once.
    pub(crate) concurrency: usize,
    /// Of one run of Copa.
    pub(crate) timeout: Duration,
    pub(crate) database: DatabaseRequest,
    /// For images with JAR files.
    pub(crate) java_database: DatabaseRequest,
    pub(crate) vex_file: WorkspacePath,
    pub(crate) attached: Attached,
    pub(crate) report_file: WorkspacePath,
    pub(crate) results_file: Option<WorkspacePath>,
    /// Whether an issue lists what remains; `token` is set then.
    pub(crate) issue: bool,
    /// Whether the Security tab gets what remains.
    pub(crate) upload: bool,
    pub(crate) category: Option<String>,
    pub(crate) leg: Leg,
    /// Relative to the workspace.
    pub(crate) dockerfile: Option<String>,
    pub(crate) token: Option<Secret>,
}

/// Which images of an index are patched.
pub(crate) struct Platforms {
    /// All of them if there are none.
    pub(crate) requested: Vec<Platform>,
    /// Whether one that can't be patched stays as it was.
    pub(crate) may_be_partial: bool,
}

/// What is attached to a pushed image.
pub(crate) struct Attached {
    pub(crate) vex: bool,
    pub(crate) sbom: bool,
}

/// Where BuildKit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildKitSource {
    /// It listens at this address already.
    Address(String),
    /// The step starts a container of this image.
    Image(ImageRef),
}

impl Request {
    /// Read and check every input before anything is started.
    pub(crate) fn read(ctx: &Context) -> Result<Self, BadInput> {
        let inputs: Inputs = ctx.read()?;
        let naming = Naming {
            template: inputs.patched_tag.clone(),
            destination: inputs.push_to.clone(),
            replaces_tags: inputs.replace_tags,
        };
        let targets = targets(&inputs, &naming)?;
        let selection = Selection::new(&inputs.selection)?;
        check_combinations(&inputs, &targets, selection.as_ref())?;
        for file in [&inputs.report, &inputs.dockerfile].into_iter().flatten() {
            file.open()?;
        }
        let registries = targets.iter().map(|target| target.image.registry());
        let selected = selection.iter().map(|selection| Some(selection.host()));
        let token = inputs.token.as_ref().map(|GitHubToken(token)| token);
        let logins = Logins::new(
            ctx,
            (inputs.logins, &inputs.entra),
            token,
            registries.chain(selected),
            naming.destination.as_ref(),
        )?;
        if let Some(selection) = &selection {
            logins.get(selection.host(), SelectionInputs::registry)?;
        }
        for target in targets.iter().filter(|_| inputs.push) {
            let host = target.image.registry().unwrap_or_default();
            logins.get(host, Inputs::image)?;
        }
        let database = inputs.database.request(ctx, trivy::MAX_AGE)?;
        Ok(Self {
            workspace: ctx.workspace()?,
            targets,
            selection,
            is_remote: inputs.push,
            platforms: Platforms {
                requested: inputs.platforms.into_iter().map(|Parsed(p)| p).collect(),
                may_be_partial: inputs.partial_platforms,
            },
            logins,
            report: inputs.report,
            naming,
            package_types: inputs.package_types,
            smoke_test: SmokeTest::new(inputs.smoke_command, inputs.smoke_timeout),
            buildkit: match inputs.buildkit_address {
                Some(address) => BuildKitSource::Address(address.0),
                None => BuildKitSource::Image(inputs.buildkit_image.0),
            },
            tooling: inputs.tooling_image.map(|Parsed(image)| image),
            concurrency: inputs.concurrency.0,
            timeout: inputs.timeout.0,
            java_database: inputs.java_database.request(&database),
            database,
            vex_file: inputs.vex_file,
            attached: Attached {
                vex: inputs.vex_attach,
                sbom: inputs.sbom_attach,
            },
            report_file: inputs.report_file,
            results_file: inputs.results_file,
            issue: inputs.issue,
            upload: inputs.upload,
            category: inputs.category,
            leg: inputs.matrix,
            dockerfile: inputs.dockerfile.map(|path| path.relative().to_owned()),
            token: inputs.token.map(|GitHubToken(token)| token),
        })
    }

    /// Whether the patched images are pushed.
    pub(crate) fn pushes(&self) -> bool {
        self.is_remote || self.naming.destination.is_some()
    }

    /// The input that names the registry `host`.
    pub(crate) fn input_of(&self, host: &str) -> &'static str {
        match &self.selection {
            Some(selection) if selection.host() == host => SelectionInputs::registry,
            _ if self
                .naming
                .destination
                .as_ref()
                .is_some_and(|own| own.host == host) =>
            {
                Inputs::push_to
            }
            _ => Inputs::image,
        }
    }

    /// Whether exactly one image is named: files and messages are then about that one.
    pub(crate) fn is_of_one_image(&self) -> bool {
        self.targets.len() == 1 && self.selection.is_none()
    }
}

fn targets(inputs: &Inputs, naming: &Naming) -> Result<Vec<Target>, BadInput> {
    let mut targets: Vec<Target> = Vec::new();
    for Parsed(image) in &inputs.image {
        if inputs.push && image.registry().is_none() && naming.destination.is_none() {
            let problem =
                format!("`{image}` does not name a registry to push to; use `host/{image}`");
            return Err(BadInput::new(Inputs::image, problem));
        }
        let target = naming.target(image)?;
        if targets.iter().any(|known| known.patched == target.patched) {
            let problem = format!("two images would both be patched as `{}`", target.patched);
            return Err(BadInput::new(Inputs::image, problem));
        }
        targets.push(target);
    }
    Ok(targets)
}

// Inputs that need another one.
fn check_combinations(
    inputs: &Inputs,
    targets: &[Target],
    selection: Option<&Selection>,
) -> Result<(), BadInput> {
    let is_pushed = inputs.push || inputs.push_to.is_some();
    let (input, problem) = if targets.is_empty() && selection.is_none() {
        (Inputs::image, "is required, unless `registry` is set")
    } else if inputs.report.is_some() && (targets.len() != 1 || selection.is_some()) {
        (
            Inputs::report,
            "is for a single image, but there are several; leave it empty to scan them",
        )
    } else if selection.is_some() && !is_pushed {
        (
            SelectionInputs::registry,
            "requires `push: true` or `push-to`: images of a registry are patched there",
        )
    } else if inputs.vex_attach && !is_pushed {
        (
            Inputs::vex_attach,
            "requires `push: true` or `push-to`: the document is attached to the pushed image",
        )
    } else if inputs.sbom_attach && !is_pushed {
        (
            Inputs::sbom_attach,
            "requires `push: true` or `push-to`: the SBOM is attached to the pushed image",
        )
    } else if inputs.issue && inputs.token.is_none() {
        (
            Inputs::token,
            "is required for `issue`; grant the job `permissions: issues: write`",
        )
    } else {
        return Ok(());
    };
    Err(BadInput::new(input, problem))
}
