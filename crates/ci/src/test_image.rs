//! The image that tests run in where one is given: that image, with a copy of the workspace.

use actions_toolkit::Workspace;
use anyhow::Context as _;
use docker::{ContainerSpec, Tree};
use oci::ImageRef;

use crate::builder::Built;
use crate::job::Job;

/// The workspace in the container, as in one of GitHub
/// (docs.github.com/actions/reference/workflows-and-actions/variables, `GITHUB_WORKSPACE`).
pub(crate) const WORKSPACE: &str = "/github/workspace";

/// What is copied. A checkout may have the token in its `.git`.
pub(crate) fn tree(workspace: &Workspace) -> Tree {
    Tree {
        directory: workspace.root().to_owned(),
        target: WORKSPACE.to_owned(),
        without: ".git",
    }
}

/// Make the image `name` of `image` and the workspace; its working directory is the build context.
///
/// # Errors
/// When `image` is unavailable, or the workspace cannot be read.
pub(crate) async fn prepare(
    job: &Job<'_>,
    image: &ImageRef,
    name: &ImageRef,
) -> anyhow::Result<Built> {
    let _group = job.log.group(format!("Prepare `{image}` for the tests"));
    job.provide(image).await?;
    let base = job.docker.inspect(image).await?;
    let base = base.with_context(|| format!("Docker does not have `{image}`, which it pulled"))?;
    let workspace = &job.request.workspace;
    let context = workspace.relative(&job.request.build.context);
    let inside = context.filter(|path| !path.is_empty());
    let directory = match inside {
        Some(path) => format!("{WORKSPACE}/{path}"),
        None => WORKSPACE.to_owned(),
    };
    let has_command = !base.config.entrypoint.is_empty() || !base.config.cmd.is_empty();
    let spec = ContainerSpec {
        image: base.id,
        // Docker makes no container without a command, which is not run.
        cmd: if has_command {
            Vec::new()
        } else {
            vec!["true".to_owned()]
        },
        working_dir: Some(directory.clone()),
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let info = job.docker.add_tree(&spec, &tree(workspace), name).await?;
    job.log.info(format!(
        "the workspace is in `{WORKSPACE}`, the working directory is `{directory}`"
    ));
    Ok(Built {
        platform: None,
        info,
    })
}
