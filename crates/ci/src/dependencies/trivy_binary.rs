//! The Trivy binary: in `PATH`, or copied from an image. The image of this action does not contain it, since few runs
//! need it.

use actions_toolkit::{Env, PrivateDirectory};
use anyhow::{Context as _, bail};
use docker::ContainerSpec;
use oci::ImageRef;

use crate::job::Job;

/// Path in the images of a release.
const PROGRAM: &str = "/usr/local/bin/trivy";

/// An environment with `trivy` in `PATH`.
pub(super) struct TrivyBinary {
    pub(super) env: Env,
    // Contains the binary, if it was copied.
    _directory: Option<PrivateDirectory>,
}

impl TrivyBinary {
    /// The one in `PATH`, or else the one in `image`.
    ///
    /// # Errors
    /// When it is in neither of them, or there is no image.
    pub(super) async fn provide(job: &Job<'_>, image: Option<&ImageRef>) -> anyhow::Result<Self> {
        let env = job.ctx.env();
        let path = env.get("PATH").unwrap_or_default();
        if std::env::split_paths(path).any(|directory| directory.join("trivy").is_file()) {
            return Ok(Self {
                env: env.clone(),
                _directory: None,
            });
        }
        let Some(image) = image else {
            bail!("Trivy is not in `PATH`, and `trivy-image` is not set");
        };
        let directory = job.ctx.private_directory("trivy")?;
        copy(job, image, &directory)
            .await
            .with_context(|| format!("failed to copy Trivy from `{image}`"))?;
        job.log.info(format!("copied Trivy from `{image}`"));
        let path = format!("{}:{path}", directory.path().display());
        let others = env.iter().filter(|(name, _)| *name != "PATH");
        Ok(Self {
            env: Env::from_pairs(others.chain([("PATH", path.as_str())])),
            _directory: Some(directory),
        })
    }
}

async fn copy(job: &Job<'_>, image: &ImageRef, directory: &PrivateDirectory) -> anyhow::Result<()> {
    job.provide(image).await?;
    let spec = ContainerSpec {
        image: image.to_string(),
        entrypoint: vec![PROGRAM.into()],
        cmd: vec!["--version".into()],
        network: Some("none".into()),
        read_only: true,
        cap_drop: vec!["ALL".into()],
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    };
    let container = job.docker.start(&spec).await?;
    let copied = container.copy_file(PROGRAM, directory.path()).await;
    container.remove().await;
    copied
}
