//! The copy of a kustomization, whose references to other machines are replaced by paths.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use limits::MIB;
use serde_json::Value;

use super::local::{FILE, MANIFESTS, documents};

/// Files that are copied, and the bytes of all of them.
const FILES: usize = 10_000;
const SIZE: usize = 64 * MIB;

/// Copy what was found in `root`, which has no links in its path, to the same paths in `to`: the directories, and the links that lead to
/// them. A link stays one, to the copy of what it leads to; one that leads out of `root` is left out.
///
/// # Errors
/// When they are too large, or cannot be read.
pub(super) fn copy(
    root: &Path,
    directories: &BTreeSet<PathBuf>,
    links: &BTreeSet<PathBuf>,
    to: &Path,
) -> Result<(), String> {
    let mut copying = Copying {
        root,
        to,
        files: 0,
        size: 0,
    };
    for directory in directories {
        let is_below = |other: &PathBuf| other != directory && directory.starts_with(other);
        if !directories.iter().any(is_below) {
            copying.directory(directory)?;
        }
    }
    for link in links {
        let of = |e: io::Error| format!("`{}`: {e}", link.display());
        let copied = to.join(link);
        // It may be in one of the directories.
        if copied.symlink_metadata().is_err() {
            if let Some(parent) = copied.parent() {
                std::fs::create_dir_all(parent).map_err(of)?;
            }
            copying.add(link, true)?;
        }
    }
    Ok(())
}

struct Copying<'a> {
    root: &'a Path,
    to: &'a Path,
    files: usize,
    size: u64,
}

