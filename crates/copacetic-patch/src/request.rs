//! What is asked for, valid by its types.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context};
use container::ImageRef;
use trivy::DatabaseRequest;

/// A patch to be made.
pub(crate) struct Request {
    pub(crate) image: ImageRef,
    pub(crate) report: Option<PathBuf>,
    /// The name of the patched image.
    pub(crate) patched: ImageRef,
    pub(crate) buildkit: BuildKit,
    pub(crate) tooling: Option<ImageRef>,
    pub(crate) limit: Duration,
    pub(crate) database: DatabaseRequest,
    pub(crate) vex_file: PathBuf,
    pub(crate) report_file: PathBuf,
    pub(crate) workspace: PathBuf,
}

/// Which BuildKit does the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildKit {
    /// One that is there.
    At(String),
    /// One of our own, from this image.
    Own(ImageRef),
}

impl Request {
    /// Read and check every input before anything is started.
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let parsed = |name: &str, text: &str| {
            text.parse::<ImageRef>()
                .map_err(|e| BadInput::of(name, format!("`{text}`: {e}")))
        };
        let text = inputs.required("image")?;
        let image = parsed("image", text)?;
        let Some(tag) = image.tag().filter(|_| image.digest().is_none()) else {
            return Err(BadInput::of(
                "image",
                format!("`{text}` needs a tag and no digest: the patched image is named after it"),
            ));
        };
        let patched_tag = inputs
            .text("patched-tag")
            .map_or_else(|| format!("{tag}-patched"), ToOwned::to_owned);
        let patched = image
            .with_tag(&patched_tag)
            .map_err(|e| BadInput::of("patched-tag", e))?;
        if patched == image {
            return Err(BadInput::of(
                "patched-tag",
                "is the image's own tag: the unpatched image would be lost",
            ));
        }
        let buildkit = match inputs.text("buildkit-address") {
            Some(address)
                if ["unix://", "tcp://", "docker-container://", "buildx://"]
                    .iter()
                    .any(|scheme| address.starts_with(scheme)) =>
            {
                BuildKit::At(address.to_owned())
            }
            Some(address) => {
                return Err(BadInput::of(
                    "buildkit-address",
                    format!("`{address}` is neither `unix:///path` nor `tcp://host:port`"),
                ));
            }
            None => BuildKit::Own(parsed(
                "buildkit-image",
                inputs.required("buildkit-image")?,
            )?),
        };
        let workspace = ctx.github().workspace()?;
        let report = match inputs.text("report") {
            Some(name) => {
                let path = ctx.path("report")?;
                if !path.is_file() {
                    return Err(BadInput::of(
                        "report",
                        format!("there is no file `{name}` in the workspace"),
                    ));
                }
                Some(path)
            }
            None => None,
        };
        Ok(Self {
            report,
            patched,
            buildkit,
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
            image,
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
