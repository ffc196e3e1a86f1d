//! What the step is to do, valid by its types.

mod baseline_source;
mod checks;
pub(crate) mod files;
mod globs;
pub(crate) mod ignore_file;
mod inputs;
mod platforms;
mod sarif_files;
mod target;
pub(crate) mod trivy_config;
mod vex;
pub(crate) mod web_url;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use actions_toolkit::{
    BadInput, Context, FileClaim, GitHubToken, Parsed, ResultFile, Secret, Workspace, WorkspacePath,
};
use fleet::{Dependencies, Fleet, FleetInputs};
use github::Leg;
use oci::{ImageRef, Platform};
use registries::{Registries, Selection};
use trivy::{DatabaseRequest, ImageSource, SbomFormat, Scanner, Target};

use crate::exploitation::Sources;
use crate::filter::Filter;
use crate::verdict::Gate;

pub(crate) use baseline_source::{BaselineSource, read_sarif};
use checks::Checks;
use globs::Globs;
pub(crate) use ignore_file::IgnoreFile;
pub(crate) use inputs::{Inputs, ScanType};
pub(crate) use platforms::Platforms;
pub(crate) use sarif_files::SarifFile;
pub(crate) use target::{Listed, TargetRequest};
pub(crate) use trivy_config::TrivyConfig;
use vex::VexLine;
pub(crate) use vex::{Place, RepositorySource, VexRequest, VexSource};

/// Bytes of the largest file of the workspace that is parsed.
const FILE_LIMIT: u64 = 8 << 20;

/// What one step is to do.
pub(crate) struct Request {
    pub(crate) workspace: Workspace,
    /// Empty if there are SARIF files to upload and nothing to scan.
    pub(crate) targets: Vec<TargetRequest>,
    /// Those of other scanners.
    pub(crate) sarif_files: Vec<SarifFile>,
    /// Relative to the workspace.
    pub(crate) dockerfiles: Vec<String>,
    pub(crate) platform: Option<Platform>,
    /// Each image is scanned for each of them.
    pub(crate) platforms: Option<Platforms>,
    pub(crate) scanners: Vec<Scanner>,
    /// Globs.
    pub(crate) skip_dirs: Vec<String>,
    pub(crate) skip_files: Vec<String>,
    pub(crate) checks: Checks,
    pub(crate) ignore_policy: Option<WorkspacePath>,
    pub(crate) trivy_config: Option<TrivyConfig>,
    pub(crate) image_sources: Vec<ImageSource>,
    pub(crate) gate: Gate,
    pub(crate) exploitation: Sources,
    pub(crate) filter: Filter,
    pub(crate) fail_on_not_scanned: bool,
    pub(crate) baseline: BaselineSource,
    pub(crate) ignore_file: Option<IgnoreFile>,
    pub(crate) vex: VexRequest,
    pub(crate) github: GitHubRequest,
    pub(crate) sbom: Vec<SbomFormat>,
    /// For the registries of the images.
    /// Further targets, by what a registry has.
    pub(crate) selection: Option<Selection>,
    pub(crate) registries: Registries,
    /// The part of the images of the registry that the step does, if not all.
    pub(crate) fleet: Option<Fleet>,
    pub(crate) database: DatabaseRequest,
    pub(crate) java_database: DatabaseRequest,
    /// Targets that are scanned at once.
    pub(crate) concurrency: usize,
    /// Of each scan.
    pub(crate) timeout: Duration,
    pub(crate) sarif_file: WorkspacePath,
    pub(crate) table_file: Option<WorkspacePath>,
    report_file: WorkspacePath,
    files: FileClaim,
}

/// What is published on GitHub.
pub(crate) struct GitHubRequest {
    pub(crate) token: Option<Secret>,
    pub(crate) upload: bool,
    pub(crate) comment: bool,
    pub(crate) snapshot: bool,
    category: Option<String>,
    leg: Leg,
}

