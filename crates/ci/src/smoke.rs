//! The smoke test: the image is healthy with the restrictions of production, and stops on SIGTERM.

mod application;
mod beside;
mod diagnosis;
mod network;
mod probe;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::Context as _;
use docker::{Container, HealthCheck, ImageConfig, ImageInfo};
use http_client::Client;

use crate::job::Job;
use crate::outcome::{Health, ImageOutcome, LogTail};
use crate::request::{HealthTarget, Smoke};
use crate::services::{self, Outside, Purpose};

pub(crate) use application::tcp_ports;
pub(crate) use beside::{beside, show_log};
pub(crate) use diagnosis::sockets;
use diagnosis::{FirstProcess, Signal};
use probe::Probe;

/// Consecutive successful responses of a healthy application: a single one can be chance.
const HEALTHY_RESPONSES: u32 = 2;
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Of the image's own health check, where it does not have them (docs.docker.com/reference/dockerfile, "HEALTHCHECK").
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(30);
const HEALTHCHECK_RETRIES: u32 = 3;
/// The longest pause between two attempts at it; its interval is for production, where no step waits.
const HEALTHCHECK_PAUSE: Duration = Duration::from_secs(5);
/// The memory without `smoke-memory`.
const MEMORY: u16 = 256;
const TAIL: usize = 100;
/// Bytes of a line in a message.
const LINE: usize = 1000;

/// Start `image` hardened, wait until it is healthy, stop it, and add the results to `outcome`.
///
/// # Errors
/// A [`PolicyFailure`] when it is unhealthy or does not stop; another error when there is no verdict.
pub(crate) async fn test(
    job: &Job<'_>,
    smoke: &Smoke,
    image: &ImageInfo,
    outcome: &mut ImageOutcome,
) -> anyhow::Result<()> {
    // What the compose file says of the application is its own, as what the image says.
    let image = &application::as_service(image, smoke.service.as_ref());
    let user = &image.config.user;
    let is_root = application::is_root(user);
    if is_root && !smoke.may_be_root {
        let problem = "the image runs as root; end the Dockerfile's last stage with a numeric `USER`, such as `USER 10001:10001`, or set `smoke-user: any`";
        outcome.health = Some(Health {
            request: probe::title(&smoke.health),
            problem: Some(problem.to_owned()),
            ..Health::default()
        });
        return Err(PolicyFailure(problem.to_owned()).into());
    }
    if !is_root && !smoke.may_be_root && !application::is_numeric(user) {
        job.log.warning(format!(
            "the image's user `{user}` has no number: Kubernetes does not start it under `runAsNonRoot`, since the name may be root's; write the number in `USER`"
        ));
    }
    let service = smoke.service.as_ref();
    let port = application::port(smoke, &image.config)?;
    let purpose = Purpose {
        name: "smoke",
        outside: Outside::Reachable,
        application: service,
        needs_network: false,
    };
    let started = services::start(job, purpose).await?;
    let (container, address) = application::start(job, smoke, image, (&started, None)).await?;
    let client = Client::direct().context("failed to prepare the smoke test")?;
    let socket = SocketAddr::new(address, port.unwrap_or_default());
    let probes = probe::of(smoke, &image.config, &client, socket)?;
    let relaxed = relaxed(smoke, is_root);
    // Not buffered, so that a long smoke test is visible while it runs.
    job.ctx.log().info(format!(
        "{}: {}, {}, {}, {} MB of memory",
        job.title("Smoke test"),
        probes.first().map(Probe::place).unwrap_or_default(),
        if smoke.read_only {
            "read-only"
        } else {
            "writable"
        },
        if is_root {
            "as root with Docker's default capabilities"
        } else {
            "without capabilities"
        },
        smoke.memory
    ));
    let own = &image.config.health;
    let check_limit = own.start_period.unwrap_or_default()
        + (own.timeout.unwrap_or(HEALTHCHECK_TIMEOUT) + HEALTHCHECK_PAUSE)
            * own.retries.unwrap_or(HEALTHCHECK_RETRIES).min(100);
    let check_limit = check_limit.min(smoke.timeout.max(HEALTHCHECK_TIMEOUT));
    let limit = (
        "smoke-timeout",
        smoke.timeout + smoke.stop_timeout + RESPONSE_TIMEOUT * 2 + check_limit,
    );
    let work = examine(&container, smoke, &image.config, (&probes, check_limit));
    let health = with_timeout(job.ctx.log(), "the smoke test", limit, work).await??;
    let problem = health.problem.clone();
    if let Some(request) = problem.is_none().then_some(&health.request)
        && smoke.health == HealthTarget::Auto
    {
        job.log.info(format!(
            "healthy by `{request}`; set `health-path` to request only that"
        ));
    }
    for note in &health.relaxed {
        job.log
            .warning(format!("the application is healthy only for {note}"));
    }
    let relaxed = relaxed.into_iter().chain(health.relaxed).collect();
    outcome.health = Some(Health { relaxed, ..health });
    let Some(problem) = problem else {
        container.remove().await;
        return Ok(());
    };
    let lines = container.log_tail(TAIL).await;
    let hint = diagnosis::hint(&container, smoke, port, &lines).await;
    container.remove().await;
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    outcome.build.log_tail = Some(LogTail {
        title: "Last lines of the application".to_owned(),
        lines,
    });
    let message = format!("{problem}{hint}");
    if let Some(health) = &mut outcome.health {
        health.problem = Some(message.clone());
    }
    Err(PolicyFailure(message).into())
}

