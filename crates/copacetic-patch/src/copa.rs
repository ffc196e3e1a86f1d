//! One run of Copa.
//!
//! Copa's exit code is no verdict: with nothing to update it ends with 0 and makes no image. What it made
//! is looked for in the engine, and what that is worth is found out by a scan.

use std::path::Path;
use std::time::Duration;

use actions_toolkit::Context;
use anyhow::Context as _;
use container::ImageRef;
use serde_json::json;
use tool::Tool;

use crate::plan::Plan;

/// Why Copa made no image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In the words of the package manager or of Copa.
    pub(crate) reason: String,
    /// The package that could not be had, if it says one.
    pub(crate) package: Option<String>,
}

/// What a run of Copa needs.
pub(crate) struct Run<'a> {
    /// The image, where BuildKit finds it.
    pub(crate) image: &'a ImageRef,
    /// The tag that the result gets beside it.
    pub(crate) tag: &'a str,
    /// Where BuildKit is.
    pub(crate) address: &'a str,
    /// The image that stands for Copa's tooling images, where BuildKit finds it.
    pub(crate) tooling: Option<&'a ImageRef>,
    pub(crate) limit: Duration,
}

impl Run<'_> {
    fn argv(&self, report: &Path) -> Vec<String> {
        let limit = format!("{}s", self.limit.as_secs());
        let report = report.to_string_lossy();
        let image = self.image.to_string();
        let args = [
            "patch",
            "--image",
            &image,
            "--report",
            &report,
            "--tag",
            self.tag,
            "--addr",
            self.address,
            "--timeout",
            &limit,
            "--progress",
            "plain",
        ];
        args.map(ToOwned::to_owned).to_vec()
    }

    /// Run Copa for `plan`; its files live in `folder`.
    ///
    /// # Errors
    /// When Copa can't be started or followed; that it failed is the inner result.
    pub(crate) async fn patch(
        &self,
        ctx: &Context,
        plan: &Plan,
        folder: &Path,
    ) -> anyhow::Result<Result<(), Failure>> {
        let report = folder.join("report.json");
        let text = plan.report(&self.image.to_string()).to_string();
        std::fs::write(&report, text).context("while writing Copa's report")?;
        let mut copa = Tool::new("copa", ctx.env())
            .args(self.argv(&report))
            .limit(self.limit + Duration::from_secs(30));
        if let Some(host) = ctx.env().get("DOCKER_HOST") {
            copa = copa.env("DOCKER_HOST", host);
        }
        // No registry is asked for anything but public images: there is nobody's login to be found.
        copa = copa.env("DOCKER_CONFIG", folder);
        if let Some(tooling) = self.tooling {
            let policy = folder.join("source-policy.json");
            std::fs::write(&policy, source_policy(tooling).to_string())
                .context("while writing BuildKit's source policy")?;
            copa = copa.env("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", policy);
        }
        let packages = plan.packages().count();
        let done = copa
            .stream(
                ctx.log(),
                &format!(
                    "Copa updates {}",
                    actions_toolkit::text::plural(packages, "package")
                ),
            )
            .await?;
        if done.code() == Some(0) {
            return Ok(Ok(()));
        }
        Ok(Err(failure(&done.tail, &done.ending())))
    }
}

// Copa pulls an image with the distribution's tools whatever the target has: first from its own registry,
// then from Docker Hub (project-copacetic/copacetic, pkg/pkgmgr/dpkg.go).
fn source_policy(tooling: &ImageRef) -> serde_json::Value {
    let rule = |from: &str| {
        json!({
            "action": "CONVERT",
            "selector": {"identifier": format!("docker-image://{from}")},
            "updates": {"identifier": format!("docker-image://{tooling}")},
        })
    };
    json!({"rules": [rule("ghcr.io/project-copacetic/copacetic/debian:*"), rule("docker.io/library/debian:*"), rule("docker.io/library/ubuntu:*")]})
}

// The package manager's own lines say most; Copa's last line stands in for them.
fn failure(tail: &[String], ending: &str) -> Failure {
    let apt: Vec<_> = tail
        .iter()
        .filter_map(|line| line.find("E: ").map(|at| line[at..].trim()))
        .collect();
    let own = tail
        .iter()
        .rev()
        .find(|line| line.contains("Error:") || line.contains("lower than required"));
    let reason = match (apt.last(), own) {
        (Some(line), _) => (*line).to_owned(),
        (None, Some(line)) => line.trim().to_owned(),
        (None, None) => tail
            .iter()
            .rev()
            .find(|line| !line.trim().is_empty())
            .cloned()
            .unwrap_or_else(|| ending.to_owned()),
    };
    let package = apt
        .iter()
        .copied()
        .chain(tail.iter().map(String::as_str))
        .find_map(blamed);
    Failure { reason, package }
}

fn blamed(line: &str) -> Option<String> {
    let after = |sign: &str| {
        Some(
            line.split_once(sign)?
                .1
                .split_whitespace()
                .next()?
                .trim_matches(['\'', '"', '`', '.', ','])
                .to_owned(),
        )
    };
    let versioned = || {
        Some(
            line.split_once("E: Version '")?
                .1
                .split_once("' for '")?
                .1
                .split('\'')
                .next()?
                .to_owned(),
        )
    };
    after("E: Unable to locate package ")
        .or_else(versioned)
        .or_else(|| {
            line.contains("lower than required")
                .then(|| after("downloaded package "))?
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_the_package_managers_words() {
        let table = [
            (
                vec![
                    "#9 1.2 E: Unable to locate package vulnlib",
                    "Error: failed to solve: exit code: 100",
                ],
                "E: Unable to locate package vulnlib",
                Some("vulnlib"),
            ),
            (
                vec!["#9 E: Version '2.0' for 'zlib1g' was not found", "Error: x"],
                "E: Version '2.0' for 'zlib1g' was not found",
                Some("zlib1g"),
            ),
            (
                vec![
                    "Error: downloaded package openssl version 1.0 lower than required 2.0 for update",
                ],
                "Error: downloaded package openssl version 1.0 lower than required 2.0 for update",
                Some("openssl"),
            ),
            (
                vec!["#9 E: Held packages were changed"],
                "E: Held packages were changed",
                None,
            ),
            (
                vec!["Error: patch exceeded timeout 3s"],
                "Error: patch exceeded timeout 3s",
                None,
            ),
            (vec![], "exit code 2", None),
        ];
        for (tail, reason, package) in table {
            let tail: Vec<String> = tail.into_iter().map(ToOwned::to_owned).collect();
            let found = failure(&tail, "exit code 2");
            assert_eq!(
                (found.reason.as_str(), found.package.as_deref()),
                (reason, package)
            );
        }
    }

    #[test]
    fn the_command_line() {
        let image: ImageRef = "127.0.0.1:5000/x/app:1".parse().unwrap();
        let run = Run {
            image: &image,
            tag: "staging",
            address: "unix:///t/b.sock",
            tooling: None,
            limit: Duration::from_secs(60),
        };
        insta::assert_snapshot!(run.argv(Path::new("/t/r.json")).join(" "), @"patch --image 127.0.0.1:5000/x/app:1 --report /t/r.json --tag staging --addr unix:///t/b.sock --timeout 60s --progress plain");
    }
}