impl Request {
    /// Read and check every input, before anything is started.
    pub(crate) async fn new(ctx: &Context) -> Result<Self, BadInput> {
        let mut inputs: Inputs = ctx.read()?;
        let workspace = ctx.workspace()?;
        let mut dockerfiles = Vec::new();
        for path in &inputs.dockerfile {
            path.read(FILE_LIMIT)?;
            dockerfiles.push(path.relative().to_owned());
        }
        let targets = TargetRequest::all(&inputs, &workspace)?;
        let selection = Selection::new(&inputs.selection)?;
        Platforms::check(&inputs, &targets)?;
        let baseline = BaselineSource::new(ctx, &workspace, &inputs.baseline)?;
        let sarif_files = SarifFile::all(ctx, &inputs, &workspace).await?;
        let gate = Gate::new(&inputs);
        if targets.is_empty() && selection.is_none() && !gate.fail_on.is_never() {
            let problem = "has nothing to decide on: it does not count the results of `sarif`; name an image, a path or `targets` too";
            return Err(BadInput::new(Inputs::fail_on, problem));
        }
        let filter = Filter::new(&inputs);
        let vex = VexRequest::new(&inputs, &workspace, &targets)?;
        let exploitation = Sources::new(&inputs, &workspace, gate.fail_on)?;
        let checks = checks(&inputs, &targets)?;
        let scanners = scanners(&inputs, &targets)?;
        check_files_and_sources(&inputs)?;
        let ignore_file = IgnoreFile::open(&workspace, inputs.ignore_file.as_deref())?;
        let mut trivy_config = inputs
            .trivy_config
            .as_ref()
            .map(|file| TrivyConfig::open(file, &workspace))
            .transpose()?;
        let (ignored, config) = (ignore_file.as_ref(), trivy_config.as_ref());
        let dependencies = dependencies(&inputs, ignored, config, &baseline);
        let fleet = fleet(ctx, &inputs, &targets, selection.as_ref(), &dependencies)?;
        let flat = |lines: Vec<Globs>| lines.into_iter().flat_map(|Globs(globs)| globs).collect();
        let mut skip_dirs: Vec<_> = flat(inputs.skip_dirs);
        let mut skip_files: Vec<_> = flat(inputs.skip_files);
        if let Some(config) = &mut trivy_config {
            skip_dirs.append(&mut config.skip_dirs);
            skip_files.append(&mut config.skip_files);
        }
        let max_age = inputs.database_age.max_database_age.0;
        let database = inputs.server.database(inputs.database, ctx, max_age)?;
        let images: Vec<_> = images(&targets, &baseline).collect();
        let selected = selection.iter().map(|selection| Some(selection.host()));
        let hosts = images.iter().map(ImageRef::registry).chain(selected);
        let token = inputs.token.as_ref().map(|GitHubToken(token)| token);
        let registries = inputs.logins.sign_in(ctx, hosts, None, token)?;
        let files = [&mut inputs.sarif_file, &mut inputs.report_file];
        let mut files: Vec<_> = files.into_iter().chain(&mut inputs.table_file).collect();
        let is_part = fleet.is_some();
        let leg = match &fleet {
            // An image may be in another shard tomorrow.
            Some(_) => inputs.matrix.without(&fleet::MATRIX),
            None => inputs.matrix,
        };
        let claim = ctx.claim(leg.in_file_name().as_deref(), &mut files);
        Ok(Self {
            files: claim,
            targets,
            sarif_files,
            dockerfiles,
            gate,
            exploitation,
            filter,
            fail_on_not_scanned: inputs.fail_on_not_scanned,
            baseline,
            ignore_file,
            vex,
            registries,
            selection,
            fleet,
            concurrency: inputs.concurrency.0,
            platform: inputs.platform.map(|Parsed(platform)| platform),
            platforms: inputs.platforms,
            scanners,
            skip_dirs,
            skip_files,
            checks,
            ignore_policy: inputs.ignore_policy,
            trivy_config,
            image_sources: inputs.image_sources.0,
            github: GitHubRequest {
                token: inputs.token.map(|GitHubToken(token)| token),
                upload: inputs.upload,
                // One shard does not know what the others found.
                comment: inputs.comment && !is_part,
                snapshot: inputs.dependency_snapshot,
                category: inputs.category,
                leg,
            },
            sbom: inputs.sbom.0,
            java_database: inputs.java_database.request(&database),
            database,
            timeout: inputs.timeout.0,
            sarif_file: inputs.sarif_file.into_path(),
            table_file: inputs.table_file.map(ResultFile::into_path),
            report_file: inputs.report_file.into_path(),
            workspace,
        })
    }

