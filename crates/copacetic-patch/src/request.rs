//! The inputs, valid by their types.

mod registry;
mod target;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use oci::ImageRef;
use trivy::DatabaseRequest;

use crate::verify::SmokeTest;

pub(crate) use registry::{Filter, Login};
pub(crate) use target::Target;

/// What is patched, and how.
pub(crate) struct Request {
    pub(crate) targets: Vec<Target>,
    /// Further targets, by what a registry has.
    pub(crate) filter: Option<Filter>,
    /// Whether images are read from their registry and pushed back there.
    pub(crate) push: bool,
    pub(crate) login: Login,
    pub(crate) report: Option<PathBuf>,
    pub(crate) patched_tag: Option<String>,
    pub(crate) package_types: PackageTypes,
    pub(crate) smoke_test: SmokeTest,
    pub(crate) buildkit: BuildKitSource,
    pub(crate) tooling: Option<ImageRef>,
    /// Of one run of Copa.
    pub(crate) timeout: Duration,
    pub(crate) database: DatabaseRequest,
    pub(crate) vex: Vex,
    pub(crate) report_file: PathBuf,
    /// Whether an issue lists what remains; `token` is set then.
    pub(crate) issue: bool,
    /// Whether the Security tab gets what remains.
    pub(crate) upload: bool,
    pub(crate) category: Option<String>,
    /// Relative to the workspace.
    pub(crate) dockerfile: Option<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) workspace: PathBuf,
}

/// The OpenVEX document.
pub(crate) struct Vex {
    pub(crate) file: PathBuf,
    /// Whether it is attached to the pushed image.
    pub(crate) attach: bool,
}

impl Vex {
    fn read(ctx: &Context, push: bool) -> Result<Self, BadInput> {
        let attach = ctx.inputs().flag("vex-attach")?;
        if attach && !push {
            return Err(BadInput::new(
                "vex-attach",
                "requires `push: true`: the document is attached to the pushed image",
            ));
        }
        Ok(Self {
            file: ctx.path("vex-file")?,
            attach,
        })
    }
}

/// Which packages are patched, as in Copa's `--pkg-types`: the distribution's are always among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageTypes {
    Os,
    /// Python packages as well.
    OsAndLibrary,
}

impl PackageTypes {
    fn read(ctx: &Context) -> Result<Self, BadInput> {
        let text = ctx.inputs().required("package-types")?;
        let types: Vec<_> = text.split(',').map(str::trim).collect();
        match types.as_slice() {
            ["os"] => Ok(Self::Os),
            ["os", "library"] | ["library", "os"] => Ok(Self::OsAndLibrary),
            _ => Err(BadInput::new(
                "package-types",
                format!("invalid value `{text}`; expected one of `os`, `os,library`"),
            )),
        }
    }
}

/// Where BuildKit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildKitSource {
    /// It listens at this address already.
    Address(String),
    /// The step starts a container of this image.
    Image(ImageRef),
}

impl BuildKitSource {
    fn read(ctx: &Context) -> Result<Self, BadInput> {
        let Some(address) = ctx.inputs().text("buildkit-address") else {
            let image = ctx.inputs().required("buildkit-image")?;
            return Ok(Self::Image(image_ref("buildkit-image", image)?));
        };
        let problem = match address.split_once("://") {
            Some(("unix" | "tcp", rest)) if !rest.is_empty() => {
                return Ok(Self::Address(address.to_owned()));
            }
            // Copa starts `docker` for these, which the action's image does not have. Elsewhere it may be installed, but
            // its settings, which name the builders, hold the logins too: Copa never sees those.
            Some(("docker-container" | "buildx", _)) => format!(
                "`{address}` requires the `docker` command and its settings, which Copa does not get; use BuildKit's own address, `unix:///path` or `tcp://host:port`"
            ),
            _ => format!("invalid address `{address}`; use `unix:///path` or `tcp://host:port`"),
        };
        Err(BadInput::new("buildkit-address", problem))
    }
}

