//! The smoke test: the image serves under the limits that production sets, and stops when asked.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use actions_toolkit::{PolicyFailure, text, with_timeout};
use anyhow::{Context as _, bail};
use docker::{Container, ContainerSpec, ImageInfo, netns};

use crate::job::Job;
use crate::proof::{Evidence, Health, ImageProof};
use crate::request::Smoke;
use crate::route;

/// One good answer can be chance.
const GOOD_ANSWERS: u32 = 2;
const BETWEEN_PROBES: Duration = Duration::from_millis(200);
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Limit of the image's own health check.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
const MEMORY: i64 = 256 * 1024 * 1024;
const PIDS: i64 = 128;
const TAIL: usize = 100;

/// Start `image` hardened, wait until it is healthy, ask it to stop, and add all that to `proof`.
///
/// # Errors
/// A [`PolicyFailure`] when it does not serve or does not stop; another error when that cannot be
/// found out.
pub(crate) async fn test(
    job: &Job<'_>,
    smoke: &Smoke,
    image: &ImageInfo,
    proof: &mut ImageProof,
) -> anyhow::Result<()> {
    if is_root(&image.config.user) {
        let problem = "the image runs as root: end the Dockerfile's last stage with a numeric `USER`, such as `USER 10001:10001`";
        proof.health = Some(Health {
            request: format!("GET {}", smoke.path),
            problem: Some(problem.to_owned()),
            ..Health::default()
        });
        return Err(PolicyFailure(problem.to_owned()).into());
    }
    let port = port(smoke.port, &image.config.exposed_ports)?;
    let (container, address) = start(job, image).await?;
    let host = match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("http://{host}:{port}{}", smoke.path);
    // Not held back: what takes long is named before it ends.
    job.ctx.log().info(format!(
        "Smoke test: {url}, read-only, without capabilities, 256 MB of memory"
    ));
    let limit = (
        "smoke-timeout",
        smoke.timeout + smoke.grace + ANSWER_LIMIT * 2 + CHECK_LIMIT,
    );
    let work = examine(&container, smoke, &image.config.healthcheck, &url);
    let health = with_timeout(job.ctx.log(), "the smoke test", limit, work).await??;
    let problem = health.problem.clone();
    proof.health = Some(health);
    let Some(problem) = problem else {
        container.remove().await;
        return Ok(());
    };
    let lines = container.log_tail(TAIL).await;
    container.remove().await;
    let cure = cure(&lines)
        .map(|cure| format!("; {cure}"))
        .unwrap_or_default();
    proof.built.evidence = Some(Evidence {
        title: "Last lines of the application".to_owned(),
        lines,
    });
    Err(PolicyFailure(format!("{problem}{cure}")).into())
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

// The container gets the default bridge, which a host and its containers there can reach. Where we
// are in a container of another network (a job with services), it joins our own.
async fn start(job: &Job<'_>, image: &ImageInfo) -> anyhow::Result<(Container, IpAddr)> {
    let (docker, run) = (job.docker, job.run);
    let container = docker.start(&hardened(image, run, "bridge")).await?;
    // One that ended at once has no address any more; why it ended is found out later.
    let Ok(address) = container.ip().await else {
        return Ok((container, Ipv4Addr::LOCALHOST.into()));
    };
    match netns::self_container_id() {
        Some(id) if !route::is_near(address) => {
            container.remove().await;
            let network = format!("container:{id}");
            let container = docker.start(&hardened(image, run, &network)).await?;
            Ok((container, Ipv4Addr::LOCALHOST.into()))
        }
        _ => Ok((container, address)),
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
    let asked = Instant::now();
    let code = container.stop(smoke.grace).await?;
    health.stopped = Some((code, asked.elapsed()));
    health.problem = stop_problem(code, smoke.grace);
    Ok(health)
}

// Docker runs HEALTHCHECK at its interval, which may be long: its command is run here at once instead.
async fn check(container: &Container, command: &[&str]) -> anyhow::Result<Option<String>> {
    let Ok(done) = tokio::time::timeout(CHECK_LIMIT, container.exec(command)).await else {
        return Ok(Some(format!(
            "the image's HEALTHCHECK did not end within {}",
            text::seconds(CHECK_LIMIT)
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
            "the application answers, but the image's HEALTHCHECK ended with exit code {}{}",
            done.code,
            last.map(|line| format!(": {}", line.trim()))
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

// 143 is what a process without a handler ends with: 128 and SIGTERM's number.
fn stop_problem(code: i64, grace: Duration) -> Option<String> {
    match code {
        0 | 143 => None,
        137 => Some(format!(
            "the application was killed, since it had not ended {} after SIGTERM (use the exec form of \
             CMD, so that it gets the signal)",
            text::seconds(grace)
        )),
        code => Some(format!(
            "the application ended with exit code {code} after SIGTERM, not with 0"
        )),
    }
}

async fn until_healthy(
    container: &Container,
    smoke: &Smoke,
    url: &str,
) -> anyhow::Result<Result<Duration, String>> {
    // The application is beside us: a proxy of the system has no part in this.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(ANSWER_LIMIT)
        .build()
        .context("while preparing the smoke test")?;
    let start = Instant::now();
    let mut good = 0;
    let mut since = Duration::ZERO;
    loop {
        if let Some(code) = container.ended().await? {
            let when = if good > 0 {
                "right after it had answered"
            } else {
                "before it was healthy"
            };
            return Ok(Err(format!(
                "the application ended with exit code {code} {when}"
            )));
        }
        let problem = match client.get(url).send().await {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answered {}", response.status())),
            Err(e) if e.is_timeout() => Some("it gave no answer".to_owned()),
            Err(e) if e.is_connect() => Some("nothing listens on its port".to_owned()),
            Err(_) => Some("its answer was no HTTP".to_owned()),
        };
        if let Some(problem) = problem {
            good = 0;
            if start.elapsed() >= smoke.timeout {
                let limit = text::seconds(smoke.timeout);
                return Ok(Err(format!(
                    "`GET {}` was not healthy within {limit}: {problem}",
                    smoke.path
                )));
            }
        } else {
            if good == 0 {
                since = start.elapsed();
            }
            good += 1;
            if good == GOOD_ANSWERS {
                return Ok(Ok(since));
            }
        }
        tokio::time::sleep(BETWEEN_PROBES).await;
    }
}

fn port(given: Option<u16>, exposed: &[String]) -> anyhow::Result<u16> {
    if let Some(port) = given {
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
            "the image exposes no port for the smoke test: add `EXPOSE` to the Dockerfile, or set `port`"
        ),
        _ => bail!(
            "the image exposes {}: set `port` for the smoke test",
            text::plural(tcp.len(), "port")
        ),
    }
}

fn cure(lines: &[String]) -> Option<&'static str> {
    let says = |what: &str| lines.iter().any(|line| line.contains(what));
    if says("Read-only file system") {
        Some("its root file system is read-only, as in production: let it write to /tmp alone")
    } else if says("Operation not permitted") {
        Some("it has no capabilities, as in production: let it need none")
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
