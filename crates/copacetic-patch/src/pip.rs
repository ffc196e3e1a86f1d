//! What pip has against the packages of Python in the patched image.

use std::collections::BTreeSet;
use std::time::Duration;

use docker::ContainerSpec;
use oci::ImageRef;

use crate::job::{Job, Source};
use crate::plan::Plan;
use crate::session::Session;
use crate::stage::Staged;

/// Lines of pip's that are read.
const LINES: usize = 100;
/// The limit of one check.
const LIMIT: Duration = Duration::from_secs(120);

/// What `pip check` says of the patched image and did not say of the image; `None` if nothing, or if no
/// package of Python was to be patched.
///
/// # Errors
/// When the images can't be brought into Docker, or pip does not end.
pub(crate) async fn objection(
    job: &Job<'_, '_>,
    staged: &Staged,
    plan: &Plan,
) -> anyhow::Result<Option<String>> {
    let environments: BTreeSet<_> = plan
        .libraries()
        .iter()
        .map(|library| library.environment.as_str())
        .collect();
    let session = job.session;
    for environment in environments {
        let name = staged.in_docker(job).await?;
        let mut said = check(session, name, environment).await?;
        if said.is_empty() {
            continue;
        }
        // What was broken before is not the patch's doing.
        let before = check(session, &original(job).await?, environment).await?;
        said.retain(|line| !before.contains(line));
        if !said.is_empty() {
            let said = said.join("; ");
            return Ok(Some(format!("`pip check` objects: {said}")));
        }
    }
    Ok(None)
}

// The image as it is in Docker.
async fn original(job: &Job<'_, '_>) -> anyhow::Result<ImageRef> {
    let session = job.session;
    let image = &job.order.image;
    if let (Source::Registry { .. }, Some(stored)) =
        (&job.source, session.local.image(job.served().await?).await?)
    {
        let name = image.with_tag(&format!("staging-{}-original", session.id))?;
        session.passing(name.clone());
        session
            .docker
            .load(&session.local, &stored, &name, 0)
            .await?;
        return Ok(name);
    }
    Ok(image.clone())
}

async fn check(
    session: &Session<'_>,
    image: &ImageRef,
    environment: &str,
) -> anyhow::Result<Vec<String>> {
    let pip = if environment.is_empty() {
        "pip".to_owned()
    } else {
        format!("/{environment}/bin/pip")
    };
    let spec = ContainerSpec {
        image: image.to_string(),
        entrypoint: vec![pip.clone()],
        cmd: vec!["check".into()],
        env: vec!["PIP_DISABLE_PIP_VERSION_CHECK=1".into()],
        network: Some("none".into()),
        cap_drop: vec!["ALL".into()],
        run: session.id.clone(),
        ..ContainerSpec::default()
    };
    let container = match session.docker.start(&spec).await {
        Ok(container) => container,
        // Where there is no pip, nobody can say whether the packages fit together.
        Err(e) => return Ok(vec![format!("`{pip}` can't be asked: {e:#}")]),
    };
    let ended = tokio::time::timeout(LIMIT, container.wait()).await;
    let said = container.log_tail(LINES).await;
    container.remove().await;
    let Ok(code) = ended else {
        let seconds = LIMIT.as_secs();
        return Ok(vec![format!(
            "`{pip} check` had not ended after {seconds} s"
        )]);
    };
    if code? == 0 {
        return Ok(Vec::new());
    }
    let objections = said
        .into_iter()
        .filter(|line| !line.is_empty() && !line.starts_with("WARNING:"));
    Ok(objections.collect())
}
