//! What the images of one run share, and what the run leaves when it ends.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use actions_toolkit::Context;
use anyhow::Context as _;
use azure::{Credential, Entra, LoginServer, TOKEN_USER};
use docker::{Docker, LocalRegistry};
use oci::{Auth, Credentials, ImageRef, Registry};
use tokio::sync::OnceCell;
use trivy::{Database, Origin, Scan, Scanned, Scanner, Target};

use crate::buildkit::BuildKit;
use crate::request::{self, Login, Request};

/// The tooling image's place in the local registry.
const TOOLING: &str = "tooling";

/// One run.
pub(crate) struct Session<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) request: Request,
    pub(crate) docker: Docker,
    /// Where BuildKit and Trivy find the images, and Copa leaves what it made.
    pub(crate) local: LocalRegistry,
    /// What marks the containers of this run.
    pub(crate) id: String,
    folder: tempfile::TempDir,
    buildkit: OnceCell<BuildKit>,
    tooling: OnceCell<Option<String>>,
    registries: RefCell<HashMap<String, Arc<Registry>>>,
    passing: RefCell<Vec<ImageRef>>,
    database: OnceCell<()>,
}

impl<'a> Session<'a> {
    pub(crate) async fn open(
        ctx: &'a Context,
        request: Request,
        docker: Docker,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("seaworthy-patch-")
            .tempdir_in(ctx.temp_dir())
            .context("while making a folder for the run")?;
        Ok(Self {
            ctx,
            request,
            docker,
            local: LocalRegistry::open(folder.path()).await?,
            id: uuid::Uuid::new_v4().simple().to_string(),
            folder,
            buildkit: OnceCell::new(),
            tooling: OnceCell::new(),
            registries: RefCell::default(),
            passing: RefCell::default(),
            database: OnceCell::new(),
        })
    }

