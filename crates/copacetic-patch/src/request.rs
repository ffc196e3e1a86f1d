//! What is asked for, valid by its types.

mod registry;

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use oci::ImageRef;
use trivy::DatabaseRequest;

use crate::smoke::Smoke;

pub(crate) use registry::{Filter, Login};

/// What is to be patched, and how.
pub(crate) struct Request {
    pub(crate) orders: Vec<Order>,
    /// A whole registry.
    pub(crate) filter: Option<Filter>,
    /// Whether images come from their registry and go back there.
    pub(crate) push: bool,
    pub(crate) login: Login,
    pub(crate) report: Option<PathBuf>,
    pub(crate) patched_tag: Option<String>,
    pub(crate) package_types: PackageTypes,
    pub(crate) smoke: Smoke,
    pub(crate) buildkit: BuildKit,
    pub(crate) tooling: Option<ImageRef>,
    pub(crate) limit: Duration,
    pub(crate) database: DatabaseRequest,
    pub(crate) vex: Vex,
    pub(crate) report_file: PathBuf,
    /// Whether an issue lists what could not be mended; there is a token then.
    pub(crate) issue: bool,
    /// Whether the Security tab is told what remains.
    pub(crate) upload: bool,
    pub(crate) category: Option<String>,
    /// Relative to the workspace.
    pub(crate) dockerfile: Option<String>,
    pub(crate) token: Option<Secret>,
    pub(crate) workspace: PathBuf,
}

/// One image to patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) image: ImageRef,
    /// The name of the patched image.
    pub(crate) patched: ImageRef,
}

/// The document of what was mended.
pub(crate) struct Vex {
    pub(crate) file: PathBuf,
    /// Whether it is attached to the pushed image.
    pub(crate) attach: bool,
}

impl Vex {
    fn of(ctx: &Context, push: bool) -> Result<Self, BadInput> {
        let attach = ctx.inputs().flag("vex-attach")?;
        if attach && !push {
            return Err(BadInput::new(
                "vex-attach",
                "there is nothing in a registry to attach it to: it needs `push: true`",
            ));
        }
        Ok(Self {
            file: ctx.path("vex-file")?,
            attach,
        })
    }
}

/// Which packages are patched, as Copa's `--pkg-types`: the distribution's are always among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackageTypes {
    /// Those of the distribution.
    Os,
    /// Those of Python as well.
    OsAndLibrary,
}

impl PackageTypes {
    fn of(ctx: &Context) -> Result<Self, BadInput> {
        let text = ctx.inputs().required("package-types")?;
        let types: Vec<_> = text.split(',').map(str::trim).collect();
        match types.as_slice() {
            ["os"] => Ok(Self::Os),
            ["os", "library"] | ["library", "os"] => Ok(Self::OsAndLibrary),
            _ => Err(BadInput::new(
                "package-types",
                format!("`{text}` is neither `os` nor `os,library`"),
            )),
        }
    }
}

/// Which BuildKit does the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildKit {
    /// One that is there.
    At(String),
    /// One of our own, from this image.
    Own(ImageRef),
}

impl Order {
    /// Patch `image`; the patched one gets `tag`, or its own tag with `-patched`.
    pub(crate) fn new(image: &ImageRef, tag: Option<&str>) -> Result<Self, BadInput> {
        let suffixed = image.tag().map(|own| format!("{own}-patched"));
        let Some(tag) = tag.map(ToOwned::to_owned).or(suffixed) else {
            let problem = format!(
                "`{image}` needs a tag, or `patched-tag`: the patched image is named after it"
            );
            return Err(BadInput::new("image", problem));
        };
        let patched = image
            .with_tag(&tag)
            .map_err(|e| BadInput::new("patched-tag", e))?;
        if image.tag() == Some(tag.as_str()) {
            return Err(BadInput::new(
                "patched-tag",
                "is the image's own tag: the unpatched image would be lost",
            ));
        }
        Ok(Self {
            image: image.clone(),
            patched,
        })
    }
}

fn parsed(name: &str, text: &str) -> Result<ImageRef, BadInput> {
    text.parse()
        .map_err(|e| BadInput::new(name, format!("`{text}`: {e}")))
}

