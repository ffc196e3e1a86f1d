//! The application next to tests that reach it.

use std::net::SocketAddr;

use actions_toolkit::text;
use anyhow::bail;
use docker::{Container, ImageInfo};
use http_client::Client;

use super::{TAIL, application, diagnosis, probe, until_healthy};
use crate::job::Job;
use crate::services::Started;

/// Start `image`, as in the smoke test, at `host` of the network of the services, and wait until it is healthy.
///
/// # Errors
/// When it is not: the tests have no verdict then.
pub(crate) async fn beside(
    job: &Job<'_>,
    image: &ImageInfo,
    started: &Started,
    host: &str,
) -> anyhow::Result<Container> {
    let Some(smoke) = &job.request.smoke else {
        bail!("`health-path` does not say when the application is healthy");
    };
    let image = &application::as_service(image, smoke.service.as_ref());
    let port = application::port(smoke, &image.config)?;
    let (container, address) = application::start(job, smoke, image, (started, Some(host))).await?;
    let client = Client::direct()?;
    let socket = SocketAddr::new(address, port.unwrap_or_default());
    let probes = probe::of(smoke, &image.config, &client, socket)?;
    match until_healthy(&container, smoke, &probes).await? {
        Ok((probe, after)) => {
            job.log.info(format!(
                "the application runs next to the tests as `{host}`, healthy by `{}` after {}",
                probe.title(),
                text::seconds(after)
            ));
            Ok(container)
        }
        Err(problem) => {
            let lines = show_log(job, &container).await;
            let hint = diagnosis::hint(&container, smoke, port, &lines).await;
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            bail!(
                "the tests did not run, since the application that they reach as `{host}` is not healthy: {problem}{hint}"
            )
        }
    }
}

/// Log and return the last lines of the application, as what it has to say on failed tests.
pub(crate) async fn show_log(job: &Job<'_>, application: &Container) -> Vec<String> {
    let lines = application.log_tail(TAIL).await;
    let title = job.title("Last lines of the application next to the tests");
    let _group = job.log.group(title);
    let output = job.log.stop_commands();
    for line in &lines {
        output.raw(line);
    }
    lines
}
