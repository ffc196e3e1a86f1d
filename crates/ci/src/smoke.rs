//! The smoke test: the image is healthy with the restrictions of production, and stops on SIGTERM.

mod network;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, ImageInfo};
use http_client::{Client, Redirects};

use crate::job::Job;
use crate::outcome::{Health, ImageOutcome, LogTail};
use crate::request::Smoke;

/// Consecutive successful responses of a healthy application: a single one can be chance.
const HEALTHY_RESPONSES: u32 = 2;
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of the image's own health check.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(10);
const MEMORY: i64 = 256 * 1024 * 1024;
const PIDS: i64 = 128;
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
    if is_root(&image.config.user) {
        let problem = "the image runs as root; end the Dockerfile's last stage with a numeric `USER`, such as `USER 10001:10001`";
        outcome.health = Some(Health {
            request: format!("GET {}", smoke.path),
            problem: Some(problem.to_owned()),
            ..Health::default()
        });
        return Err(PolicyFailure(problem.to_owned()).into());
    }
    let port = port(smoke.port, &image.config.exposed_ports)?;
    let (container, address) = network::start(job, image, hardened).await?;
    let host = match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{port}{}", smoke.path);
    // Not buffered, so that a long smoke test is visible while it runs.
    job.ctx.log().info(format!(
        "Smoke test: {url}, read-only, without capabilities, 256 MB of memory"
    ));
    let limit = (
        "smoke-timeout",
        smoke.timeout + smoke.stop_timeout + RESPONSE_TIMEOUT * 2 + HEALTHCHECK_TIMEOUT,
    );
    let work = examine(&container, smoke, &image.config.healthcheck, &url);
    let health = with_timeout(job.ctx.log(), "the smoke test", limit, work).await??;
    let problem = health.problem.clone();
    outcome.health = Some(health);
    let Some(problem) = problem else {
        container.remove().await;
        return Ok(());
    };
    let lines = container.log_tail(TAIL).await;
    container.remove().await;
    let hint = hint(&lines)
        .map(|hint| format!("; {hint}"))
        .unwrap_or_default();
    outcome.build.log_tail = Some(LogTail {
        title: "Last lines of the application".to_owned(),
        lines,
    });
    Err(PolicyFailure(format!("{problem}{hint}")).into())
}

// `USER` may name a group too.
fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), None | Some("" | "0" | "root"))
}

fn hardened(image: &ImageInfo, run: &str, network: &str) -> ContainerSpec {
    ContainerSpec {
        image: image.id.clone(),
        network: Some(network.to_owned()),
        read_only: true,
        tmpfs: vec!["/tmp".to_owned()],
        cap_drop: vec!["ALL".to_owned()],
        security_opt: vec!["no-new-privileges".to_owned()],
        memory: Some(MEMORY),
        pids_limit: Some(PIDS),
        run: run.to_owned(),
        ..ContainerSpec::default()
    }
}

async fn examine(
    container: &Container,
    smoke: &Smoke,
    healthcheck: &[String],
    url: &str,
) -> anyhow::Result<Health> {
    let mut health = Health {
        request: format!("GET {}", smoke.path),
        ..Health::default()
    };
    match until_healthy(container, smoke, url).await? {
        Ok(after) => health.healthy_after = Some(after),
        Err(problem) => {
            health.problem = Some(problem);
            return Ok(health);
        }
    }
    if let Some(command) = check_command(healthcheck) {
        let problem = check(container, &command).await?;
        health.checked = Some(problem.is_none());
        if problem.is_some() {
            health.problem = problem;
            return Ok(health);
        }
    }
    let start = Instant::now();
    let code = container.stop(smoke.stop_timeout).await?;
    health.stopped = Some((code, start.elapsed()));
    health.problem = stop_problem(code, smoke.stop_timeout);
    Ok(health)
}

// Docker runs HEALTHCHECK at its interval, which may be long; here its command runs at once.
async fn check(container: &Container, command: &[&str]) -> anyhow::Result<Option<String>> {
    let exec = container.exec(command);
    let Ok(done) = tokio::time::timeout(HEALTHCHECK_TIMEOUT, exec).await else {
        return Ok(Some(format!(
            "the image's HEALTHCHECK timed out after {}",
            text::seconds(HEALTHCHECK_TIMEOUT)
        )));
    };
    let done = done?;
    let last = done
        .output
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty());
    Ok((done.code != 0).then(|| {
        format!(
            "the application responds, but the image's HEALTHCHECK exited with code {}{}",
            done.code,
            last.map(|line| format!(": {}", text::cut(line.trim(), LINE)))
                .unwrap_or_default()
        )
    }))
}

