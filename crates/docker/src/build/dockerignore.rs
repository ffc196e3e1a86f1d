//! The build context, and what `.dockerignore` keeps out of it.
//!
//! Rules: docs.docker.com/build/concepts/context/#dockerignore-files. Patterns are relative to the
//! context's root, the last one that matches wins, `!` takes back, and a folder stands for all that
//! is in it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use globset::{GlobBuilder, GlobMatcher};

/// The patterns of one ignore file.
#[derive(Debug, Default)]
pub(crate) struct Ignore(Vec<(GlobMatcher, bool)>);

impl Ignore {
    /// The ignore file of `dockerfile` in `context`: `<dockerfile>.dockerignore`, else `.dockerignore`.
    pub(crate) fn of(context: &Path, dockerfile: &str) -> anyhow::Result<Self> {
        for name in [
            format!("{dockerfile}.dockerignore"),
            ".dockerignore".to_owned(),
        ] {
            let path = context.join(&name);
            if path.is_file() {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("while reading `{name}`"))?;
                return Self::parse(&text).with_context(|| format!("while reading `{name}`"));
            }
        }
        Ok(Self::default())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut rules = Vec::new();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'))
        {
            let (pattern, keep) = match line.strip_prefix('!') {
                Some(pattern) => (pattern.trim(), true),
                None => (line, false),
            };
            let pattern = pattern.trim_matches('/').trim_start_matches("./");
            if pattern.is_empty() || pattern == "." {
                continue;
            }
            for pattern in [pattern.to_owned(), format!("{pattern}/**")] {
                let glob = GlobBuilder::new(&pattern)
                    .literal_separator(true)
                    .build()
                    .with_context(|| format!("`{line}` is no pattern"))?;
                rules.push((glob.compile_matcher(), keep));
            }
        }
        Ok(Self(rules))
    }

    pub(crate) fn ignores(&self, path: &Path) -> bool {
        self.0
            .iter()
            .rev()
            .find(|(glob, _)| glob.is_match(path))
            .is_some_and(|(_, keep)| !keep)
    }
}

/// Write the build context `context` to `out` as a tar: sorted, without owners and times, so that
/// equal contexts are equal streams. The Dockerfile is always in it.
pub(crate) fn write_context(
    context: &Path,
    dockerfile: &str,
    out: impl Write,
) -> anyhow::Result<()> {
    let mut tar = tar::Builder::new(out);
    tar.follow_symlinks(false);
    tar.mode(tar::HeaderMode::Deterministic);
    each_file(context, dockerfile, |entry, path| {
        tar.append_path_with_name(entry.path(), path)
            .with_context(|| format!("while reading `{}` of the build context", path.display()))
    })?;
    tar.finish().context("while sending the build context")
}

/// The bytes of the files that a build of `dockerfile` in the folder `context` sends to Docker, and the largest
/// of these files with its bytes.
///
/// # Errors
/// When a file or the `.dockerignore` cannot be read.
pub fn context_size(
    context: &Path,
    dockerfile: &str,
) -> anyhow::Result<(u64, Option<(PathBuf, u64)>)> {
    let (mut total, mut largest): (u64, Option<(PathBuf, u64)>) = (0, None);
    each_file(context, dockerfile, |entry, path| {
        let about = entry
            .metadata()
            .with_context(|| format!("while reading `{}` of the build context", path.display()))?;
        total += about.len();
        if largest
            .as_ref()
            .is_none_or(|(_, bytes)| about.len() > *bytes)
        {
            largest = Some((path.to_owned(), about.len()));
        }
        Ok(())
    })?;
    Ok((total, largest))
}

fn each_file(
    context: &Path,
    dockerfile: &str,
    mut of: impl FnMut(&walkdir::DirEntry, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let ignore = Ignore::of(context, dockerfile)?;
    for entry in walkdir::WalkDir::new(context)
        .sort_by_file_name()
        .min_depth(1)
    {
        let entry = entry.context("while reading the build context")?;
        let path = entry.path().strip_prefix(context).unwrap_or(entry.path());
        let kind = entry.file_type();
        // A folder is implied by its files; sockets and pipes have no place in an image.
        let kept = path == Path::new(dockerfile) || !ignore.ignores(path);
        if kept && (kind.is_file() || kind.is_symlink()) {
            of(&entry, path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_wins() {
        let ignore =
            Ignore::parse("# notes\n*.md\n!README.md\n.git\n**/__pycache__\n/tests/\nbuild/*\n")
                .unwrap();
        let table = [
            ("NOTES.md", true),
            ("README.md", false),
            ("docs/NOTES.md", false),
            (".git/config", true),
            ("a/b/__pycache__/x.pyc", true),
            ("tests/test_app.py", true),
            ("app.py", false),
            ("build/x/y", true),
        ];
        for (path, ignored) in table {
            assert_eq!(ignore.ignores(Path::new(path)), ignored, "{path}");
        }
    }

    #[test]
    fn equal_folders_are_equal_streams() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        std::fs::write(folder.path().join("b"), "b").unwrap();
        std::fs::write(folder.path().join(".dockerignore"), "Dockerfile\nb\n").unwrap();
        let stream = || {
            let mut out = Vec::new();
            write_context(folder.path(), "Dockerfile", &mut out).unwrap();
            out
        };
        let first = stream();
        let mut archive = tar::Archive::new(&first[..]);
        let names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(names, [".dockerignore", "Dockerfile"]);
        assert_eq!(first, stream());
        let size = context_size(folder.path(), "Dockerfile").unwrap();
        assert_eq!(size, (13 + 13, Some((".dockerignore".into(), 13))));
    }
}
