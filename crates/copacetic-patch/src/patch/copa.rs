//! One run of Copa.
//!
//! Copa's exit code is not a verdict: with nothing to update it exits with code 0 and makes no image. It pushes to the
//! local registry of this run, where its image is looked for; a scan decides what that is worth.

mod failure;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{Env, text};
use anyhow::Context as _;
use oci::{ImageRef, Platform};
use serde_json::json;
use tool::Tool;

use super::Plan;
use crate::targets::ImagePatch;

pub(crate) use failure::Failure;

/// What a run of Copa needs.
pub(crate) struct Run<'a> {
    /// The image, where BuildKit finds it.
    pub(crate) image: &'a ImageRef,
    /// The tag that the result gets in the same repository.
    pub(crate) tag: &'a str,
    /// Of BuildKit.
    pub(crate) address: &'a str,
    /// The image that replaces Copa's tooling images, as BuildKit names it.
    pub(crate) tooling: Option<&'a str>,
    /// The platform of the image, if it is not that of this machine.
    pub(crate) foreign: Option<&'a Platform>,
    pub(crate) timeout: Duration,
}

impl Run<'_> {
    fn argv(&self, report: &Path, libraries: bool) -> Vec<String> {
        let timeout = format!("{}s", self.timeout.as_secs());
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
            &timeout,
            "--progress",
            "plain",
            "--push",
        ];
        // The report names the version that a Python package gets: Copa may go as far as that one.
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

    /// The tag that the image itself gets: for another platform, Copa adds that to it, and makes an index of the one image
    /// (project-copacetic/copacetic, `archTag` in pkg/patch/platform.go).
    pub(crate) fn image_tag(&self) -> String {
        let Some(platform) = self.foreign else {
            return self.tag.to_owned();
        };
        let variant = platform.variant.iter().map(|variant| format!("-{variant}"));
        let variant: String = variant.collect();
        format!("{}-{}{variant}", self.tag, platform.architecture)
    }

    // Copa patches its own platform by a file, and others by a directory of files.
    fn report(&self, directory: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
        const FILE: &str = "report.json";
        if self.foreign.is_none() {
            let file = directory.join(FILE);
            return Ok((file.clone(), file));
        }
        let reports = directory.join("reports");
        std::fs::create_dir_all(&reports)
            .context("failed to make the directory of Copa's report")?;
        Ok((reports.join(FILE), reports))
    }

    /// Run Copa for `plan`, with its files in `directory`.
    ///
    /// # Errors
    /// When Copa can't be started or followed; that it failed is the inner result.
    pub(crate) async fn patch(
        &self,
        patch: &ImagePatch<'_, '_>,
        plan: &Plan,
        directory: &Path,
    ) -> anyhow::Result<Result<(), Failure>> {
        let session = patch.session;
        let ctx = session.ctx;
        let (file, report) = self.report(directory)?;
        let variant = self
            .foreign
            .and_then(|platform| platform.variant.as_deref());
        let content = plan.report(&self.image.to_string(), variant).to_string();
        std::fs::write(&file, content).context("failed to write Copa's report")?;
        // Copa ends itself at its timeout, with a better message; this stops one that hangs.
        let libraries = !plan.libraries().is_empty();
        let mut copa = Tool::new("copa", ctx.env())
            .args(self.argv(&report, libraries))
            .timeout(self.timeout + Duration::from_secs(30))
            .env("TMPDIR", directory)
            // It pulls public images, and those of the local registry: it must not find the logins of this machine.
            .env("DOCKER_CONFIG", session.docker_config());
        if libraries {
            copa = copa.env("COPA_EXPERIMENTAL", "1");
        }
        if let Some(platform) = self.foreign {
            copa = copa.env(
                "PATH",
                emulator_in_path(platform, directory, session.ctx.env())?,
            );
        }
        if let Some(host) = ctx.env().get("DOCKER_HOST") {
            copa = copa.env("DOCKER_HOST", host);
        }
        if let Some(tooling) = self.tooling {
            let policy = directory.join("source-policy.json");
            std::fs::write(&policy, source_policy(tooling).to_string())
                .context("failed to write BuildKit's source policy")?;
            copa = copa.env("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", policy);
        }
        let packages = text::plural(plan.packages().count(), "package");
        let title = match patch.number {
            Some(_) => format!("Copa updates {packages} of {}", patch.target.image),
            None => format!("Copa updates {packages}"),
        };
        let done = copa.stream(&patch.log, &title).await?;
        if done.code() == Some(0) {
            return Ok(Ok(()));
        }
        Ok(Err(Failure::from_output(&done.tail, &done.ending())))
    }
}

// Copa looks for an emulator on its own machine, and does not use it: BuildKit does, and was checked. So it finds a
// file of that name (project-copacetic/copacetic, `QemuAvailable` in pkg/buildkit/buildkit.go).
fn emulator_in_path(platform: &Platform, directory: &Path, env: &Env) -> anyhow::Result<OsString> {
    let architecture = match platform.architecture.as_str() {
        "amd64" => "x86_64",
        "386" => "i386",
        "arm64" => "aarch64",
        other => other,
    };
    let programs = directory.join("emulators");
    std::fs::create_dir_all(&programs)?;
    let program = programs.join(format!("qemu-{architecture}-static"));
    std::fs::write(&program, "").context("failed to write the emulator's file")?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    let path = env.get("PATH").unwrap_or_default();
    let directories = std::iter::once(programs).chain(std::env::split_paths(path));
    Ok(std::env::join_paths(directories)?)
}