impl Request {
    /// Read and check every input before anything is started.
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let patched_tag = inputs.text("patched-tag");
        let push = inputs.flag("push")?;
        let mut orders = Vec::new();
        for text in inputs.lines("image") {
            let image = parsed("image", text)?;
            if push && image.registry().is_none() {
                let problem = format!("`{text}` names no registry to push to; write `host/{text}`");
                return Err(BadInput::new("image", problem));
            }
            let order = Order::new(&image, patched_tag)?;
            if orders
                .iter()
                .any(|known: &Order| known.patched == order.patched)
            {
                let problem = format!("two images would become `{}`", order.patched);
                return Err(BadInput::new("image", problem));
            }
            orders.push(order);
        }
        let filter = Filter::of(ctx, push)?;
        if orders.is_empty() && filter.is_none() {
            let problem = "is required; or name a `registry` to patch images of";
            return Err(BadInput::new("image", problem));
        }
        let workspace = ctx.github().workspace()?;
        let token = inputs.secret("token", ctx.log());
        Ok(Self {
            report: report(ctx, orders.len() == 1 && filter.is_none())?,
            package_types: PackageTypes::of(ctx)?,
            orders,
            filter,
            push,
            login: Login::of(ctx)?,
            patched_tag: patched_tag.map(ToOwned::to_owned),
            smoke: Smoke::of(inputs)?,
            buildkit: buildkit(ctx)?,
            tooling: inputs
                .text("tooling-image")
                .map(|text| parsed("tooling-image", text))
                .transpose()?,
            limit: inputs.duration("timeout")?,
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
            vex: Vex::of(ctx, push)?,
            report_file: ctx.path("report-file")?,
            issue: issue(ctx, token.as_ref())?,
            upload: inputs.flag("upload")?,
            category: inputs.text("category").map(ToOwned::to_owned),
            dockerfile: dockerfile(ctx)?,
            token,
            workspace,
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

fn report(ctx: &Context, one: bool) -> Result<Option<PathBuf>, BadInput> {
    let Some(name) = ctx.inputs().text("report") else {
        return Ok(None);
    };
    if !one {
        return Err(BadInput::new(
            "report",
            "is of one image, and there are several; leave it empty, and they are scanned",
        ));
    }
    let path = ctx.path("report")?;
    if !path.is_file() {
        let problem = format!("there is no file `{name}` in the workspace");
        return Err(BadInput::new("report", problem));
    }
    Ok(Some(path))
}

fn buildkit(ctx: &Context) -> Result<BuildKit, BadInput> {
    let Some(address) = ctx.inputs().text("buildkit-address") else {
        let image = ctx.inputs().required("buildkit-image")?;
        return Ok(BuildKit::Own(parsed("buildkit-image", image)?));
    };
    let problem = match address.split_once("://") {
        Some(("unix" | "tcp", place)) if !place.is_empty() => {
            return Ok(BuildKit::At(address.to_owned()));
        }
        // Copa starts `docker` for these, which the action's image does not have. Elsewhere it may be there, but its
        // settings, which name the builders, have the logins too: Copa is not shown them anywhere.
        Some(("docker-container" | "buildx", _)) => {
            "needs the `docker` command and its settings, which Copa is not given; give the BuildKit's own address, `unix:///path` or `tcp://host:port`"
        }
        _ => "is neither `unix:///path` nor `tcp://host:port`",
    };
    Err(BadInput::new(
        "buildkit-address",
        format!("`{address}` {problem}"),
    ))
}

fn issue(ctx: &Context, token: Option<&Secret>) -> Result<bool, BadInput> {
    let issue = ctx.inputs().flag("issue")?;
    if issue && token.is_none() {
        return Err(BadInput::new(
            "token",
            "is required for the issue; give the job `permissions: issues: write`",
        ));
    }
    Ok(issue)
}

// The Dockerfile, relative to the workspace, which must be there.
fn dockerfile(ctx: &Context) -> Result<Option<String>, BadInput> {
    let Some(name) = ctx.inputs().text("dockerfile") else {
        return Ok(None);
    };
    if ctx.path("dockerfile")?.is_file() {
        return Ok(Some(name.trim_start_matches("./").to_owned()));
    }
    let problem = format!("there is no `{name}` in the workspace");
    Err(BadInput::new("dockerfile", problem))
}
