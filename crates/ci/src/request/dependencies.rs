//! Which packages are scanned for vulnerabilities, and which fail the step.

use actions_toolkit::{BadInput, Context, WorkspacePath};
use oci::ImageRef;
use trivy::{DatabaseRequest, Severity};

use crate::action::Inputs;

/// The scan of a lock file.
#[derive(Debug, Clone)]
pub(crate) struct LockFile {
    pub(crate) path: WorkspacePath,
    /// The lowest severity that fails; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// An image with Trivy, pinned by digest.
    pub(crate) trivy_image: Option<ImageRef>,
    pub(crate) database: DatabaseRequest,
}

impl LockFile {
    /// `None` without `lock-file`.
    pub(super) fn new(ctx: &Context, inputs: &Inputs) -> Result<Option<Self>, BadInput> {
        let Some(path) = &inputs.lock_file else {
            return Ok(None);
        };
        path.open()?;
        let max_age = inputs.database_age.max_database_age.0;
        Ok(Some(Self {
            path: path.clone(),
            fail_on: inputs.fail_on.0,
            trivy_image: trivy_image(ctx, inputs)?,
            database: inputs.database.clone().request(ctx, max_age)?,
        }))
    }
}

// `trivy-image`, or the one of the same release, which is named in the environment of the action's image.
fn trivy_image(ctx: &Context, inputs: &Inputs) -> Result<Option<ImageRef>, BadInput> {
    let bad = |text: &str, problem: &str| {
        BadInput::new(Inputs::trivy_image, format!("`{text}`: {problem}"))
    };
    let released = || {
        let text = ctx.env().get("SEAWORTHY_TRIVY_IMAGE")?;
        let image = text.parse::<ImageRef>();
        Some(image.map_err(|e| bad(text, &e.to_string())))
    };
    let image = match &inputs.trivy_image {
        Some(image) => Some(image.0.clone()),
        None => released().transpose()?,
    };
    match image {
        // It runs with the permissions of this step.
        Some(image) if image.digest().is_none() => Err(bad(
            &image.to_string(),
            "must be pinned by digest (`name@sha256:…`)",
        )),
        image => Ok(image),
    }
}
