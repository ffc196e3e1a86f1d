//! Where VEX statements come from, by the inputs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use actions_toolkit::{BadInput, Scope, Value, Workspace, WorkspacePath};
use http_client::Url;

use super::web_url::{shown, web_url};
use super::{Inputs, ScanType, TargetRequest};
use crate::vex::VexDocument;

/// The repository of Aqua Security, Trivy's default.
pub(crate) const HUB: &str = "https://github.com/aquasecurity/vexhub";

/// A line of `vex`, in the form that Trivy's option `--vex` has (`pkg/vex/vex.go` of Trivy, `NewSource`).
#[derive(Clone)]
pub(crate) enum VexLine {
    File(WorkspacePath),
    Referrers,
    Repositories,
}

impl Value for VexLine {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        match text {
            "oci" => Ok(Self::Referrers),
            "repo" | "repository" => Ok(Self::Repositories),
            "sbom-ref" => Err(
                "`sbom-ref` is not supported; download the document in an earlier step and name its path"
                    .to_owned(),
            ),
            path => WorkspacePath::parse(path, scope).map(Self::File),
        }
    }
}

impl VexLine {
    /// The document, if it is one of the workspace.
    pub(super) fn path(&self) -> Option<&WorkspacePath> {
        match self {
            Self::File(path) => Some(path),
            Self::Referrers | Self::Repositories => None,
        }
    }
}

/// A source of VEX statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VexSource {
    Document(VexDocument),
    /// What refers to an image in its registry.
    Referrers,
    /// Those of [`VexRequest::repositories`].
    Repositories,
}

/// The VEX statements that the step uses; of several on one finding, the first one counts.
#[derive(Debug, Clone)]
pub(crate) struct VexRequest {
    pub(crate) sources: Vec<VexSource>,
    /// Empty unless the sources have them.
    pub(crate) repositories: Vec<RepositorySource>,
}

/// A VEX repository (github.com/aquasecurity/vex-repo-spec).
#[derive(Debug, Clone)]
pub(crate) struct RepositorySource {
    /// Its directory in the cache of Trivy.
    pub(crate) name: String,
    /// As in messages.
    pub(crate) title: String,
    pub(crate) place: Place,
}

/// Where a VEX repository is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Url(Url),
    /// A directory of the workspace.
    Directory(PathBuf),
}

impl VexRequest {
    pub(super) fn new(
        inputs: &Inputs,
        workspace: &Workspace,
        targets: &[TargetRequest],
    ) -> Result<Self, BadInput> {
        let sources = inputs.vex.iter().map(|line| {
            Ok(match line {
                VexLine::File(path) => VexSource::Document(VexDocument::open(path)?),
                VexLine::Referrers => VexSource::Referrers,
                VexLine::Repositories => VexSource::Repositories,
            })
        });
        let sources: Vec<_> = sources.collect::<Result<_, BadInput>>()?;
        let is_image = |target: &TargetRequest| target.scan_type == ScanType::Image;
        let has_image = inputs.selection.registry.is_some() || targets.iter().any(is_image);
        if sources.contains(&VexSource::Referrers) && !has_image {
            let problem = "`oci` is for images of a registry, and no target has the `scan-type` `image`; the path of a file with this name is `./oci`";
            return Err(BadInput::new(Inputs::vex, problem));
        }
        let lines = &inputs.vex_repositories;
        let bad = |problem: String| BadInput::new(Inputs::vex_repositories, problem);
        if !sources.contains(&VexSource::Repositories) {
            if lines.iter().any(|line| line != HUB) {
                return Err(bad(
                    "is not used: add the line `repo` to `vex`, or remove it".to_owned(),
                ));
            }
            return Ok(Self {
                sources,
                repositories: Vec::new(),
            });
        }
        let repositories: Result<Vec<_>, _> = lines
            .iter()
            .map(|line| RepositorySource::new(workspace, line).map_err(bad))
            .collect();
        let repositories = repositories?;
        if repositories.is_empty() {
            return Err(bad("is empty, and `vex` has `repo`".to_owned()));
        }
        let mut names = BTreeSet::new();
        if let Some(twin) = repositories.iter().find(|one| !names.insert(&one.name)) {
            return Err(bad(format!("`{}` is in it twice", twin.title)));
        }
        Ok(Self {
            sources,
            repositories,
        })
    }

    /// Whether what refers to images in their registries is a source.
    pub(crate) fn has_referrers(&self) -> bool {
        self.sources.contains(&VexSource::Referrers)
    }
}

impl RepositorySource {
    fn new(workspace: &Workspace, text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            let path = workspace.path(Inputs::vex_repositories, text)?;
            let directory = path.directory().map_err(|error| error.0)?;
            if !directory.join("index.json").is_file() {
                return Err(format!(
                    "`{text}` is not a VEX repository: it has no `index.json`"
                ));
            }
            return Ok(Self {
                name: format!("workspace_{}", flat(path.relative())),
                title: format!("`{text}`"),
                place: Place::Directory(directory),
            });
        }
        let url = web_url(text)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("`{}` must not have a query", shown(&url)));
        }
        if !url.username().is_empty() && url.password().is_none() {
            return Err(format!(
                "`{}` has a user without a password; a token has the form `https://user:TOKEN@host`",
                shown(&url)
            ));
        }
        let title = shown(&url).trim_end_matches('/').to_owned();
        // The name that Trivy's own configuration gives it: a cache that Trivy filled is used.
        let name = if title == HUB {
            "default".to_owned()
        } else {
            flat(title.split_once("://").map_or("", |(_, rest)| rest))
        };
        Ok(Self {
            name,
            title,
            place: Place::Url(url),
        })
    }
}

// One part of a path, and not a name that begins with a dot.
fn flat(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let text: String = text
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    text.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_url_or_a_directory_with_an_index() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("own/vexhub")).unwrap();
        std::fs::write(directory.path().join("own/vexhub/index.json"), "{}").unwrap();
        let workspace = Workspace::new(directory.path());
        let read = |text: &str| RepositorySource::new(&workspace, text);
        let table = [
            (HUB, "default", HUB),
            (
                "https://me:t0ken@vex.example:8443/a/../b/",
                "vex.example_8443_b",
                "https://vex.example:8443/b",
            ),
            (
                "http://127.0.0.1:8080",
                "127.0.0.1_8080",
                "http://127.0.0.1:8080",
            ),
            ("own/vexhub", "workspace_own_vexhub", "`own/vexhub`"),
        ];
        for (text, name, title) in table {
            let source = read(text).unwrap();
            assert_eq!((&*source.name, &*source.title), (name, title));
        }
        let table = [
            (
                "http://vex.example",
                "`http://vex.example` must be a URL with `https`",
            ),
            (
                "https://vex.example?token=x",
                "`https://vex.example/` must not have a query",
            ),
            (
                "https://t0ken@vex.example",
                "`https://vex.example/` has a user without a password; a token has the form `https://user:TOKEN@host`",
            ),
            (
                "own",
                "`own` is not a VEX repository: it has no `index.json`",
            ),
            ("../own", "`../own` must not contain `..`"),
        ];
        for (text, problem) in table {
            assert_eq!(read(text).unwrap_err(), problem);
        }
    }
}
