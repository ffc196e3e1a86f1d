//! What every check needs.

use actions_toolkit::{Context, Log};
use docker::Docker;
use oci::{ImageRef, Logins};

use crate::builder::{Platform, RunBuilder};
use crate::request::Request;

/// The run, as one of the parallel checks sees it.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Its log takes the progress lines, which must not be buffered.
    pub(crate) ctx: &'a Context,
    /// The check's own log: its lines stay together.
    pub(crate) log: &'a Log,
    pub(crate) docker: &'a Docker,
    pub(crate) request: &'a Request,
    /// Of the registries that the run signed in to.
    pub(crate) logins: &'a Logins,
    /// The BuildKit of the run, where Docker's own is not enough.
    pub(crate) builder: Option<&'a RunBuilder<'a>>,
    /// The platform whose image is checked; `None` if the request names no platforms.
    pub(crate) platform: Option<&'a Platform>,
    /// Of the services that are built, by their names.
    pub(crate) service_images: &'a [(String, ImageRef)],
    /// The label of the run's containers, by which they are removed.
    pub(crate) run: &'a str,
}

impl<'a> Job<'a> {
    /// The same for the image of `platform`.
    pub(crate) fn on(self, platform: Option<&'a Platform>) -> Self {
        Self { platform, ..self }
    }

    /// `title` with the platform, if there are several.
    pub(crate) fn title(&self, title: impl std::fmt::Display) -> String {
        match self.platform {
            Some(platform) => format!("{title} ({platform})"),
            None => title.to_string(),
        }
    }

    /// Pull `image` unless Docker has it.
    ///
    /// # Errors
    /// When its registry refuses it or is unreachable.
    pub(crate) async fn provide(&self, image: &ImageRef) -> anyhow::Result<()> {
        if self.docker.inspect(image).await?.is_some() {
            return Ok(());
        }
        let (host, _) = image.in_registry();
        let pulled = self.docker.pull(image, self.logins.get(host)).await;
        pulled.map_err(|e| registries::explain(e, host, self.logins))
    }
}