    /// Whether the Dockerfile is that of the image without doubt: there is one of each.
    pub(crate) fn has_one_image(&self) -> bool {
        self.dockerfiles.len() == 1 && self.count_images() == 1
    }

    // Those for several platforms are one.
    fn count_images(&self) -> usize {
        let images = self.targets.iter().filter(|target| target.is_image());
        let images: BTreeSet<_> = images.map(|target| &target.input).collect();
        images.len()
    }

    /// Whether the image `target`, whose findings are named after `name`, is a later build of `base`: of several images, one
    /// of the same repository. What another image had is not known in this one.
    pub(crate) fn is_base_of(&self, base: &ImageRef, target: &TargetRequest, name: &str) -> bool {
        let image = match &target.target {
            Target::Image(image) => image.parse::<ImageRef>().ok(),
            _ => None,
        };
        let repository = image.as_ref().map_or(name, ImageRef::repository);
        repository == base.repository() || self.count_images() == 1
    }

    /// The files of other steps of the job, which are not part of what is scanned.
    pub(crate) fn files_of_other_steps(&self) -> impl Iterator<Item = PathBuf> {
        self.files.others().iter().map(WorkspacePath::absolute)
    }

    /// Where the report of the target at `index` is written.
    pub(crate) fn report_file(&self, index: usize) -> WorkspacePath {
        if index == 0 {
            return self.report_file.clone();
        }
        self.report_file.numbered(index, "json")
    }

    /// Where the SBOM of the target at `index` is written.
    pub(crate) fn sbom_file(&self, index: usize, format: SbomFormat) -> WorkspacePath {
        self.report_file.numbered(index, format.extension())
    }

    /// The category of the analysis of `target`, whose findings are named after `name`.
    pub(crate) fn category(&self, ctx: &Context, target: &TargetRequest, name: &str) -> String {
        let job = self.job_category(ctx);
        // A shard of one image tonight has several tomorrow.
        let is_alone = self.targets.len() == 1 && self.fleet.is_none();
        if self.github.category.is_some() && is_alone && target.platform.is_none() {
            return job;
        }
        format!("{job}/{}", self.key(target, name))
    }

    /// The end of the category of `target`, with the `name` of its findings: another one for each platform that is chosen.
    pub(crate) fn key(&self, target: &TargetRequest, name: &str) -> String {
        let key = target.key(name);
        match &self.platform {
            Some(platform) if target.is_image() => format!("{key}/{platform}"),
            _ => key,
        }
    }

    /// The category of an analysis by `tool` in a SARIF file of another scanner, with the id `own`; `is_only` is whether
    /// the step uploads nothing else.
    pub(crate) fn category_of(
        &self,
        ctx: &Context,
        tool: &str,
        own: Option<&str>,
        is_only: bool,
    ) -> String {
        let (own, _) = github::category_and_run_id(own.unwrap_or_default());
        if !own.is_empty() {
            return self.github.leg.in_category(own);
        }
        let job = self.job_category(ctx);
        if self.github.category.is_some() && is_only {
            return job;
        }
        format!("{job}/sarif/{}", tool.replace('/', "-"))
    }

    /// The start of every category of this step: the input `category`, or workflow and job; with the leg of the matrix.
    fn job_category(&self, ctx: &Context) -> String {
        let leg = &self.github.leg;
        match &self.github.category {
            Some(category) => leg.in_category(category),
            None => github::job_category(&ctx.github(), leg),
        }
    }

