//! The BuildKit of the run, for what Docker's own cannot build, and the images that it has built.

mod caches;
mod outputs;

use std::cell::RefCell;

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::{Context as _, anyhow, bail};
use docker::{
    BuildError, BuildEvent, BuildKit, BuildRequest, Docker, ImageInfo, LocalRegistry, Solve,
};
use oci::{Credentials, ImageRef, Logins, RawManifest, Registry};

use crate::architecture;
use crate::request::cache::CacheOf;
use crate::request::{Builder, Request, TestImage};
#[cfg(fuzzing)]
pub(crate) use outputs::unpack as fuzz_output;

/// A platform that is built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `linux/arm64`.
    pub(crate) name: String,
    /// Whether its programs run under an emulator here.
    pub(crate) is_emulated: bool,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.is_emulated {
            "emulated"
        } else {
            "native"
        };
        write!(f, "{}, {how}", self.name)
    }
}

/// An image that was built, in Docker.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    /// `None` if the request names no platforms: that of the machine.
    pub(crate) platform: Option<Platform>,
    pub(crate) info: ImageInfo,
}

/// A BuildKit, and a registry on this machine that takes what it builds.
pub(crate) struct RunBuilder<'a> {
    docker: &'a Docker,
    request: &'a Builder,
    kit: BuildKit,
    local: LocalRegistry,
    /// Those of the run, and that of `local`.
    logins: Logins,
    platforms: Vec<Platform>,
    /// Of the images in Docker, in addition to those of the run.
    names: RefCell<Vec<ImageRef>>,
    /// Parameters of every build.
    solve: Solve,
    caches: caches::Caches<'a>,
    directory: PrivateDirectory,
}

/// Start the BuildKit of the run, if the request needs one.
///
/// # Errors
/// When it does not start, or cannot run the programs of a platform that is to be tested.
pub(crate) async fn start<'a>(
    ctx: &Context,
    docker: &'a Docker,
    request: &'a Request,
    (run, logins): (&str, &Logins),
) -> anyhow::Result<Option<RunBuilder<'a>>> {
    let Some(builder) = &request.build.builder else {
        return Ok(None);
    };
    let reasons: Vec<_> = builder
        .reasons
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    ctx.log().info(format!(
        "building with `{}`, which {} {}",
        builder.image,
        reasons.join(", "),
        if reasons.len() == 1 { "needs" } else { "need" },
    ));
    let directory = ctx.private_directory("build")?;
    let login = Credentials {
        username: "seaworthy".to_owned(),
        password: uuid::Uuid::new_v4().simple().to_string(),
    };
    ctx.log().mask(&login.password);
    // BuildKit sends the pair in one word.
    let basic = login.authorization();
    ctx.log().mask(basic.trim_start_matches("Basic "));
    let local = LocalRegistry::protected(directory.path(), &login).await?;
    let logins = logins.with(&local.host(), login);
    let kit = BuildKit::start(docker, &builder.image, directory.path(), run).await?;
    let needs_to_run = request.tests.is_some() || request.smoke.is_some();
    let platforms = platforms(&kit, builder, needs_to_run).await?;
    for platform in &platforms {
        ctx.log().info(format!("platform: {platform}"));
    }
    let caches = caches::Caches::new(ctx, request, builder, &local)?;
    let mut sources = builder.sources.clone();
    if platforms.iter().all(|platform| !platform.is_emulated) {
        for (name, source) in served_bases(docker, request, &local).await? {
            sources.entry(name).or_insert(source);
        }
    }
    let solve = Solve {
        platforms: builder.platforms.clone(),
        cache_from: caches.imports.clone(),
        cache_to: Vec::new(),
        directories: builder.directories.clone(),
        sources,
        attestations: builder.attestations.clone(),
        annotations: builder.annotations.clone(),
    };
    Ok(Some(RunBuilder {
        docker,
        request: builder,
        kit,
        local,
        logins,
        platforms,
        names: RefCell::default(),
        solve,
        caches,
        directory,
    }))
}

// The platforms of the request, and whether each is emulated; that of the machine is the first.
async fn platforms(
    kit: &BuildKit,
    builder: &Builder,
    needs_to_run: bool,
) -> anyhow::Result<Vec<Platform>> {
    if builder.platforms.is_empty() {
        return Ok(Vec::new());
    }
    let known = kit.platforms().await?;
    let known: Vec<_> = known.iter().map(ToString::to_string).collect();
    let native = known.first().and_then(|name| name.split('/').nth(1));
    let native = native.context("BuildKit reports no platform")?;
    let mut platforms = Vec::new();
    for name in &builder.platforms {
        if needs_to_run && !known.contains(name) {
            bail!(
                "this runner has no emulator for `{name}` of `platforms`, so its image cannot be tested; add `docker/setup-qemu-action` before this step, use a runner of that architecture, or set `test-target: none` and `health-path: none`"
            );
        }
        let architecture = name.split('/').nth(1).unwrap_or_default();
        platforms.push(Platform {
            name: name.clone(),
            is_emulated: !architecture::runs_on(architecture, native),
        });
    }
    Ok(platforms)
}