/// The images with a distribution's tools that Copa pulls, even if the target has them: from its own registry first, then from
/// Docker Hub (project-copacetic/copacetic, pkg/pkgmgr/dpkg.go).
pub(crate) const TOOLING: &[&str] = &[
    "ghcr.io/project-copacetic/copacetic/debian",
    "ghcr.io/project-copacetic/copacetic/ubuntu",
    "docker.io/library/debian",
    "docker.io/library/ubuntu",
];

/// The same for the distributions with RPM packages (pkg/pkgmgr/rpm.go).
pub(crate) const RPM_TOOLING: &[&str] = &[
    "ghcr.io/project-copacetic/copacetic/cbl-mariner/base/core",
    "ghcr.io/project-copacetic/copacetic/azurelinux/base/core",
    "ghcr.io/project-copacetic/copacetic/bci/bci-base",
    "ghcr.io/project-copacetic/copacetic/opensuse/leap",
    "ghcr.io/project-copacetic/copacetic/opensuse/tumbleweed",
    "mcr.microsoft.com/cbl-mariner/base/core",
    "mcr.microsoft.com/azurelinux/base/core",
    "registry.suse.com/bci/bci-base",
    "registry.opensuse.org/opensuse/leap",
    "registry.opensuse.org/opensuse/tumbleweed",
    "quay.io/centos/centos",
    "docker.io/library/almalinux",
    "docker.io/library/amazonlinux",
    "docker.io/library/oraclelinux",
    "docker.io/library/rockylinux",
];

/// The same for Python packages whose environment has no `pip` (pkg/langmgr/python.go).
pub(crate) const PYTHON_TOOLING: &[&str] = &["docker.io/library/python"];

/// What Copa does not take in the name of an image that replaces these: a distribution without busybox (`validateSourcePolicy` in
/// pkg/patch/build.go).
pub(crate) const NOT_TOOLING: [&str; 3] = ["redhat", "rockylinux", "alma"];

fn source_policy(tooling: &str) -> serde_json::Value {
    let rule = |from: &str| {
        json!({
            "action": "CONVERT",
            "selector": {"identifier": format!("docker-image://{from}:*")},
            "updates": {"identifier": format!("docker-image://{tooling}")},
        })
    };
    let images = TOOLING.iter().chain(RPM_TOOLING).chain(PYTHON_TOOLING);
    let rules: Vec<_> = images.map(|from| rule(from)).collect();
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
            foreign: None,
            timeout: Duration::from_secs(60),
        };
        insta::assert_snapshot!(run.argv(Path::new("/t/r.json"), false).join(" "), @"patch --image 127.0.0.1:5000/x/app:1 --report /t/r.json --tag staging --addr unix:///t/b.sock --timeout 60s --progress plain --push");
    }

    #[test]
    fn every_tooling_image_is_replaced() {
        let policy = source_policy("127.0.0.1:5000/x/debian:1");
        let rules = policy["rules"].as_array().unwrap();
        let replaces = |image: &str| {
            let is_of = |rule: &serde_json::Value| {
                let from = rule["selector"]["identifier"].as_str().unwrap();
                image.starts_with(from.strip_suffix('*').unwrap())
            };
            rules.iter().any(is_of)
        };
        // As Copa 0.14.2 names them: dpkg.go, rpm.go and python.go.
        for image in [
            "ghcr.io/project-copacetic/copacetic/debian:12-slim",
            "docker.io/library/debian:stable-slim",
            "docker.io/library/ubuntu:24.04",
            "ghcr.io/project-copacetic/copacetic/azurelinux/base/core:3.0",
            "mcr.microsoft.com/azurelinux/base/core:3.0",
            "mcr.microsoft.com/cbl-mariner/base/core:2.0",
            "registry.suse.com/bci/bci-base:15.6",
            "registry.opensuse.org/opensuse/leap:15.6",
            "registry.opensuse.org/opensuse/tumbleweed:20261101",
            "docker.io/library/almalinux:9",
            "docker.io/library/amazonlinux:2023",
            "docker.io/library/rockylinux:9",
            "quay.io/centos/centos:stream9",
            "docker.io/library/python:3-slim",
        ] {
            assert!(replaces(&format!("docker-image://{image}")), "{image}");
        }
        assert!(!replaces("docker-image://127.0.0.1:5000/x/app:1"));
        insta::assert_json_snapshot!(rules[0], @r#"
        {
          "action": "CONVERT",
          "selector": {
            "identifier": "docker-image://ghcr.io/project-copacetic/copacetic/debian:*"
          },
          "updates": {
            "identifier": "docker-image://127.0.0.1:5000/x/debian:1"
          }
        }
        "#);
    }
}
