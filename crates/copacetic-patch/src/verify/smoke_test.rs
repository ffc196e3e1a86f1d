//! Whether a container of the patched image works: a command, or else the image's own health check.

use std::time::{Duration, Instant};

use actions_toolkit::{PolicyFailure, Scope, Timeout, Value, text};
use docker::{Container, ContainerSpec, Docker, ImageInfo};
use oci::ImageRef;

use crate::patch::PatchedImage;
use crate::targets::ImagePatch;

/// Between two runs of a health check.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Lines of a failed container's log that its message has.
const LOG_LINES: usize = 5;
/// Bytes of a line in a message.
const LINE: usize = 1000;

/// How a container is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmokeTest {
    /// A command in place of the image's health check.
    command: Option<Vec<String>>,
    timeout: Duration,
}

/// Program and arguments, as `CMD` in a Dockerfile: text for `/bin/sh -c`, or a JSON list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SmokeCommand(Vec<String>);

impl Value for SmokeCommand {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        if !text.starts_with('[') {
            return Ok(Self(vec!["/bin/sh".into(), "-c".into(), text.to_owned()]));
        }
        let list: Vec<String> = serde_json::from_str(text)
            .map_err(|e| format!("invalid JSON list of strings `{text}`: {e}"))?;
        if list.is_empty() {
            return Err("must not be an empty list".to_owned());
        }
        Ok(Self(list))
    }
}

/// Test a container of the patched image, if the inputs or the image say how.
///
/// # Errors
/// [`PolicyFailure`] when it does not work; anything else when there is no verdict.
pub(crate) async fn smoke_test(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
) -> anyhow::Result<()> {
    let session = patch.session;
    let (test, image) = (&session.request.smoke_test, &patched_image.image.info);
    if !test.applies_to(image) {
        return Ok(());
    }
    let name = patched_image.in_docker(patch).await?;
    let (docker, run) = (&session.docker, &session.id);
    let tested = test.run(docker, name, "the patched image", image, run);
    let Err(error) = tested.await else {
        return Ok(());
    };
    let own_check = test.command.is_none() && error.is::<PolicyFailure>();
    if !own_check {
        return Err(error);
    }
    // An image's own check may need what a container here lacks: a variable, a database, a network.
    let original = patch.original_in_docker().await?;
    let before = test.run(docker, original, "the original", &patch.image, run);
    let Err(before) = before.await else {
        return Err(error);
    };
    if !before.is::<PolicyFailure>() {
        return Err(before);
    }
    patch.log.warning(format!(
        "{error:#}; the original does not work either ({before:#}), so this is not the patch's fault; set `smoke-command` to a command that works in a container alone"
    ));
    Ok(())
}

impl SmokeTest {
    pub(crate) fn new(command: Option<SmokeCommand>, timeout: Timeout) -> Self {
        Self {
            command: command.map(|command| command.0),
            timeout: timeout.0,
        }
    }

    fn applies_to(&self, image: &ImageInfo) -> bool {
        self.command.is_some() || health_check(image).is_some()
    }

    // Test `image`, which is in Docker under `name`, and which messages call `what`; its container carries the id `run`.
    async fn run(
        &self,
        docker: &Docker,
        name: &ImageRef,
        what: &str,
        image: &ImageInfo,
        run: &str,
    ) -> anyhow::Result<()> {
        let mut spec = ContainerSpec {
            image: name.to_string(),
            network: Some("none".into()),
            run: run.to_owned(),
            ..ContainerSpec::default()
        };
        let (container, problem) = if let Some(command) = &self.command {
            spec.entrypoint = command[..1].to_vec();
            spec.cmd = command[1..].to_vec();
            let container = docker.start(&spec).await?;
            let exit = tokio::time::timeout(self.timeout, container.wait()).await;
            let problem = match exit {
                Ok(Ok(0)) => None,
                Ok(Ok(code)) => Some(format!("the smoke command exited with code {code}")),
                Ok(Err(e)) => return Err(e),
                Err(_) => Some(self.timed_out("the smoke command")),
            };
            (container, problem)
        } else if let Some(check) = health_check(image) {
            let container = docker.start(&spec).await?;
            let problem = self.unhealthy(&container, what, &check).await?;
            (container, problem)
        } else {
            return Ok(());
        };
        let output = container.log_tail(LOG_LINES).await;
        let output: Vec<_> = output.iter().map(|line| text::cut(line, LINE)).collect();
        let output = output.join("; ");
        container.remove().await;
        match problem {
            None => Ok(()),
            Some(problem) if output.is_empty() => Err(PolicyFailure(problem).into()),
            Some(problem) => Err(PolicyFailure(format!("{problem}: {output}")).into()),
        }
    }

    // The check runs here rather than in Docker, which waits for its interval before the first run.
    async fn unhealthy(
        &self,
        container: &Container,
        what: &str,
        check: &[String],
    ) -> anyhow::Result<Option<String>> {
        let check: Vec<_> = check.iter().map(String::as_str).collect();
        let started = Instant::now();
        loop {
            match container.exit_code().await? {
                // A container that exits when its work is done has no health to check.
                Some(0) => return Ok(None),
                Some(code) => {
                    return Ok(Some(format!(
                        "a container of {what} exited with code {code}"
                    )));
                }
                None => {}
            }
            let left = self.timeout.saturating_sub(started.elapsed());
            // A check may hang.
            match tokio::time::timeout(left, container.exec(&check)).await {
                Ok(Ok(done)) if done.code == 0 => return Ok(None),
                Ok(_) => {}
                Err(_) => {
                    let check = format!("the health check of {what}");
                    return Ok(Some(self.timed_out(&check)));
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn timed_out(&self, test: &str) -> String {
        let seconds = self.timeout.as_secs();
        format!("{test} timed out after {seconds}s (`smoke-timeout`)")
    }
}

// `HEALTHCHECK CMD`: `["CMD", …]` or `["CMD-SHELL", line]`; `["NONE"]` turns it off.
fn health_check(image: &ImageInfo) -> Option<Vec<String>> {
    let (form, rest) = image.config.healthcheck.split_first()?;
    match (form.as_str(), rest) {
        ("CMD", rest) if !rest.is_empty() => Some(rest.to_vec()),
        ("CMD-SHELL", [line]) => Some(vec!["/bin/sh".into(), "-c".into(), line.clone()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_health_check_of_an_image() {
        let check = |words: &[&str]| {
            let mut image = ImageInfo::default();
            image.config.healthcheck = words.iter().map(ToString::to_string).collect();
            health_check(&image).map(|command| command.join(" "))
        };
        assert_eq!(check(&["CMD", "a", "b"]).as_deref(), Some("a b"));
        assert_eq!(
            check(&["CMD-SHELL", "a || b"]).as_deref(),
            Some("/bin/sh -c a || b")
        );
        assert_eq!(check(&["NONE"]), None);
        assert_eq!(check(&[]), None);
    }
}
