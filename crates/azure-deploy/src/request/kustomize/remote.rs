//! Fetching what kustomizations refer to on other machines: kustomize itself stays offline.
//!
//! A private directory has the copies of the kustomizations, each in a directory of `checkouts`, and what was fetched, each in a
//! directory of `bases`. What a fetched kustomization refers to is checked as the one in the checkout is, with its own repository as
//! the root. All kustomizations of a run share what is fetched, so that a reference is the same content in each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actions_toolkit::{Context, PrivateDirectory, Secret, WorkspacePath};
use anyhow::{Context as _, anyhow, ensure};
use backon::{ExponentialBuilder, Retryable as _};
use github::{API_VERSION, MEDIA_TYPE};
use http_client::header::ACCEPT;
use http_client::{Redirects, Response, StatusCode, Url};
use limits::MIB;

use super::archive::Room;
use super::local::{self, Found, Origin};
use super::reference::{Reference, Repository, shown};
use super::{NAMES, archive, copy, failed, is_kustomization};

/// References that are fetched in a run.
const REFERENCES: usize = 50;
/// Bytes of a file; the API server accepts objects of 3 MB.
const FILE: u64 = 16 * MIB as u64;
/// Timeout of one download.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Three attempts, one and two seconds apart.
const RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_times(2);
/// The copy of a kustomization, which refers to no other machine any more.
pub(super) struct Offline {
    checkout: PathBuf,
    /// The directory to render.
    pub(super) target: PathBuf,
}

/// What a reference leads to.
struct Base {
    /// The directory that replaces the reference.
    directory: PathBuf,
    /// The root of its references, and these.
    root: PathBuf,
    remote: BTreeMap<PathBuf, BTreeSet<String>>,
}

/// A repository that was fetched.
#[derive(Clone)]
struct Fetched {
    directory: PathBuf,
    /// For the log.
    commit: String,
    /// What was not unpacked.
    links: Arc<BTreeSet<PathBuf>>,
}

/// References that are replaced.
struct Replaced {
    root: PathBuf,
    /// The kustomization in the checkout, for messages.
    name: String,
    /// The path in place of each reference.
    paths: BTreeMap<String, String>,
}

/// What is fetched for the kustomizations of a run.
pub(super) struct Fetcher<'a> {
    ctx: &'a Context,
    /// For GitHub's API alone.
    token: Option<&'a Secret>,
    /// It is removed with this.
    private: PrivateDirectory,
    /// Its path, with links resolved.
    top: PathBuf,
    repositories: BTreeMap<Repository, Fetched>,
    /// The directory of each reference.
    fetched: BTreeMap<String, PathBuf>,
    /// What is replaced in each kustomization.
    replaced: BTreeMap<PathBuf, Replaced>,
    /// How many directories there are in `bases` and `checkouts`.
    count: usize,
    room: Room,
}

/// Why a server does not have what was requested.
struct Failed {
    error: anyhow::Error,
    status: Option<StatusCode>,
    is_transient: bool,
}

impl<'a> Fetcher<'a> {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// When the directory can't be created.
    pub(super) fn new(ctx: &'a Context, token: Option<&'a Secret>) -> anyhow::Result<Self> {
        let private = ctx.private_directory("kustomize")?;
        private.subdirectory("checkouts")?;
        private.subdirectory("bases")?;
        let top = private.path().canonicalize()?;
        Ok(Self {
            ctx,
            token,
            private,
            top,
            repositories: BTreeMap::new(),
            fetched: BTreeMap::new(),
            replaced: BTreeMap::new(),
            count: 0,
            room: Room::new(archive::MOST),
        })
    }

