//! The build of a stage: its log, its times, and whether a failure is that of the Dockerfile.

use std::time::{Duration, Instant};

use actions_toolkit::{PolicyFailure, StopCommands, text, with_timeout};
use anyhow::{Context as _, anyhow};
use docker::{BuildError, BuildEvent, BuildRequest, ImageInfo};
use limits::Shown;
use oci::{ImageRef, Logins, is_denied};

use crate::builder::Built;
use crate::job::Job;
use crate::outcome::{BuildOutcome, LogTail};
use crate::request::cache::CacheOf;
use crate::request::services::ServiceBuild;

/// The beginning of the steps that write a cache (github.com/moby/buildkit, `cache/remotecache`).
const CACHE_EXPORT: &str = "exporting cache to ";
/// Failed build checks that are kept.
const WARNINGS: usize = 1000;

/// One build and its stages.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Build {
    /// ``stage `test` `` or ``image `name:tag` ``.
    pub(crate) title: String,
    pub(crate) time: Duration,
    /// In the order in which their first steps finished.
    pub(crate) stages: Vec<Stage>,
}

/// The steps of one stage of a build.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stage {
    /// As in the Dockerfile; `stage-2` without a name there.
    pub(crate) name: String,
    pub(crate) steps: usize,
    pub(crate) cached: usize,
    /// Sum of the times of its steps; stages run in parallel where possible.
    pub(crate) seconds: f64,
}

/// Build `target` as `image` for each platform, and add the results to `outcome`; with `of`, its cache is kept.
///
/// # Errors
/// A [`PolicyFailure`] when a step fails; another error when there is no verdict.
pub(crate) async fn build(
    job: &Job<'_>,
    (target, image): (Option<&str>, &ImageRef),
    of: Option<CacheOf>,
    outcome: &mut BuildOutcome,
) -> anyhow::Result<Vec<Built>> {
    let build = &job.request.build;
    let title = match target {
        Some(stage) => format!("stage `{stage}`"),
        None => format!("image `{}`", build.image),
    };
    let request = build_request(build, (target, image));
    run(job, title, request, of, outcome).await
}

/// Build the image of the service `name` of a compose file.
///
/// # Errors
/// When it cannot be built: there is no verdict without the service.
pub(crate) async fn service(
    job: &Job<'_>,
    name: &str,
    source: &ServiceBuild,
    image: &ImageRef,
) -> anyhow::Result<ImageInfo> {
    let title = format!("service `{name}`");
    let request = BuildRequest {
        target: source.target.clone(),
        build_args: source.args.clone(),
        ..BuildRequest::new(&source.context, &source.dockerfile, image.clone())
    };
    let mut outcome = BuildOutcome::default();
    let built = Box::pin(run(job, title, request, None, &mut outcome)).await;
    let built = built.map_err(|e| match outcome.log_tail {
        Some(LogTail { lines, .. }) => anyhow!("{e:#}; its last lines:\n{}", lines.join("\n")),
        None => anyhow!("{e:#}"),
    });
    let first = built?.into_iter().next();
    first
        .map(|built| built.info)
        .context("the build has no image")
}

