//! One image of a run: where it comes from, and under which name it is served.

use std::sync::Arc;

use actions_toolkit::BadInput;
use docker::ImageInfo;
use oci::{ImageRef, RawManifest, Registry};
use tokio::sync::OnceCell;
use trivy::Scanned;

use crate::request::Order;
use crate::session::Session;
use crate::stage::ORIGIN;

/// One image.
pub(crate) struct Job<'s, 'a> {
    pub(crate) session: &'s Session<'a>,
    pub(crate) order: Order,
    /// The image as it is.
    pub(crate) image: ImageInfo,
    pub(crate) source: Source,
    /// Its place in the local registry.
    pub(crate) space: String,
    served: OnceCell<ImageRef>,
}

/// Where an image comes from.
pub(crate) enum Source {
    /// From Docker.
    Docker,
    /// From its registry.
    Registry {
        registry: Arc<Registry>,
        manifest: RawManifest,
    },
}

/// The image that an earlier run made of the same original.
pub(crate) struct Current {
    pub(crate) digest: String,
    pub(crate) scanned: Scanned,
}

impl<'s, 'a> Job<'s, 'a> {
    /// Find the image of `order`, the `index`th of the run.
    ///
    /// # Errors
    /// [`BadInput`] when there is no such image.
    pub(crate) async fn find(
        session: &'s Session<'a>,
        order: Order,
        index: usize,
    ) -> anyhow::Result<Self> {
        let space = format!("image-{index}");
        let image = &order.image;
        if !session.request.push
            && let Some(found) = session.docker.inspect(image).await?
        {
            return Ok(Self {
                session,
                image: found,
                source: Source::Docker,
                space,
                served: OnceCell::new(),
                order,
            });
        }
        let absent = |place: &str| {
            BadInput::new(
                "image",
                format!("{place} has no image `{image}`; build or pull it in an earlier step"),
            )
        };
        let Some(host) = image.registry() else {
            return Err(absent("Docker").into());
        };
        let registry = session.registry(host).await?;
        let repository = image.repository();
        let found = registry.manifest(repository, image.reference()).await?;
        let Some(manifest) = found else {
            return Err(absent(&format!("`{host}`")).into());
        };
        let manifest = of_this_machine(session, &registry, &order, manifest).await?;
        let served = session
            .local
            .add_remote(&registry, image, &manifest, &space)?;
        let Some(stored) = session.local.image(&served).await? else {
            return Err(absent(&format!("`{host}`")).into());
        };
        Ok(Self {
            session,
            image: stored.info,
            source: Source::Registry { registry, manifest },
            space,
            served: OnceCell::new_with(Some(served)),
            order,
        })
    }

    /// The name under which BuildKit finds the image.
    ///
    /// # Errors
    /// When it can't be taken out of Docker.
    pub(crate) async fn served(&self) -> anyhow::Result<&ImageRef> {
        let save = || self.session.serve(&self.order.image, &self.space);
        self.served.get_or_try_init(save).await
    }

    /// What identifies the image: the digest of its manifest, or its id in Docker.
    pub(crate) fn origin(&self) -> &str {
        match &self.source {
            Source::Docker => &self.image.id,
            Source::Registry { manifest, .. } => manifest.digest.as_str(),
        }
    }

    /// Scan the image.
    ///
    /// # Errors
    /// When it can't be scanned.
    pub(crate) async fn scan(&self) -> anyhow::Result<Scanned> {
        // Out of Docker Trivy takes what it does not know yet; what is served is there already.
        let name = self.served.get().unwrap_or(&self.order.image);
        self.session.scan(name, &self.order.image).await
    }

    /// What an earlier run made of this image, with today's findings.
    ///
    /// # Errors
    /// When that can't be found out.
    pub(crate) async fn current(&self) -> anyhow::Result<Option<Current>> {
        let session = self.session;
        let patched = &self.order.patched;
        let is_ours = |info: &ImageInfo| {
            let origin = info.config.labels.get(&format!("{ORIGIN}digest"));
            origin.is_some_and(|origin| origin == self.origin())
        };
        let (name, digest) = match &self.source {
            Source::Registry { registry, .. } if session.request.push => {
                let found = registry
                    .manifest(patched.repository(), patched.reference())
                    .await?;
                let Some(manifest) = found.filter(|m| !oci::is_index(&m.media_type)) else {
                    return Ok(None);
                };
                let space = format!("{}-before", self.space);
                let name = session
                    .local
                    .add_remote(registry, patched, &manifest, &space)?;
                match session.local.image(&name).await? {
                    Some(image) if is_ours(&image.info) => (name, manifest.digest.to_string()),
                    _ => return Ok(None),
                }
            }
            _ => match session.docker.inspect(patched).await? {
                Some(image) if is_ours(&image) => (patched.clone(), image.id),
                _ => return Ok(None),
            },
        };
        let scanned = session.scan(&name, patched).await?;
        Ok(Some(Current { digest, scanned }))
    }
}

// Of a list of images, the one that runs here: Copa patches no other one by a report.
async fn of_this_machine(
    session: &Session<'_>,
    registry: &Registry,
    order: &Order,
    manifest: RawManifest,
) -> anyhow::Result<RawManifest> {
    if !oci::is_index(&manifest.media_type) {
        return Ok(manifest);
    }
    let image = &order.image;
    let refuse = |problem: String| BadInput::new("image", format!("`{image}` {problem}"));
    let index: oci::Index = serde_json::from_slice(&manifest.bytes)
        .map_err(|e| refuse(format!("is a list of images that is not understood: {e}")))?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let real = |entry: &&oci::Descriptor| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|platform| platform.os == "linux")
    };
    let mut images: Vec<_> = index.manifests.iter().filter(real).collect();
    let count = images.len();
    images.retain(|entry| {
        let platform = entry.platform.as_ref();
        platform.is_some_and(|platform| platform.architecture == architecture)
    });
    let Some(entry) = images.first() else {
        return Err(refuse(format!("has no image for linux/{architecture}")).into());
    };
    if count > 1 {
        session.ctx.log().warning(format!(
            "{image} has images for {count} platforms; linux/{architecture} alone is patched, and `{}` is of that one",
            order.patched
        ));
    }
    let found = registry.manifest(image.repository(), &entry.digest).await?;
    found.ok_or_else(|| refuse(format!("names `{}`, which is gone", entry.digest)).into())
}