// What the inputs permit and production does not.
fn relaxed(smoke: &Smoke, is_root: bool) -> Vec<String> {
    let mut relaxed = Vec::new();
    if is_root {
        relaxed.push("root, with Docker's default capabilities (`smoke-user: any`)".to_owned());
    }
    if !smoke.read_only {
        relaxed.push("writable root file system (`smoke-read-only: false`)".to_owned());
    }
    if smoke.memory > MEMORY {
        relaxed.push(format!("{} MB of memory (`smoke-memory`)", smoke.memory));
    }
    relaxed
}

async fn examine(
    container: &Container,
    smoke: &Smoke,
    config: &ImageConfig,
    (probes, check_limit): (&[Probe<'_>], Duration),
) -> anyhow::Result<Health> {
    let mut health = Health {
        request: probe::title(&smoke.health),
        ..Health::default()
    };
    match until_healthy(container, smoke, probes).await? {
        Ok((probe, after)) => {
            health.request = probe.title();
            health.healthy_after = Some(after);
            if let Some(status) = probe.rejected() {
                let host = probe::LOCALHOST;
                health.relaxed.push(format!(
                    "requests for `{host}`; for its address, as probes of Kubernetes have it, it responded with {status}"
                ));
            }
        }
        Err(problem) => {
            health.problem = Some(problem);
            return Ok(health);
        }
    }
    if let Some(command) = check_command(config)
        && smoke.health != HealthTarget::HealthCheck
    {
        let problem = check(container, &command, &config.health, check_limit).await?;
        health.checked = Some(problem.is_none());
        if problem.is_some() {
            health.problem = problem;
            return Ok(health);
        }
    }
    let signal = Signal::of(&config.stop_signal);
    let first = diagnosis::first_process(container, &signal).await;
    let (process, handles) = first.unwrap_or_else(|| {
        let process = if smoke.command.is_empty() {
            FirstProcess::of_image(config)
        } else {
            FirstProcess::Program
        };
        (process, None)
    });
    let start = Instant::now();
    let code = container.stop(smoke.stop_timeout).await?;
    health.stopped = Some((code, start.elapsed()));
    health.problem = diagnosis::stop_problem(code, smoke.stop_timeout, &signal, &process, handles);
    Ok(health)
}

// Docker runs HEALTHCHECK at its interval, which may be long; here its command runs at once, and again as often as it may
// fail, or as long as its start period is; after `limit` there is a verdict.
async fn check(
    container: &Container,
    command: &[&str],
    own: &HealthCheck,
    limit: Duration,
) -> anyhow::Result<Option<String>> {
    let timeout = own.timeout.unwrap_or(HEALTHCHECK_TIMEOUT);
    let pause = own
        .interval
        .unwrap_or(HEALTHCHECK_PAUSE)
        .min(HEALTHCHECK_PAUSE);
    let retries = own.retries.unwrap_or(HEALTHCHECK_RETRIES);
    let start_period = own.start_period.unwrap_or_default();
    let start = Instant::now();
    let (mut attempts, mut failed) = (0, 0);
    loop {
        let left = limit.saturating_sub(start.elapsed());
        let timeout = timeout.min(left.max(RESPONSE_TIMEOUT));
        let Some(problem) = probe::run(container, command, timeout).await? else {
            return Ok(None);
        };
        attempts += 1;
        if start.elapsed() >= start_period {
            failed += 1;
        }
        let is_over = start.elapsed() + pause >= limit;
        if failed >= retries || is_over {
            let cut_short = if failed < retries {
                format!(" within {}; raise `smoke-timeout`", text::seconds(limit))
            } else {
                String::new()
            };
            return Ok(Some(format!(
                "the application responds, but the image's HEALTHCHECK {problem} ({}{cut_short})",
                text::plural(attempts, "attempt")
            )));
        }
        tokio::time::sleep(pause).await;
    }
}

// `["CMD", …]`, `["CMD-SHELL", "…"]`, for the image's `SHELL`, or `["NONE"]` (Docker Engine API, `HealthConfig.Test`).
fn check_command(config: &ImageConfig) -> Option<Vec<&str>> {
    let (kind, rest) = config.healthcheck.split_first()?;
    let rest = rest.iter().map(String::as_str);
    match kind.as_str() {
        "CMD" => Some(rest.collect()),
        "CMD-SHELL" if config.shell.is_empty() => {
            Some(["/bin/sh", "-c"].into_iter().chain(rest).collect())
        }
        "CMD-SHELL" => {
            let shell = config.shell.iter().map(String::as_str);
            Some(shell.chain(rest).collect())
        }
        _ => None,
    }
}

async fn until_healthy<'a>(
    container: &Container,
    smoke: &Smoke,
    probes: &'a [Probe<'a>],
) -> anyhow::Result<Result<(&'a Probe<'a>, Duration), String>> {
    let start = Instant::now();
    // The probe that succeeded last, since when, and how often.
    let mut healthy: Option<(&Probe<'_>, Duration, u32)> = None;
    loop {
        if let Some(code) = container.exit_code().await? {
            let when = if healthy.is_some() {
                "right after its first response"
            } else {
                "before it was healthy"
            };
            return Ok(Err(format!(
                "the application exited with code {code} {when}"
            )));
        }
        let candidates = match healthy {
            Some((probe, ..)) => std::slice::from_ref(probe),
            None => probes,
        };
        let mut problems: Vec<(&Probe<'_>, String)> = Vec::new();
        let mut success = None;
        for probe in candidates {
            match probe.attempt(container).await? {
                Ok(()) => success = Some(probe),
                Err(problem) => problems.push((probe, problem.message)),
            }
            // Another path of the same port has the same problem.
            if success.is_some()
                || problems
                    .last()
                    .is_some_and(|(_, p)| p == probe::NOTHING_LISTENS)
            {
                break;
            }
        }
        match (success, healthy) {
            (Some(_), Some((probe, since, count))) if count + 1 >= HEALTHY_RESPONSES => {
                return Ok(Ok((probe, since)));
            }
            (Some(_), Some((probe, since, count))) => healthy = Some((probe, since, count + 1)),
            (Some(probe), None) => healthy = Some((probe, start.elapsed(), 1)),
            (None, _) => {
                healthy = None;
                if start.elapsed() >= smoke.timeout {
                    return Ok(Err(unhealthy(smoke, &problems)));
                }
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn unhealthy(smoke: &Smoke, problems: &[(&Probe<'_>, String)]) -> String {
    let timeout = text::seconds(smoke.timeout);
    let [(probe, problem)] = problems else {
        let mut parts: Vec<(&str, Vec<String>)> = Vec::new();
        for (probe, problem) in problems {
            let path = format!("`{}`", probe.title().trim_start_matches("GET "));
            match parts.iter_mut().find(|(known, _)| known == problem) {
                Some((_, paths)) => paths.push(path),
                None => parts.push((problem, vec![path])),
            }
        }
        let parts: Vec<_> = parts
            .iter()
            .map(|(problem, paths)| format!("{problem} ({})", paths.join(", ")))
            .collect();
        return format!(
            "no usual path was healthy within {timeout} (`smoke-timeout`): {}; set `health-path`",
            parts.join(", ")
        );
    };
    format!(
        "`{}` was not healthy within {timeout} (`smoke-timeout`): {problem}",
        probe.title()
    )
}

#[cfg(test)]
mod tests;