    /// Fetch everything that `directory`, in which `found` was found, refers to, and what that refers to. It can be rendered after
    /// [`Fetcher::rewrite`].
    ///
    /// # Errors
    /// [`BadInput`](actions_toolkit::BadInput) with a reference that is not fetched, or leads to nothing; anything else when a server
    /// fails.
    pub(super) async fn add(
        &mut self,
        directory: &WorkspacePath,
        found: Found,
    ) -> anyhow::Result<Offline> {
        let name = directory.relative();
        let root = self.ctx.workspace()?.root().canonicalize()?;
        let target = directory.existing()?;
        let target = target.strip_prefix(&root)?;
        let checkout = self.directory("checkouts")?;
        let target = checkout.join(target);
        let Found {
            directories,
            links,
            remote,
        } = found;
        let to = checkout.clone();
        let copy = move || copy::copy(&root, &directories, &links, &to);
        let copied = tokio::task::spawn_blocking(copy).await?;
        copied.map_err(|problem| failed(name, problem))?;

        // The root, the base that it is of, and its references.
        let mut pending = vec![(checkout.clone(), None::<String>, remote)];
        while let Some((root, parent, files)) = pending.pop() {
            for (file, references) in files {
                let file = root.join(file);
                let mut paths = BTreeMap::new();
                for text in references {
                    let parsed = self.parse(&text, parent.as_deref());
                    let reference = parsed.map_err(|problem| failed(name, problem))?;
                    let base = if let Some(base) = self.fetched.get(&text) {
                        base.clone()
                    } else {
                        ensure_few(self.fetched.len()).map_err(|problem| failed(name, problem))?;
                        let base = self.base(name, &text, &reference).await?;
                        pending.push((base.root, Some(shown(&text)), base.remote));
                        self.fetched.insert(text.clone(), base.directory.clone());
                        base.directory
                    };
                    let path = relative(&self.top, &file, &base);
                    let path = path.context("a fetched base is outside its directory")?;
                    paths.insert(text, path);
                }
                // Several references may lead to one repository.
                let replaced = self.replaced.entry(file).or_insert_with(|| Replaced {
                    root: root.clone(),
                    name: name.to_owned(),
                    paths: BTreeMap::new(),
                });
                replaced.paths.extend(paths);
            }
        }
        Ok(Offline { checkout, target })
    }

    /// Replace the references of everything that was added. Nothing is replaced before: what was not checked yet is checked as it was
    /// fetched.
    ///
    /// # Errors
    /// [`BadInput`](actions_toolkit::BadInput) when a kustomization cannot be read.
    pub(super) fn rewrite(&self) -> anyhow::Result<()> {
        for (file, replaced) in &self.replaced {
            let rewritten = copy::rewrite(&replaced.root, file, &replaced.paths);
            rewritten.map_err(|problem| failed(&replaced.name, problem))?;
        }
        Ok(())
    }

    /// `message` of kustomize, with paths as the checkout has them.
    pub(super) fn message(&self, offline: &Offline, message: &str) -> String {
        let mut message = message.to_owned();
        let inside = offline.checkout.strip_prefix(&self.top);
        for top in [&*self.top, self.private.path()] {
            if let Ok(inside) = inside {
                let checkout = top.join(inside);
                message = message.replace(&format!("{}/", checkout.display()), "");
            }
            message = message.replace(&format!("{}/", top.display()), "");
        }
        message
    }

    // The reference `text` of the checkout, or of the base `parent`.
    fn parse(&self, text: &str, parent: Option<&str>) -> Result<Reference, String> {
        let server = self.ctx.github().server_url();
        match parent {
            None => Reference::parse(text, server),
            Some(parent) => {
                let reference = Reference::parse_fetched(text, server);
                reference.map_err(|problem| format!("`{parent}`: {problem}"))
            }
        }
    }

    // `name` is that of the kustomization.
    async fn base(
        &mut self,
        name: &str,
        text: &str,
        reference: &Reference,
    ) -> anyhow::Result<Base> {
        match reference {
            Reference::File(url) => {
                let directory = self.file(name, text, url).await?;
                Ok(Base {
                    root: directory.clone(),
                    directory,
                    remote: BTreeMap::new(),
                })
            }
            Reference::Directory { repository, path } => {
                let fetched = self.repository(name, text, repository).await?;
                let directory = fetched.directory.join(path);
                let bad = |problem: String| failed(name, problem);
                ensure_directory(&fetched, repository, path).map_err(bad)?;
                let (from, to) = (fetched.directory.clone(), directory.clone());
                let origin = Origin::Repository {
                    name: format!("{}/{}", repository.owner, repository.name),
                    links: fetched.links,
                };
                let check = tokio::task::spawn_blocking(move || local::check(&from, &to, origin));
                let found = check.await?;
                let found =
                    found.map_err(|problem| bad(format!("`{}`: {problem}", shown(text))))?;
                Ok(Base {
                    directory,
                    root: fetched.directory,
                    remote: found.remote,
                })
            }
        }
    }

