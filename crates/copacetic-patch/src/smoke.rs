//! Does a container of the patched image work?

use std::time::{Duration, Instant};

use actions_toolkit::{BadInput, Inputs, PolicyFailure};
use docker::{Container, ContainerSpec, Docker, ImageInfo};
use oci::ImageRef;

const PAUSE: Duration = Duration::from_millis(100);
/// Lines of a container's log that are shown.
const SAID: usize = 5;

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Smoke {
    /// A command in place of the image's health check.
    command: Option<Vec<String>>,
    limit: Duration,
}

impl Smoke {
    /// Read the inputs.
    pub(crate) fn of(inputs: &Inputs) -> Result<Self, BadInput> {
        let limit = inputs.duration("smoke-timeout")?;
        let command = match inputs.text("smoke-command") {
            Some(text) if text.starts_with('[') => {
                let list: Vec<String> = serde_json::from_str(text).map_err(|e| {
                    BadInput::new(
                        "smoke-command",
                        format!("`{text}` is no JSON list of words: {e}"),
                    )
                })?;
                if list.is_empty() {
                    return Err(BadInput::new("smoke-command", "is an empty list"));
                }
                Some(list)
            }
            Some(text) => Some(vec!["/bin/sh".into(), "-c".into(), text.to_owned()]),
            None => None,
        };
        Ok(Self { command, limit })
    }

    /// Whether there is anything to try in an image such as `image`.
    pub(crate) fn is_wanted(&self, image: &ImageInfo) -> bool {
        self.command.is_some() || health_check(image).is_some()
    }

    /// Try `image`, which is in Docker under `name`; containers carry the run `run`.
    ///
    /// # Errors
    /// [`PolicyFailure`] when it does not work; anything else when that can't be found out.
    pub(crate) async fn test(
        &self,
        docker: &Docker,
        name: &ImageRef,
        image: &ImageInfo,
        run: &str,
    ) -> anyhow::Result<()> {
        let mut spec = ContainerSpec {
            image: name.to_string(),
            network: Some("none".into()),
            run: run.to_owned(),
            ..ContainerSpec::default()
        };
        let checked = if let Some(command) = &self.command {
            spec.entrypoint = command[..1].to_vec();
            spec.cmd = command[1..].to_vec();
            let container = docker.start(&spec).await?;
            let ended = tokio::time::timeout(self.limit, container.wait()).await;
            let problem = match ended {
                Ok(Ok(0)) => None,
                Ok(Ok(code)) => Some(format!("the smoke command ended with exit code {code}")),
                Ok(Err(e)) => return Err(e),
                Err(_) => Some(format!(
                    "the smoke command had not ended after {} s",
                    self.limit.as_secs()
                )),
            };
            (container, problem)
        } else if let Some(check) = health_check(image) {
            let container = docker.start(&spec).await?;
            let problem = self.healthy(&container, &check).await?;
            (container, problem)
        } else {
            return Ok(());
        };
        let (container, problem) = checked;
        let said = container.log_tail(SAID).await.join("; ");
        container.remove().await;
        match problem {
            None => Ok(()),
            Some(problem) if said.is_empty() => Err(PolicyFailure(problem).into()),
            Some(problem) => Err(PolicyFailure(format!("{problem}: {said}")).into()),
        }
    }

    // The check is run here rather than by Docker, which asks for the first time after its interval.
    async fn healthy(
        &self,
        container: &Container,
        check: &[String],
    ) -> anyhow::Result<Option<String>> {
        let check: Vec<_> = check.iter().map(String::as_str).collect();
        let begun = Instant::now();
        loop {
            match container.ended().await? {
                // A container that does its work and ends has nothing to be asked.
                Some(0) => return Ok(None),
                Some(code) => {
                    return Ok(Some(format!(
                        "a container of the patched image ended with exit code {code}"
                    )));
                }
                None => {}
            }
            let left = self.limit.saturating_sub(begun.elapsed());
            // A check may hang, as whatever it asks may.
            match tokio::time::timeout(left, container.exec(&check)).await {
                Ok(Ok(done)) if done.code == 0 => return Ok(None),
                Ok(_) => {}
                Err(_) => {
                    let seconds = self.limit.as_secs();
                    return Ok(Some(format!(
                        "the health check of the patched image had not passed after {seconds} s"
                    )));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
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
