//! The patch of one image: where the image comes from, and under which name it is served.

use std::cell::RefCell;
use std::sync::Arc;

use actions_toolkit::{Log, WorkspacePath};
use anyhow::Context as _;
use docker::ImageInfo;
use oci::{Descriptor, ImageRef, Index, Platform, RawManifest, Registry};
use tokio::sync::OnceCell;
use trivy::{Report, Scanned};

use crate::lineage;
use crate::patch::Plan;
use crate::publish::tags;
use crate::request::{PackageTypes, Target};
use crate::session::Session;
use crate::targets::{FoundImage, Source};

/// The most layers of an image that Docker pulls (github.com/moby/moby, `maxLayerDepth` in daemon/internal/layer).
const MAX_LAYERS: usize = 125;

/// The patch of one image.
pub(crate) struct ImagePatch<'s, 'a> {
    pub(crate) session: &'s Session<'a>,
    /// The lines about this image, which stay together where several are patched at once.
    pub(crate) log: Log,
    pub(crate) target: Target,
    /// The number of the image, from 1, if the run has several: its files carry it.
    pub(crate) number: Option<usize>,
    /// The original.
    pub(crate) image: ImageInfo,
    pub(crate) platform: Platform,
    pub(crate) source: Source,
    /// Its part in an index, if it is of one.
    part: Option<Part>,
    /// Its repository in the local registry.
    repository: String,
    served: OnceCell<ImageRef>,
    in_docker: OnceCell<ImageRef>,
    patched_so_far: OnceCell<Option<Named>>,
    /// Temporary names in Docker.
    names: RefCell<Vec<ImageRef>>,
}

/// What an image is in its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The one that the inputs and outputs for a single image are about.
    Main,
    Other,
}

/// The image that an earlier run made of the same original.
pub(crate) struct ExistingPatch {
    /// The digest of its manifest, or its id in Docker.
    pub(crate) digest: String,
    /// A scan of it with today's database.
    pub(crate) scanned: Scanned,
}

// An image with the patched image's name.
struct Named {
    // Under which it can be scanned.
    name: ImageRef,
    digest: String,
    info: ImageInfo,
}

impl<'s, 'a> ImagePatch<'s, 'a> {
    /// The patch of the image that was found, which may be a `part` of an index; its lines go to `log`.
    pub(crate) fn new(
        session: &'s Session<'a>,
        target: Target,
        number: Option<usize>,
        found: FoundImage,
        part: Option<Part>,
        log: Log,
    ) -> Self {
        if found.platforms > 1 {
            log.warning(format!(
                "{} has images for {} platforms; only {}/{} is patched, and `{}` is for that platform alone",
                target.image, found.platforms, found.info.os, found.info.architecture, target.patched
            ));
        }
        Self {
            session,
            log,
            target,
            number,
            image: found.info,
            platform: found.platform,
            source: found.source,
            part,
            repository: found.repository,
            served: OnceCell::new_with(found.served),
            in_docker: OnceCell::new(),
            patched_so_far: OnceCell::new(),
            names: RefCell::default(),
        }
    }

    /// The name under which BuildKit finds the image.
    ///
    /// # Errors
    /// When it can't be exported from Docker.
    pub(crate) async fn served(&self) -> anyhow::Result<&ImageRef> {
        let save = || self.session.serve(&self.target.image, &self.repository);
        self.served.get_or_try_init(save).await
    }

    /// The original's name in Docker, where a registry's image is loaded for the time of the run.
    ///
    /// # Errors
    /// When it can't be loaded.
    pub(crate) async fn original_in_docker(&self) -> anyhow::Result<&ImageRef> {
        let load = || async {
            let (session, image) = (self.session, &self.target.image);
            if let (Source::Registry { .. }, Some(stored)) = (
                &self.source,
                session.local.image(self.served().await?).await?,
            ) {
                let name = self.temporary_name(image, "-original")?;
                let docker = &session.docker;
                docker.load(&session.local, &stored, &name, 0).await?;
                return Ok(name);
            }
            anyhow::Ok(image.clone())
        };
        self.in_docker.get_or_try_init(load).await
    }

