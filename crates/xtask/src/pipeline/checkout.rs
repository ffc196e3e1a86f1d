//! The checkout that a run works on: what is in the working tree, as a commit.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::paths;
use crate::setup::base_images::Origin;
use crate::setup::command::{command, output, run};
use crate::stack::{Stack, registry_authority};

/// The bundle of authorities, in the checkout.
pub(crate) const AUTHORITIES: &str = ".drydock/authorities.pem";

/// Copy the working tree of `root` (tracked files, and new ones that are not ignored) and commit it;
/// an unchanged tree gives the same commit again.
///
/// # Errors
/// When that can't be done.
pub(crate) fn prepare(root: &Path, stack: &Stack) -> anyhow::Result<PathBuf> {
    let folder = paths::state().join("checkout");
    if folder.is_dir() {
        std::fs::remove_dir_all(&folder).context("while removing the last checkout")?;
    }
    std::fs::create_dir_all(&folder)?;
    let listed = output(
        command(
            "git",
            [
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        )
        .current_dir(root),
    )?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), folder.join(name));
        // A file that was deleted but is still tracked is not part of the tree.
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap_or(&folder))?;
            std::fs::copy(&from, &to).with_context(|| format!("while copying `{name}`"))?;
        }
    }
    if stack.origin == Origin::Made {
        unpin(&folder)?;
    }
    commit(&folder)?;
    let tools = folder.join("tools/bin");
    std::fs::create_dir_all(&tools)?;
    for tool in ["trivy", "copa"] {
        std::fs::copy(stack.builds.wait(tool)?.join(tool), tools.join(tool))?;
    }
    authorities(&folder.join(AUTHORITIES))?;
    Ok(folder)
}

/// Commit the folder's content; the time is fixed, so that equal content is an equal commit.
///
/// # Errors
/// When git is missing.
pub(crate) fn commit(folder: &Path) -> anyhow::Result<()> {
    let git = |args: &[&str]| {
        let mut git = command(
            "git",
            [
                "-c",
                "user.name=drydock",
                "-c",
                "user.email=drydock@localhost",
                "-c",
                "commit.gpgsign=false",
            ],
        );
        let time = "2026-01-01T00:00:00Z";
        run(git
            .args(args)
            .current_dir(folder)
            .env("GIT_AUTHOR_DATE", time)
            .env("GIT_COMMITTER_DATE", time))
    };
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "--all"])?;
    git(&[
        "commit",
        "--quiet",
        "--allow-empty",
        "--message=the working tree",
    ])?;
    // act reads the repository's name from here.
    git(&[
        "remote",
        "add",
        "origin",
        "https://github.com/octo-org/app.git",
    ])
}

// An image that was made here has no digest of a registry.
fn unpin(folder: &Path) -> anyhow::Result<()> {
    for name in ["Dockerfile.action", "app/Dockerfile"] {
        let path = folder.join(name);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("while reading `{name}`"))?;
        let unpinned = |line: &str| match (
            line.starts_with("ARG ") || line.starts_with("FROM "),
            line.split_once("@sha256:"),
        ) {
            (true, Some((image, rest))) => format!("{image}{}", &rest[rest.len().min(64)..]),
            _ => line.to_owned(),
        };
        let lines: Vec<_> = text.lines().map(unpinned).collect();
        std::fs::write(&path, lines.join("\n") + "\n")?;
    }
    Ok(())
}

fn authorities(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let given = std::env::var_os("SSL_CERT_FILE").map_or_else(
        || "/etc/ssl/certs/ca-certificates.crt".into(),
        PathBuf::from,
    );
    let mut bundle =
        std::fs::read(&given).with_context(|| format!("while reading `{}`", given.display()))?;
    bundle.extend(std::fs::read(registry_authority())?);
    std::fs::write(path, bundle)?;
    Ok(())
}