fn image_ref(name: &str, text: &str) -> Result<ImageRef, BadInput> {
    text.parse()
        .map_err(|e| BadInput::new(name, format!("`{text}`: {e}")))
}

impl Request {
    /// Read and check every input before anything is started.
    pub(crate) fn read(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let patched_tag = inputs.text("patched-tag");
        let push = inputs.flag("push")?;
        let targets = targets(ctx, push, patched_tag)?;
        let filter = Filter::read(ctx, push)?;
        if targets.is_empty() && filter.is_none() {
            return Err(BadInput::new(
                "image",
                "is required, unless `registry` is set",
            ));
        }
        let workspace = ctx.github().workspace()?;
        let token = inputs.secret("token", ctx.log());
        Ok(Self {
            report: report(ctx, targets.len() == 1 && filter.is_none())?,
            package_types: PackageTypes::read(ctx)?,
            targets,
            filter,
            push,
            login: Login::read(ctx)?,
            patched_tag: patched_tag.map(ToOwned::to_owned),
            smoke_test: SmokeTest::read(inputs)?,
            buildkit: BuildKitSource::read(ctx)?,
            tooling: inputs
                .text("tooling-image")
                .map(|text| image_ref("tooling-image", text))
                .transpose()?,
            timeout: inputs.duration("timeout")?,
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
                max_age: trivy::MAX_AGE,
            },
            vex: Vex::read(ctx, push)?,
            report_file: ctx.path("report-file")?,
            issue: issue(ctx, token.as_ref())?,
            upload: inputs.flag("upload")?,
            category: inputs.text("category").map(ToOwned::to_owned),
            dockerfile: dockerfile(ctx)?,
            token,
            workspace,
        })
    }

    /// Whether exactly one image is named: files and messages are then about that one.
    pub(crate) fn is_of_one_image(&self) -> bool {
        self.targets.len() == 1 && self.filter.is_none()
    }

    /// A path of the workspace as later steps see it.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.workspace)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

fn targets(ctx: &Context, push: bool, patched_tag: Option<&str>) -> Result<Vec<Target>, BadInput> {
    let mut targets: Vec<Target> = Vec::new();
    for text in ctx.inputs().lines("image") {
        let image = image_ref("image", text)?;
        if push && image.registry().is_none() {
            let problem =
                format!("`{text}` does not name a registry to push to; use `host/{text}`");
            return Err(BadInput::new("image", problem));
        }
        let target = Target::new(&image, patched_tag)?;
        if targets.iter().any(|known| known.patched == target.patched) {
            let problem = format!("two images would both be patched as `{}`", target.patched);
            return Err(BadInput::new("image", problem));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn report(ctx: &Context, is_of_one_image: bool) -> Result<Option<PathBuf>, BadInput> {
    let Some(name) = ctx.inputs().text("report") else {
        return Ok(None);
    };
    if !is_of_one_image {
        return Err(BadInput::new(
            "report",
            "is for a single image, but there are several; leave it empty to scan them",
        ));
    }
    let path = ctx.path("report")?;
    if !path.is_file() {
        let problem = format!("there is no file `{name}` in the workspace");
        return Err(BadInput::new("report", problem));
    }
    Ok(Some(path))
}

fn issue(ctx: &Context, token: Option<&Secret>) -> Result<bool, BadInput> {
    let issue = ctx.inputs().flag("issue")?;
    if issue && token.is_none() {
        return Err(BadInput::new(
            "token",
            "is required for `issue`; grant the job `permissions: issues: write`",
        ));
    }
    Ok(issue)
}

fn dockerfile(ctx: &Context) -> Result<Option<String>, BadInput> {
    let Some(name) = ctx.inputs().text("dockerfile") else {
        return Ok(None);
    };
    if ctx.path("dockerfile")?.is_file() {
        return Ok(Some(name.trim_start_matches("./").to_owned()));
    }
    let problem = format!("there is no file `{name}` in the workspace");
    Err(BadInput::new("dockerfile", problem))
}