// Base images that only Docker has, such as those that an earlier step built, by the name that the Dockerfile has for them.
async fn served_bases(
    docker: &Docker,
    request: &Request,
    local: &LocalRegistry,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut served: Vec<(String, String)> = Vec::new();
    for image in &request.build.bases {
        let found = docker.inspect(image).await?;
        let Some(info) = found else {
            continue;
        };
        // What was pulled or pushed under this name is in its registry.
        let own = format!("{}@", image.without_version());
        if info
            .repo_digests
            .iter()
            .any(|known| known.starts_with(&own))
        {
            continue;
        }
        let name = image.to_string();
        let name = name.strip_suffix(":latest").unwrap_or(&name).to_owned();
        if served.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let space = format!("base-{}", served.len());
        let reference = local.add_saved(docker, image, &space).await?;
        served.push((name, format!("docker-image://{reference}")));
    }
    Ok(served)
}

impl RunBuilder<'_> {
    /// Build `request` for every platform, and load the images into Docker; the one of the machine's own platform, if there
    /// is one, is the first, and has the name of the request.
    ///
    /// # Errors
    /// As [`BuildKit::build`], and when Docker rejects an image.
    pub(crate) async fn build(
        &self,
        request: &BuildRequest,
        of: Option<CacheOf>,
        on_event: impl FnMut(BuildEvent),
    ) -> Result<Vec<Built>, BuildError> {
        let request = BuildRequest {
            logins: self.logins.clone(),
            ..request.clone()
        };
        let solve = Solve {
            cache_to: of.map(|of| self.caches.exports(of)).unwrap_or_default(),
            ..self.solve.clone()
        };
        let place = self.place(&request.image)?;
        self.kit.build(&request, &solve, &place, on_event).await?;
        if let Some(of) = of {
            self.caches.save(of, &self.local)?;
        }
        let images = self.local.images(&place).await?;
        let mut platforms = self.platforms.iter().map(|platform| Some(platform.clone()));
        let each = images
            .iter()
            .map(|image| (platforms.next().flatten(), image));
        let mut each: Vec<_> = each.collect();
        each.sort_by_key(|(platform, _)| platform.as_ref().is_some_and(|one| one.is_emulated));
        let mut built = Vec::new();
        for (number, (platform, image)) in each.into_iter().enumerate() {
            let name = self.name(&request.image, number, platform.as_ref())?;
            self.docker.load(&self.local, image, &name, 0).await?;
            let info = self.docker.inspect(&name).await?;
            let info =
                info.ok_or_else(|| anyhow!("Docker does not have `{name}`, which it loaded"))?;
            built.push(Built { platform, info });
        }
        Ok(built)
    }

    // The name of an image in the registry of this machine.
    fn place(&self, image: &ImageRef) -> anyhow::Result<ImageRef> {
        self.local.reference_for("built", image)
    }

    // The name of an image in Docker.
    fn name(
        &self,
        image: &ImageRef,
        number: usize,
        platform: Option<&Platform>,
    ) -> anyhow::Result<ImageRef> {
        let Some(platform) = platform.filter(|_| number > 0) else {
            return Ok(image.clone());
        };
        let suffix = platform.name.replace('/', "-");
        // A temporary tag ends with its time.
        let name = image.with_tag(&format!("{suffix}-{}", image.tag().unwrap_or_default()))?;
        self.names.borrow_mut().push(name.clone());
        Ok(name)
    }

    /// The names that it gave to images in Docker, in addition to those of the run.
    pub(crate) fn names(&self) -> Vec<ImageRef> {
        self.names.take()
    }

    /// Push what was built as `image` to `registry`: an index if there are several platforms, or attestations.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub(crate) async fn push(
        &self,
        image: &ImageRef,
        registry: &Registry,
        to: (&str, &str),
    ) -> anyhow::Result<RawManifest> {
        self.local.push(&self.place(image)?, registry, to).await
    }
}

/// The build of the test stage keeps no cache where it is the image's own.
pub(crate) fn cache_of_tests(target: &TestImage) -> Option<CacheOf> {
    matches!(target, TestImage::Stage(_)).then_some(CacheOf::TestStage)
}
