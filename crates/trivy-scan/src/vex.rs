//! VEX statements: which findings do not apply, by documents, by what refers to an image, and by repositories.
//!
//! `document`: the statements of one document; `referrers`: documents in the image's registry, out of an `attestation`;
//! `repository`: a repository in Trivy's cache, downloaded as an `archive`.
//!
//! Trivy decides which finding a statement is on. Everything is downloaded here, not by Trivy: it sends the password of a
//! repository to every location that the repository names, reads the first document of an image alone, and goes on without
//! a repository that is unavailable.

mod archive;
pub(crate) mod attestation;
mod document;
mod referrers;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::{Context as _, ensure};
use serde_json::json;
use trivy::{Report, Scan};

use crate::request::{Request, TargetRequest, VexSource};
use crate::scan::trivy_scan;

pub(crate) use document::VexDocument;
pub(crate) use repository::Repository;
#[cfg(fuzzing)]
pub(crate) use repository::fuzz as fuzz_repository;

/// What Trivy keeps in its cache and needs for a scan (`pkg/db`, `pkg/javadb` and `pkg/cache` of Trivy).
const CACHED: [&str; 3] = ["db", "java-db", "fanal"];

/// The sources of the step.
pub(crate) struct Vex {
    pub(crate) repositories: Vec<Repository>,
    /// For the documents of the registry, and for what Trivy reads of repositories.
    directory: Option<PrivateDirectory>,
    documents: AtomicUsize,
}

/// What belongs to one target.
#[derive(Debug, Default)]
pub(crate) struct TargetVex {
    /// Those that refer to the image.
    pub(crate) documents: Vec<VexDocument>,
    /// The digests by which they were searched.
    digests: Vec<oci::Digest>,
    /// For a person.
    pub(crate) remarks: Vec<String>,
}

impl Vex {
    /// Provide the repositories that `request` names.
    ///
    /// # Errors
    /// When one of them is unavailable, and not in the cache either.
    pub(crate) async fn provide(ctx: &Context, request: &Request) -> anyhow::Result<Self> {
        let needs_database = |target| trivy_scan(request, target).needs_database();
        let is_used = request.targets.iter().any(needs_database);
        let mut repositories = Vec::new();
        for source in request.vex.repositories.iter().filter(|_| is_used) {
            repositories.push(Repository::provide(ctx, source, &request.database).await?);
        }
        let directory = if repositories.is_empty() && !request.vex.has_referrers() {
            None
        } else {
            Some(ctx.private_directory("vex")?)
        };
        let vex = Self {
            repositories,
            directory,
            documents: AtomicUsize::new(0),
        };
        if let Some(directory) = &vex.directory
            && !vex.repositories.is_empty()
        {
            vex.configure(directory.path(), &request.database.cache)
                .context("failed to write Trivy's configuration of VEX repositories")?;
        }
        Ok(vex)
    }

    // The configuration of the repositories, which Trivy looks for in the home directory, and a cache directory that has
    // these and no others, and everything else of the real one.
    fn configure(&self, directory: &Path, cache: &Path) -> std::io::Result<()> {
        let home = directory.join("home/.trivy/vex");
        std::fs::create_dir_all(&home)?;
        let repositories = self
            .repositories
            .iter()
            .map(|one| json!({"name": one.name, "url": one.title, "enabled": true}));
        let repositories: Vec<_> = repositories.collect();
        // JSON is YAML.
        let config = json!({ "repositories": repositories }).to_string();
        std::fs::write(home.join("repository.yaml"), config)?;
        let own = directory.join("cache");
        for repository in &self.repositories {
            let path = own.join("vex/repositories").join(&repository.name);
            std::fs::create_dir_all(&path)?;
            symlink(&repository.path, path.join(repository::VERSION))?;
        }
        // Trivy creates what is missing, but not where a link leads to.
        std::fs::create_dir_all(cache.join("fanal"))?;
        let cache = cache.canonicalize()?;
        for name in CACHED {
            symlink(cache.join(name), own.join(name))?;
        }
        Ok(())
    }

    /// Add the sources to `scan` of `target`.
    ///
    /// # Errors
    /// When a registry fails.
    pub(crate) async fn add_to(
        &self,
        scan: &mut Scan,
        ctx: &Context,
        request: &Request,
        target: &TargetRequest,
    ) -> anyhow::Result<TargetVex> {
        let mut of_target = TargetVex::default();
        if !scan.needs_database() {
            return Ok(of_target);
        }
        let is_image = matches!(target.target, trivy::Target::Image(_));
        for source in &request.vex.sources {
            match source {
                VexSource::Document(document) => scan.vex.push(file(document)),
                VexSource::Repositories => scan.vex.push(trivy::VexSource::Repositories),
                VexSource::Referrers if is_image && of_target.digests.is_empty() => {
                    of_target = self.referring(ctx, request, target).await?;
                    scan.vex.extend(of_target.documents.iter().map(file));
                }
                VexSource::Referrers => {}
            }
        }
        if let Some(directory) = &self.directory
            && !self.repositories.is_empty()
        {
            scan.vex_home = Some(directory.path().join("home"));
            scan.cache = directory.path().join("cache");
        }
        Ok(of_target)
    }

