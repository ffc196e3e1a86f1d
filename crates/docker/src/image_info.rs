//! The configuration and history of an image, from Docker or from the JSON of its configuration.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bollard::errors::Error as DockerError;
use oci::{Digest, ImageRef};
use serde_json::Value;

use crate::{Docker, HealthCheck};

/// An image as Docker or its configuration describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageInfo {
    /// The image's id: the digest of its configuration.
    pub id: String,
    /// `repository@digest` of every registry that it was pushed to or pulled from.
    pub repo_digests: Vec<String>,
    /// Operating system, `linux`.
    pub os: String,
    /// Architecture, `amd64`.
    pub architecture: String,
    /// Digests of the uncompressed layers, from the base up.
    pub diff_ids: Vec<String>,
    /// Size of all layers in bytes.
    pub size: u64,
    /// The time of creation in RFC 3339; a build from the cache has the time of the first build. Empty if unknown.
    pub created: String,
    /// The defaults of its containers.
    pub config: ImageConfig,
}

/// One instruction of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// The instruction, without what the builder adds.
    pub instruction: String,
    /// The bytes that it added; 0 for an instruction that changes no file.
    pub size: u64,
}

/// The part of an image's configuration that applies to its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `USER`.
    pub user: String,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub cmd: Vec<String>,
    /// `ENV`, as `NAME=value`.
    pub env: Vec<String>,
    /// `WORKDIR`.
    pub working_dir: String,
    /// `EXPOSE`, as `8000/tcp`.
    pub exposed_ports: Vec<String>,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// `HEALTHCHECK`, its command.
    pub healthcheck: Vec<String>,
    /// `HEALTHCHECK` with its times and retries, of an image in Docker.
    pub health: HealthCheck,
    /// `STOPSIGNAL`.
    pub stop_signal: String,
    /// `SHELL`, which also runs a `HEALTHCHECK` that is a command line; empty for `/bin/sh -c`.
    pub shell: Vec<String>,
}

impl Docker {
    /// The image that Docker has under the name `image`, or `None`.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn inspect(&self, image: &ImageRef) -> anyhow::Result<Option<ImageInfo>> {
        let found = match self.api.inspect_image(&image.to_string()).await {
            Ok(found) => found,
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("failed to inspect `{image}`")),
        };
        let config = found.config.unwrap_or_default();
        let health = config.healthcheck.map(HealthCheck::from_config);
        let health = health.unwrap_or_default();
        Ok(Some(ImageInfo {
            id: found.id.unwrap_or_default(),
            repo_digests: found.repo_digests.unwrap_or_default(),
            os: found.os.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
            diff_ids: found.root_fs.and_then(|fs| fs.layers).unwrap_or_default(),
            size: found
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            created: found
                .created
                .map(|time| rfc3339(time.unix_timestamp_nanos()))
                .unwrap_or_default(),
            config: ImageConfig {
                user: config.user.unwrap_or_default(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                cmd: config.cmd.unwrap_or_default(),
                env: config.env.unwrap_or_default(),
                working_dir: config.working_dir.unwrap_or_default(),
                exposed_ports: config.exposed_ports.unwrap_or_default(),
                labels: config.labels.unwrap_or_default().into_iter().collect(),
                healthcheck: health.test.clone(),
                health,
                stop_signal: config.stop_signal.unwrap_or_default(),
                shell: config.shell.unwrap_or_default(),
            },
        }))
    }

    /// The history of the image with the id `id`, from the base up.
    ///
    /// # Errors
    /// When Docker does not respond or does not have it.
    pub async fn layers(&self, id: &str) -> anyhow::Result<Vec<Layer>> {
        let history = self
            .api
            .image_history(id)
            .await
            .with_context(|| format!("failed to read the history of `{id}`"))?;
        let layers = history.into_iter().rev().map(|entry| Layer {
            instruction: instruction(&entry.created_by),
            size: u64::try_from(entry.size).unwrap_or_default(),
        });
        Ok(layers.collect())
    }
}

// `RUN /bin/sh -c apt-get … # buildkit`, `/bin/sh -c #(nop)  CMD ["bash"]`.
// Docker's own form; bollard's type writes an hour below 10 without its zero.
pub(crate) fn rfc3339(nanoseconds: i128) -> String {
    jiff::Timestamp::from_nanosecond(nanoseconds)
        .map_or_else(|_| String::new(), |time| time.to_string())
}

pub(crate) fn instruction(created_by: &str) -> String {
    let text = created_by.trim_end_matches("# buildkit").trim();
    let text = text.strip_prefix("/bin/sh -c #(nop)").unwrap_or(text);
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace("RUN /bin/sh -c ", "RUN ")
}

// Docker writes `Labels` and `labels` alike (Copa does both): the first is the specification's.
fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(ToOwned::to_owned))
        .collect()
}

impl ImageInfo {
    /// The image that the configuration `bytes` describes; sizes and names are not in it.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn from_config(bytes: &[u8]) -> anyhow::Result<Self> {
        let json: Value = serde_json::from_slice(bytes).context("invalid image configuration")?;
        let config = &json["config"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let keys = |value: &Value| {
            let map = value.as_object().into_iter().flatten();
            map.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        let labels = [&config["labels"], &config["Labels"]];
        let labels = labels
            .into_iter()
            .flat_map(|labels| labels.as_object().into_iter().flatten())
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        Ok(Self {
            id: Digest::sha256(bytes).to_string(),
            os: text(&json["os"]),
            architecture: text(&json["architecture"]),
            diff_ids: strings(&json["rootfs"]["diff_ids"]),
            created: text(&json["created"]),
            config: ImageConfig {
                user: text(&config["User"]),
                entrypoint: strings(&config["Entrypoint"]),
                cmd: strings(&config["Cmd"]),
                env: strings(&config["Env"]),
                working_dir: text(&config["WorkingDir"]),
                exposed_ports: keys(&config["ExposedPorts"]),
                labels,
                healthcheck: strings(&config["Healthcheck"]["Test"]),
                health: HealthCheck::default(),
                stop_signal: text(&config["StopSignal"]),
                shell: strings(&config["Shell"]),
            },
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read() {
        let info = ImageInfo::from_config(br#"{"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": ["sha256:a"]},
            "config": {"User": "1", "Cmd": ["a"], "Env": null, "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "1"}, "labels": {"a": "0", "b": "2"}, "Healthcheck": {"Test": ["CMD", "x"]}}}"#).unwrap();
        assert_eq!(
            (info.os.as_str(), info.architecture.as_str()),
            ("linux", "amd64")
        );
        assert_eq!(info.diff_ids, ["sha256:a"]);
        assert_eq!(info.config.exposed_ports, ["80/tcp"]);
        assert_eq!(info.config.healthcheck, ["CMD", "x"]);
        let labels: Vec<_> = info
            .config
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(labels, ["a=1", "b=2"]);
    }
}