impl Copying<'_> {
    fn directory(&mut self, directory: &Path) -> Result<(), String> {
        let mut pending = vec![directory.to_owned()];
        while let Some(directory) = pending.pop() {
            let of = |e: io::Error| format!("`{}`: {e}", directory.display());
            std::fs::create_dir_all(self.to.join(&directory)).map_err(of)?;
            for entry in std::fs::read_dir(self.root.join(&directory)).map_err(of)? {
                let entry = entry.map_err(of)?;
                let kind = entry.file_type().map_err(of)?;
                let inside = directory.join(entry.file_name());
                if kind.is_dir() {
                    if entry.file_name() != ".git" {
                        pending.push(inside);
                    }
                } else if kind.is_file() || kind.is_symlink() {
                    self.add(&inside, kind.is_symlink())?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, inside: &Path, is_link: bool) -> Result<(), String> {
        let (from, to) = (self.root.join(inside), self.to.join(inside));
        let of = |e: io::Error| format!("`{}`: {e}", inside.display());
        self.files += 1;
        if !is_link {
            self.size += from.symlink_metadata().map_err(of)?.len();
        }
        if self.files > FILES || self.size > SIZE as u64 {
            let limit = SIZE / MIB;
            return Err(format!(
                "its directories have more than {FILES} files, or {limit} MiB, which are copied when something is fetched; keep the kustomization in a directory without other files"
            ));
        }
        if is_link {
            return self.link(&from, &to).map_err(of);
        }
        let content = limits::read(self.root, &from, SIZE).map_err(of)?;
        std::fs::write(&to, content).map_err(of)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let target = from.canonicalize().ok();
        let inside = target
            .as_deref()
            .and_then(|t| t.strip_prefix(self.root).ok());
        inside.map_or(Ok(()), |inside| symlink(self.to.join(inside), to))
    }
}

/// Replace the `references` of the kustomization `file` in `root`, each by its path.
///
/// # Errors
/// When it cannot be read or written.
pub(super) fn rewrite(
    root: &Path,
    file: &Path,
    references: &BTreeMap<String, String>,
) -> Result<(), String> {
    let of = |e: io::Error| format!("`{}`: {e}", file.display());
    let text = limits::read_text(root, file, FILE).map_err(of)?;
    let text = rewritten(&text, references)?;
    // It may be a link to another file.
    std::fs::remove_file(file).map_err(of)?;
    std::fs::write(file, text).map_err(of)
}

// As JSON, which is YAML too.
fn rewritten(text: &str, references: &BTreeMap<String, String>) -> Result<String, String> {
    let mut documents = documents(text)?;
    let fields = documents.iter_mut().filter_map(Value::as_object_mut);
    for (field, value) in fields.flatten() {
        if MANIFESTS.contains(&&*field.to_ascii_lowercase()) {
            replace(value, references);
        }
    }
    let texts: Vec<_> = documents.iter().map(Value::to_string).collect();
    Ok(texts.join("\n---\n"))
}

fn replace(value: &mut Value, references: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(path) = references.get(&*text) {
                text.clone_from(path);
            }
        }
        Value::Array(list) => {
            for value in list.iter_mut().filter(|value| value.is_string()) {
                replace(value, references);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_copied_with_links_that_stay_inside() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let (root, to) = (top.join("root"), top.join("to"));
        for path in [
            "deploy/a.yaml",
            "deploy/.git/config",
            "deploy/deep/b.yaml",
            "other/c.yaml",
            "bases/v2/d.yaml",
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "a").unwrap();
        }
        std::fs::write(top.join("secret"), "a").unwrap();
        symlink("a.yaml", root.join("deploy/link")).unwrap();
        symlink("../../secret", root.join("deploy/out")).unwrap();
        symlink("nowhere", root.join("deploy/dangling")).unwrap();
        symlink("v2", root.join("bases/current")).unwrap();
        let directories = ["deploy", "deploy/deep", "bases/v2"].map(PathBuf::from);
        let directories = BTreeSet::from(directories);
        let links = BTreeSet::from([PathBuf::from("bases/current")]);
        copy(&root, &directories, &links, &to).unwrap();
        let has = |path: &str| to.join(path).symlink_metadata().is_ok();
        for path in ["deploy/a.yaml", "deploy/deep/b.yaml", "deploy/link"] {
            assert!(has(path), "{path}");
        }
        for path in ["deploy/.git", "deploy/out", "deploy/dangling", "other"] {
            assert!(!has(path), "{path}");
        }
        let link = to.join("deploy/link").canonicalize().unwrap();
        assert_eq!(link, to.join("deploy/a.yaml"));
        // A base may be known by a link.
        let link = to.join("bases/current").canonicalize().unwrap();
        assert_eq!(link, to.join("bases/v2"));
        assert!(to.join("bases/current/d.yaml").is_file());
        // The whole of a checkout.
        let whole = top.join("whole");
        let all = BTreeSet::from([PathBuf::new()]);
        copy(&root, &all, &links, &whole).unwrap();
        assert!(whole.join("other/c.yaml").is_file());
        assert!(whole.join("bases/current/d.yaml").is_file());
    }

    #[test]
    fn too_much_is_not_copied() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        let root = top.join("root");
        std::fs::create_dir(&root).unwrap();
        let file = std::fs::File::create(root.join("large")).unwrap();
        file.set_len(SIZE as u64 + 1).unwrap();
        let all = BTreeSet::from([PathBuf::new()]);
        let error = copy(&root, &all, &BTreeSet::new(), &top.join("to")).unwrap_err();
        assert!(error.contains("10000 files, or 64 MiB"), "{error}");
    }

    #[test]
    fn references_are_replaced_and_everything_else_stays() {
        let url = "https://example.com/a.yaml";
        let references = BTreeMap::from([(url.to_owned(), "../../bases/1".to_owned())]);
        let text = format!(
            "mode: 0644\nResources: [b.yaml, &a '{url}']\nbases: '{url}'\ncomponents: [*a]\ncommonAnnotations: {{page: '{url}'}}\npatches: [{{patch: \"- a\\n- b\"}}]\n"
        );
        let text = rewritten(&text, &references).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!({
            "mode": 0o644,
            "Resources": ["b.yaml", "../../bases/1"],
            "bases": "../../bases/1",
            "components": ["../../bases/1"],
            "commonAnnotations": {"page": url},
            "patches": [{"patch": "- a\n- b"}],
        });
        assert_eq!(value, expected);
    }
}
