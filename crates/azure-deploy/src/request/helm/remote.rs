//! A chart in a registry (helm.sh/docs/topics/registries): one layer, the archive.

use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, Context};
use oci::{Credentials, ImageRef, Manifest, RawManifest, Registry};

use super::super::{RegistryTarget, source_login};
use super::find::SIZE;
use crate::action::Inputs;
use crate::steps::connect::Azure;
use crate::steps::images::{is_same_host, source_auth};

/// The media type of a chart's configuration (helm.sh/helm, pkg/registry/constants.go).
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The media type of its archive.
const ARCHIVE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A chart in a registry.
pub(super) struct Remote {
    reference: ImageRef,
    /// The user and the password for its registry.
    credentials: Option<Credentials>,
}

impl Remote {
    /// The chart `reference`, which is without its `oci://`, and the login for its registry.
    ///
    /// # Errors
    /// [`BadInput`] when it is not a reference, or has no version.
    pub(super) fn find(
        reference: &str,
        inputs: &Inputs,
        target: &RegistryTarget,
    ) -> Result<Self, BadInput> {
        let shown = format!("oci://{reference}");
        let bad = |problem: String| BadInput::new(Inputs::manifests, problem);
        // A tag has no `+`, which a version may have: Helm writes `_` (helm.sh/docs/topics/registries).
        let parsed = reference.replace('+', "_").parse();
        let reference: ImageRef = parsed.map_err(|e| bad(format!("`{shown}`: {e}")))?;
        let Some(host) = reference.registry() else {
            let problem = format!(
                "`{shown}` has no host; use a form such as `oci://ghcr.io/octo-org/charts/app:1.2.0`"
            );
            return Err(bad(problem));
        };
        if reference.tag().is_none() && reference.digest().is_none() {
            let problem = format!("`{shown}` has no version; add it, as in `{shown}:1.2.0`");
            return Err(bad(problem));
        }
        Ok(Self {
            credentials: credentials(host, inputs, target)?,
            reference,
        })
    }

    /// Pull the archive into `directory`.
    ///
    /// # Errors
    /// [`BadInput`] when the registry has no such chart; anything else when it rejects the request.
    pub(super) async fn pull(
        &self,
        ctx: &Context,
        azure: Option<&Azure>,
        directory: &Path,
    ) -> anyhow::Result<PathBuf> {
        let (reference, log) = (&self.reference, ctx.log());
        let host = reference.registry().unwrap_or_default();
        let auth = source_auth(self.credentials.as_ref(), azure, host).await?;
        let registry = Registry::new(ctx.http()?.clone(), host, auth, log.masker());
        let repository = reference.repository();
        let manifest = registry.manifest(repository, reference.reference()).await?;
        let bad = |problem: &str| {
            let problem = format!("`oci://{reference}` {problem}");
            BadInput::new(Inputs::manifests, problem)
        };
        let manifest = manifest.ok_or_else(|| bad("is not in the registry"))?;
        let archive = archive(&manifest).map_err(|problem| bad(&problem))?;
        let path = directory.join("chart.tgz");
        registry
            .fetch_blob(repository, &archive, SIZE, &path)
            .await?;
        log.info(format!(
            "pulled the chart oci://{reference} ({})",
            manifest.digest
        ));
        Ok(path)
    }
}

// The login for `host`: that of the registry the images go to, if it is there. The one for the registry that images are copied
// from goes to that registry alone; it is the chart's only if no image is copied from another one.
fn credentials(
    host: &str,
    inputs: &Inputs,
    target: &RegistryTarget,
) -> Result<Option<Credentials>, BadInput> {
    let source = source_login(inputs)?;
    let own = match target {
        RegistryTarget::Host { host, credentials } => Some((host.as_str(), credentials)),
        RegistryTarget::Azure { .. } => None,
    };
    if let Some((_, credentials)) = own.filter(|(own, _)| is_same_host(own, host)) {
        return Ok(credentials.clone());
    }
    let images = std::iter::once(&inputs.image).chain(&inputs.also_deploy);
    let mut sources = images
        .filter_map(|image| image.0.registry())
        .filter(|source| !is_target(target, source));
    let is_of_chart = sources.all(|source| is_same_host(source, host));
    Ok(source.filter(|_| is_of_chart))
}

// Whether `host` is that of the registry the images go to. The name of one of Azure is the first part of its host
// (learn.microsoft.com/azure/container-registry/container-registry-concepts).
fn is_target(target: &RegistryTarget, host: &str) -> bool {
    match target {
        RegistryTarget::Host { host: own, .. } => is_same_host(own, host),
        RegistryTarget::Azure { name, .. } => host.split_once('.').is_some_and(|(first, rest)| {
            first.eq_ignore_ascii_case(name) && rest.starts_with("azurecr.")
        }),
    }
}

// The digest of the archive.
fn archive(manifest: &RawManifest) -> Result<String, String> {
    let parsed: Result<Manifest, _> = serde_json::from_slice(&manifest.bytes);
    let Ok(parsed) = parsed else {
        return Err(format!("is not a chart, but `{}`", manifest.media_type));
    };
    if parsed.config.media_type != CONFIG {
        let kind = &parsed.config.media_type;
        return Err(format!("is not a chart: its configuration is `{kind}`"));
    }
    let mut layers = parsed.layers.into_iter();
    let archive = layers.find(|layer| layer.media_type == ARCHIVE);
    let archive = archive.ok_or("has no archive of a chart")?;
    if archive.size > SIZE {
        let limit = SIZE / limits::MIB as u64;
        return Err(format!("has more than {limit} MiB"));
    }
    Ok(archive.digest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn manifest(config: &str, layer: &str, size: u64) -> RawManifest {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let value = json!({
            "schemaVersion": 2,
            "config": {"mediaType": config, "digest": digest, "size": 2},
            "layers": [{"mediaType": layer, "digest": digest, "size": size}],
        });
        RawManifest::new(
            "application/vnd.oci.image.manifest.v1+json",
            value.to_string().into(),
        )
    }

    #[test]
    fn what_is_not_a_chart_is_named() {
        let image = "application/vnd.oci.image.config.v1+json";
        let table = [
            (manifest(CONFIG, ARCHIVE, 9), Ok(())),
            (
                manifest(image, "application/vnd.oci.image.layer.v1.tar+gzip", 9),
                Err(
                    "is not a chart: its configuration is `application/vnd.oci.image.config.v1+json`",
                ),
            ),
            (
                manifest(
                    CONFIG,
                    "application/vnd.cncf.helm.chart.provenance.v1.prov",
                    9,
                ),
                Err("has no archive of a chart"),
            ),
            (
                manifest(CONFIG, ARCHIVE, SIZE + 1),
                Err("has more than 64 MiB"),
            ),
            (
                RawManifest::new(
                    "application/vnd.oci.image.index.v1+json",
                    b"{\"manifests\": []}".to_vec(),
                ),
                Err("is not a chart, but `application/vnd.oci.image.index.v1+json`"),
            ),
        ];
        for (manifest, expected) in table {
            let actual = archive(&manifest).map(drop);
            assert_eq!(actual, expected.map_err(ToOwned::to_owned));
        }
    }
}