    // kustomize loads files of the directory of a kustomization alone, so that each has one.
    async fn file(&mut self, name: &str, text: &str, url: &Url) -> anyhow::Result<PathBuf> {
        const KUSTOMIZATION: &str = "resources: [fetched.yaml]\n";
        let text = shown(text);
        let what = || format!("failed to fetch `{text}`");
        let content = (|| self.content(url))
            .retry(RETRY)
            .when(|failed: &Failed| failed.is_transient)
            .await;
        let content = match content {
            Err(e) if e.status == Some(StatusCode::NOT_FOUND) => {
                let problem = format!("`{text}` does not exist on its server");
                return Err(failed(name, problem).into());
            }
            content => content.map_err(|e| e.error).with_context(what)?,
        };
        if content.trim_ascii_start().starts_with(b"<") {
            let problem = format!("`{text}` is a web page, and not a file with objects");
            return Err(failed(name, problem).into());
        }
        let room = self.room.without(content.len() as u64);
        self.room = room.map_err(|problem| failed(name, problem))?;
        let directory = self.directory("bases")?;
        for (name, content) in [
            ("kustomization.yaml", KUSTOMIZATION.as_bytes()),
            ("fetched.yaml", &content[..]),
        ] {
            let written = tokio::fs::write(directory.join(name), content).await;
            written.with_context(what)?;
        }
        let digest = oci::Digest::sha256(&content);
        self.ctx.log().info(format!("fetched {text} ({digest})"));
        Ok(directory)
    }

    async fn repository(
        &mut self,
        name: &str,
        text: &str,
        repository: &Repository,
    ) -> anyhow::Result<Fetched> {
        let text = shown(text);
        let version = &repository.version;
        let (log, what) = (self.ctx.log(), || format!("failed to fetch `{text}`"));
        if !repository.is_pinned() {
            log.warning(format!(
                "`{text}`: `{version}` is not a commit or a version tag, so that what is deployed can change at any time; use a commit, or write a tag as `refs/tags/{version}`"
            ));
        }
        if let Some(fetched) = self.repositories.get(repository) {
            log.info(format!("fetched {text}{}", fetched.commit));
            return Ok(fetched.clone());
        }
        let url = tarball(self.ctx.github().api_url(), repository)?;
        let directory = self.directory("bases")?;
        let file = directory.with_extension("tar.gz");
        let saved = (|| self.save(&url, &file))
            .retry(RETRY)
            .when(|failed: &Failed| failed.is_transient)
            .await;
        match saved {
            Err(e) if e.status == Some(StatusCode::NOT_FOUND) => {
                let Repository {
                    owner,
                    name: repository,
                    ..
                } = repository;
                let problem = format!(
                    "`{text}`: GitHub has no `{version}` of a repository `{owner}/{repository}`, or the token may not read it; set `token` to one with `contents: read` there if it is private"
                );
                return Err(failed(name, problem).into());
            }
            saved => saved.map_err(|e| e.error).with_context(what)?,
        }
        let (from, to, room) = (file.clone(), directory.clone(), self.room);
        let unpack = move || archive::unpack(&from, &to, room);
        let unpacked = tokio::task::spawn_blocking(unpack).await?;
        let unpacked = unpacked.with_context(what)?;
        self.room = unpacked.room;
        tokio::fs::remove_file(&file).await.with_context(what)?;
        let commit = unpacked.commit;
        let commit = commit.map_or_else(String::new, |commit| format!(" (commit {commit})"));
        log.info(format!("fetched {text}{commit}"));
        let fetched = Fetched {
            directory,
            commit,
            links: Arc::new(unpacked.links),
        };
        self.repositories
            .insert(repository.clone(), fetched.clone());
        Ok(fetched)
    }