async fn run(
    job: &Job<'_>,
    title: String,
    request: BuildRequest,
    of: Option<CacheOf>,
    outcome: &mut BuildOutcome,
) -> anyhow::Result<Vec<Built>> {
    let build = &job.request.build;
    let request = BuildRequest {
        logins: job.logins.clone(),
        ..request
    };
    let start = Instant::now();
    let mut steps = Build {
        title: title.clone(),
        ..Build::default()
    };
    let images = {
        let _group = job.log.group(format!("Build {title}"));
        let lines = job.log.stop_commands();
        let (mut heading, mut shown) = (None, Shown::default());
        let limit = ("build-timeout", build.timeout);
        let (warnings, caches) = (&mut outcome.warnings, &mut outcome.unavailable_caches);
        let on_event = |event| {
            if let BuildEvent::Warning(warning) = &event
                && warnings.len() < WARNINGS
                && !warnings.contains(warning)
            {
                warnings.push(warning.clone());
            }
            if let BuildEvent::CacheUnavailable { cache, reason } = &event
                && is_denied(reason)
                && !caches.contains(cache)
            {
                caches.push(cache.clone());
            }
            if !matches!(&event, BuildEvent::Line(line) if !shown.admits(line)) {
                steps.record(event, &lines, &mut heading);
            }
        };
        let work = async {
            match job.builder {
                Some(builder) => Box::pin(builder.build(&request, of, on_event)).await,
                None => job.docker.build(&request, on_event).await.map(|info| {
                    vec![Built {
                        platform: None,
                        info,
                    }]
                }),
            }
        };
        let what = format!("the build of {title}");
        let images = with_timeout(job.ctx.log(), &what, limit, work).await;
        if let Some(note) = shown.omitted() {
            lines.raw(&note);
        }
        images
    };
    for cache in &outcome.unavailable_caches {
        let host = host_in(cache);
        let hint = registries::hint(&host, job.logins);
        let note = format!("the cache `{cache}` cannot be read: {hint}");
        job.log.warning(note);
    }
    steps.time = start.elapsed();
    outcome.build = Some(steps);
    images?.map_err(|e| outcome.failure(e, job.logins))
}

/// The build of `target` as `image`, without the logins.
pub(crate) fn build_request(
    build: &crate::request::Build,
    (target, image): (Option<&str>, &ImageRef),
) -> BuildRequest {
    BuildRequest {
        target: target.map(ToOwned::to_owned),
        build_args: build.args.clone(),
        labels: build.labels.clone(),
        secrets: build.secrets.clone(),
        ssh: build.ssh.clone(),
        cache: build.cache.clone(),
        ..BuildRequest::new(&build.context, &build.dockerfile.in_context, image.clone())
    }
}

/// A build that failed after the same build has succeeded.
pub(crate) fn as_error(error: BuildError) -> anyhow::Error {
    match error {
        BuildError::Failed { step, reason, .. } => anyhow!("`{step}`: {}", short(&reason)),
        BuildError::Docker(error) => error,
    }
}

impl Build {
    fn record(&mut self, event: BuildEvent, lines: &StopCommands, heading: &mut Option<String>) {
        match event {
            // The name of a step is logged above its first line, and with its time when it has finished.
            BuildEvent::Started { step } => *heading = Some(step),
            BuildEvent::Line(line) => {
                if let Some(step) = heading.take() {
                    lines.raw(&step);
                }
                lines.raw(&format!("  {line}"));
            }
            BuildEvent::Done {
                step,
                seconds,
                cached,
            } => {
                heading.take_if(|heading| *heading == step);
                let time = if cached {
                    "cached".to_owned()
                } else {
                    format!("{seconds:.1} s")
                };
                lines.raw(&format!("{step}: {time}"));
                self.add(&step, seconds, cached);
            }
            BuildEvent::CacheUnavailable { cache, reason } => {
                lines.raw(&format!("the cache {cache} is not used: {reason}"));
            }
            BuildEvent::Warning(warning) => lines.raw(&format!("warning: {}", warning.message)),
        }
    }

    fn add(&mut self, step: &str, seconds: f64, cached: bool) {
        let name = stage_of(step);
        let index = self.stages.iter().position(|stage| stage.name == name);
        let index = index.unwrap_or_else(|| {
            self.stages.push(Stage {
                name: name.to_owned(),
                steps: 0,
                cached: 0,
                seconds: 0.0,
            });
            self.stages.len() - 1
        });
        let stage = &mut self.stages[index];
        stage.steps += 1;
        stage.cached += usize::from(cached);
        stage.seconds += seconds;
    }
}