    async fn referring(
        &self,
        ctx: &Context,
        request: &Request,
        target: &TargetRequest,
    ) -> anyhow::Result<TargetVex> {
        let found = referrers::find(ctx, request, target).await;
        let found = found
            .context("failed to read the VEX documents that refer to the image (`oci` in `vex`)")?;
        let directory = self
            .directory
            .as_ref()
            .context("there is no directory for documents")?;
        let mut documents = Vec::new();
        for (name, document) in found.documents {
            let number = self.documents.fetch_add(1, Ordering::Relaxed);
            let path = directory.path().join(format!("{number}.openvex.json"));
            std::fs::write(&path, document.to_string())
                .with_context(|| format!("failed to write `{}`", path.display()))?;
            documents.push(VexDocument::new(path, name, &document));
        }
        Ok(TargetVex {
            documents,
            digests: found.digests,
            remarks: found.remarks,
        })
    }

    /// The name of each source, by the text that Trivy's report has.
    pub(crate) fn titles(&self, request: &Request, target: &TargetVex) -> BTreeMap<String, String> {
        let own = request
            .vex
            .sources
            .iter()
            .filter_map(|source| match source {
                VexSource::Document(document) => Some(document),
                _ => None,
            });
        let documents = own.chain(&target.documents);
        let documents =
            documents.map(|one| (one.path.to_string_lossy().into_owned(), one.name.clone()));
        let repositories = self.repositories.iter().map(|one| {
            let of_trivy = format!("VEX Repository: {} ({})", one.name, one.title);
            (of_trivy, one.about())
        });
        documents.chain(repositories).collect()
    }
}

impl TargetVex {
    /// # Errors
    /// When `report` is of another image than the one that the documents refer to: a tag that moved between two requests.
    pub(crate) fn check(&self, report: &Report) -> anyhow::Result<()> {
        let scanned = &report.metadata.repo_digests;
        let is_it = |digest: &oci::Digest| {
            let end = format!("@{digest}");
            scanned.iter().any(|name| name.ends_with(&end))
        };
        let others = || {
            let digests = self.digests.iter().map(ToString::to_string);
            digests.collect::<Vec<_>>().join(", ")
        };
        ensure!(
            self.documents.is_empty() || self.digests.iter().any(is_it),
            "the VEX documents refer to {}, and the image that was scanned is {}; run again, or name the image by its digest",
            others(),
            if scanned.is_empty() {
                "not from a registry".to_owned()
            } else {
                scanned.join(", ")
            }
        );
        Ok(())
    }
}

/// The packages of `report`, and its image, as package URLs without version and qualifiers, but with the repository of an
/// image: by these, a repository has its documents (vex-repo-spec, 3.3; `pkg/vex/repo.go` of Trivy).
pub(crate) fn packages(report: &Report) -> BTreeSet<String> {
    let packages = report.results.iter().flat_map(|result| &result.packages);
    let packages = packages.map(|package| without_version(&package.identifier.purl));
    let packages = packages.filter(|purl| !purl.is_empty());
    let images = report.metadata.repo_digests.first();
    let images = images.and_then(|name| name.parse::<oci::ImageRef>().ok());
    let images = images.into_iter().map(|image| {
        let (_, repository) = image.in_registry();
        let host = image.registry().filter(|host| !oci::is_docker_hub(host));
        let host = host.unwrap_or("index.docker.io");
        let repository = format!("{host}/{repository}")
            .replace('/', "%2F")
            .replace(':', "%3A");
        format!("pkg:oci/{}?repository_url={repository}", image.name())
    });
    packages.map(ToOwned::to_owned).chain(images).collect()
}

fn without_version(purl: &str) -> &str {
    let end = purl.find(['?', '#']).unwrap_or(purl.len());
    let name = &purl[..end];
    // In a name, it is `%40`.
    name.rsplit_once('@').map_or(name, |(name, _)| name)
}

fn file(document: &VexDocument) -> trivy::VexSource {
    trivy::VexSource::File(PathBuf::from(&document.path))
}

/// The archive of a repository, unpacked into `directory`.
#[cfg(fuzzing)]
pub(crate) fn fuzz_archive(archive: &Path, directory: &Path) {
    let _ = archive::unpack(archive, "", directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_as_in_the_index_of_a_repository() {
        let report = json!({"SchemaVersion": 2, "Metadata": {"RepoDigests": ["ghcr.io/team/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]},
        "Results": [{"Packages": [
            {"Identifier": {"PURL": "pkg:deb/debian/openssl@3.5.5-1~deb13u1?arch=amd64"}},
            {"Identifier": {"PURL": "pkg:npm/%40angular/core@1.0.0"}},
            {"Identifier": {"PURL": "pkg:golang/github.com/a/b"}},
            {},
        ]}]});
        let packages = packages(&serde_json::from_value(report).unwrap());
        let packages: Vec<_> = packages.iter().map(String::as_str).collect();
        assert_eq!(
            packages,
            [
                "pkg:deb/debian/openssl",
                "pkg:golang/github.com/a/b",
                "pkg:npm/%40angular/core",
                "pkg:oci/app?repository_url=ghcr.io%2Fteam%2Fapp",
            ]
        );
    }
}
