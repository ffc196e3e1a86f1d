//! What is asked for, valid by its types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use container::ImageRef;
use trivy::{DatabaseRequest, Severity, Target};

/// A scan to be made.
pub(crate) struct Request {
    pub(crate) target: Target,
    /// What is scanned, without tag or digest: the name by which findings are known.
    pub(crate) name: String,
    /// The folder that is scanned, relative to the workspace; empty for the workspace itself.
    pub(crate) prefix: String,
    pub(crate) workspace: PathBuf,
    pub(crate) gate: Gate,
    pub(crate) ignore_file: Option<PathBuf>,
    pub(crate) dockerfile: Option<(String, String)>,
    pub(crate) upload: bool,
    pub(crate) category: String,
    pub(crate) token: Option<Secret>,
    pub(crate) database: DatabaseRequest,
    pub(crate) limit: Duration,
    pub(crate) sarif_file: PathBuf,
    pub(crate) report_file: PathBuf,
}

/// What fails the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The lowest severity; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// Whether there must be an update.
    pub(crate) fixable_only: bool,
}

impl Request {
    /// Read and check every input before anything is started.
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let workspace = ctx.github().workspace()?;
        let kind = inputs.required("scan-type")?;
        let (target, name, prefix) = target(ctx, kind, &workspace)?;
        let dockerfile = match inputs.text("dockerfile") {
            Some(name) => {
                let path = present(ctx, "dockerfile")?;
                let text = std::fs::read_to_string(&path).map_err(|e| {
                    BadInput::of("dockerfile", format!("`{name}` can't be read: {e}"))
                })?;
                Some((name.trim_start_matches("./").to_owned(), text))
            }
            None => None,
        };
        let fail_on = match inputs.required("fail-on")? {
            "none" => None,
            text => Some(text.parse().map_err(|_| {
                BadInput::of(
                    "fail-on",
                    format!("`{text}` is none of `critical`, `high`, `medium`, `low`, `none`"),
                )
            })?),
        };
        let github = ctx.github();
        let derived = || {
            let run = format!(
                "{}:{}",
                github.workflow_path().unwrap_or("local"),
                github.job().unwrap_or("local")
            );
            format!("{run}/{kind}/{name}")
        };
        Ok(Self {
            gate: Gate {
                fail_on,
                fixable_only: inputs.flag("fail-on-fixable-only")?,
            },
            ignore_file: inputs
                .text("ignore-file")
                .map(|_| present(ctx, "ignore-file"))
                .transpose()?,
            upload: inputs.flag("upload")?,
            category: inputs
                .text("category")
                .map_or_else(derived, ToOwned::to_owned),
            token: inputs.secret("token", ctx.log()),
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
            },
            limit: inputs.duration("timeout")?,
            sarif_file: ctx.path("sarif-file")?,
            report_file: ctx.path("report-file")?,
            target,
            name,
            prefix,
            workspace,
            dockerfile,
        })
    }

    /// A path of the workspace as later steps see it.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.workspace)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

// The path that an input gives, which must be there.
fn present(ctx: &Context, name: &str) -> Result<PathBuf, BadInput> {
    let path = ctx.path(name)?;
    if path.exists() {
        return Ok(path);
    }
    let shown = ctx.inputs().text(name).unwrap_or_default();
    Err(BadInput::of(
        name,
        format!("there is no `{shown}` in the workspace"),
    ))
}

// What to scan, the name by which its findings are known, and where its paths start.
fn target(
    ctx: &Context,
    kind: &str,
    workspace: &Path,
) -> Result<(Target, String, String), BadInput> {
    match kind {
        "image" => {
            let problem = "is required for `scan-type: image` and was empty or absent";
            let text = ctx
                .inputs()
                .text("image")
                .ok_or_else(|| BadInput::of("image", problem))?;
            let image: ImageRef = text
                .parse()
                .map_err(|e| BadInput::of("image", format!("`{text}`: {e}")))?;
            Ok((
                Target::Image(text.to_owned()),
                image.repository().to_owned(),
                String::new(),
            ))
        }
        "fs" | "config" => {
            let path = present(ctx, "path")?;
            let prefix = path
                .strip_prefix(workspace)
                .unwrap_or(Path::new(""))
                .to_string_lossy();
            let prefix = prefix
                .trim_start_matches("./")
                .trim_matches('/')
                .trim_start_matches('.')
                .to_owned();
            let name = if prefix.is_empty() {
                "repository".to_owned()
            } else {
                prefix.clone()
            };
            let target = if kind == "fs" {
                Target::Filesystem(path)
            } else {
                Target::Config(path)
            };
            Ok((target, name, prefix))
        }
        other => Err(BadInput::of(
            "scan-type",
            format!("`{other}` is none of `image`, `fs`, `config`"),
        )),
    }
}
