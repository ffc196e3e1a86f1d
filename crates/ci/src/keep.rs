//! Putting files into the workspace.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::request::Request;

/// Write `content` to `file`, which is relative to the workspace. This is done after the builds, so that a context
/// that is the whole workspace is the same for both of them.
///
/// # Errors
/// When the file cannot be written, or would lie outside of the workspace.
pub(crate) fn file(request: &Request, file: &str, content: &[u8]) -> anyhow::Result<()> {
    write(&request.workspace, Path::new(file), content)
        .with_context(|| format!("while writing `{file}` into the workspace"))
}

// A container action runs as root, and the steps after it do not: what is made here belongs to the
// owner of the workspace. A link that stands in the way is replaced, not followed.
fn write(workspace: &Path, file: &Path, text: &[u8]) -> anyhow::Result<()> {
    let workspace = workspace.canonicalize()?;
    let owner = workspace.metadata()?;
    let mut folder = workspace.clone();
    for part in file.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        if !folder.exists() {
            std::fs::create_dir(&folder)?;
            chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    if !folder.canonicalize()?.starts_with(&workspace) {
        bail!("its folder leads out of the workspace");
    }
    let path = workspace.join(file);
    if path.is_dir() {
        bail!("there is a folder of that name");
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    if part.is_symlink() {
        std::fs::remove_file(&part)?;
    }
    std::fs::write(&part, text)?;
    chown(&part, Some(owner.uid()), Some(owner.gid()))?;
    Ok(std::fs::rename(&part, &path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_stays_in_the_workspace() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().join("target");
        std::fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("junit.xml")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();

        write(folder.path(), Path::new("junit.xml"), b"<x/>").unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("junit.xml")).unwrap(),
            "<x/>"
        );
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "untouched");
        write(folder.path(), Path::new("a/b/junit.xml"), b"<x/>").unwrap();
        assert!(folder.path().join("a/b/junit.xml").is_file());
        let error = write(folder.path(), Path::new("out/junit.xml"), b"<x/>").unwrap_err();
        assert_eq!(error.to_string(), "its folder leads out of the workspace");
        assert!(write(folder.path(), Path::new("a"), b"").is_err());
    }
}
