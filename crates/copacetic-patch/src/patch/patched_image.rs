//! The image that Copa makes, in the local registry of this run, where no other process looks for it.

use std::collections::BTreeMap;
use std::path::Path;

use actions_toolkit::text::plural;
use anyhow::{Context as _, anyhow, bail};
use docker::{ImageInfo, StoredImage};
use oci::ImageRef;
use tokio::sync::OnceCell;

use super::{Plan, copa};
use crate::lineage::{Lineage, VERSION, base_annotations, patched_version};
use crate::targets::{ImagePatch, Source};

/// Runs of Copa after the first, each without the packages whose update the one before did not get.
const RETRIES: usize = 3;
/// The tag under which Copa pushes its image.
const RAW: &str = "made-by-copa";
/// The tag of that image with its lineage.
const STAGED: &str = "staged";

/// A patched image without a tag that anything uses.
pub(crate) struct PatchedImage {
    /// Packages that were not updated, each with the reason.
    pub(crate) skipped: BTreeMap<String, String>,
    pub(crate) image: StoredImage,
    /// Its name in the local registry.
    pub(crate) name: ImageRef,
    loaded: OnceCell<ImageRef>,
}

impl PatchedImage {
    /// Let Copa update the packages of `plan`.
    ///
    /// # Errors
    /// When BuildKit does not start, or Copa makes no image.
    pub(crate) async fn build(patch: &ImagePatch<'_, '_>, plan: &Plan) -> anyhow::Result<Self> {
        let session = patch.session;
        let directory = session.new_directory()?;
        // The tooling image is exported with the image where both are in Docker.
        let images = async { Ok((patch.served().await?, session.tooling().await?)) };
        let ((served, tooling), address) = tokio::try_join!(images, session.buildkit())?;
        let copa = copa::Run {
            image: served,
            tag: RAW,
            address: &address,
            tooling,
            foreign: patch.foreign_platform(),
            timeout: session.request.timeout,
        };
        let skipped = update(patch, &copa, plan, directory.path()).await?;
        let local = &session.local;
        let Some(raw) = local.image(&served.with_tag(&copa.image_tag())?).await? else {
            bail!("Copa exited with code 0 but made no image; see its output in the log");
        };
        let lineage = Lineage::new(&patch.image, &patch.target.image, patch.origin());
        let config = lineage.label(&raw.config)?;
        let digest = local.put_blob(served, &config)?;
        let mut manifest = raw.manifest.as_oci();
        manifest.config = oci::Descriptor::new(oci::CONFIG, &digest, config.len() as u64);
        manifest.annotations.extend(lineage.annotations());
        if let Source::Registry { .. } = patch.source {
            let base = base_annotations(&patch.target.image, patch.origin());
            manifest.annotations.extend(base);
        }
        // Copa made it of the tag that it was given.
        let original = local.image(served).await?;
        if let Some(original) = original.map(|original| original.manifest)
            && let Some(version) = original.annotations.get(VERSION)
        {
            let version = patched_version(version, &patch.target.patched);
            manifest.annotations.insert(VERSION.to_owned(), version);
        }
        let name = served.with_tag(STAGED)?;
        local.put_manifest(&name, &manifest)?;
        let image = local.image(&name).await?;
        Ok(Self {
            skipped,
            image: image.context("the patched image is missing from the local registry")?,
            name,
            loaded: OnceCell::new(),
        })
    }

    /// Its temporary name in Docker, where the first call loads it.
    ///
    /// # Errors
    /// When Docker does not load it.
    pub(crate) async fn in_docker(&self, patch: &ImagePatch<'_, '_>) -> anyhow::Result<&ImageRef> {
        let session = patch.session;
        let load = || async {
            let name = patch.temporary_name(&patch.target.patched, "")?;
            let shared = match patch.source {
                Source::Docker => self.shared_layers(&patch.image),
                Source::Registry { .. } => 0,
            };
            let docker = &session.docker;
            docker
                .load(&session.local, &self.image, &name, shared)
                .await?;
            anyhow::Ok(name)
        };
        self.loaded.get_or_try_init(load).await
    }

    // How many layers it has in common with the original.
    fn shared_layers(&self, image: &ImageInfo) -> usize {
        let pairs = self.image.info.diff_ids.iter().zip(&image.diff_ids);
        pairs.take_while(|(own, other)| own == other).count()
    }
}

// Run Copa; again without the packages that its failure names, if it names some. Returns those, with the reasons.
async fn update(
    patch: &ImagePatch<'_, '_>,
    copa: &copa::Run<'_>,
    plan: &Plan,
    directory: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let session = patch.session;
    let log = &patch.log;
    let mut skipped = BTreeMap::new();
    let mut plan = plan.clone();
    let mut may_retry = true;
    for _ in 0..=RETRIES {
        let Err(failure) = copa.patch(patch, &plan, directory).await? else {
            return Ok(skipped);
        };
        if let Some(exit) = session.buildkit_exit().await {
            return Err(failed(BTreeMap::new(), exit));
        }
        if let Some(error) = session.local.source_error(copa.image) {
            return Err(anyhow!(error).context("failed to read the original"));
        }
        if let Some(error) = session.local.upload_error() {
            return Err(anyhow!(error).context("failed to store Copa's image"));
        }
        // A glitch of the machine or of the package archive, for all that is known.
        if failure.is_unexplained && std::mem::take(&mut may_retry) {
            log.warning(format!("running Copa once more: {}", failure.reason));
            continue;
        }
        let blamed: BTreeMap<_, _> = failure
            .packages
            .into_iter()
            .filter(|(package, _)| plan.has(package))
            .collect();
        let Some(rest) = plan.without(blamed.keys().map(String::as_str)) else {
            return Err(failed(blamed, failure.reason));
        };
        for (package, reason) in &blamed {
            let count = plural(rest.packages().count(), "other package");
            log.warning(format!(
                "`{package}` can't be updated: {reason}; continuing with {count}"
            ));
        }
        skipped.extend(blamed);
        plan = rest;
    }
    bail!(
        "Copa failed to patch the image, even without {}",
        skipped.into_keys().collect::<Vec<_>>().join(", ")
    )
}

// The reasons of the `blamed` packages say more than that of the whole run.
fn failed(blamed: BTreeMap<String, String>, reason: String) -> anyhow::Error {
    let reasons = blamed
        .into_iter()
        .map(|(name, reason)| format!("`{name}`: {reason}"));
    let reason = reasons
        .reduce(|all, one| format!("{all}; {one}"))
        .unwrap_or(reason);
    anyhow!(reason).context("Copa failed to patch the image")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_an_available_update_are_named() {
        let blamed = [("openssl".to_owned(), "no".to_owned())].into();
        assert_eq!(
            format!("{:#}", failed(blamed, "exit code 1".into())),
            "Copa failed to patch the image: `openssl`: no"
        );
        assert_eq!(
            format!("{:#}", failed(BTreeMap::new(), "exit code 1".into())),
            "Copa failed to patch the image: exit code 1"
        );
    }
}
