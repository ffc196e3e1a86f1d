//! Conflicts between Python packages that the patch introduced.

use std::collections::BTreeSet;
use std::time::Duration;

use actions_toolkit::text;
use docker::ContainerSpec;
use oci::ImageRef;

use crate::patch::{PatchedImage, Plan};
use crate::session::Session;
use crate::targets::ImagePatch;

/// Lines of pip's output that are read.
const LINES: usize = 100;
/// Bytes of each.
const LINE: usize = 1000;
/// Of one check.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What `pip check` reports of the patched image but not of the original; `None` if nothing, or if the plan has no
/// Python packages.
///
/// # Errors
/// When the images can't be loaded into Docker, or Docker does not report how pip exited.
pub(crate) async fn objection(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    plan: &Plan,
) -> anyhow::Result<Option<String>> {
    let environments: BTreeSet<_> = plan
        .libraries()
        .iter()
        .map(|library| library.environment.as_str())
        .collect();
    let session = patch.session;
    for environment in environments {
        let name = patched_image.in_docker(patch).await?;
        let mut conflicts = match check(session, name, environment).await? {
            Check::Conflicts(conflicts) => conflicts,
            Check::Unknown(why) => return Ok(Some(why)),
        };
        if conflicts.is_empty() {
            continue;
        }
        let before = check(session, patch.original_in_docker().await?, environment).await?;
        if let Check::Conflicts(before) = before {
            conflicts.retain(|line| !before.contains(line));
        }
        if !conflicts.is_empty() {
            let conflicts = conflicts.join("; ");
            return Ok(Some(format!("`pip check` reports: {conflicts}")));
        }
    }
    Ok(None)
}

/// What `pip check` found.
enum Check {
    Conflicts(Vec<String>),
    /// It did not run, for this reason: whether the packages fit together is unknown, and the original may have the same problem.
    Unknown(String),
}

// What pip reports in `environment`, a directory without its leading `/`; empty for the image's own pip.
async fn check(
    session: &Session<'_>,
    image: &ImageRef,
    environment: &str,
) -> anyhow::Result<Check> {
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
        Err(e) => {
            return Ok(Check::Unknown(format!(
                "failed to run `{pip} check`: {e:#}"
            )));
        }
    };
    let exit = tokio::time::timeout(TIMEOUT, container.wait()).await;
    let output = container.log_tail(LINES).await;
    container.remove().await;
    let Ok(code) = exit else {
        let seconds = TIMEOUT.as_secs();
        let why = format!("`{pip} check` timed out after {seconds}s");
        return Ok(Check::Unknown(why));
    };
    if code? == 0 {
        return Ok(Check::Conflicts(Vec::new()));
    }
    let conflicts = output
        .into_iter()
        .filter(|line| !line.is_empty() && !line.starts_with("WARNING:"));
    let conflicts = conflicts.map(|line| text::cut(&line, LINE).to_owned());
    Ok(Check::Conflicts(conflicts.collect()))
}