impl BuildOutcome {
    fn failure(&mut self, error: BuildError, logins: &Logins) -> anyhow::Error {
        let BuildError::Failed { step, reason, tail } = error else {
            return error.into();
        };
        let step = text::cut(step.lines().next().unwrap_or_default(), 160).to_owned();
        let title = format!("Last lines of {step}");
        self.log_tail = Some(LogTail { title, lines: tail });
        if reason.contains("no space left on device") {
            return anyhow!(
                "Docker's disk is full at `{step}`: {reason}; free space on the runner (`docker system prune`)"
            );
        }
        if step.starts_with(CACHE_EXPORT) {
            let hint = if is_denied(&reason) {
                registries::hint(&host_in(&reason), logins)
            } else {
                "with `ignore-error=true` in its line of `cache-to`, the step continues without it"
                    .to_owned()
            };
            return anyhow!("the cache cannot be written: {hint} ({reason})");
        }
        if is_denied(&reason) && !reason.contains("exit code") {
            let hint = registries::hint(&host_in(&step), logins);
            return anyhow!("the build could not get what it needs at `{step}`: {hint} ({reason})");
        }
        if is_unavailable(&step, &reason) {
            return anyhow!(
                "the build could not get what it needs at `{step}`: {reason}; is the registry reachable?"
            );
        }
        PolicyFailure(format!("the build failed at `{step}`: {}", short(&reason))).into()
    }
}

// `[build 2/3] RUN make` and `[linux/amd64 build 2/3] RUN make` belong to `build`; the only stage of a Dockerfile is
// `[2/3]`.
fn stage_of(step: &str) -> &str {
    let Some((inside, _)) = step.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return match step.split(' ').next() {
            Some("exporting") => "(export)",
            _ => "(other)",
        };
    };
    let (before, _) = inside.trim().rsplit_once(' ').unwrap_or(("", inside));
    before
        .split_whitespace()
        .last()
        .filter(|name| !name.contains('/'))
        .unwrap_or("stage-0")
}

// The registry of the image in `step`: `[internal] load metadata for ghcr.io/octo-org/base:1`.
fn host_in(step: &str) -> String {
    let images = step
        .split([' ', '='])
        .map(|word| word.trim_end_matches(':'))
        .filter(|word| word.contains([':', '/', '@']));
    let mut images = images.filter_map(|word| word.parse::<ImageRef>().ok());
    let named = images.clone().find(|image| image.registry().is_some());
    let image = named.or_else(|| images.next());
    let host = image.as_ref().map(|image| image.in_registry().0);
    host.unwrap_or("docker.io").to_owned()
}

// A base image that does not exist is a mistake in the Dockerfile; an unreachable registry is not.
fn is_unavailable(step: &str, reason: &str) -> bool {
    let network = [
        "dial tcp",
        "i/o timeout",
        "no such host",
        "TLS handshake",
        "failed to do request",
        "x509:",
        "toomanyrequests",
        "500 Internal",
        "502 Bad",
        "503 Service",
    ];
    let unreachable =
        network.iter().any(|text| reason.contains(text)) && !reason.contains("exit code");
    unreachable || step.starts_with("[internal]") && !reason.contains("not found")
}

