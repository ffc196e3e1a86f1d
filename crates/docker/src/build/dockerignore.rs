//! The build context, and the files that `.dockerignore` excludes from it.
//!
//! Rules: docs.docker.com/build/concepts/context/#dockerignore-files. Patterns are relative to the
//! context's root, the last one that matches wins, `!` includes again, and a directory means
//! everything in it.

mod pattern;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::place_of;
use pattern::Pattern;

/// Bytes of the largest ignore file.
const FILE: usize = limits::MIB / 4;
/// Patterns of one ignore file.
const PATTERNS: usize = 5000;
/// Bytes of its compiled patterns.
const SIZE: usize = 64 * limits::MIB;

/// The patterns of one ignore file.
#[derive(Debug, Default)]
pub(crate) struct Ignore {
    /// The last pattern of each name without a wildcard.
    names: HashMap<String, usize>,
    wildcards: RegexSet,
    /// The numbers of the patterns of `wildcards`.
    numbers: Vec<usize>,
    /// Of each pattern, whether it includes again.
    includes: Vec<bool>,
}

impl Ignore {
    /// The ignore file of `dockerfile` for `context`: `<dockerfile>.dockerignore`, else `.dockerignore` in the context.
    pub(crate) fn read(context: &Path, dockerfile: &str) -> anyhow::Result<Self> {
        let (directory, dockerfile) = place_of(context, dockerfile);
        let own = format!("{dockerfile}.dockerignore");
        for (directory, name) in [(&*directory, &*own), (context, ".dockerignore")] {
            if directory.join(name).symlink_metadata().is_ok() {
                let text = limits::read_text(directory, name.as_ref(), FILE)
                    .with_context(|| format!("failed to read `{name}`"))?;
                return Self::parse(&text).with_context(|| format!("failed to read `{name}`"));
            }
        }
        Ok(Self::default())
    }

    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut ignore = Self::default();
        let mut expressions = Vec::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let line = line.trim();
            let (pattern, include) = match line.strip_prefix('!') {
                Some(pattern) => (pattern.trim(), true),
                None => (line, false),
            };
            if include && pattern.is_empty() {
                bail!("`!` needs a pattern after it");
            }
            let pattern = clean(pattern);
            if pattern.is_empty() {
                continue;
            }
            let number = ignore.includes.len();
            ignore.includes.push(include);
            if number >= PATTERNS {
                bail!("it has more than {PATTERNS} patterns");
            }
            match pattern::parse(&pattern) {
                Ok(Pattern::Name(name)) => {
                    ignore.names.insert(name, number);
                }
                Ok(Pattern::Expression(expression)) => {
                    // A directory means everything in it.
                    expressions.push(format!("^(?:{expression})(?:/.*)?$"));
                    ignore.numbers.push(number);
                }
                Err(problem) => bail!("invalid pattern `{line}`: {problem}"),
            }
        }
        ignore.wildcards = RegexSetBuilder::new(expressions)
            // Of bytes, which is far smaller; a pattern says where it means a character.
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(SIZE)
            .dfa_size_limit(SIZE)
            .build()
            .context("its patterns are too complex")?;
        Ok(ignore)
    }

    pub(crate) fn ignores(&self, path: &Path) -> bool {
        let path = path.to_string_lossy();
        let ancestors = path.match_indices('/').map(|(at, _)| &path[..at]);
        let names = ancestors.chain([&*path]);
        let literal = names.filter_map(|name| self.names.get(name)).max();
        let matching = self.wildcards.matches(path.as_bytes());
        let wildcard = matching.into_iter().map(|at| &self.numbers[at]).max();
        let last = literal.max(wildcard);
        last.is_some_and(|last| !self.includes[*last])
    }
}

// As Go's `filepath.Clean` does, and without a `/` before it: `./a//b/` is `a/b`.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if pattern.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The bytes of the files that a build of `dockerfile` in the directory `context` sends to Docker, and the largest
/// of these files with its bytes.
///
/// # Errors
/// When a file or the `.dockerignore` cannot be read, or once `is_canceled`.
pub fn context_size(
    context: &Path,
    dockerfile: &str,
    is_canceled: impl Fn() -> bool,
) -> anyhow::Result<(u64, Option<(PathBuf, u64)>)> {
    let (mut total, mut largest): (u64, Option<(PathBuf, u64)>) = (0, None);
    each_file(context, dockerfile, is_canceled, |entry, path| {
        let metadata = entry
            .metadata()
            .with_context(|| format!("failed to read `{}` of the build context", path.display()))?;
        total += metadata.len();
        if largest
            .as_ref()
            .is_none_or(|(_, bytes)| metadata.len() > *bytes)
        {
            largest = Some((path.to_owned(), metadata.len()));
        }
        Ok(())
    })?;
    Ok((total, largest))
}

