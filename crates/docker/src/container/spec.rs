//! What a container is made of.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, NetworkingConfig,
};

use crate::{EXPIRES_LABEL, RUN_LABEL};

/// A container to create.
#[derive(Debug, Clone, Default)]
pub struct ContainerSpec {
    /// The image, by name or id.
    pub image: String,
    /// The command, unless the image's is used.
    pub cmd: Vec<String>,
    /// The entry point, unless the image's is used.
    pub entrypoint: Vec<String>,
    /// Environment, as `NAME=value`.
    pub env: Vec<String>,
    /// `bridge` (the default), `none`, `host`, `container:<id>` or the name of another network.
    pub network: Option<String>,
    /// The host names at which other containers find it, in a network that was created.
    pub aliases: Vec<String>,
    /// The working directory, unless the image's is used.
    pub working_dir: Option<String>,
    /// The user, unless the image's is used.
    pub user: Option<String>,
    /// The health check, unless the image's is used.
    pub health: Option<HealthCheck>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// Directories with an anonymous volume, which is removed with the container.
    pub volumes: Vec<String>,
    /// Bind mounts and volumes with a name, as `source:target[:ro]`.
    pub binds: Vec<String>,
    /// Files that it has before it starts: the directory that they are in, and they themselves as a tar.
    pub files: Vec<(String, Vec<u8>)>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Security options, as `docker run --security-opt`.
    pub security_opt: Vec<String>,
    /// Whether paths of `/proc` and `/sys` that Docker hides are shown (`systempaths=unconfined`).
    pub show_system_paths: bool,
    /// Memory limit in bytes.
    pub memory: Option<i64>,
    /// Nanoseconds of processor time that it gets in a second.
    pub cpus: Option<i64>,
    /// Maximum number of processes.
    pub pids_limit: Option<i64>,
    /// Whether Docker removes it when it exits: its log and files are gone then.
    pub auto_remove: bool,
    /// The value of [`RUN_LABEL`].
    pub run: String,
}

/// A health check, as `HEALTHCHECK` and `docker run --health-cmd` have it; what is not set is the image's or Docker's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// `["CMD", …]`, `["CMD-SHELL", "…"]` or `["NONE"]`; empty for the image's.
    pub test: Vec<String>,
    /// Between two checks.
    pub interval: Option<Duration>,
    /// Of one check.
    pub timeout: Option<Duration>,
    /// Failed checks in a row that make a container unhealthy.
    pub retries: Option<u32>,
    /// The time in which a failed check does not count.
    pub start_period: Option<Duration>,
}

impl HealthCheck {
    fn body(&self) -> HealthConfig {
        let nanoseconds = |time: Option<Duration>| {
            time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        HealthConfig {
            test: (!self.test.is_empty()).then(|| self.test.clone()),
            interval: nanoseconds(self.interval),
            timeout: nanoseconds(self.timeout),
            retries: self.retries.map(i64::from),
            start_period: nanoseconds(self.start_period),
            ..Default::default()
        }
    }

    // 0 is Docker's default.
    pub(crate) fn from_config(config: HealthConfig) -> Self {
        let time = |nanoseconds: Option<i64>| {
            let nanoseconds = nanoseconds.and_then(|time| u64::try_from(time).ok());
            nanoseconds
                .filter(|time| *time > 0)
                .map(Duration::from_nanos)
        };
        let retries = config.retries.and_then(|count| u32::try_from(count).ok());
        Self {
            test: config.test.unwrap_or_default(),
            interval: time(config.interval),
            timeout: time(config.timeout),
            retries: retries.filter(|count| *count > 0),
            start_period: time(config.start_period),
        }
    }
}

impl ContainerSpec {
    /// The request that creates it for a run that is over at `expires`.
    pub(super) fn body(&self, expires: u64) -> ContainerCreateBody {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let host = HostConfig {
            network_mode: self.network.clone(),
            readonly_rootfs: Some(self.read_only),
            tmpfs: Some(
                self.tmpfs
                    .iter()
                    .map(|path| (path.clone(), String::new()))
                    .collect(),
            ),
            binds: some(&self.binds),
            cap_drop: some(&self.cap_drop),
            cap_add: some(&self.cap_add),
            security_opt: some(&self.security_opt),
            masked_paths: self.show_system_paths.then(Vec::new),
            readonly_paths: self.show_system_paths.then(Vec::new),
            memory: self.memory,
            // Of memory and swap together: by default, as much swap as memory is added.
            memory_swap: self.memory,
            nano_cpus: self.cpus,
            pids_limit: self.pids_limit,
            auto_remove: Some(self.auto_remove),
            ..Default::default()
        };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: some(&self.cmd),
            entrypoint: some(&self.entrypoint),
            env: some(&self.env),
            volumes: some(&self.volumes),
            user: self.user.clone(),
            working_dir: self.working_dir.clone(),
            healthcheck: self.health.as_ref().map(HealthCheck::body),
            networking_config: self.endpoints(),
            labels: Some(HashMap::from([
                (RUN_LABEL.to_owned(), self.run.clone()),
                (EXPIRES_LABEL.to_owned(), expires.to_string()),
            ])),
            host_config: Some(host),
            ..Default::default()
        }
    }

    fn endpoints(&self) -> Option<NetworkingConfig> {
        let network = self.network.clone().filter(|_| !self.aliases.is_empty())?;
        let endpoint = EndpointSettings {
            aliases: Some(self.aliases.clone()),
            ..Default::default()
        };
        Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        })
    }
}
