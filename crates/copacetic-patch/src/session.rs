//! What the images of one run share, and what is removed when the run ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use actions_toolkit::{Context, Log, PrivateDirectory};
use anyhow::{Context as _, anyhow};
use docker::{BuildKit, Docker, LocalRegistry};
use oci::{Credentials, ImageRef, Platform, Registry};
use registries::Login;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tool::PROXY_VARIABLES;
use trivy::{Database, Origin, Scan, Scanned, Scanner};

use crate::request::{BuildKitSource, Request};

/// The tooling image's repository in the local registry.
const TOOLING: &str = "tooling";
/// Megabytes of BuildKit's cache that stay between two images: Copa's tools, and layers that the images share. BuildKit itself
/// removes nothing as long as there is room (github.com/moby/buildkit, cmd/buildkitd/config/gcpolicy.go).
const BUILDKIT_CACHE: u32 = 4_000;

/// One run.
pub(crate) struct Session<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) request: Request,
    pub(crate) docker: Docker,
    /// Where BuildKit and Trivy read the images, and Copa pushes its own.
    pub(crate) local: LocalRegistry,
    /// Marks the containers and temporary names of this run.
    pub(crate) id: String,
    directory: PrivateDirectory,
    buildkit: OnceCell<BuildKit>,
    tooling: OnceCell<Option<String>>,
    registries: RefCell<HashMap<String, Arc<Registry>>>,
    names: RefCell<Vec<ImageRef>>,
    database: OnceCell<()>,
}

impl<'a> Session<'a> {
    pub(crate) async fn open(
        ctx: &'a Context,
        request: Request,
        docker: Docker,
    ) -> anyhow::Result<Self> {
        request.logins.report(ctx);
        let directory = ctx.private_directory("patch")?;
        let login = Credentials {
            username: "seaworthy".to_owned(),
            password: uuid::Uuid::new_v4().simple().to_string(),
        };
        ctx.log().mask(&login.password);
        let local = LocalRegistry::protected(directory.path(), &login).await?;
        login
            .write_docker_config(directory.path(), [Some(local.host().as_str())])
            .context("failed to write the credentials of the local registry")?;
        Ok(Self {
            ctx,
            request,
            docker,
            local,
            id: uuid::Uuid::new_v4().simple().to_string(),
            directory,
            buildkit: OnceCell::new(),
            tooling: OnceCell::new(),
            registries: RefCell::default(),
            names: RefCell::default(),
            database: OnceCell::new(),
        })
    }

    /// A new directory, which is removed when it is dropped, or else with the run.
    ///
    /// # Errors
    /// When it can't be created.
    pub(crate) fn new_directory(&self) -> anyhow::Result<TempDir> {
        let directory = TempDir::new_in(self.directory.path());
        directory.context("failed to create a temporary directory")
    }

    /// The directory with Docker's `config.json` for the local registry; it has no other login.
    pub(crate) fn docker_config(&self) -> &Path {
        self.directory.path()
    }

    /// Docker may get the temporary name `image`: remove it when the run ends.
    pub(crate) fn remove_at_end(&self, image: ImageRef) {
        self.names.borrow_mut().push(image);
    }

    /// Remove the temporary names `images` from Docker now.
    pub(crate) async fn remove_now(&self, images: &[ImageRef]) {
        self.names
            .borrow_mut()
            .retain(|name| !images.contains(name));
        self.remove(images).await;
    }

    async fn remove(&self, images: &[ImageRef]) {
        for name in images {
            if let Err(e) = self.docker.untag(name).await {
                self.ctx.log().warning(format!("{e:#}"));
            }
        }
    }

    /// How the run's own BuildKit exited, if it did while it was needed.
    pub(crate) async fn buildkit_exit(&self) -> Option<String> {
        self.buildkit.get()?.exit("the patch").await
    }