/// Call `visit` for each file and link that the ignore file of `dockerfile` leaves in `context`, sorted, with its path in
/// the context.
///
/// # Errors
/// When the directory or the ignore file cannot be read, `visit` fails, or once `is_canceled`.
pub(super) fn each_file(
    context: &Path,
    dockerfile: &str,
    is_canceled: impl Fn() -> bool,
    mut visit: impl FnMut(&walkdir::DirEntry, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let ignore = Ignore::read(context, dockerfile)?;
    for entry in walkdir::WalkDir::new(context)
        .sort_by_file_name()
        .min_depth(1)
    {
        if is_canceled() {
            bail!("the build context is no longer needed");
        }
        let entry = entry.context("failed to read the build context")?;
        let path = entry.path().strip_prefix(context).unwrap_or(entry.path());
        let kind = entry.file_type();
        // A directory is implied by its files; an image has no sockets and pipes.
        if !ignore.ignores(path) && (kind.is_file() || kind.is_symlink()) {
            visit(&entry, path)?;
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

    // As `docker build` treats them (github.com/moby/patternmatcher).
    #[test]
    fn patterns_are_those_of_docker() {
        let table = [
            // Two stars before anything: at every depth.
            ("**.pyc", "a.pyc", true),
            ("**.pyc", "a/b/c.pyc", true),
            ("**.env", "conf/prod.env", true),
            ("**/.env", ".env", true),
            ("**/.env", "a/b/.env", true),
            ("**/.env", "a/b.env", false),
            // With another wildcard, they end at a slash.
            ("**.py?", "a.pyc", false),
            ("**/*.py?", "a/b.pyc", true),
            ("a**", "abc/d", true),
            ("a/**", "a/b/c", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a**b", "a/x/b", true),
            ("a**b", "axb", false),
            // One star, a question mark and a class stay within a name.
            ("*.md", "docs/a.md", false),
            ("*/*.md", "docs/a.md", true),
            ("?.md", "ab.md", false),
            ("?.md", "é.md", true),
            ("é*.md", "éa.md", true),
            ("[à-é].md", "è.md", true),
            ("[a-c].md", "b.md", true),
            ("[^a-c].md", "b.md", false),
            ("[!a].md", "b.md", false),
            ("[!a].md", "!.md", true),
            // Braces and what else means something elsewhere are names.
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("a+(b)", "a+(b)", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("./a//b/", "a/b/c", true),
            ("a/../b", "b", true),
            ("/a", "a/b", true),
            ("../a", "a", false),
            (" a ", "a", true),
            (" #a", "#a", true),
            ("\u{feff}a", "a", true),
        ];
        for (pattern, path, ignored) in table {
            let ignore = Ignore::parse(pattern).unwrap();
            assert_eq!(ignore.ignores(Path::new(path)), ignored, "{pattern} {path}");
        }
        for (pattern, error) in [
            ("a[b", "invalid pattern `a[b`: `[` without `]`"),
            ("[]", "invalid pattern `[]`: `[` without `]`"),
            ("[b-a]", "invalid pattern `[b-a]`: `b-a` is not a range"),
            ("a\\", "invalid pattern `a\\`: a `\\` at its end"),
            ("!", "`!` needs a pattern after it"),
        ] {
            assert_eq!(Ignore::parse(pattern).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn what_is_ignored_has_no_size() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("Dockerfile"), "FROM scratch\n").unwrap();
        std::fs::write(directory.path().join("b"), "b").unwrap();
        std::fs::write(directory.path().join(".dockerignore"), "Dockerfile\nb\n").unwrap();
        let size = context_size(directory.path(), "Dockerfile", || false).unwrap();
        assert_eq!(size, (13, Some((".dockerignore".into(), 13))));
    }

    #[test]
    fn many_patterns_are_matched_at_once() {
        let patterns: Vec<_> = (0..PATTERNS).map(|i| format!("a{i}*/?b\n")).collect();
        let patterns = patterns.concat();
        let ignore = Ignore::parse(&patterns).unwrap();
        assert!(!ignore.ignores(Path::new("b/xb")));
        // Each path against each pattern would be 50 million matches.
        for i in 0..PATTERNS {
            let path = format!("a{i}c/xb");
            assert!(ignore.ignores(Path::new(&path)), "{path}");
        }
        let error = Ignore::parse(&(patterns + "one more")).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 5000 patterns");
    }

    #[test]
    fn a_hostile_ignore_file_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(".dockerignore");
        let read = || {
            format!(
                "{:#}",
                Ignore::read(directory.path(), "Dockerfile").unwrap_err()
            )
        };
        std::os::unix::fs::symlink("/proc/self/environ", &file).unwrap();
        assert_eq!(
            read(),
            "failed to read `.dockerignore`: it is a link that leads out of its directory"
        );
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "a\n".repeat(FILE)).unwrap();
        assert_eq!(
            read(),
            "failed to read `.dockerignore`: it is larger than 262144 bytes"
        );
    }

    #[test]
    fn a_context_that_is_no_longer_needed_is_not_read_further() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), "").unwrap();
        assert!(context_size(directory.path(), "Dockerfile", || true).is_err());
    }
}
