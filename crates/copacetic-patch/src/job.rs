//! One run of the action: what every stage of it needs, and what it leaves when it ends.

use std::cell::{Cell, RefCell};

use actions_toolkit::Context;
use container::{Engine, ImageInfo, ImageRef, ParseImageError};
use trivy::{Database, Origin, Scan, Scanned, Scanner, Target};

use crate::request::Request;

/// One run.
pub(crate) struct Job<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) request: Request,
    pub(crate) engine: Engine,
    /// The image as it is.
    pub(crate) image: ImageInfo,
    /// What marks the containers of this run.
    pub(crate) id: String,
    /// The name of the patched image until it is proven.
    pub(crate) staging: ImageRef,
    passing: RefCell<Vec<ImageRef>>,
    has_database: Cell<bool>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(
        ctx: &'a Context,
        request: Request,
        engine: Engine,
        image: ImageInfo,
    ) -> Result<Self, ParseImageError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        // Two runs at once must not meet, whatever they patch.
        let staging = request.image.with_tag(&format!("staging-{id}"))?;
        Ok(Self {
            ctx,
            request,
            engine,
            image,
            id,
            passing: RefCell::new(vec![staging.clone()]),
            staging,
            has_database: Cell::new(false),
        })
    }

    /// The name `image` may come into being; it goes when the run ends.
    pub(crate) fn passing(&self, image: ImageRef) {
        self.passing.borrow_mut().push(image);
    }

    /// Remove the containers and names of this run, however it ended.
    pub(crate) async fn clean_up(&self) {
        self.engine.remove_run(&self.id).await;
        for name in self.passing.take() {
            if let Err(e) = self.engine.untag(&name).await {
                self.ctx.log().warning(format!("{e:#}"));
            }
        }
    }

    /// See to the vulnerability database, once in a run: both scans take the same.
    ///
    /// # Errors
    /// When no mirror gives it and the cache has none.
    pub(crate) async fn database(&self) -> anyhow::Result<()> {
        if self.has_database.replace(true) {
            return Ok(());
        }
        let (env, log) = (self.ctx.env(), self.ctx.log());
        let database = Database::provide(&self.request.database, log).await?;
        if let Origin::Stale(said) = database.origin {
            log.warning(format!(
                "no mirror gave a newer vulnerability database than the one in the cache, of {} ({})",
                database.updated_at,
                said.join("; ")
            ));
        }
        Ok(())
    }

    /// Scan `image` of the engine for vulnerable packages.
    ///
    /// # Errors
    /// When there is no database or no report.
    pub(crate) async fn scan(&self, image: &ImageRef) -> anyhow::Result<Scanned> {
        self.database().await?;
        let mut scan = Scan::new(
            Target::Image(image.to_string()),
            &self.request.database.cache,
        );
        scan.scanners = vec![Scanner::Vulnerabilities];
        scan.folder.clone_from(&self.request.workspace);
        Ok(scan.run(self.ctx.env(), self.ctx.log()).await?)
    }
}
