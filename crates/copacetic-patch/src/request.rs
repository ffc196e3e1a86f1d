//! The inputs, valid by their types.

mod inputs;
mod logins;
mod tag_template;
mod target;

use std::time::Duration;

use actions_toolkit::{
    BadInput, Context, FileClaim, GitHubToken, Parsed, ResultFile, Secret, Workspace, WorkspacePath,
};
use fleet::{Dependencies, Fleet, FleetInputs};
use github::{Leg, StorageRecordInputs};
use oci::{ImageRef, Platform};
use registries::{Selection, SelectionInputs};
use trivy::DatabaseRequest;

use crate::patch::NOT_TOOLING;
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
    /// The part of the images of the registry that the step does, if not all.
    pub(crate) fleet: Option<Fleet>,
    mode: Mode,
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
    /// No other step writes them.
    _files: FileClaim,
    /// Whether an issue lists what remains; `token` is set then.
    pub(crate) issue: bool,
    /// The token for recording what is pushed, if that is requested.
    pub(crate) records: Option<Secret>,
    /// Whether the Security tab gets what remains.
    pub(crate) upload: bool,
    pub(crate) category: Option<String>,
    pub(crate) leg: Leg,
    /// Relative to the workspace.
    pub(crate) dockerfile: Option<String>,
    pub(crate) token: Option<Secret>,
}

/// What is done with the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Patch,
    /// It is only shown what would be done.
    DryRun,
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
    pub(crate) provenance: bool,
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
        let mut inputs: Inputs = ctx.read()?;
        let leg = std::mem::take(&mut inputs.matrix);
        let leg = match &inputs.fleet.fleet {
            // An image may be in another shard tomorrow.
            Some(_) => leg.without(&fleet::MATRIX),
            None => leg,
        };
        let files = [&mut inputs.report_file, &mut inputs.vex_file];
        let mut files: Vec<_> = files.into_iter().chain(&mut inputs.results_file).collect();
        let files = ctx.claim(leg.in_file_name().as_deref(), &mut files);
        let naming = Naming {
            template: inputs.patched_tag.clone(),
            destination: inputs.push_to.clone(),
            replaces_tags: inputs.replace_tags,
        };
        let targets = targets(&inputs, &naming)?;
        let selection = Selection::new(&inputs.selection)?;
        check_combinations(&inputs, &targets, selection.as_ref())?;
        if let Some(Parsed(tooling)) = &inputs.tooling_image {
            check_tooling(tooling)?;
        }
        if inputs.fleet.fleet.is_some() && !targets.is_empty() {
            let problem =
                "is for the images of a registry alone; remove `image`, or use another step for it";
            return Err(BadInput::new(FleetInputs::fleet, problem));
        }
        let action = crate::ACTION.name;
        let none = Dependencies::default();
        let fleet = Fleet::new(ctx, action, &inputs.fleet, selection.as_ref(), &none)?;
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
        let database = inputs
            .server
            .database(inputs.database, ctx, trivy::MAX_AGE)?;
        let token = inputs.token.as_ref();
        let recorder = token.filter(|_| inputs.records.storage_record);
        Ok(Self {
            workspace: ctx.workspace()?,
            targets,
            selection,
            fleet,
            mode: if inputs.dry_run {
                Mode::DryRun
            } else {
                Mode::Patch
            },
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
            vex_file: inputs.vex_file.into_path(),
            attached: Attached {
                vex: inputs.vex_attach,
                sbom: inputs.sbom_attach,
                provenance: inputs.provenance_attach,
            },
            report_file: inputs.report_file.into_path(),
            results_file: inputs.results_file.map(ResultFile::into_path),
            _files: files,
            issue: inputs.issue,
            records: recorder.map(|GitHubToken(token)| token.clone()),
            upload: inputs.upload,
            category: inputs.category,
            leg,
            dockerfile: inputs.dockerfile.map(|path| path.relative().to_owned()),
            token: inputs.token.map(|GitHubToken(token)| token),
        })
    }

    /// Whether it is only shown what would be done.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.mode == Mode::DryRun
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

fn check_tooling(image: &ImageRef) -> Result<(), BadInput> {
    let name = format!("{}:{}", image.name(), image.reference());
    match NOT_TOOLING.iter().find(|word| name.contains(**word)) {
        Some(word) => {
            let problem = format!(
                "Copa does not run its tools in `{image}`, as its name has `{word}`: such images lack busybox; use one of another distribution, such as `debian:stable-slim`"
            );
            Err(BadInput::new(Inputs::tooling_image, problem))
        }
        None => Ok(()),
    }
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
    } else if inputs.provenance_attach && !is_pushed {
        (
            Inputs::provenance_attach,
            "requires `push: true` or `push-to`: the provenance is attached to the pushed image",
        )
    } else if inputs.records.storage_record && !is_pushed {
        (
            StorageRecordInputs::storage_record,
            "requires `push: true` or `push-to`: it is of the pushed image",
        )
    } else if inputs.records.storage_record && inputs.token.is_none() {
        (
            Inputs::token,
            "is required for `storage-record`; grant the job `permissions: artifact-metadata: write`",
        )
    } else if inputs.dry_run && inputs.fleet.fleet.is_some() {
        (
            Inputs::dry_run,
            "is for a run in one job; remove `fleet`, whose `plan` has the images of each shard",
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
