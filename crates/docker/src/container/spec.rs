//! What a container is made of.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig};

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
    /// `bridge` (the default), `none`, `host` or `container:<id>`.
    pub network: Option<String>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// Directories with an anonymous volume, which is removed with the container.
    pub volumes: Vec<String>,
    /// Bind mounts, as `source:target[:ro]`.
    pub binds: Vec<String>,
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
    /// Maximum number of processes.
    pub pids_limit: Option<i64>,
    /// Whether Docker removes it when it exits: its log and files are gone then.
    pub auto_remove: bool,
    /// The value of [`RUN_LABEL`].
    pub run: String,
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
            labels: Some(HashMap::from([
                (RUN_LABEL.to_owned(), self.run.clone()),
                (EXPIRES_LABEL.to_owned(), expires.to_string()),
            ])),
            host_config: Some(host),
            ..Default::default()
        }
    }
}