    /// What is the same in every run of this step, and another one in every other step of the workflow.
    pub(crate) fn step_key(&self, ctx: &Context) -> String {
        let job = self.job_category(ctx);
        match github::step_name(ctx.env()) {
            Some(step) => format!("{job}#{step}"),
            None => job,
        }
    }
}

fn check_files_and_sources(inputs: &Inputs) -> Result<(), BadInput> {
    if inputs.image_sources.0.is_empty() {
        return Err(BadInput::new(Inputs::image_sources, "is empty"));
    }
    if let Some(file) = &inputs.ignore_policy {
        file.read(FILE_LIMIT)?;
    }
    Ok(())
}

// The part of the images of `selection` that the step does.
fn fleet(
    ctx: &Context,
    inputs: &Inputs,
    targets: &[TargetRequest],
    selection: Option<&Selection>,
    dependencies: &Dependencies,
) -> Result<Option<Fleet>, BadInput> {
    if inputs.fleet.fleet.is_some() && selection.is_some() {
        if !(targets.is_empty() && inputs.sarif.is_empty()) {
            let problem = "is for the images of a registry alone; remove `image`, `path`, `targets` and `sarif`, or use another step for them";
            return Err(BadInput::new(FleetInputs::fleet, problem));
        }
        if inputs.dependency_snapshot {
            let problem = "has the packages of one step, and each shard would replace those of the others; scan these images without `fleet`";
            return Err(BadInput::new(Inputs::dependency_snapshot, problem));
        }
    }
    let action = crate::ACTION.name;
    Fleet::new(ctx, action, &inputs.fleet, selection, dependencies)
}

// What the results depend on, in addition to the inputs.
fn dependencies(
    inputs: &Inputs,
    ignore_file: Option<&IgnoreFile>,
    config: Option<&TrivyConfig>,
    baseline: &BaselineSource,
) -> Dependencies {
    let documents = inputs.vex.iter().filter_map(VexLine::path);
    let named = documents.chain(&inputs.ignore_policy);
    let ignore_file = ignore_file.map(|file| file.path.clone());
    let base = match baseline {
        BaselineSource::File(path) => Some(path.clone()),
        _ => None,
    };
    let files = named
        .map(WorkspacePath::absolute)
        .chain(ignore_file)
        .chain(base);
    let mut dependencies = files::dependencies(files, config.map(TrivyConfig::content));
    // `auto` is another one for another event.
    dependencies.texts.push(format!("{baseline:?}"));
    dependencies
}

// What is looked for, of which every target has something.
fn scanners(inputs: &Inputs, targets: &[TargetRequest]) -> Result<Vec<Scanner>, BadInput> {
    let scanners: Vec<_> = inputs.scanners.0.iter().map(|name| name.0).collect();
    let finds_nothing = |target: &&TargetRequest| target.scanners(&scanners).is_empty();
    if let Some(target) = targets.iter().find(finds_nothing) {
        let problem = format!(
            "has nothing to look for in {} `{}`",
            target.scan_type, target.input
        );
        return Err(BadInput::new(Inputs::scanners, problem));
    }
    Ok(scanners)
}

// The checks of configuration, which need something to check.
fn checks(inputs: &Inputs, targets: &[TargetRequest]) -> Result<Checks, BadInput> {
    let checks = Checks::open(&inputs.checks)?;
    let is_config = |target: &TargetRequest| target.scan_type == ScanType::Config;
    if !checks.paths.is_empty() && !targets.iter().any(is_config) {
        let problem = "are for targets of the `scan-type` `config`, and there is none";
        return Err(BadInput::new(Inputs::checks, problem));
    }
    Ok(checks)
}

// The images that the step may pull.
fn images(targets: &[TargetRequest], baseline: &BaselineSource) -> impl Iterator<Item = ImageRef> {
    let baseline = match baseline {
        BaselineSource::Image(image) => Some(image.clone()),
        _ => None,
    };
    let image = |target: &TargetRequest| match &target.target {
        Target::Image(image) => image.parse().ok(),
        _ => None,
    };
    targets.iter().filter_map(image).chain(baseline)
}
