//! Trivy: in `PATH`, or out of an image that has it. The image of this action does not, for few runs need it.

use actions_toolkit::Env;
use anyhow::{Context as _, bail};
use docker::ContainerSpec;
use oci::ImageRef;
use tempfile::TempDir;

use crate::job::Job;

/// Where an image has it; the images of a release do.
const PROGRAM: &str = "/usr/local/bin/trivy";

/// An environment in which `trivy` is found.
pub(crate) struct Trivy {
    /// The environment.
    pub(crate) env: Env,
    // The program is in there.
    _folder: Option<TempDir>,
}

impl Trivy {
    /// That of `PATH`; if there is none, the one in `image`.
    ///
    /// # Errors
    /// When there is none in either, or no image is given.
    pub(crate) async fn provide(job: &Job<'_>, image: Option<&ImageRef>) -> anyhow::Result<Self> {
        let env = job.ctx.env();
        let path = env.get("PATH").unwrap_or_default();
        if std::env::split_paths(path).any(|folder| folder.join("trivy").is_file()) {
            return Ok(Self {
                env: env.clone(),
                _folder: None,
            });
        }
        let Some(image) = image else {
            bail!("there is no Trivy in `PATH`, and `trivy-image` names no image that has it");
        };
        let folder = tempfile::Builder::new()
            .prefix("seaworthy-trivy-")
            .tempdir_in(job.ctx.temp_dir())
            .context("while making a folder for Trivy")?;
        taken(job, image, &folder)
            .await
            .with_context(|| format!("while taking Trivy out of `{image}`"))?;
        job.log.info(format!("Trivy is taken out of `{image}`"));
        let found = format!("{}:{path}", folder.path().display());
        let others = env.iter().filter(|(name, _)| *name != "PATH");
        Ok(Self {
            env: Env::from_pairs(others.chain([("PATH", found.as_str())])),
            _folder: Some(folder),
        })
    }
}

async fn taken(job: &Job<'_>, image: &ImageRef, folder: &TempDir) -> anyhow::Result<()> {
    if job.docker.inspect(image).await?.is_none() {
        job.docker.pull(image, None).await?;
    }
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
    let copied = container.copy_file(PROGRAM, folder.path()).await;
    container.remove().await;
    copied
}