    /// Bound what the run's own BuildKit keeps of the images so far: its disk space does not grow with their number.
    pub(crate) async fn trim_buildkit(&self) {
        let Some(own) = self.buildkit.get() else {
            return;
        };
        if let Err(error) = own.prune(BUILDKIT_CACHE).await {
            let log = self.ctx.log();
            log.info(format!("failed to prune BuildKit's cache: {error:#}"));
        }
    }

    /// Remove the run's own BuildKit: no further image needs it.
    pub(crate) async fn release_buildkit(&self) {
        if let Some(own) = self.buildkit.get() {
            own.remove().await;
        }
    }

    /// Remove the containers and temporary names of this run, on every path.
    pub(crate) async fn clean_up(&self) {
        self.docker.remove_run(&self.id).await;
        self.remove(&self.names.take()).await;
    }

    /// The address of BuildKit. The first call starts one if the inputs do not name any.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn buildkit(&self) -> anyhow::Result<String> {
        match &self.request.buildkit {
            BuildKitSource::Address(address) => Ok(address.clone()),
            BuildKitSource::Image(image) => {
                let start = || {
                    let directory = self.directory.path();
                    BuildKit::start_with(&self.docker, image, directory, &self.id, self.proxy())
                };
                let started = self.buildkit.get_or_try_init(start).await;
                let started = started
                    .map_err(|e| anyhow!("{e:#}; set `buildkit-address` to use another one"));
                Ok(started?.address())
            }
        }
    }

    // Where Copa's tooling images are not replaced, BuildKit pulls them itself.
    fn proxy(&self) -> Vec<String> {
        let env = self.ctx.env();
        let variables = PROXY_VARIABLES.iter();
        variables
            .filter_map(|name| Some(format!("{name}={}", env.get(name)?)))
            .collect()
    }

    /// Check that BuildKit runs the programs of `platform`. One at `buildkit-address` is not checked.
    ///
    /// # Errors
    /// When it does not start, or does not run them.
    pub(crate) async fn check_emulation(&self, platform: &Platform) -> anyhow::Result<()> {
        self.buildkit().await?;
        let Some(own) = self.buildkit.get() else {
            return Ok(());
        };
        let known = own.platforms().await?;
        let is_known = known
            .iter()
            .any(|known| known.normalized().includes(platform));
        anyhow::ensure!(
            is_known,
            "this machine does not run programs of {platform}; register QEMU before this step (`docker/setup-qemu-action`, or Debian's `qemu-user-static`), leave it out of `platforms`, or set `partial-platforms: true`"
        );
        Ok(())
    }

    /// Export `image` from Docker into `repository` of the local registry, with the tooling image if that is still to be
    /// exported: often one is built from the other, and their common layers are then exported once.
    ///
    /// # Errors
    /// When Docker can't export one.
    pub(crate) async fn serve(
        &self,
        image: &ImageRef,
        repository: &str,
    ) -> anyhow::Result<ImageRef> {
        let tooling = self.request.tooling.as_ref();
        let tooling = match tooling.filter(|_| !self.tooling.initialized()) {
            Some(tooling) => self.docker.inspect(tooling).await?.map(|_| tooling),
            None => None,
        };
        let mut images = vec![(image, repository)];
        images.extend(tooling.map(|tooling| (tooling, TOOLING)));
        let served = self.local.add_saved_all(&self.docker, &images).await?;
        let mut served = served.into_iter();
        let name = served.next().context("Docker returned no image")?;
        if let Some(tooling) = served.next() {
            // A concurrent call can only have set the same name.
            let _ = self.tooling.set(Some(tooling.to_string()));
        }
        Ok(name)
    }

    /// The image that replaces Copa's tooling images, as BuildKit names it.
    ///
    /// # Errors
    /// When Docker can't export it.
    pub(crate) async fn tooling(&self) -> anyhow::Result<Option<&str>> {
        let find = || async {
            let Some(tooling) = &self.request.tooling else {
                return Ok(None);
            };
            if self.docker.inspect(tooling).await?.is_none() {
                // BuildKit compares full names.
                return Ok(Some(tooling.normalized()));
            }
            let served = self.local.add_saved(&self.docker, tooling, TOOLING).await?;
            anyhow::Ok(Some(served.to_string()))
        };
        Ok(self.tooling.get_or_try_init(find).await?.as_deref())
    }

    /// The client of the registry `host`, one for each host of a run.
    ///
    /// # Errors
    /// When the run's identity gets no token.
    pub(crate) async fn registry(&self, host: &str) -> anyhow::Result<Arc<Registry>> {
        let known = self.registries.borrow().get(host).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let login = self.login(host)?;
        let registry = Login::client(login.as_ref(), self.ctx, host).await?;
        let mut registries = self.registries.borrow_mut();
        registries.insert(host.to_owned(), Arc::clone(&registry));
        Ok(registry)
    }

    /// The client of the registry that `patched` is pushed to.
    ///
    /// # Errors
    /// When the run's identity gets no token.
    pub(crate) async fn destination(&self, patched: &ImageRef) -> anyhow::Result<Arc<Registry>> {
        self.registry(patched.in_registry().0).await
    }

    /// A user name and password for the registry `host`, if there are some.
    ///
    /// # Errors
    /// When the run's identity gets no token.
    pub(crate) async fn credentials(&self, host: &str) -> anyhow::Result<Option<Credentials>> {
        match self.login(host)? {
            Some(login) => login.credentials(self.ctx).await.map(Some),
            None => Ok(None),
        }
    }

    fn login(&self, host: &str) -> anyhow::Result<Option<Login>> {
        let input = self.request.input_of(host);
        Ok(self.request.logins.get(host, input)?)
    }

    /// Provide the vulnerability database, once in a run: all scans use the same.
    ///
    /// # Errors
    /// When neither a mirror nor the cache has it.
    pub(crate) async fn database(&self) -> anyhow::Result<()> {
        let provide = || async {
            let log = self.ctx.log();
            let database = Database::provide(&self.request.database, log).await?;
            if let Origin::Stale(errors) = database.origin {
                log.warning(format!(
                    "using the cached vulnerability database of {}: no mirror provided a newer one ({})",
                    database.updated_at,
                    errors.join("; ")
                ));
            }
            anyhow::Ok(())
        };
        self.database.get_or_try_init(provide).await.copied()
    }

    /// Scan the image `name` for vulnerable packages; the report calls it `reported`, and lines about it go to `log`.
    ///
    /// # Errors
    /// When there is no database, or Trivy fails.
    pub(crate) async fn scan(
        &self,
        name: &ImageRef,
        reported: &ImageRef,
        log: &Log,
    ) -> anyhow::Result<Scanned> {
        self.database().await?;
        let mut scan = Scan::new(
            trivy::Target::Image(name.to_string()),
            &self.request.database.cache,
        );
        scan.scanners = vec![Scanner::Vulnerabilities];
        scan.java = Some(self.request.java_database.clone());
        scan.server.clone_from(&self.request.database.server);
        scan.directory = self.request.workspace.root().to_owned();
        if name.registry() == Some(self.local.host().as_str()) {
            scan.docker_config = Some(self.docker_config().to_owned());
        }
        let scanned = scan.run(self.ctx.env(), log).await;
        let scanned = scanned.map_err(|error| match self.local.source_error(name) {
            Some(cause) => anyhow!(cause).context(format!("failed to scan {reported}")),
            None => error.into(),
        })?;
        if name == reported {
            return Ok(scanned);
        }
        // A name on the loopback port of this run means nothing afterwards.
        let names = [
            (name.to_string(), reported.to_string()),
            (name.without_version(), reported.without_version()),
        ];
        let renamed = move || {
            let raw = String::from_utf8_lossy(&scanned.raw).into_owned();
            let renamed = names
                .iter()
                .fold(raw, |raw, (from, to)| raw.replace(from, to));
            Scanned::parse(renamed.into_bytes())
        };
        Ok(tokio::task::spawn_blocking(renamed).await??)
    }
}
