//! The checkout that a run works on: what is in the working tree, as a commit.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::setup::base_images::Origin;
use crate::setup::command::{command, output, run};
use crate::stack::{Stack, registry_ca};
use crate::{actions, paths};

/// The bundle of CA certificates, in the checkout.
pub(crate) const CA_CERTIFICATES: &str = ".seaworthy/ca-certificates.pem";

/// Make a checkout of `root` to run in: its last commit, or, if something is not committed, a commit of
/// the files in its working tree (tracked ones, and new ones that are not ignored). The same content has the
/// same commit every time.
///
/// # Errors
/// When git or a file fails.
pub fn prepare(root: &Path, stack: &Stack) -> anyhow::Result<PathBuf> {
    let directory = paths::state().join("checkout");
    if directory.is_dir() {
        std::fs::remove_dir_all(&directory).context("failed to remove the last checkout")?;
    }
    if !(is_clean(root) && clone(root, &directory).is_ok()) {
        copy(root, &directory)?;
        commit(&directory)?;
    }
    // act reads the repository's name from here.
    let origin = "https://github.com/octo-org/app.git";
    run(command("git", ["remote", "add", "origin", origin]).current_dir(&directory))?;
    if stack.origin == Origin::Made {
        unpin(&directory)?;
    }
    write_ca_certificates(&directory.join(CA_CERTIFICATES))?;
    Ok(directory)
}

/// Do `work` while `checkout` has the built tools where `Dockerfile.action` reads them. They are not left there: a
/// run of a workflow would copy them with the workspace for each job.
///
/// # Errors
/// When they can't be copied, and those of `work`.
pub fn with_tools<T>(
    checkout: &Path,
    stack: &Stack,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let tools = checkout.join("tools/bin");
    std::fs::create_dir_all(&tools)?;
    for tool in actions::tools() {
        std::fs::copy(stack.builds.wait(tool)?.join(tool), tools.join(tool))
            .with_context(|| format!("failed to provide `{tool}`"))?;
    }
    let done = work();
    std::fs::remove_dir_all(&tools).context("failed to remove the tools")?;
    done
}

// Whether nothing is uncommitted.
fn is_clean(root: &Path) -> bool {
    let mut status = command("git", ["status", "--porcelain"]);
    output(status.current_dir(root)).is_ok_and(|changes| changes.trim().is_empty())
}

fn clone(root: &Path, directory: &Path) -> anyhow::Result<()> {
    let source = format!("file://{}", root.display());
    let args = ["clone", "--quiet", "--depth=1", "--origin=source", &source];
    let cloned = run(command("git", args).arg(directory)).and_then(|()| {
        let git = |args: &[&str]| run(command("git", args).current_dir(directory));
        git(&["checkout", "--quiet", "-B", "main"])?;
        git(&["remote", "remove", "source"])
    });
    if cloned.is_err() && directory.is_dir() {
        std::fs::remove_dir_all(directory).context("failed to remove an incomplete checkout")?;
    }
    cloned
}

fn copy(root: &Path, directory: &Path) -> anyhow::Result<()> {
    let list = "ls-files -z --cached --others --exclude-standard";
    let listed = output(command("git", list.split(' ')).current_dir(root))?;
    std::fs::create_dir_all(directory)?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), directory.join(name));
        // A file that was deleted but is still tracked is not part of the tree.
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap_or(directory))?;
            std::fs::copy(&from, &to).with_context(|| format!("failed to copy `{name}`"))?;
        }
    }
    Ok(())
}

/// Commit the directory's content; the time is fixed, so that equal content is an equal commit.
///
/// # Errors
/// When git is missing.
pub fn commit(directory: &Path) -> anyhow::Result<()> {
    let git = |args: &[&str]| {
        let mut git = command(
            "git",
            [
                "-c",
                "user.name=seaworthy",
                "-c",
                "user.email=seaworthy@localhost",
                "-c",
                "commit.gpgsign=false",
            ],
        );
        let time = "2026-01-01T00:00:00Z";
        run(git
            .args(args)
            .current_dir(directory)
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
    ])
}

// An image that was made here has no digest of a registry.
fn unpin(directory: &Path) -> anyhow::Result<()> {
    for name in ["Dockerfile.action", "app/Dockerfile"] {
        let path = directory.join(name);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read `{name}`"))?;
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

fn write_ca_certificates(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let system = std::env::var_os("SSL_CERT_FILE").map_or_else(
        || "/etc/ssl/certs/ca-certificates.crt".into(),
        PathBuf::from,
    );
    let mut bundle =
        std::fs::read(&system).with_context(|| format!("failed to read `{}`", system.display()))?;
    bundle.extend(std::fs::read(registry_ca())?);
    std::fs::write(path, bundle)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(directory: &Path) -> String {
        output(command("git", ["rev-parse", "HEAD"]).current_dir(directory)).unwrap()
    }

    #[test]
    fn a_clean_tree_keeps_its_commit_and_a_changed_one_gets_one_of_its_content() {
        let (root, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (root, at) = (root.path(), |name: &str| work.path().join(name));
        std::fs::write(root.join("app.py"), "1").unwrap();
        commit(root).unwrap();
        assert!(is_clean(root));
        clone(root, &at("clean")).unwrap();
        assert_eq!(head(&at("clean")), head(root));

        std::fs::write(root.join("app.py"), "2").unwrap();
        std::fs::write(root.join("new.py"), "3").unwrap();
        assert!(!is_clean(root));
        for name in ["first", "second"] {
            copy(root, &at(name)).unwrap();
            commit(&at(name)).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(at("first").join("new.py")).unwrap(),
            "3"
        );
        assert_eq!(head(&at("first")), head(&at("second")));
        assert_ne!(head(&at("first")), head(root));
    }
}
