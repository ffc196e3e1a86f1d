//! Files of the workspace, and texts, as the archives that a container gets.

use std::path::Path;

use anyhow::Context as _;
use docker::{Access, Archive};

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
    // A secret is in a volume; other directories may have to be created, from the top.
    let is_secret = directory == "/run/secrets";
    let (top, inside) = if is_secret {
        (directory, Path::new(name))
    } else {
        ("/", target.strip_prefix("/").unwrap_or(target))
    };
    let mut archive = Archive::new(Vec::new(), Access::Same, *left);
    match &file.source {
        FileSource::Content(content) => archive.add_text(inside, content.as_bytes(), 0o444)?,
        FileSource::Path(path) => {
            let source = path.existing()?;
            if source.is_dir() {
                archive.add_contents(&source, inside, None)?;
            } else {
                archive.add_file(&source, inside)?;
            }
        }
    }
    *left = archive.left();
    Ok((top.to_owned(), archive.finish()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
                assert!(header.mtime().unwrap() > 1_000_000_000, "{path}");
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
