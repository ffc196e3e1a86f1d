//! One run of Copa.
//!
//! Copa's exit code is no verdict: with nothing to update it ends with 0 and makes no image. It pushes to
//! our local registry: what it made is looked for there, and what that is worth is found out by a scan.

mod failure;

use std::path::Path;
use std::time::Duration;

use actions_toolkit::{Context, text};
use anyhow::Context as _;
use oci::ImageRef;
use serde_json::json;
use tool::Tool;

use crate::plan::Plan;

pub(crate) use failure::Failure;

/// What a run of Copa needs.
pub(crate) struct Run<'a> {
    /// The image, where BuildKit finds it.
    pub(crate) image: &'a ImageRef,
    /// The tag that the result gets beside it.
    pub(crate) tag: &'a str,
    /// Where BuildKit is.
    pub(crate) address: &'a str,
    /// The image that stands for Copa's tooling images, as BuildKit names it.
    pub(crate) tooling: Option<&'a str>,
    pub(crate) limit: Duration,
}

impl Run<'_> {
    fn argv(&self, report: &Path, libraries: bool) -> Vec<String> {
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
            "--push",
        ];
        // Which version a package of Python gets is said in our report: Copa is to take that one.
        let libraries: &[&str] = if libraries {
            &[
                "--pkg-types",
                "os,library",
                "--library-patch-level",
                "major",
            ]
        } else {
            &[]
        };
        let args = args.iter().chain(libraries);
        args.map(|arg| (*arg).to_owned()).collect()
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
        let content = plan.report(&self.image.to_string()).to_string();
        std::fs::write(&report, content).context("while writing Copa's report")?;
        // Copa ends itself at its limit, with a better message; a Copa that hangs is stopped.
        let libraries = !plan.libraries().is_empty();
        let mut copa = Tool::new("copa", ctx.env())
            .args(self.argv(&report, libraries))
            .limit(self.limit + Duration::from_secs(30))
            .env("TMPDIR", folder)
            // No registry is asked for anything but public images: there is nobody's login to be found.
            .env("DOCKER_CONFIG", folder);
        if libraries {
            copa = copa.env("COPA_EXPERIMENTAL", "1");
        }
        if let Some(host) = ctx.env().get("DOCKER_HOST") {
            copa = copa.env("DOCKER_HOST", host);
        }
        if let Some(tooling) = self.tooling {
            let policy = folder.join("source-policy.json");
            std::fs::write(&policy, source_policy(tooling).to_string())
                .context("while writing BuildKit's source policy")?;
            copa = copa.env("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", policy);
        }
        let packages = text::plural(plan.packages().count(), "package");
        let done = copa
            .stream(ctx.log(), &format!("Copa updates {packages}"))
            .await?;
        if done.code() == Some(0) {
            return Ok(Ok(()));
        }
        Ok(Err(Failure::of(&done.tail, &done.ending())))
    }
}

// Copa pulls an image with the distribution's tools whatever the target has: first from its own registry,
// then from Docker Hub (project-copacetic/copacetic, pkg/pkgmgr/dpkg.go).
fn source_policy(tooling: &str) -> serde_json::Value {
    let rule = |from: &str| {
        json!({
            "action": "CONVERT",
            "selector": {"identifier": format!("docker-image://{from}:*")},
            "updates": {"identifier": format!("docker-image://{tooling}")},
        })
    };
    let places = ["ghcr.io/project-copacetic/copacetic", "docker.io/library"];
    let rules: Vec<_> = places
        .iter()
        .flat_map(|place| ["debian", "ubuntu"].map(|os| rule(&format!("{place}/{os}"))))
        .collect();
    json!({ "rules": rules })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        insta::assert_snapshot!(run.argv(Path::new("/t/r.json"), false).join(" "), @"patch --image 127.0.0.1:5000/x/app:1 --report /t/r.json --tag staging --addr unix:///t/b.sock --timeout 60s --progress plain --push");
    }

    #[test]
    fn every_tooling_image_is_replaced() {
        let policy = source_policy("127.0.0.1:5000/x/debian:1");
        let rules = policy["rules"].as_array().unwrap();
        let from: Vec<_> = rules
            .iter()
            .map(|rule| rule["selector"]["identifier"].as_str().unwrap())
            .collect();
        assert_eq!(
            from,
            [
                "docker-image://ghcr.io/project-copacetic/copacetic/debian:*",
                "docker-image://ghcr.io/project-copacetic/copacetic/ubuntu:*",
                "docker-image://docker.io/library/debian:*",
                "docker-image://docker.io/library/ubuntu:*",
            ]
        );
        assert_eq!(
            rules[3]["updates"]["identifier"],
            "docker-image://127.0.0.1:5000/x/debian:1"
        );
    }
}
