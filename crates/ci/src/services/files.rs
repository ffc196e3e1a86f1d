//! Files of the workspace, and texts, as the archives that a container gets.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

use crate::request::services::{CopiedFile, FileSource};

/// Bytes of all files that one container gets.
const SIZE: u64 = 256 * limits::MIB as u64;

/// One archive for each of `files`, with the directory that it belongs in.
///
/// # Errors
/// When a file cannot be read, or all of them are too large.
pub(super) fn archives(files: &[CopiedFile]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut left = SIZE;
    let each = files.iter().map(|file| {
        let what = || format!("failed to copy to `{}`", file.target);
        archive(file, &mut left).with_context(what)
    });
    each.collect()
}

fn archive(file: &CopiedFile, left: &mut u64) -> anyhow::Result<(String, Vec<u8>)> {
    let target = Path::new(&file.target);
    let name = target.file_name().context("it is not the path of a file")?;
    let directory = target.parent().and_then(Path::to_str).unwrap_or("/");
    let mut tar = tar::Builder::new(Vec::new());
    // A secret is in a volume; other directories may have to be created, from the top.
    let is_secret = directory == "/run/secrets";
    let (top, inside) = if is_secret {
        (directory.to_owned(), Path::new(name).to_owned())
    } else {
        let inside = target.strip_prefix("/").unwrap_or(target);
        ("/".to_owned(), inside.to_owned())
    };
    match &file.source {
        FileSource::Content(content) => {
            add(&mut tar, &inside, content.as_bytes(), 0o444, left)?;
        }
        FileSource::Path(path) => {
            let source = path.existing()?;
            if source.is_dir() {
                add_directory(&mut tar, &source, &inside, left)?;
            } else {
                add_file(&mut tar, &source, &inside, left)?;
            }
        }
    }
    Ok((top, tar.into_inner()?))
}

type Tar = tar::Builder<Vec<u8>>;

fn add_directory(
    tar: &mut Tar,
    source: &Path,
    inside: &Path,
    left: &mut u64,
) -> anyhow::Result<()> {
    for entry in WalkDir::new(source).min_depth(1).sort_by_file_name() {
        let entry = entry?;
        let path = inside.join(entry.path().strip_prefix(source)?);
        let kind = entry.file_type();
        if kind.is_file() {
            add_file(tar, entry.path(), &path, left)?;
        } else if kind.is_dir() {
            let mut header = header(tar::EntryType::Directory, 0, mode(entry.path())?);
            tar.append_data(&mut header, &path, std::io::empty())?;
        } else if kind.is_symlink() {
            // It leads somewhere in the container.
            let link = std::fs::read_link(entry.path())?;
            let mut header = header(tar::EntryType::Symlink, 0, 0o777);
            tar.append_link(&mut header, &path, link)?;
        }
    }
    Ok(())
}

fn add_file(tar: &mut Tar, source: &Path, inside: &Path, left: &mut u64) -> anyhow::Result<()> {
    let (Some(root), Some(name)) = (source.parent(), source.file_name()) else {
        bail!("`{}` is not the path of a file", source.display());
    };
    let limit = usize::try_from(*left).unwrap_or(usize::MAX);
    let content = limits::read(root, Path::new(name), limit)
        .with_context(|| format!("`{}`", name.display()))?;
    add(tar, inside, &content, mode(source)?, left)
}

fn add(
    tar: &mut Tar,
    path: &Path,
    content: &[u8],
    mode: u32,
    left: &mut u64,
) -> anyhow::Result<()> {
    let size = content.len() as u64;
    let Some(rest) = left.checked_sub(size) else {
        bail!("the files are larger than {SIZE} bytes");
    };
    *left = rest;
    let mut header = header(tar::EntryType::Regular, size, mode);
    Ok(tar.append_data(&mut header, path, content)?)
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(path.metadata()?.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use actions_toolkit::Workspace;

    use super::*;

    #[test]
    fn directories_files_and_texts_are_copied() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("init/deep")).unwrap();
        std::fs::write(root.join("init/a.sql"), "A").unwrap();
        std::fs::write(root.join("init/deep/b.sh"), "B").unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.join("init/deep/b.sh"), mode).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("init/link")).unwrap();
        let workspace = Workspace::new(root);
        let path = |text: &str| FileSource::Path(workspace.path("compose-file", text).unwrap());
        let file = |source, target: &str| CopiedFile {
            source,
            target: target.to_owned(),
        };
        let archives = archives(&[
            file(path("init"), "/docker-entrypoint-initdb.d"),
            file(path("init/a.sql"), "/etc/x/a.sql"),
            file(
                FileSource::Content("s3cret".into()),
                "/run/secrets/password",
            ),
        ])
        .unwrap();
        let mut listed = Vec::new();
        for (top, tar) in archives {
            let mut archive = tar::Archive::new(&tar[..]);
            for entry in archive.entries().unwrap() {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = entry.path().unwrap().display().to_string();
                listed.push(format!(
                    "{top} {path} {:o} {}",
                    header.mode().unwrap(),
                    header.size().unwrap()
                ));
            }
        }
        assert_eq!(
            listed,
            [
                "/ docker-entrypoint-initdb.d/a.sql 644 1",
                "/ docker-entrypoint-initdb.d/deep 755 0",
                "/ docker-entrypoint-initdb.d/deep/b.sh 755 1",
                "/ docker-entrypoint-initdb.d/link 777 0",
                "/ etc/x/a.sql 644 1",
                "/run/secrets password 444 6",
            ]
        );
    }
}
