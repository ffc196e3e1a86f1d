//! Files of the workspace: the one way in which an action opens or writes a file that an input names.
//!
//! A path that leads out of the workspace, by `..` or by a symbolic link, is rejected: the checkout may be a
//! stranger's, and a container action runs as root.

mod result_file;

use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::OFlags;

use crate::{BadInput, Redacted, Redactor};

pub use result_file::{FileClaim, ResultFile};

/// The directory of the checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
    redactor: Redactor,
}

impl Workspace {
    /// The workspace at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            redactor: Redactor::default(),
        }
    }

    /// The same workspace, in whose files nothing is written that `redactor` knows.
    #[must_use]
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        Self { redactor, ..self }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `path` as later steps see it: relative to the workspace, `/` between its parts, empty for the workspace itself.
    /// `None` if it is elsewhere, has `..` below the workspace, or is not UTF-8. Links are not resolved.
    pub fn relative(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(&self.root).ok()?;
        let parts = inside.components().map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
    }

    /// The path that the value `text` of the input `input` names.
    ///
    /// # Errors
    /// When it has `..` in it, or is absolute and not in the workspace. Links are looked at when the file is opened or
    /// written.
    pub fn path(&self, input: &'static str, text: &str) -> Result<WorkspacePath, String> {
        let path = Path::new(text);
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(format!("`{text}` must not contain `..`"));
        }
        let relative = self.relative(&self.root.join(path)).ok_or_else(|| {
            format!("`{text}` is outside the workspace; use a path relative to it")
        })?;
        Ok(WorkspacePath {
            workspace: self.clone(),
            input,
            relative,
            text: text.to_owned(),
        })
    }
}

/// A path in the workspace that an input names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspacePath {
    workspace: Workspace,
    input: &'static str,
    relative: String,
    text: String,
}

impl WorkspacePath {
    /// The path as it was given.
    pub fn given(&self) -> &str {
        &self.text
    }

    /// The path as later steps see it: relative to the workspace, `/` between its parts, empty for the workspace itself.
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// The absolute path. What is read from there or written there goes through the methods of this type.
    pub fn absolute(&self) -> PathBuf {
        self.workspace.root.join(&self.relative)
    }