// BuildKit puts the whole command, and its own layers, before the cause.
fn short(reason: &str) -> String {
    let reason = reason.rsplit("LLB definition: ").next().unwrap_or(reason);
    match reason.rsplit_once("exit code: ") {
        Some((_, code)) => format!("its command exited with code {}", code.trim()),
        None => reason.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::{ExitStatus, Log};

    #[test]
    fn steps_are_added_up_by_stage() {
        let lines = Log::sink();
        let lines = lines.stop_commands();
        let mut build = Build::default();
        let done = |step: &str, seconds, cached| BuildEvent::Done {
            step: step.into(),
            seconds,
            cached,
        };
        for event in [
            done("[base 1/1] FROM debian", 0.0, true),
            BuildEvent::Started {
                step: "[build 1/2] RUN a".into(),
            },
            BuildEvent::Line("compiling".into()),
            done("[build 1/2] RUN a", 2.5, false),
            done("[linux/amd64 build 2/2] COPY b c", 0.5, false),
            done("[2/3] RUN", 1.0, false),
            done("exporting to image", 0.25, false),
        ] {
            build.record(event, &lines, &mut None);
        }
        let stages: Vec<_> = build
            .stages
            .iter()
            .map(|s| (s.name.as_str(), s.steps, s.cached, s.seconds))
            .collect();
        assert_eq!(
            stages,
            [
                ("base", 1, 1, 0.0),
                ("build", 2, 0, 3.0),
                ("stage-0", 1, 0, 1.0),
                ("(export)", 1, 0, 0.25)
            ]
        );
    }

    #[test]
    fn a_failed_step_is_a_verdict_and_an_unreachable_registry_is_not() {
        let table = [
            (
                "[build 2/2] RUN make",
                "executor failed running [/bin/sh -c make]: exit code: 2",
                1,
                "the build failed at `[build 2/2] RUN make`: its command exited with code 2",
            ),
            (
                "[build 1/2] COPY x /",
                "failed to compute cache key: \"/x\" not found: not found",
                1,
                "the build failed at `[build 1/2] COPY x /`: failed to compute cache key: \"/x\" not found: not found",
            ),
            (
                "reading the Dockerfile",
                "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUNN",
                1,
                "the build failed at `reading the Dockerfile`: dockerfile parse error line 2: unknown instruction: RUNN",
            ),
            (
                "[internal] load metadata for docker.io/library/nope:1",
                "docker.io/library/nope:1: not found",
                1,
                "the build failed at `[internal] load metadata for docker.io/library/nope:1`: docker.io/library/nope:1: not found",
            ),
            (
                "[internal] load metadata for r.io/a:1",
                "failed to do request: Head: dial tcp: lookup r.io: no such host",
                2,
                "the build could not get what it needs at `[internal] load metadata for r.io/a:1`: failed to do request: Head: dial tcp: lookup r.io: no such host; is the registry reachable?",
            ),
        ];
        let denied = [
            (
                "[internal] load metadata for ghcr.io/octo-org/base:1",
                "failed to authorize: no basic auth credentials",
                2,
                "the build could not get what it needs at `[internal] load metadata for ghcr.io/octo-org/base:1`: `ghcr.io` requires a login; add a line to `registries`: `ghcr.io` (the job needs `packages: write` to push, `packages: read` to pull) (failed to authorize: no basic auth credentials)",
            ),
            (
                "[internal] load metadata for docker.io/team/base:1",
                "pull access denied, repository does not exist or may require authorization",
                2,
                "the build could not get what it needs at `[internal] load metadata for docker.io/team/base:1`: `docker.io` requires a login; add a line to `registries`: `docker.io USER SECRET` (pull access denied, repository does not exist or may require authorization)",
            ),
            (
                "[2/2] RUN curl --fail https://example.com",
                "process did not complete successfully: 403 Forbidden: exit code: 22",
                1,
                "the build failed at `[2/2] RUN curl --fail https://example.com`: its command exited with code 22",
            ),
        ];
        let exports = [
            (
                "exporting cache to registry",
                "failed to push ghcr.io/octo-org/app:cache: denied: permission_denied",
                2,
                "the cache cannot be written: `ghcr.io` requires a login; add a line to `registries`: `ghcr.io` (the job needs `packages: write` to push, `packages: read` to pull) (failed to push ghcr.io/octo-org/app:cache: denied: permission_denied)",
            ),
            (
                "exporting cache to GitHub Actions Cache",
                "error writing layer blob: 503",
                2,
                "the cache cannot be written: with `ignore-error=true` in its line of `cache-to`, the step continues without it (error writing layer blob: 503)",
            ),
        ];
        let denied = denied.into_iter().chain(exports);
        for (step, reason, code, message) in table.into_iter().chain(denied) {
            let mut outcome = BuildOutcome::default();
            let failed = BuildError::Failed {
                step: step.into(),
                reason: reason.into(),
                tail: vec!["x".into()],
            };
            let error = outcome.failure(failed, &Logins::default());
            assert_eq!(
                (
                    ExitStatus::from_error(&error).code(),
                    error.to_string().as_str()
                ),
                (code, message)
            );
            assert_eq!(outcome.log_tail.unwrap().lines, ["x"]);
        }
    }
}
