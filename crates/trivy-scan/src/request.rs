//! What the step is to do, valid by its types.

mod baseline_source;
pub(crate) mod ignore_file;
mod inputs;
mod target;

use std::path::PathBuf;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, GitHubToken, Secret, Workspace, WorkspacePath};
use github::Leg;
use oci::ImageRef;
use trivy::{DatabaseRequest, RegistryLogin, SbomFormat, Scanner, Target};

use crate::verdict::Gate;

pub(crate) use baseline_source::{BaselineSource, read_sarif};
pub(crate) use ignore_file::IgnoreFile;
pub(crate) use inputs::{Inputs, ScanType};
pub(crate) use target::TargetRequest;

/// Bytes of the largest file of the workspace that is parsed.
const FILE_LIMIT: u64 = 8 << 20;

/// What one step is to do.
pub(crate) struct Request {
    pub(crate) workspace: Workspace,
    pub(crate) targets: Vec<TargetRequest>,
    /// Relative to the workspace.
    pub(crate) dockerfile: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) scanners: Vec<Scanner>,
    /// Globs.
    pub(crate) skip_dirs: Vec<String>,
    pub(crate) skip_files: Vec<String>,
    pub(crate) gate: Gate,
    pub(crate) fail_on_not_scanned: bool,
    pub(crate) baseline: BaselineSource,
    pub(crate) ignore_file: Option<IgnoreFile>,
    pub(crate) vex: Vec<PathBuf>,
    pub(crate) github: GitHubRequest,
    pub(crate) sbom: Vec<SbomFormat>,
    /// For the registries of the images.
    pub(crate) login: Option<RegistryLogin>,
    pub(crate) database: DatabaseRequest,
    pub(crate) java_database: DatabaseRequest,
    /// Of each scan.
    pub(crate) timeout: Duration,
    pub(crate) sarif_file: WorkspacePath,
    report_file: WorkspacePath,
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
        let inputs: Inputs = ctx.read()?;
        let workspace = ctx.workspace()?;
        let dockerfile = match &inputs.dockerfile {
            Some(path) => {
                path.read(FILE_LIMIT)?;
                Some(path.relative().to_owned())
            }
            None => None,
        };
        let targets = TargetRequest::all(&inputs, &workspace)?;
        let baseline = BaselineSource::new(ctx, &workspace, &inputs.baseline)?;
        let gate = Gate::new(&inputs);
        let max_age = inputs.database_age.max_database_age.0;
        let database = inputs.database.request(ctx, max_age)?;
        let images: Vec<_> = images(&targets, &baseline).collect();
        Ok(Self {
            targets,
            dockerfile,
            gate,
            fail_on_not_scanned: inputs.fail_on_not_scanned,
            baseline,
            ignore_file: IgnoreFile::open(&workspace, inputs.ignore_file.as_deref())?,
            vex: inputs
                .vex
                .iter()
                .map(WorkspacePath::existing)
                .collect::<Result<_, _>>()?,
            login: inputs
                .registry_login
                .login(images.iter().map(ImageRef::registry))?,
            platform: inputs.platform,
            scanners: inputs.scanners.0,
            skip_dirs: inputs.skip_dirs,
            skip_files: inputs.skip_files,
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
            report_file: inputs.report_file,
            workspace,
        })
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
        if self.github.category.is_some() && self.targets.len() == 1 {
            return job;
        }
        format!("{job}/{}/{name}", target.scan_type)
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