    /// The file `name` in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let join = |directory: &str| match directory {
            "" => name.to_owned(),
            directory => format!("{}/{name}", directory.trim_end_matches('/')),
        };
        Self {
            relative: join(&self.relative),
            text: join(&self.text),
            ..self.clone()
        }
    }

    /// The same for the result at `index`, counted from 0: `report.json`, `report-2.json`, `report-3.json`; with
    /// another `extension`, `report.cdx.json`.
    #[must_use]
    pub fn numbered(&self, index: usize, extension: &str) -> Self {
        let path = Path::new(&self.relative);
        let own = path.extension().unwrap_or_default();
        if index == 0 && own == extension {
            return self.clone();
        }
        let number = match index {
            0 => String::new(),
            _ => format!("-{}", index + 1),
        };
        self.renamed(&number, extension)
    }

    /// The same with `suffix` at the end of its name: `report.json`, `report-suffix.json`.
    #[must_use]
    pub fn suffixed(&self, suffix: &str) -> Self {
        let extension = Path::new(&self.relative).extension().unwrap_or_default();
        self.renamed(&format!("-{suffix}"), &extension.to_string_lossy())
    }

    // With `end` at the end of its name, and this extension, if there is one.
    fn renamed(&self, end: &str, extension: &str) -> Self {
        let path = Path::new(&self.relative);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut name = format!("{stem}{end}");
        if !extension.is_empty() {
            name.push('.');
            name.push_str(extension);
        }
        Self {
            relative: path.with_file_name(name).to_string_lossy().into_owned(),
            ..self.clone()
        }
    }

    /// The absolute path of a file or directory that exists, with every link resolved.
    ///
    /// # Errors
    /// [`BadInput`] when there is none, when it is outside the workspace, or when it is something else, such as a fifo: a tool that
    /// gets its path would wait for it.
    pub fn existing(&self) -> Result<PathBuf, BadInput> {
        let resolve = |path: &Path| path.canonicalize();
        let path = resolve(&self.absolute()).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                self.bad(format!("there is no `{}` in the workspace", self.text))
            }
            _ => self.unreadable(&e),
        })?;
        let root = resolve(&self.workspace.root).map_err(|e| self.unreadable(&e))?;
        if !path.starts_with(root) {
            return Err(self.bad(format!(
                "`{}` is a link that leads out of the workspace",
                self.text
            )));
        }
        if path.is_file() || path.is_dir() {
            return Ok(path);
        }
        Err(self.bad(format!("`{}` is not a file", self.text)))
    }

    /// The absolute path of a directory that exists.
    ///
    /// # Errors
    /// [`BadInput`] when there is none, or when it is outside the workspace.
    pub fn directory(&self) -> Result<PathBuf, BadInput> {
        let path = self.existing();
        let path = path.ok().filter(|path| path.is_dir());
        path.ok_or_else(|| {
            self.bad(format!(
                "there is no directory `{}` in the workspace",
                self.text
            ))
        })
    }

    /// The file, open for reading.
    ///
    /// # Errors
    /// [`BadInput`] when it is missing, outside the workspace, or not a regular file.
    pub fn open(&self) -> Result<File, BadInput> {
        let path = self.existing()?;
        // A fifo would block the step, a device may do anything when it is opened.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let file = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .map_err(|e| self.unreadable(&e))?;
        let metadata = file.metadata().map_err(|e| self.unreadable(&e))?;
        if metadata.is_file() {
            return Ok(file);
        }
        Err(self.bad(format!("`{}` is not a file", self.text)))
    }

    /// The text of the file, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`BadInput`] when it can't be opened, is longer, or is not UTF-8.
    pub fn read(&self, limit: u64) -> Result<String, BadInput> {
        let mut text = String::new();
        self.open()?
            .take(limit + 1)
            .read_to_string(&mut text)
            .map_err(|e| self.unreadable(&e))?;
        if text.len() as u64 > limit {
            let problem = format!("`{}` is larger than {limit} bytes", self.text);
            return Err(self.bad(problem));
        }
        Ok(text)
    }

    /// Write `content` without the secrets of the run: whole or not at all, with the directories that it needs. The file belongs to the owner of the
    /// workspace, since later steps do not run as root; a link in its place is replaced and not followed.
    ///
    /// # Errors
    /// When it can't be written, or would be outside the workspace.
    pub fn write(&self, content: &[u8]) -> anyhow::Result<()> {
        let content = self.workspace.redactor.redact_bytes(content);
        let written = self.replace_by(|file| file.write_all(&content));
        written.with_context(|| self.unwritable())
    }

    /// Write `content`, which has none of the secrets. Otherwise as [`WorkspacePath::write`].
    ///
    /// # Errors
    /// When it can't be written, or would be outside the workspace.
    pub fn write_redacted(&self, content: &Redacted) -> anyhow::Result<()> {
        let written = self.replace_by(|file| file.write_all(content.as_bytes()));
        written.with_context(|| self.unwritable())
    }

    /// Write the content of the file `source` as it is: an archive, for example. Otherwise as [`WorkspacePath::write`].
    ///
    /// # Errors
    /// When it can't be written, or would be outside the workspace.
    pub fn write_file(&self, source: &Path) -> anyhow::Result<()> {
        let copied = self.replace_by(|file| {
            let mut source = File::open(source)?;
            std::io::copy(&mut source, file).map(drop)
        });
        copied.with_context(|| self.unwritable())
    }

    /// The directory, which is created if it is missing.
    ///
    /// # Errors
    /// When it can't be created, or is outside the workspace.
    pub fn create_directory(&self) -> anyhow::Result<PathBuf> {
        let create = || {
            let root = self.workspace.root.canonicalize()?;
            let owner = root.metadata()?;
            let path = Path::new(&self.relative).join("file");
            create_parents(&root, &path, &owner)?;
            let directory = root.join(&self.relative).canonicalize()?;
            if !directory.starts_with(&root) {
                bail!("it is outside the workspace");
            }
            Ok(directory)
        };
        create().with_context(|| self.unwritable())
    }

    /// Give the directory and all that is in it to the owner of the workspace, since later steps do not run as root.
    ///
    /// # Errors
    /// When that is not permitted.
    pub fn give_to_owner(&self) -> anyhow::Result<()> {
        let owner = self.workspace.root.metadata()?;
        let mut waiting = vec![self.create_directory()?];
        while let Some(path) = waiting.pop() {
            std::os::unix::fs::lchown(&path, Some(owner.uid()), Some(owner.gid()))?;
            if path.symlink_metadata()?.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    waiting.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    fn unwritable(&self) -> String {
        format!(
            "failed to write `{}` (`{}`) into the workspace",
            self.relative, self.input
        )
    }

    fn replace_by(
        &self,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        let root = self.workspace.root.canonicalize()?;
        let owner = root.metadata()?;
        let path = root.join(&self.relative);
        let directory = path.parent().unwrap_or(&root);
        create_parents(&root, Path::new(&self.relative), &owner)?;
        if !directory.canonicalize()?.starts_with(&root) {
            bail!("its directory is outside the workspace");
        }
        if path.is_dir() {
            bail!("it is a directory");
        }
        let mut file = tempfile::Builder::new()
            .prefix(".seaworthy-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(directory)?;
        write(file.as_file_mut())?;
        fchown(file.as_file(), Some(owner.uid()), Some(owner.gid()))?;
        file.persist(&path)?;
        Ok(())
    }

    fn bad(&self, problem: String) -> BadInput {
        BadInput::new(self.input, problem)
    }

    fn unreadable(&self, error: &std::io::Error) -> BadInput {
        self.bad(format!("`{}` cannot be read: {error}", self.text))
    }
}

// The directories that `path` is in, below `root`; those that are missing belong to `owner`.
fn create_parents(root: &Path, path: &Path, owner: &Metadata) -> std::io::Result<()> {
    let mut directory = root.to_owned();
    for part in path.parent().into_iter().flatten() {
        directory.push(part);
        if !directory.exists() {
            std::fs::create_dir(&directory)?;
            std::os::unix::fs::chown(&directory, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
