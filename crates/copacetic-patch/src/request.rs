//! What is asked for, valid by its types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use container::ImageRef;
use globset::{Glob, GlobSet, GlobSetBuilder};
use trivy::DatabaseRequest;

use crate::smoke::Smoke;

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
    pub(crate) smoke: Smoke,
    pub(crate) buildkit: BuildKit,
    pub(crate) tooling: Option<ImageRef>,
    pub(crate) limit: Duration,
    pub(crate) database: DatabaseRequest,
    pub(crate) vex_file: PathBuf,
    pub(crate) report_file: PathBuf,
    pub(crate) vex_attach: bool,
    pub(crate) issue: Option<Secret>,
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

/// Images of a registry.
pub(crate) struct Filter {
    pub(crate) host: String,
    pub(crate) repositories: GlobSet,
    /// The repositories, if each is named in full: the list of all need not be seen then.
    pub(crate) named: Option<Vec<String>>,
    pub(crate) tags: GlobSet,
}

/// How to sign in to registries.
pub(crate) enum Login {
    /// Not at all.
    Anonymous,
    /// By user name and password.
    Password(String, Secret),
    /// By the run's own identity, at Azure Container Registry.
    Entra { client: String, tenant: String },
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
            return Err(BadInput::of("image", problem));
        };
        let patched = image
            .with_tag(&tag)
            .map_err(|e| BadInput::of("patched-tag", e))?;
        if image.tag() == Some(tag.as_str()) {
            return Err(BadInput::of(
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
        .map_err(|e| BadInput::of(name, format!("`{text}`: {e}")))
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
                return Err(BadInput::of("image", problem));
            }
            let order = Order::new(&image, patched_tag)?;
            if orders
                .iter()
                .any(|known: &Order| known.patched == order.patched)
            {
                let problem = format!("two images would become `{}`", order.patched);
                return Err(BadInput::of("image", problem));
            }
            orders.push(order);
        }
        let filter = filter(ctx, push)?;
        if orders.is_empty() && filter.is_none() {
            let problem =
                "is required and was empty or absent; or name a `registry` to patch images of";
            return Err(BadInput::of("image", problem));
        }
        let workspace = ctx.github().workspace()?;
        Ok(Self {
            report: report(ctx, orders.len() == 1 && filter.is_none())?,
            orders,
            filter,
            push,
            login: login(ctx)?,
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
            vex_file: ctx.path("vex-file")?,
            report_file: ctx.path("report-file")?,
            vex_attach: attach(ctx, push)?,
            issue: issue(ctx)?,
            upload: inputs.flag("upload")?,
            category: inputs.text("category").map(ToOwned::to_owned),
            dockerfile: dockerfile(ctx)?,
            token: inputs.secret("token", ctx.log()),
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

fn filter(ctx: &Context, push: bool) -> Result<Option<Filter>, BadInput> {
    let inputs = ctx.inputs();
    let Some(host) = inputs.text("registry") else {
        return Ok(None);
    };
    if !push {
        return Err(BadInput::of(
            "registry",
            "the images of a registry are patched where they are: it needs `push: true`",
        ));
    }
    let sound = parsed("registry", &format!("{host}/x"))?;
    if sound.registry() != Some(host) {
        let problem = format!("`{host}` is no registry host, such as `ghcr.io`");
        return Err(BadInput::of("registry", problem));
    }
    let set = |name: &str| {
        let mut set = GlobSetBuilder::new();
        for pattern in inputs.lines(name) {
            let bad = |e| BadInput::of(name, format!("`{pattern}`: {e}"));
            set.add(Glob::new(pattern).map_err(bad)?);
        }
        set.build().map_err(|e| BadInput::of(name, e))
    };
    let patterns = inputs.lines("repositories").into_iter();
    let in_full = |pattern: &str| !pattern.contains(['*', '?', '[', '{']);
    Ok(Some(Filter {
        host: host.to_owned(),
        named: patterns
            .map(|pattern| in_full(pattern).then(|| pattern.to_owned()))
            .collect(),
        repositories: set("repositories")?,
        tags: set("tags")?,
    }))
}

fn login(ctx: &Context) -> Result<Login, BadInput> {
    let inputs = ctx.inputs();
    let text = |name: &str| inputs.text(name).map(ToOwned::to_owned);
    let password = inputs.secret("registry-password", ctx.log());
    match (text("registry-username"), password) {
        (Some(user), Some(password)) => return Ok(Login::Password(user, password)),
        (None, None) => {}
        (Some(_), None) => {
            let problem = "is required where there is a `registry-username`";
            return Err(BadInput::of("registry-password", problem));
        }
        (None, Some(_)) => {
            let problem = "is required where there is a `registry-password`";
            return Err(BadInput::of("registry-username", problem));
        }
    }
    match (text("client-id"), text("tenant-id")) {
        (Some(client), Some(tenant)) => Ok(Login::Entra { client, tenant }),
        (None, None) => Ok(Login::Anonymous),
        (Some(_), None) => Err(BadInput::of(
            "tenant-id",
            "is required where there is a `client-id`",
        )),
        (None, Some(_)) => Err(BadInput::of(
            "client-id",
            "is required where there is a `tenant-id`",
        )),
    }
}

fn report(ctx: &Context, one: bool) -> Result<Option<PathBuf>, BadInput> {
    let Some(name) = ctx.inputs().text("report") else {
        return Ok(None);
    };
    if !one {
        return Err(BadInput::of(
            "report",
            "is of one image, and there are several; leave it empty, and they are scanned",
        ));
    }
    let path = ctx.path("report")?;
    if !path.is_file() {
        let problem = format!("there is no file `{name}` in the workspace");
        return Err(BadInput::of("report", problem));
    }
    Ok(Some(path))
}

fn buildkit(ctx: &Context) -> Result<BuildKit, BadInput> {
    let schemes = ["unix://", "tcp://", "docker-container://", "buildx://"];
    match ctx.inputs().text("buildkit-address") {
        Some(address) if schemes.iter().any(|scheme| address.starts_with(scheme)) => {
            Ok(BuildKit::At(address.to_owned()))
        }
        Some(address) => Err(BadInput::of(
            "buildkit-address",
            format!("`{address}` is neither `unix:///path` nor `tcp://host:port`"),
        )),
        None => {
            let image = ctx.inputs().required("buildkit-image")?;
            Ok(BuildKit::Own(parsed("buildkit-image", image)?))
        }
    }
}

fn attach(ctx: &Context, push: bool) -> Result<bool, BadInput> {
    let attach = ctx.inputs().flag("vex-attach")?;
    if attach && !push {
        return Err(BadInput::of(
            "vex-attach",
            "there is nothing in a registry to attach it to: it needs `push: true`",
        ));
    }
    Ok(attach)
}

fn issue(ctx: &Context) -> Result<Option<Secret>, BadInput> {
    if !ctx.inputs().flag("issue")? {
        return Ok(None);
    }
    let token = ctx.inputs().secret("token", ctx.log());
    token.map(Some).ok_or_else(|| {
        BadInput::of(
            "token",
            "is required for the issue; give the job `permissions: issues: write`",
        )
    })
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
    Err(BadInput::of("dockerfile", problem))
}
