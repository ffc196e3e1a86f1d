//! The patch of one image: where the image comes from, and under which name it is served.

use std::sync::Arc;

use actions_toolkit::BadInput;
use docker::ImageInfo;
use oci::{ImageRef, RawManifest, Registry};
use tokio::sync::OnceCell;
use trivy::{Report, Scanned};

use crate::lineage;
use crate::patch::Plan;
use crate::request::{Inputs, PackageTypes, Target};
use crate::session::Session;

/// The patch of one image.
pub(crate) struct ImagePatch<'s, 'a> {
    pub(crate) session: &'s Session<'a>,
    pub(crate) target: Target,
    /// The number of the image, from 1, if the run has several: its files carry it.
    pub(crate) number: Option<usize>,
    /// The original.
    pub(crate) image: ImageInfo,
    pub(crate) source: Source,
    /// Its repository in the local registry.
    repository: String,
    served: OnceCell<ImageRef>,
}

/// Where an image comes from.
pub(crate) enum Source {
    Docker,
    Registry {
        registry: Arc<Registry>,
        manifest: RawManifest,
    },
}

/// The image that an earlier run made of the same original.
pub(crate) struct ExistingPatch {
    /// The digest of its manifest, or its id in Docker.
    pub(crate) digest: String,
    /// A scan of it with today's database.
    pub(crate) scanned: Scanned,
}

impl<'s, 'a> ImagePatch<'s, 'a> {
    /// Find the image of `target`.
    ///
    /// # Errors
    /// [`BadInput`] when there is no such image.
    pub(crate) async fn find(
        session: &'s Session<'a>,
        target: Target,
        number: Option<usize>,
    ) -> anyhow::Result<Self> {
        let repository = format!("image-{}", number.unwrap_or(1));
        let image = &target.image;
        if !session.request.push
            && let Some(found) = session.docker.inspect(image).await?
        {
            return Ok(Self {
                session,
                image: found,
                source: Source::Docker,
                repository,
                served: OnceCell::new(),
                target,
                number,
            });
        }
        let absent = |owner: &str| {
            BadInput::new(
                Inputs::image,
                format!("{owner} has no image `{image}`; build or pull it in an earlier step"),
            )
        };
        let Some(host) = image.registry() else {
            return Err(absent("Docker").into());
        };
        let registry = session.registry(host).await?;
        let manifest = registry.manifest(image.repository(), image.reference());
        let Some(manifest) = manifest.await? else {
            return Err(absent(&format!("`{host}`")).into());
        };
        let manifest = for_this_platform(session, &registry, &target, manifest).await?;
        let local = &session.local;
        let served = local.add_remote(&registry, image, &manifest, &repository)?;
        let Some(stored) = local.image(&served).await? else {
            return Err(absent(&format!("`{host}`")).into());
        };
        Ok(Self {
            session,
            image: stored.info,
            source: Source::Registry { registry, manifest },
            repository,
            served: OnceCell::new_with(Some(served)),
            target,
            number,
        })
    }

    /// The name under which BuildKit finds the image.
    ///
    /// # Errors
    /// When it can't be exported from Docker.
    pub(crate) async fn served(&self) -> anyhow::Result<&ImageRef> {
        let save = || self.session.serve(&self.target.image, &self.repository);
        self.served.get_or_try_init(save).await
    }

    /// What identifies the image: the digest of its manifest, or its id in Docker.
    pub(crate) fn origin(&self) -> &str {
        match &self.source {
            Source::Docker => &self.image.id,
            Source::Registry { manifest, .. } => manifest.digest.as_str(),
        }
    }

    /// The updates that `report` knows of for this image.
    ///
    /// # Errors
    /// When it has some, of a distribution that Copa does not support.
    pub(crate) fn plan(&self, report: &Report) -> anyhow::Result<Plan> {
        let libraries = self.session.request.package_types == PackageTypes::OsAndLibrary;
        Plan::new(report, &self.image, libraries)
    }

    /// That a failure changed nothing, for its message.
    pub(crate) fn untouched(&self) -> String {
        format!("`{}` is untouched", self.target.patched)
    }

    /// Scan the original.
    ///
    /// # Errors
    /// When it can't be scanned.
    pub(crate) async fn scan(&self) -> anyhow::Result<Scanned> {
        // From Docker, Trivy reads only the layers that its cache lacks; what is served is exported already.
        let name = self.served.get().unwrap_or(&self.target.image);
        self.session.scan(name, &self.target.image).await
    }

    /// What an earlier run made of this image, if it has the patched image's name.
    ///
    /// # Errors
    /// When it can't be read or scanned.
    pub(crate) async fn existing(&self) -> anyhow::Result<Option<ExistingPatch>> {
        let session = self.session;
        let patched = &self.target.patched;
        let is_of_this = |info: &ImageInfo| lineage::origin_digest(info) == Some(self.origin());
        let (name, digest) = match &self.source {
            Source::Registry { registry, .. } if session.request.push => {
                let manifest = registry.manifest(patched.repository(), patched.reference());
                let manifest = manifest.await?.filter(|m| !oci::is_index(&m.media_type));
                let Some(manifest) = manifest else {
                    return Ok(None);
                };
                let repository = format!("{}-existing", self.repository);
                let local = &session.local;
                let name = local.add_remote(registry, patched, &manifest, &repository)?;
                match local.image(&name).await? {
                    Some(image) if is_of_this(&image.info) => (name, manifest.digest.to_string()),
                    _ => return Ok(None),
                }
            }
            _ => match session.docker.inspect(patched).await? {
                Some(image) if is_of_this(&image) => (patched.clone(), image.id),
                _ => return Ok(None),
            },
        };
        let scanned = session.scan(&name, patched).await?;
        Ok(Some(ExistingPatch { digest, scanned }))
    }
}

// The manifest of an image index that runs on this machine: by a report, Copa patches no other one.
async fn for_this_platform(
    session: &Session<'_>,
    registry: &Registry,
    target: &Target,
    manifest: RawManifest,
) -> anyhow::Result<RawManifest> {
    if !oci::is_index(&manifest.media_type) {
        return Ok(manifest);
    }
    let image = &target.image;
    let bad = |problem: String| BadInput::new(Inputs::image, format!("`{image}` {problem}"));
    let index: oci::Index = serde_json::from_slice(&manifest.bytes)
        .map_err(|e| bad(format!("has an invalid image index: {e}")))?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    // Attestations are entries of the index as well, of the platform `unknown`.
    let is_image = |entry: &&oci::Descriptor| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|platform| platform.os == "linux")
    };
    let mut images: Vec<_> = index.manifests.iter().filter(is_image).collect();
    let count = images.len();
    images.retain(|entry| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|platform| platform.architecture == architecture)
    });
    let Some(entry) = images.first() else {
        return Err(bad(format!("has no image for linux/{architecture}")).into());
    };
    if count > 1 {
        session.ctx.log().warning(format!(
            "{image} has images for {count} platforms; only linux/{architecture} is patched, and `{}` is for that platform alone",
            target.patched
        ));
    }
    let entry = &entry.digest;
    let manifest = registry.manifest(image.repository(), entry).await?;
    manifest.ok_or_else(|| bad(format!("lists `{entry}`, which does not exist")).into())
}
