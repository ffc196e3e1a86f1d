//! The container of the application: as in production, but for what the inputs permit.

use std::net::IpAddr;

use actions_toolkit::text;
use anyhow::bail;
use docker::{Container, ContainerSpec, ImageConfig, ImageInfo};

use super::{check_command, network, probe};
use crate::job::Job;
use crate::request::{HealthTarget, Service, Smoke, memory};
use crate::services::Started;

/// Processes and threads that the application may have.
pub(super) const PIDS: i64 = 128;

/// Start `image` hardened, next to the services, found at `host` there, and return an address at which it is reachable.
///
/// # Errors
/// When Docker refuses.
pub(super) async fn start(
    job: &Job<'_>,
    smoke: &Smoke,
    image: &ImageInfo,
    (started, host): (&Started, Option<&str>),
) -> anyhow::Result<(Container, IpAddr)> {
    let mut spec = hardened(job, smoke, image, is_root(&image.config.user));
    if let Some(service) = &smoke.service {
        spec = started.with_mounts(spec, service)?;
    }
    spec.aliases.extend(host.map(ToOwned::to_owned));
    spec.aliases.dedup();
    network::start(job, spec, started.network.clone()).await
}

/// `image`, as the compose file runs it: its settings of the application count as those of the image.
pub(super) fn as_service(image: &ImageInfo, service: Option<&Service>) -> ImageInfo {
    let mut image = image.clone();
    let Some(service) = service else {
        return image;
    };
    if let Some(user) = &service.user {
        image.config.user.clone_from(user);
    }
    if let Some(health) = &service.health {
        if !health.test.is_empty() {
            image.config.healthcheck.clone_from(&health.test);
        }
        image.config.health = health.clone();
    }
    image
}

/// Whether `USER`, which may name a group too, is root.
pub(super) fn is_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default();
    // Any number of zeros is zero.
    user == "root" || user.bytes().all(|byte| byte == b'0')
}

/// Whether `USER` is a number.
pub(super) fn is_numeric(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default();
    user.bytes().all(|byte| byte.is_ascii_digit())
}

fn hardened(job: &Job<'_>, smoke: &Smoke, image: &ImageInfo, is_root: bool) -> ContainerSpec {
    let service = smoke.service.clone().unwrap_or_default();
    let mut tmpfs = service.tmpfs;
    if smoke.read_only && !tmpfs.iter().any(|path| path == "/tmp") {
        tmpfs.push("/tmp".to_owned());
    }
    ContainerSpec {
        image: image.id.clone(),
        cmd: smoke.command.clone(),
        entrypoint: service.entrypoint,
        working_dir: service.working_dir,
        user: service.user,
        // Only services are on a network with names.
        aliases: if job.request.services.is_empty() || service.name.is_empty() {
            Vec::new()
        } else {
            vec![service.name]
        },
        env: smoke.env.clone(),
        read_only: smoke.read_only,
        tmpfs,
        // Programs that are made to start as root change their user or the owner of files.
        cap_drop: if is_root {
            Vec::new()
        } else {
            vec!["ALL".to_owned()]
        },
        security_opt: vec!["no-new-privileges".to_owned()],
        memory: Some(memory::bytes(smoke.memory)),
        pids_limit: Some(PIDS),
        run: job.run.to_owned(),
        ..ContainerSpec::default()
    }
}

/// The port of the application, if its health is checked there.
///
/// # Errors
/// When the image does not say which one it is.
pub(super) fn port(smoke: &Smoke, config: &ImageConfig) -> anyhow::Result<Option<u16>> {
    match smoke.health {
        HealthTarget::HealthCheck | HealthTarget::Command(_) => Ok(None),
        HealthTarget::Path(_) | HealthTarget::Auto | HealthTarget::Tcp => {
            known_port(smoke, config).map(Some)
        }
    }
}

fn known_port(smoke: &Smoke, config: &ImageConfig) -> anyhow::Result<u16> {
    if let Some(port) = smoke.port {
        return Ok(port);
    }
    let tcp = tcp_ports(config);
    if let [port] = tcp[..] {
        return Ok(port);
    }
    // What the image itself requests, and what platforms that start containers set.
    let of_check = check_command(config)
        .and_then(|command| probe::url(&command, &environment(smoke, config))?.port);
    let of_env = smoke.env.iter().chain(&config.env);
    let of_env = of_env.filter_map(|pair| pair.strip_prefix("PORT=")?.parse().ok());
    match of_check.or_else(|| of_env.into_iter().next()) {
        Some(port) if tcp.is_empty() || tcp.contains(&port) => Ok(port),
        _ if tcp.is_empty() => bail!(
            "the image exposes no port for the smoke test; add `EXPOSE` to the Dockerfile, or set `port`"
        ),
        _ => bail!(
            "the image exposes {}; set `port` for the smoke test",
            text::plural(tcp.len(), "port")
        ),
    }
}

/// Names and values of the application's variables; of one name, the first one counts.
pub(super) fn environment<'a>(
    smoke: &'a Smoke,
    config: &'a ImageConfig,
) -> Vec<(&'a str, &'a str)> {
    let all = smoke.env.iter().chain(&config.env);
    all.filter_map(|pair| pair.split_once('=')).collect()
}

/// The ports of TCP that an image exposes.
pub(crate) fn tcp_ports(config: &ImageConfig) -> Vec<u16> {
    let ports = config.exposed_ports.iter();
    let ports = ports.filter_map(|port| match port.split_once('/') {
        Some((number, "tcp")) => number.parse().ok(),
        Some(_) => None,
        None => port.parse().ok(),
    });
    ports.collect()
}
