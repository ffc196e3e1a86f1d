//! What the step is to do, valid by its types.

mod baseline_source;
mod checks;
mod claim;
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
use std::time::Duration;

use actions_toolkit::{BadInput, Context, GitHubToken, Secret, Workspace, WorkspacePath};
use github::Leg;
use oci::ImageRef;
use registries::{Registries, Selection};
use trivy::{DatabaseRequest, ImageSource, SbomFormat, Scanner, Target};

use crate::exploitation::Sources;
use crate::filter::Filter;
use crate::verdict::Gate;

pub(crate) use baseline_source::{BaselineSource, read_sarif};
use checks::Checks;
use claim::Claim;
use globs::Globs;
pub(crate) use ignore_file::IgnoreFile;
pub(crate) use inputs::{Inputs, ScanType};
pub(crate) use platforms::Platforms;
pub(crate) use sarif_files::SarifFile;
pub(crate) use target::{Listed, TargetRequest};
pub(crate) use trivy_config::TrivyConfig;
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
    pub(crate) platform: Option<String>,
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
    pub(crate) database: DatabaseRequest,
    pub(crate) java_database: DatabaseRequest,
    /// Targets that are scanned at once.
    pub(crate) concurrency: usize,
    /// Of each scan.
    pub(crate) timeout: Duration,
    pub(crate) sarif_file: WorkspacePath,
    pub(crate) table_file: Option<WorkspacePath>,
    report_file: WorkspacePath,
    _claim: Claim,
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
    pub(crate) fn new(ctx: &Context) -> Result<Self, BadInput> {
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
        let sarif_files = SarifFile::all(ctx, &inputs, &workspace)?;
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
        if inputs.image_sources.0.is_empty() {
            return Err(BadInput::new(Inputs::image_sources, "is empty"));
        }
        if let Some(file) = &inputs.ignore_policy {
            file.read(FILE_LIMIT)?;
        }
        let mut trivy_config = inputs
            .trivy_config
            .as_ref()
            .map(TrivyConfig::open)
            .transpose()?;
        let flat = |lines: Vec<Globs>| lines.into_iter().flat_map(|Globs(globs)| globs).collect();
        let mut skip_dirs: Vec<_> = flat(inputs.skip_dirs);
        let mut skip_files: Vec<_> = flat(inputs.skip_files);
        if let Some(config) = &mut trivy_config {
            skip_dirs.append(&mut config.skip_dirs);
            skip_files.append(&mut config.skip_files);
        }
        let max_age = inputs.database_age.max_database_age.0;
        let database = inputs.database.request(ctx, max_age)?;
        let images: Vec<_> = images(&targets, &baseline).collect();
        let selected = selection.iter().map(|selection| Some(selection.host()));
        let hosts = images.iter().map(ImageRef::registry).chain(selected);
        let token = inputs.token.as_ref().map(|GitHubToken(token)| token);
        let registries = inputs.logins.sign_in(ctx, hosts, None, token)?;
        let files = [&mut inputs.sarif_file, &mut inputs.report_file];
        let mut files: Vec<_> = files.into_iter().chain(&mut inputs.table_file).collect();
        let claim = Claim::new(ctx, &mut files);
        Ok(Self {
            _claim: claim,
            targets,
            sarif_files,
            dockerfiles,
            gate,
            exploitation,
            filter,
            fail_on_not_scanned: inputs.fail_on_not_scanned,
            baseline,
            ignore_file: IgnoreFile::open(&workspace, inputs.ignore_file.as_deref())?,
            vex,
            registries,
            selection,
            concurrency: inputs.concurrency.0,
            platform: inputs.platform,
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
                comment: inputs.comment,
                snapshot: inputs.dependency_snapshot,
                category: inputs.category,
                leg: inputs.matrix,
            },
            sbom: inputs.sbom.0,
            java_database: inputs.java_database.request(&database),
            database,
            timeout: inputs.timeout.0,
            sarif_file: inputs.sarif_file,
            table_file: inputs.table_file,
            report_file: inputs.report_file,
            workspace,
        })
    }

    /// Whether the Dockerfile is that of the image without doubt: there is one of each.
    pub(crate) fn has_one_image(&self) -> bool {
        let images = self.targets.iter().filter(|target| target.is_image());
        let images: BTreeSet<_> = images.map(|target| &target.input).collect();
        self.dockerfiles.len() == 1 && images.len() == 1
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
        if self.github.category.is_some() && self.targets.len() == 1 && target.platform.is_none() {
            return job;
        }
        format!("{job}/{}", target.key(name))
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