    /// A name for the repository of `image` in Docker, which is removed when this patch ends. Two patches at once never
    /// have the same, even of the same image.
    ///
    /// # Errors
    /// When `end` can't be part of a tag.
    pub(crate) fn temporary_name(&self, image: &ImageRef, end: &str) -> anyhow::Result<ImageRef> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let tag = self.session.docker.temporary_tag(&id);
        let name = image.with_tag(&format!("staging-{tag}{end}"))?;
        self.session.remove_at_end(name.clone());
        self.names.borrow_mut().push(name.clone());
        Ok(name)
    }

    /// Remove what only this patch needed: its content in the local registry and, if it `succeeded`, its temporary names in
    /// Docker. After a failure a test or an import may still use these: they are removed at the end of the run, when both were
    /// stopped.
    pub(crate) async fn clean_up(&self, succeeded: bool) {
        if succeeded {
            self.session.remove_now(&self.names.take()).await;
        }
        let existing = self.patched_so_far.get().and_then(Option::as_ref);
        let existing = existing.map(|named| &named.name);
        for name in self.served.get().into_iter().chain(existing) {
            self.session.local.remove(name);
        }
    }

    /// Whether it is the only image of the run: nothing is patched after it.
    pub(crate) fn is_only(&self) -> bool {
        self.number.is_none() && self.part.is_none()
    }

    /// Whether the input `report`, and the Security tab, are about this image.
    pub(crate) fn is_reported(&self) -> bool {
        self.part != Some(Part::Other)
    }

    /// The platform, if Copa patches another one by itself: that of the machine that it runs on.
    pub(crate) fn foreign_platform(&self) -> Option<&Platform> {
        let own = self.platform.architecture == oci::architecture();
        (!own && !self.platform.architecture.is_empty()).then_some(&self.platform)
    }

    /// The file `path` of this image, where the run has several: `report.json`, `report-2.json`,
    /// `report-2-linux-arm64.json`.
    pub(crate) fn file(&self, path: &WorkspacePath) -> WorkspacePath {
        let path = match self.number {
            Some(number) if number > 1 => path.numbered(number - 1, "json"),
            _ => path.clone(),
        };
        match self.part {
            Some(Part::Other) => path.suffixed(&self.platform.to_string().replace('/', "-")),
            _ => path,
        }
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

    /// Check that an image with one more layer can still be pulled.
    ///
    /// # Errors
    /// When it can't.
    pub(crate) fn check_layers(&self) -> anyhow::Result<()> {
        let layers = self.image.diff_ids.len();
        anyhow::ensure!(
            layers < MAX_LAYERS,
            "{} has {layers} layers, and a patch adds one, but Docker pulls no image of more than {MAX_LAYERS} (`max depth exceeded`); rebuild it with fewer layers, in which several commands are one `RUN`, or of one `COPY --from` of a stage",
            self.target.image
        );
        Ok(())
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
        self.session.scan(name, &self.target.image, &self.log).await
    }

    /// What an earlier run made of this image, if it has the patched image's name.
    ///
    /// # Errors
    /// When it can't be read or scanned.
    pub(crate) async fn existing(&self) -> anyhow::Result<Option<ExistingPatch>> {
        let named = self.patched_so_far().await?;
        let is_of_this =
            |named: &&Named| lineage::origin_digest(&named.info) == Some(self.origin());
        let Some(named) = named.filter(is_of_this) else {
            return Ok(None);
        };
        let scanned = self
            .session
            .scan(&named.name, &self.target.patched, &self.log)
            .await?;
        Ok(Some(ExistingPatch {
            digest: named.digest.clone(),
            scanned,
        }))
    }

    /// Whether the patched image's name is that of an earlier build of this image, or of its patch.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) async fn has_outdated_patch(&self) -> anyhow::Result<bool> {
        let Some(named) = self.patched_so_far().await? else {
            return Ok(false);
        };
        if named.digest == self.origin() {
            return Ok(false);
        }
        match lineage::origin_digest(&named.info) {
            Some(origin) => Ok(origin != self.origin()),
            None if self.session.request.pushes() => {
                let patched = &self.target.patched;
                let registry = self.session.destination(patched).await?;
                // Where the registry does not list its tags, that of nobody knows who stays.
                Ok(tags::is_own(&registry, patched).await.unwrap_or(false))
            }
            None => Ok(false),
        }
    }

    // The image that has the patched image's name before this run.
    async fn patched_so_far(&self) -> anyhow::Result<Option<&Named>> {
        let find = || async {
            if self.session.request.pushes() {
                let registry = self.session.destination(&self.target.patched).await?;
                self.patched_in_registry(&registry).await
            } else {
                self.patched_in_docker().await
            }
        };
        Ok(self.patched_so_far.get_or_try_init(find).await?.as_ref())
    }

    async fn patched_in_registry(&self, registry: &Arc<Registry>) -> anyhow::Result<Option<Named>> {
        let patched = &self.target.patched;
        let manifest = registry.manifest(patched.repository(), patched.reference());
        let manifest = manifest.await?;
        let manifest = match manifest {
            Some(index) if self.part.is_some() && oci::is_index(&index.media_type) => {
                self.own_entry(registry, &index).await?
            }
            other => other.filter(|manifest| !oci::is_index(&manifest.media_type)),
        };
        let Some(manifest) = manifest else {
            return Ok(None);
        };
        let repository = format!("{}-existing", self.repository);
        let local = &self.session.local;
        let name = local.add_remote(registry, patched, &manifest, &repository)?;
        let image = local.image(&name).await?;
        Ok(image.map(|image| Named {
            name,
            digest: manifest.digest.to_string(),
            info: image.info,
        }))
    }

    // The image in `index` for the same platform.
    async fn own_entry(
        &self,
        registry: &Registry,
        index: &RawManifest,
    ) -> anyhow::Result<Option<RawManifest>> {
        let index: Index = serde_json::from_slice(&index.bytes).context("invalid image index")?;
        let is_own = |entry: &&Descriptor| {
            let platform = entry.platform.as_ref().map(Platform::normalized);
            platform.as_ref() == Some(&self.platform)
        };
        match index.manifests.iter().find(is_own) {
            Some(entry) => {
                let repository = self.target.patched.repository();
                registry.manifest(repository, &entry.digest).await
            }
            None => Ok(None),
        }
    }

    async fn patched_in_docker(&self) -> anyhow::Result<Option<Named>> {
        let patched = &self.target.patched;
        let image = self.session.docker.inspect(patched).await?;
        Ok(image.map(|info| Named {
            name: patched.clone(),
            digest: info.id.clone(),
            info,
        }))
    }
}
