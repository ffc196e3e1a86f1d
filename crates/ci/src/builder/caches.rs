//! The caches of a build, in BuildKit's words. One in a directory goes over the registry of this machine, which BuildKit reaches.

use std::path::{Path, PathBuf};

use actions_toolkit::{Context, WorkspacePath};
use anyhow::Context as _;
use docker::{CacheEntry, LocalRegistry};
use oci::ImageRef;

use crate::request::cache::{CacheLine, CacheOf, CachePlace};
use crate::request::{Builder, Request, TestImage};

/// BuildKit's own default.
const GITHUB_SCOPE: &str = "buildkit";
/// The subdirectory of the test stage's cache.
const TEST: &str = "test";

/// The caches of the run.
pub(super) struct Caches<'a> {
    lines: &'a [CacheLine],
    /// Those of both builds.
    pub(super) imports: Vec<CacheEntry>,
    of_image: Vec<CacheEntry>,
    of_tests: Vec<CacheEntry>,
    directories: Vec<Directory<'a>>,
}

/// A cache that is written to the workspace after the build.
struct Directory<'a> {
    of: CacheOf,
    reference: ImageRef,
    path: &'a WorkspacePath,
}

impl<'a> Caches<'a> {
    pub(super) fn new(
        ctx: &Context,
        request: &Request,
        builder: &'a Builder,
        local: &LocalRegistry,
    ) -> anyhow::Result<Self> {
        let has_stage = request
            .tests
            .as_ref()
            .is_some_and(|tests| matches!(tests.target, TestImage::Stage(_)));
        let mut builds = vec![CacheOf::Image];
        builds.extend(has_stage.then_some(CacheOf::TestStage));
        let mut caches = Self {
            lines: &builder.cache_to,
            imports: Vec::new(),
            of_image: Vec::new(),
            of_tests: Vec::new(),
            directories: Vec::new(),
        };
        for (number, line) in builder.cache_from.iter().enumerate() {
            for of in builds.iter().copied() {
                if let CachePlace::Local(path) = &line.place {
                    let reference = reference(local, &format!("from-{number}"), of)?;
                    let place = path.absolute();
                    let place = if place.exists() {
                        path.existing()?
                    } else {
                        place
                    };
                    let directory = directory(&place, of);
                    let found = local.add_layout(&reference, &directory);
                    let found = found.with_context(|| {
                        format!("the cache in `{}` cannot be read", directory.display())
                    });
                    match found {
                        Ok(true) => caches.imports.push(in_registry(&reference, line, true)),
                        Ok(false) => {}
                        // As any other cache.
                        Err(e) => ctx.log().warning(format!("{e:#}")),
                    }
                } else if let Some(entry) = entry(ctx, line, of)? {
                    caches.imports.push(entry);
                }
            }
        }
        for (number, line) in caches.lines.iter().enumerate() {
            for of in builds.iter().copied() {
                let entry = if let CachePlace::Local(path) = &line.place {
                    let reference = reference(local, &format!("to-{number}"), of)?;
                    let entry = in_registry(&reference, line, true);
                    caches.directories.push(Directory {
                        of,
                        reference,
                        path,
                    });
                    Some(entry)
                } else {
                    entry(ctx, line, of)?
                };
                match of {
                    CacheOf::Image => caches.of_image.extend(entry),
                    CacheOf::TestStage => caches.of_tests.extend(entry),
                }
            }
        }
        Ok(caches)
    }

    pub(super) fn exports(&self, of: CacheOf) -> Vec<CacheEntry> {
        match of {
            CacheOf::Image => self.of_image.clone(),
            CacheOf::TestStage => self.of_tests.clone(),
        }
    }

    /// Write the caches of the build `of` that are directories.
    ///
    /// # Errors
    /// When one can't be written.
    pub(super) fn save(&self, of: CacheOf, local: &LocalRegistry) -> anyhow::Result<()> {
        for cache in self.directories.iter().filter(|cache| cache.of == of) {
            let directory = directory(&cache.path.create_directory()?, of);
            // A build without a step has no cache.
            if local.digest(&cache.reference).is_some() {
                // What an earlier run kept is here already, where it is still of use.
                if directory.join("oci-layout").is_file() {
                    let _ = std::fs::remove_dir_all(directory.join("blobs"));
                }
                local.write_layout(&cache.reference, &directory)?;
                cache.path.give_to_owner()?;
            }
        }
        Ok(())
    }
}

fn directory(path: &Path, of: CacheOf) -> PathBuf {
    match of {
        CacheOf::Image => path.to_owned(),
        CacheOf::TestStage => path.join(TEST),
    }
}

fn reference(local: &LocalRegistry, name: &str, of: CacheOf) -> anyhow::Result<ImageRef> {
    let image: ImageRef = of.name(name).parse()?;
    local.reference_for("cache", &image)
}

fn in_registry(reference: &ImageRef, line: &CacheLine, is_local: bool) -> CacheEntry {
    let mut attributes = line.attributes.clone();
    attributes.insert("ref".to_owned(), reference.to_string());
    if is_local {
        attributes.insert("registry.insecure".to_owned(), "true".to_owned());
    }
    CacheEntry {
        kind: "registry".to_owned(),
        attributes,
    }
}

// Github.com/moby/buildkit, README.md, "Export cache".
fn entry(ctx: &Context, line: &CacheLine, of: CacheOf) -> anyhow::Result<Option<CacheEntry>> {
    match &line.place {
        CachePlace::Registry(image) => {
            let tag = image.tag().unwrap_or("latest");
            let image = match image.digest() {
                Some(_) => image.clone(),
                None => image.with_tag(&of.name(tag))?,
            };
            Ok(Some(in_registry(&image, line, false)))
        }
        CachePlace::GitHub { scope } => {
            let github = ctx.github();
            let cache = github
                .cache()
                .context("the run has no cache of GitHub Actions")?;
            let scope = of.name(scope.as_deref().unwrap_or(GITHUB_SCOPE));
            let mut attributes = line.attributes.clone();
            let own = [
                ("url_v2", cache.url),
                ("token", cache.token),
                ("version", "2"),
                ("scope", &scope),
            ];
            let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
            attributes.extend(own);
            Ok(Some(CacheEntry {
                kind: "gha".to_owned(),
                attributes,
            }))
        }
        CachePlace::Inline => Ok((of == CacheOf::Image).then(|| CacheEntry {
            kind: "inline".to_owned(),
            attributes: line.attributes.clone(),
        })),
        CachePlace::Local(_) => Ok(None),
    }
}