// `["CMD", …]`, `["CMD-SHELL", "…"]` or `["NONE"]` (Docker Engine API, `HealthConfig.Test`).
fn check_command(healthcheck: &[String]) -> Option<Vec<&str>> {
    let (kind, rest) = healthcheck.split_first()?;
    let rest = rest.iter().map(String::as_str);
    match kind.as_str() {
        "CMD" => Some(rest.collect()),
        "CMD-SHELL" => Some(["/bin/sh", "-c"].into_iter().chain(rest).collect()),
        _ => None,
    }
}

// 143 is the exit code of a process without a handler: 128 plus the number of SIGTERM.
fn stop_problem(code: i64, timeout: Duration) -> Option<String> {
    match code {
        0 | 143 => None,
        137 => Some(format!(
            "the application was killed because it was still running {} after SIGTERM; use the exec form of `CMD`, so \
             that it receives the signal",
            text::seconds(timeout)
        )),
        code => Some(format!(
            "the application exited with code {code} after SIGTERM, not with 0"
        )),
    }
}

async fn until_healthy(
    container: &Container,
    smoke: &Smoke,
    url: &str,
) -> anyhow::Result<Result<Duration, String>> {
    // The application runs on this machine: the system's proxy is not used.
    let client = Client::direct().context("failed to prepare the smoke test")?;
    let start = Instant::now();
    let mut healthy = 0;
    let mut since = Duration::ZERO;
    loop {
        if let Some(code) = container.exit_code().await? {
            let when = if healthy > 0 {
                "right after its first response"
            } else {
                "before it was healthy"
            };
            return Ok(Err(format!(
                "the application exited with code {code} {when}"
            )));
        }
        // Its status is the verdict: no redirect is followed, and no body is read.
        let request = client.get(url).redirects(Redirects::Returned);
        let problem = match request.timeout(RESPONSE_TIMEOUT).send().await {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it responded with {}", response.status())),
            Err(e) if e.is_timeout() => Some(format!(
                "it did not respond within {}",
                text::seconds(RESPONSE_TIMEOUT)
            )),
            Err(e) if e.is_connect() => Some("nothing listens on its port".to_owned()),
            Err(_) => Some("its response is not HTTP".to_owned()),
        };
        if let Some(problem) = problem {
            healthy = 0;
            if start.elapsed() >= smoke.timeout {
                let timeout = text::seconds(smoke.timeout);
                return Ok(Err(format!(
                    "`GET {}` was not healthy within {timeout} (`smoke-timeout`): {problem}",
                    smoke.path
                )));
            }
        } else {
            if healthy == 0 {
                since = start.elapsed();
            }
            healthy += 1;
            if healthy == HEALTHY_RESPONSES {
                return Ok(Ok(since));
            }
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn port(input: Option<u16>, exposed: &[String]) -> anyhow::Result<u16> {
    if let Some(port) = input {
        return Ok(port);
    }
    let tcp: Vec<u16> = exposed
        .iter()
        .filter_map(|port| match port.split_once('/') {
            Some((number, "tcp")) => number.parse().ok(),
            Some(_) => None,
            None => port.parse().ok(),
        })
        .collect();
    match tcp[..] {
        [port] => Ok(port),
        [] => bail!(
            "the image exposes no port for the smoke test; add `EXPOSE` to the Dockerfile, or set `port`"
        ),
        _ => bail!(
            "the image exposes {}; set `port` for the smoke test",
            text::plural(tcp.len(), "port")
        ),
    }
}

fn hint(lines: &[String]) -> Option<&'static str> {
    let contains = |text: &str| lines.iter().any(|line| line.contains(text));
    if contains("Read-only file system") {
        Some("its root file system is read-only, as in production; write only to `/tmp`")
    } else if contains("Operation not permitted") {
        Some("it has no capabilities, as in production; it must not need any")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
