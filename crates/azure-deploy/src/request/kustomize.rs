//! Directories that kustomize renders.
//!
//! What holds: no program is run for a kustomization, since plugins and Helm are off. Every reference to a file or directory is
//! looked at before kustomize starts, and what is not a path in the checkout is rejected, or with `remote-bases` fetched by this action.
//! A reference that the check overlooks finds no git in `PATH`, and a proxy that nothing listens on; Go contacts loopback addresses
//! without a proxy, so those are kept out by the check alone.

mod archive;
mod copy;
mod local;
mod reference;
mod remote;

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, GitHubToken, Secret, WorkspacePath};

use super::{Rendered, offline_tool};
use local::Origin;
use remote::Fetcher;

/// The names that kustomize looks for (kustomize/api/konfig, `RecognizedKustomizationFileNames`).
const NAMES: &[&str] = &["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Rendering reads files of this machine: a longer run is waiting for a network.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What becomes of references to other machines.
#[derive(Clone, Copy)]
pub(crate) enum RemoteBases<'a> {
    /// They are errors.
    Rejected,
    /// They are fetched, from GitHub's API with the token.
    Fetched(Option<&'a Secret>),
}

impl<'a> RemoteBases<'a> {
    /// What the input says, and the token if there is one.
    pub(crate) fn new(is_fetched: bool, token: Option<&'a GitHubToken>) -> Self {
        if is_fetched {
            Self::Fetched(token.map(|token| &token.0))
        } else {
            Self::Rejected
        }
    }
}

/// Render those of `paths` that are directories with a kustomization, with the standard load restrictions: files come from the
/// directory itself, or from directories of the checkout that it names as a whole.
///
/// # Errors
/// [`BadInput`] for a reference that is not a path in the checkout and is not fetched, and with the message of kustomize.
pub(crate) async fn render(
    ctx: &Context,
    paths: &[WorkspacePath],
    bases: RemoteBases<'_>,
) -> anyhow::Result<Vec<Rendered>> {
    let directories = paths
        .iter()
        .filter(|path| is_kustomization(&path.absolute()));
    let directories: Vec<_> = directories.collect();
    // What was fetched is there until kustomize has ended.
    let mut fetcher = match bases {
        RemoteBases::Fetched(token) if !directories.is_empty() => Some(Fetcher::new(ctx, token)?),
        _ => None,
    };
    let mut checked = Vec::new();
    for directory in directories {
        let (root, path) = (ctx.workspace()?.root().to_owned(), directory.absolute());
        let origin = Origin::Checkout {
            is_fetched: fetcher.is_some(),
            server: ctx.github().server_url().to_owned(),
        };
        let check = tokio::task::spawn_blocking(move || local::check(&root, &path, origin));
        let found = check.await?;
        let found = found.map_err(|problem| failed(directory.relative(), problem))?;
        let offline = match &mut fetcher {
            Some(fetcher) if !found.remote.is_empty() => Some(fetcher.add(directory, found).await?),
            _ => None,
        };
        checked.push((directory, offline));
    }
    if let Some(fetcher) = &fetcher {
        fetcher.rewrite()?;
    }
    let mut rendered = Vec::new();
    for (directory, offline) in checked {
        let (absolute, shown) = (directory.absolute(), directory.relative());
        let target = offline
            .as_ref()
            .map_or(&absolute, |offline| &offline.target);
        let done = offline_tool::new(ctx.env(), "kustomize")
            .arg("build")
            .arg(target)
            .timeout(TIMEOUT)
            .capture(ctx.log(), &format!("kustomize build {shown}"))
            .await?;
        if !done.status.success() {
            let message = done.tail.join(" ");
            let message = match (&fetcher, &offline) {
                (Some(fetcher), Some(offline)) => fetcher.message(offline, &message),
                _ => message,
            };
            let message = message.trim().trim_start_matches("Error: ");
            return Err(failed(shown, message).into());
        }
        let yaml = String::from_utf8(done.stdout).map_err(|e| {
            BadInput::new(
                "manifests",
                format!("the output for `{shown}` is not text: {e}"),
            )
        })?;
        rendered.push(Rendered {
            path: directory.clone(),
            texts: vec![(shown.to_owned(), yaml)],
        });
    }
    Ok(rendered)
}

/// The check of one file, and a reference.
#[cfg(fuzzing)]
pub(crate) fn check_text(text: &str) {
    local::check_text(text);
    let _ = reference::Reference::parse(text, "https://github.com");
    let _ = reference::Reference::parse_fetched(text, "https://github.com");
    let _ = reference::shown(text);
}

/// The archive of a repository, unpacked into `directory`.
#[cfg(fuzzing)]
pub(crate) fn fuzz_archive(archive: &Path, directory: &Path) {
    let _ = archive::unpack(archive, directory, archive::Room::new(archive::MOST));
}

// The error of the kustomization that is called `shown`.
fn failed(shown: &str, problem: impl Display) -> BadInput {
    let problem = format!("kustomize failed to render `{shown}`: {problem}");
    BadInput::new("manifests", problem)
}

// Whether kustomize renders `directory`.
fn is_kustomization(directory: &Path) -> bool {
    NAMES.iter().any(|name| directory.join(name).is_file())
}
