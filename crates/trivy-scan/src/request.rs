//! What is asked for, valid by its types.

mod target;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use trivy::{DatabaseRequest, Sbom, Scanner};

use crate::baseline::Source;
use crate::ignore::IgnoreFile;
use crate::verdict::Gate;

pub(crate) use target::{Kind, TargetRequest};

/// What one step is to do.
pub(crate) struct Request {
    pub(crate) workspace: PathBuf,
    pub(crate) targets: Vec<TargetRequest>,
    /// Relative to the workspace.
    pub(crate) dockerfile: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) scanners: Vec<Scanner>,
    pub(crate) gate: Gate,
    pub(crate) baseline: Source,
    pub(crate) ignore_file: Option<IgnoreFile>,
    pub(crate) vex: Vec<PathBuf>,
    pub(crate) github: GitHubRequest,
    pub(crate) sbom: Vec<Sbom>,
    pub(crate) login: Option<(String, Secret)>,
    pub(crate) database: DatabaseRequest,
    pub(crate) limit: Duration,
    pub(crate) sarif_file: PathBuf,
    report_file: PathBuf,
}

/// What GitHub is to be told.
pub(crate) struct GitHubRequest {
    pub(crate) token: Option<Secret>,
    pub(crate) upload: bool,
    pub(crate) comment: bool,
    pub(crate) snapshot: bool,
    category: Option<String>,
}

impl Request {
    /// Read and check every input before anything is started.
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let workspace = ctx.github().workspace()?;
        let dockerfile = match inputs.text("dockerfile") {
            Some(name) => {
                let path = present(ctx, "dockerfile", name)?;
                std::fs::read_to_string(&path).map_err(|e| {
                    BadInput::new("dockerfile", format!("`{name}` can't be read: {e}"))
                })?;
                Some(name.trim_start_matches("./").to_owned())
            }
            None => None,
        };
        let login = match (
            inputs.text("registry-username"),
            inputs.secret("registry-password", ctx.log()),
        ) {
            (Some(user), Some(password)) => Some((user.to_owned(), password)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(BadInput::new(
                    "registry-password",
                    "is required with `registry-username`",
                ));
            }
            (None, Some(_)) => {
                return Err(BadInput::new(
                    "registry-username",
                    "is required with `registry-password`",
                ));
            }
        };
        Ok(Self {
            targets: TargetRequest::all(ctx, &workspace)?,
            platform: inputs.text("platform").map(ToOwned::to_owned),
            scanners: list(ctx, "scanners", |name| match name {
                "vuln" => Ok(Scanner::Vulnerabilities),
                "secret" => Ok(Scanner::Secrets),
                _ => Err("is none of `vuln`, `secret`".to_owned()),
            })?,
            gate: Gate::of(inputs)?,
            baseline: Source::of(ctx)?,
            ignore_file: IgnoreFile::of(ctx, &workspace)?,
            vex: inputs
                .lines("vex")
                .into_iter()
                .map(|path| present(ctx, "vex", path))
                .collect::<Result<_, _>>()?,
            github: GitHubRequest {
                token: inputs.secret("token", ctx.log()),
                upload: inputs.flag("upload")?,
                comment: inputs.flag("comment")?,
                snapshot: inputs.flag("dependency-snapshot")?,
                category: inputs.text("category").map(ToOwned::to_owned),
            },
            sbom: list(ctx, "sbom", str::parse)?,
            login,
            database: DatabaseRequest {
                mirrors: inputs
                    .lines("db-repositories")
                    .into_iter()
                    .map(ToOwned::to_owned)
                    .collect(),
                cache: inputs.text("cache-directory").map_or_else(
                    || trivy::default_cache(ctx.env()),
                    |path| workspace.join(path),
                ),
                offline: inputs.flag("offline")?,
                max_age: inputs.age("max-database-age")?,
            },
            limit: inputs.duration("timeout")?,
            sarif_file: ctx.path("sarif-file")?,
            report_file: ctx.path("report-file")?,
            dockerfile,
            workspace,
        })
    }

    /// Where the report of the target at place `index` is written.
    pub(crate) fn report_file(&self, index: usize) -> PathBuf {
        numbered(&self.report_file, index, "json")
    }

    /// Where the software bill of materials of the target at place `index` is written.
    pub(crate) fn sbom_file(&self, index: usize, sbom: Sbom) -> PathBuf {
        numbered(&self.report_file, index, sbom.ending())
    }

    /// A path of the workspace as later steps see it.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.workspace)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }

    /// The category of the analysis of `target`, known by `name`.
    pub(crate) fn category(&self, ctx: &Context, target: &TargetRequest, name: &str) -> String {
        match &self.github.category {
            Some(category) if self.targets.len() == 1 => category.clone(),
            Some(category) => format!("{category}/{}/{name}", target.kind),
            None => format!("{}/{}/{name}", self.family(ctx), target.kind),
        }
    }

    /// What all categories of this step start with: the step's own name among the workflows.
    pub(crate) fn family(&self, ctx: &Context) -> String {
        let derived = || github::job_category(&ctx.github());
        self.github.category.clone().unwrap_or_else(derived)
    }
}

// `a/report.json`, `a/report-2.json` and so on.
fn numbered(file: &Path, index: usize, ending: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let number = if index == 0 {
        String::new()
    } else {
        format!("-{}", index + 1)
    };
    if index == 0 && ending == "json" {
        return file.to_owned();
    }
    file.with_file_name(format!("{stem}{number}.{ending}"))
}

// Words between commas, each read by `read`.
fn list<T>(
    ctx: &Context,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, BadInput> {
    let text = ctx.inputs().text(name).unwrap_or_default();
    text.split([',', '\n'])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| read(word).map_err(|e| BadInput::new(name, format!("`{word}` {e}"))))
        .collect()
}

/// The path `given` by the input `name`, which must be there.
pub(crate) fn present(ctx: &Context, name: &str, given: &str) -> Result<PathBuf, BadInput> {
    let path = ctx.path_given(name, given)?;
    if path.exists() {
        return Ok(path);
    }
    Err(BadInput::new(
        name,
        format!("there is no `{given}` in the workspace"),
    ))
}