    // A new one, in the directory `kind`.
    fn directory(&mut self, kind: &str) -> anyhow::Result<PathBuf> {
        self.count += 1;
        let directory = self.top.join(kind).join(self.count.to_string());
        std::fs::create_dir(&directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
        Ok(directory)
    }

    async fn content(&self, url: &Url) -> Result<Vec<u8>, Failed> {
        let response = self.attempt(url, false).await?;
        response.bytes(FILE).await.map_err(Failed::from)
    }

    // The archive at `url` as the file `to`.
    async fn save(&self, url: &Url, to: &Path) -> Result<(), Failed> {
        let response = self.attempt(url, true).await?;
        let file = tokio::fs::File::create(to).await;
        let mut file = file.map_err(|e| Failed::permanent(e.into()))?;
        let save = response.save(&mut file, archive::SIZE, |_| {});
        save.await.map_err(Failed::from)
    }

    // The token stays on its host: redirects to other hosts do not carry it.
    async fn attempt(&self, url: &Url, is_api: bool) -> Result<Response, Failed> {
        let http = self.ctx.http().map_err(Failed::permanent)?;
        let mut request = http.get(url.clone());
        if is_api {
            let (version, number) = API_VERSION;
            request = request.header(ACCEPT, MEDIA_TYPE).header(version, number);
            if let Some(token) = self.token {
                request = request.bearer_auth(token.expose());
            }
        }
        let request = request.redirects(Redirects::Reads).timeout(TIMEOUT);
        let response = request.send().await.map_err(Failed::from)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let is_transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Err(Failed {
            error: anyhow!("`{}` responded with {status}", response.host()),
            status: Some(status),
            is_transient,
        })
    }
}

impl Failed {
    fn permanent(error: anyhow::Error) -> Self {
        Self {
            error,
            status: None,
            is_transient: false,
        }
    }
}

impl From<http_client::Error> for Failed {
    fn from(error: http_client::Error) -> Self {
        Self {
            status: None,
            is_transient: error.is_transient(),
            error: error.into(),
        }
    }
}

// Whether `fetched` has the directory `path` with a kustomization; kustomize itself reports a directory without one.
fn ensure_directory(fetched: &Fetched, repository: &Repository, path: &str) -> Result<(), String> {
    let Repository {
        owner,
        name,
        version,
    } = repository;
    let links = &fetched.links;
    let directory = fetched.directory.join(path);
    let is_link = Path::new(path).ancestors().any(|path| links.contains(path));
    let mut files = NAMES.iter().map(|name| Path::new(path).join(name));
    let left_out = if is_link {
        Some(PathBuf::from(path))
    } else if is_kustomization(&directory) {
        None
    } else {
        files.find(|file| links.contains(file))
    };
    if let Some(path) = left_out {
        return Err(format!(
            "`{}` is a link in the repository `{owner}/{name}`, and links are not unpacked",
            path.display()
        ));
    }
    if !directory.is_dir() {
        return Err(format!(
            "`{owner}/{name}` has no directory `{path}` at `{version}`"
        ));
    }
    Ok(())
}

// The archive of `repository` (docs.github.com/rest/repos/contents, "Download a repository archive").
fn tarball(api: &str, repository: &Repository) -> anyhow::Result<Url> {
    let Repository {
        owner,
        name,
        version,
    } = repository;
    let api = api.trim_end_matches('/');
    let invalid = || format!("invalid `GITHUB_API_URL` `{api}`");
    let url = format!("{api}/repos/{owner}/{name}/tarball");
    let mut url: Url = url.parse().with_context(invalid)?;
    ensure!(
        http_client::is_confidential(&url),
        "{}; use https",
        invalid()
    );
    // Each part of the version is encoded.
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.extend(version.split('/'));
        }
        Err(()) => return Err(anyhow!(invalid())),
    }
    Ok(url)
}

fn ensure_few(count: usize) -> Result<(), String> {
    if count < REFERENCES {
        return Ok(());
    }
    Err(format!(
        "the kustomizations refer to more than {REFERENCES} files and directories of other machines"
    ))
}

// The path from the kustomization `file` to the directory `to`, both of which are in `top`.
fn relative(top: &Path, file: &Path, to: &Path) -> Option<String> {
    let depth = file.parent()?.strip_prefix(top).ok()?.components().count();
    let to = to.strip_prefix(top).ok()?.to_str()?;
    Some(format!(
        "{}{}",
        "../".repeat(depth),
        to.trim_end_matches('/')
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_part_of_the_url() {
        let repository = |version: &str| Repository {
            owner: "octo-org".into(),
            name: "base".into(),
            version: version.into(),
        };
        let table = [
            ("v1", "v1"),
            ("refs/tags/v1", "refs/tags/v1"),
            ("release/a#b%2F", "release/a%23b%252F"),
        ];
        for (version, expected) in table {
            let url = tarball("https://api.github.com/", &repository(version)).unwrap();
            let expected = format!("https://api.github.com/repos/octo-org/base/tarball/{expected}");
            assert_eq!(url.as_str(), expected);
        }
        let error = tarball("http://ghe.example.com/api/v3", &repository("v1")).unwrap_err();
        assert!(error.to_string().ends_with("; use https"), "{error}");
    }

    #[test]
    fn a_base_has_a_path_from_the_kustomization() {
        let table = [
            ("/t/checkout/kustomization.yaml", "/t/bases/1", "../bases/1"),
            (
                "/t/checkout/a/b/Kustomization",
                "/t/bases/2/c",
                "../../../bases/2/c",
            ),
            (
                "/t/bases/1/kustomization.yaml",
                "/t/bases/1/",
                "../../bases/1",
            ),
        ];
        for (file, to, expected) in table {
            let path = relative(Path::new("/t"), Path::new(file), Path::new(to));
            assert_eq!(path.as_deref(), Some(expected));
        }
        assert_eq!(
            relative(Path::new("/t"), Path::new("/x/y"), Path::new("/t/a")),
            None
        );
    }
}