    /// A new folder for the files of a stage.
    pub(crate) fn new_folder(&self) -> anyhow::Result<PathBuf> {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).context("while making a folder for Copa")?;
        Ok(folder)
    }

    /// The name `image` may come into being in Docker; it goes when the run ends.
    pub(crate) fn passing(&self, image: ImageRef) {
        self.passing.borrow_mut().push(image);
    }

    /// How our BuildKit ended, if it did while it was needed.
    pub(crate) async fn end_of_buildkit(&self) -> Option<String> {
        self.buildkit.get()?.end().await
    }

    /// Remove our BuildKit: no image of the run needs it any more.
    pub(crate) async fn release_buildkit(&self) {
        if let Some(own) = self.buildkit.get() {
            own.remove().await;
        }
    }

    /// Remove the containers and names of this run, however it ended.
    pub(crate) async fn clean_up(&self) {
        self.docker.remove_run(&self.id).await;
        for name in self.passing.take() {
            if let Err(e) = self.docker.untag(&name).await {
                self.ctx.log().warning(format!("{e:#}"));
            }
        }
    }

    /// Where BuildKit is: the given one, or one of our own, started at the first call.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn buildkit(&self) -> anyhow::Result<String> {
        match &self.request.buildkit {
            request::BuildKit::At(address) => Ok(address.clone()),
            request::BuildKit::Own(image) => {
                let start = || BuildKit::start(&self.docker, image, self.folder.path(), &self.id);
                Ok(self.buildkit.get_or_try_init(start).await?.address())
            }
        }
    }

    /// Take `image` out of Docker for BuildKit, and with it the image that stands for Copa's own tooling images
    /// where that is still to come: mostly one is made from the other, and what they share comes once.
    ///
    /// # Errors
    /// When one can't be taken out of Docker.
    pub(crate) async fn serve(&self, image: &ImageRef, space: &str) -> anyhow::Result<ImageRef> {
        let tooling = self.request.tooling.as_ref();
        let tooling = match tooling.filter(|_| !self.tooling.initialized()) {
            Some(tooling) => self.docker.inspect(tooling).await?.map(|_| tooling),
            None => None,
        };
        let mut images = vec![(image, space)];
        images.extend(tooling.map(|tooling| (tooling, TOOLING)));
        let served = self.local.add_saved_all(&self.docker, &images).await?;
        let mut served = served.into_iter();
        let name = served.next().context("Docker gave no image")?;
        if let Some(tooling) = served.next() {
            // If it was found meanwhile, it is the same one.
            let _ = self.tooling.set(Some(tooling.to_string()));
        }
        Ok(name)
    }

    /// The image that stands for Copa's own tooling images, as BuildKit names it.
    ///
    /// # Errors
    /// When it can't be taken out of Docker.
    pub(crate) async fn tooling(&self) -> anyhow::Result<Option<&str>> {
        let find = || async {
            let Some(tooling) = &self.request.tooling else {
                return Ok(None);
            };
            if self.docker.inspect(tooling).await?.is_none() {
                // BuildKit compares names in full.
                return Ok(Some(tooling.in_full()));
            }
            let served = self.local.add_saved(&self.docker, tooling, TOOLING).await?;
            anyhow::Ok(Some(served.to_string()))
        };
        Ok(self.tooling.get_or_try_init(find).await?.as_deref())
    }

    /// A client of the registry `host`, signed in at the first request.
    ///
    /// # Errors
    /// When the run's identity gets no token.
    pub(crate) async fn registry(&self, host: &str) -> anyhow::Result<Arc<Registry>> {
        let known = self.registries.borrow().get(host).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let basic = |username: &str, password: &str| {
            Auth::Basic(Credentials {
                username: username.to_owned(),
                password: password.to_owned(),
            })
        };
        let auth = match &self.request.login {
            Login::Anonymous => Auth::Anonymous,
            Login::Password(user, password) => basic(user, password.expose()),
            Login::Entra {
                client,
                tenant,
                cloud,
            } => {
                let entra =
                    Entra::new(self.ctx, cloud, tenant, client, Credential::Federated)?;
                let server = LoginServer(host.to_owned());
                let token = server.refresh_token(&entra).await?;
                basic(TOKEN_USER, token.expose())
            }
        };
        let registry = Arc::new(Registry::new(self.ctx.http()?.clone(), host, auth));
        let mut registries = self.registries.borrow_mut();
        registries.insert(host.to_owned(), Arc::clone(&registry));
        Ok(registry)
    }

    /// See to the vulnerability database, once in a run: all scans take the same.
    ///
    /// # Errors
    /// When no mirror gives it and the cache has none.
    pub(crate) async fn database(&self) -> anyhow::Result<()> {
        let provide = || async {
            let log = self.ctx.log();
            let database = Database::provide(&self.request.database, log).await?;
            if let Origin::Stale(said) = database.origin {
                log.warning(format!(
                    "no mirror gave a newer vulnerability database than the one in the cache, of {} ({})",
                    database.updated_at,
                    said.join("; ")
                ));
            }
            anyhow::Ok(())
        };
        self.database.get_or_try_init(provide).await.copied()
    }

    /// Scan the image `name` for vulnerable packages; in the report it is called `called`.
    ///
    /// # Errors
    /// When there is no database or no report.
    pub(crate) async fn scan(&self, name: &ImageRef, called: &ImageRef) -> anyhow::Result<Scanned> {
        self.database().await?;
        let mut scan = Scan::new(
            Target::Image(name.to_string()),
            &self.request.database.cache,
        );
        scan.scanners = vec![Scanner::Vulnerabilities];
        scan.directory.clone_from(&self.request.workspace);
        let scanned = scan.run(self.ctx.env(), self.ctx.log()).await?;
        if name == called {
            return Ok(scanned);
        }
        // A name on our loopback port is nobody's any more when the run has ended.
        let raw = String::from_utf8_lossy(&scanned.raw)
            .replace(&name.to_string(), &called.to_string())
            .replace(&name.without_version(), &called.without_version());
        Ok(Scanned::parse(raw.into_bytes())?)
    }
}
