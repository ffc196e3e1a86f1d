//! The OpenVEX documents that refer to an image in its registry.

use std::collections::BTreeSet;

use actions_toolkit::Context;
use docker::Docker;
use oci::{Digest, ImageRef, Manifest, PREDICATE, Platform, RawManifest, Registry, is_index};
use serde_json::Value;
use trivy::{ImageSource, Target};

use super::attestation::{TYPES, is_open_vex, open_vex};
use crate::request::{Request, TargetRequest};
use crate::scan::{of_index, registry_of};

/// Artifacts that are read for one image: as many as cosign attaches (github.com/sigstore/cosign, `pkg/cosign`).
const MAX: usize = 100;
/// Characters of a digest in a name.
const SHORT: usize = "sha256:".len() + 12;

/// What is known of the documents of one image.
#[derive(Default)]
pub(super) struct Found {
    /// Their names and contents.
    pub(super) documents: Vec<(String, Value)>,
    /// The digests of the image.
    pub(super) digests: Vec<Digest>,
    pub(super) remarks: Vec<String>,
}

/// The documents that refer to the image of `target`, an index or the image of one platform.
///
/// # Errors
/// When the registry fails.
pub(super) async fn find(
    ctx: &Context,
    request: &Request,
    target: &TargetRequest,
) -> anyhow::Result<Found> {
    let Target::Image(scanned) = &target.target else {
        return Ok(Found::default());
    };
    let image: ImageRef = scanned.parse()?;
    let registry = registry_of(ctx, request, &image).await?;
    let (host, repository) = image.in_registry();
    let search = Search {
        registry: &registry,
        repository: &repository,
        name: format!("{host}/{repository}"),
    };
    let mut roots: Vec<Digest> = image.digest().cloned().into_iter().collect();
    if roots.is_empty() {
        roots = search.digests_by_name(ctx, request, &image).await?;
    } else if target.platform.is_some() {
        // It was selected from an index.
        let index: ImageRef = target.input.parse()?;
        if index.in_registry() == image.in_registry() {
            roots.extend(
                search
                    .manifest(index.reference())
                    .await?
                    .map(|raw| raw.digest),
            );
        }
    }
    if roots.is_empty() {
        let remark = format!(
            "`oci` in `vex`: image `{image}` is not from a registry, so that nothing refers to it; push it and scan it there"
        );
        return Ok(Found {
            remarks: vec![remark],
            ..Found::default()
        });
    }
    let platform = of_index(request, Some(target));
    let digests = search.with_platform(roots, &platform).await?;
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for digest in &digests {
        search.read(digest, &mut seen, &mut found).await?;
    }
    if found.documents.is_empty() {
        found.remarks.push(format!(
            "`oci` in `vex`: no OpenVEX document refers to {} ({})",
            search.name,
            digests
                .iter()
                .map(|digest| short(digest.as_str()))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    found.digests = digests;
    Ok(found)
}

fn short(digest: &str) -> &str {
    digest.get(..SHORT).unwrap_or(digest)
}

/// A search in one repository.
struct Search<'a> {
    registry: &'a Registry,
    repository: &'a str,
    name: String,
}

impl Search<'_> {
    // Of the image that a scan of `image` finds: in Docker, its digests in this repository, which are none for one that
    // was built here.
    async fn digests_by_name(
        &self,
        ctx: &Context,
        request: &Request,
        image: &ImageRef,
    ) -> anyhow::Result<Vec<Digest>> {
        for source in &request.image_sources {
            match source {
                ImageSource::Docker => {
                    // Without a daemon, the image is searched elsewhere, as Trivy does.
                    let Ok(docker) = Docker::connect(ctx.env().get("DOCKER_HOST")).await else {
                        continue;
                    };
                    let Some(info) = docker.inspect(image).await? else {
                        continue;
                    };
                    let names = info.repo_digests.iter();
                    let names = names.filter_map(|name| name.parse::<ImageRef>().ok());
                    let here = names.filter(|name| name.in_registry() == image.in_registry());
                    return Ok(here.filter_map(|name| name.digest().cloned()).collect());
                }
                ImageSource::Podman | ImageSource::Containerd | ImageSource::Remote => {
                    let manifest = self.manifest(image.reference()).await?;
                    if let Some(manifest) = manifest {
                        return Ok(vec![manifest.digest]);
                    }
                }
            }
        }
        Ok(Vec::new())
    }

    async fn manifest(&self, reference: &str) -> anyhow::Result<Option<RawManifest>> {
        self.registry.manifest(self.repository, reference).await
    }

    // A document refers to an index, or to the image of one platform in it.
    async fn with_platform(
        &self,
        roots: Vec<Digest>,
        platform: &Platform,
    ) -> anyhow::Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for root in roots {
            let manifest = self.manifest(root.as_str()).await?;
            digests.push(root);
            if let Some(index) = manifest.filter(|manifest| is_index(&manifest.media_type)) {
                let images = self.registry.platforms(self.repository, &index).await?;
                let mut images = images.into_iter();
                let selected = images.find(|(own, _)| platform.includes(own));
                if let Some((_, digest)) = selected {
                    digests.push(digest.parse()?);
                }
            }
        }
        let mut seen = BTreeSet::new();
        digests.retain(|digest| seen.insert(digest.to_string()));
        Ok(digests)
    }

    async fn read(
        &self,
        subject: &Digest,
        seen: &mut BTreeSet<String>,
        found: &mut Found,
    ) -> anyhow::Result<()> {
        let referrers = self.registry.referrers(self.repository, subject).await?;
        let announced = referrers.into_iter().filter(|one| {
            let kind = one.artifact_type.as_deref().unwrap_or_default();
            let predicate = one.annotations.get(PREDICATE);
            TYPES.contains(&kind) && predicate.is_none_or(|predicate| is_open_vex(predicate))
        });
        let mut manifests = Vec::new();
        for one in announced {
            manifests.extend(self.manifest(&one.digest).await?);
            self.check_count(manifests.len(), subject, found);
            if manifests.len() >= MAX {
                break;
            }
        }
        // What cosign attaches up to its version 2: a layer for each attestation.
        manifests.extend(self.manifest(&subject.cosign_tag("att")).await?);
        for raw in manifests {
            let Ok(manifest) = serde_json::from_slice::<Manifest>(&raw.bytes) else {
                found
                    .remarks
                    .push(self.unreadable(&raw.digest, "its manifest is invalid"));
                continue;
            };
            self.check_count(manifest.layers.len(), subject, found);
            for layer in manifest.layers.iter().take(MAX) {
                if !seen.insert(layer.digest.clone()) {
                    continue;
                }
                let bytes = self
                    .registry
                    .blob_bytes(self.repository, &layer.digest)
                    .await?;
                match open_vex(&bytes, subject) {
                    Ok(Some(document)) => {
                        let name =
                            format!("OpenVEX {} of {}", short(raw.digest.as_str()), self.name);
                        found.documents.push((name, document));
                    }
                    Ok(None) => {}
                    Err(problem) => found.remarks.push(self.unreadable(&raw.digest, &problem)),
                }
            }
        }
        Ok(())
    }

    fn check_count(&self, count: usize, subject: &Digest, found: &mut Found) {
        if count >= MAX {
            found.remarks.push(format!(
                "`oci` in `vex`: more than {MAX} attestations refer to {}@{}; the others are not read",
                self.name,
                short(subject.as_str())
            ));
        }
    }

    fn unreadable(&self, digest: &Digest, problem: &str) -> String {
        format!(
            "`oci` in `vex`: {} of {} is not used: {problem}",
            short(digest.as_str()),
            self.name
        )
    }
}
