//! The tar of what a container gets: files, directories and links of this machine, and texts.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tar::EntryType;
use walkdir::{DirEntry, WalkDir};

/// Who may do what with the files in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The same as on this machine.
    Same,
    /// Every user may write, as the owner of a checkout may.
    Everyone,
}

impl Access {
    fn mode(self, metadata: &Metadata) -> u32 {
        let own = metadata.permissions().mode() & 0o777;
        match self {
            Self::Same => own,
            Self::Everyone if metadata.is_dir() || own & 0o111 != 0 => 0o777,
            Self::Everyone => 0o666,
        }
    }
}

/// Writes a tar. Files keep their times: tools take a file of 1970 for invalid, and others compare them.
pub struct Archive<W: Write> {
    tar: tar::Builder<W>,
    access: Access,
    left: u64,
}

impl<W: Write> Archive<W> {
    /// An archive that is written to `to`, of files with at most `limit` bytes together.
    pub fn new(to: W, access: Access, limit: u64) -> Self {
        Self {
            tar: tar::Builder::new(to),
            access,
            left: limit,
        }
    }

    /// Bytes that further files may have.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Add the text `content` as the file `to`, with the time of now.
    ///
    /// # Errors
    /// When it is too large, or the tar cannot be written.
    pub fn add_text(&mut self, to: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let size = content.len() as u64;
        self.take(size)?;
        let now = jiff::Timestamp::now().as_second();
        let mut header = header(EntryType::Regular, size, mode, now);
        self.tar.append_data(&mut header, to, content)
    }

    /// Add the regular file `from` as `to`. One that grows meanwhile has the size that it had; one that shrinks is an error.
    ///
    /// # Errors
    /// When it is another kind of file, too large or unreadable, or the tar cannot be written.
    pub fn add_file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let opened = match (from.parent(), from.file_name()) {
            (Some(directory), Some(name)) => limits::open(directory, Path::new(name)),
            _ => Err(io::ErrorKind::InvalidFilename.into()),
        };
        let file = opened.map_err(|e| of_file(&e, from))?;
        let metadata = file.metadata().map_err(|e| of_file(&e, from))?;
        let size = metadata.len();
        self.take(size).map_err(|e| of_file(&e, from))?;
        let mode = self.access.mode(&metadata);
        let mut header = header(EntryType::Regular, size, mode, metadata.mtime());
        let mut counted = Exactly {
            file,
            left: size,
            from,
        };
        self.tar.append_data(&mut header, to, &mut counted)
    }

    /// Add the directory `from` as `to`, without what is in it.
    ///
    /// # Errors
    /// When it is unreadable, or the tar cannot be written.
    pub fn add_directory(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let metadata = std::fs::metadata(from).map_err(|e| of_file(&e, from))?;
        let mode = self.access.mode(&metadata);
        let mut header = header(EntryType::Directory, 0, mode, metadata.mtime());
        self.tar.append_data(&mut header, to, io::empty())
    }

    /// Add what is in the directory `from` to `to`, except what is named `without`. A link leads somewhere in the container;
    /// sockets and devices are left out.
    ///
    /// # Errors
    /// As for a single file.
    pub fn add_contents(
        &mut self,
        from: &Path,
        to: &Path,
        without: Option<&'static str>,
    ) -> io::Result<()> {
        for entry in entries(from, without) {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type());
            let to = to.join(inside(&entry, from));
            if kind.is_dir() {
                self.add_directory(path, &to)?;
            } else if kind.is_symlink() {
                self.add_link(path, &to)?;
            } else if kind.is_file() {
                self.add_file(path, &to)?;
            }
        }
        Ok(())
    }

    fn add_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let metadata = from.symlink_metadata().map_err(|e| of_file(&e, from))?;
        let link = std::fs::read_link(from).map_err(|e| of_file(&e, from))?;
        let mut header = header(EntryType::Symlink, 0, 0o777, metadata.mtime());
        self.tar.append_link(&mut header, to, link)
    }

    fn take(&mut self, size: u64) -> io::Result<()> {
        let left = self.left.checked_sub(size).ok_or_else(|| {
            let left = self.left;
            io::Error::other(format!(
                "{size} bytes are more than the {left} that a container may still get"
            ))
        });
        self.left = left?;
        Ok(())
    }

    /// Write the end of the tar.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.tar.into_inner()
    }
}

/// What is in `directory`, except what is named `without`, and what that has.
pub(super) fn entries(
    directory: &Path,
    without: Option<&'static str>,
) -> impl Iterator<Item = walkdir::Result<DirEntry>> + use<> {
    WalkDir::new(directory)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(move |entry| without.is_none_or(|name| entry.file_name() != name))
}

/// The path of `entry` in `directory`.
pub(super) fn inside<'a>(entry: &'a DirEntry, directory: &Path) -> &'a Path {
    let path = entry.path();
    path.strip_prefix(directory).unwrap_or(path)
}

fn header(kind: EntryType, size: u64, mode: u32, time: i64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(u64::try_from(time).unwrap_or_default());
    header
}

// The error with the name of the file.
fn of_file(error: &io::Error, file: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", file.display()))
}

struct Exactly<'a> {
    file: File,
    left: u64,
    from: &'a Path,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.file.read(&mut buffer[..most]);
        let read = read.map_err(|e| of_file(&e, self.from))?;
        if read == 0 {
            let shorter = io::ErrorKind::UnexpectedEof.into();
            return Err(of_file(&shorter, self.from));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_at_most_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        let mut archive = Archive::new(Vec::new(), Access::Same, 8);
        archive.add_text(Path::new("text"), b"123", 0o444).unwrap();
        assert_eq!(archive.left(), 5);
        archive.add_file(&file, Path::new("file")).unwrap();
        let problem = archive.add_file(&file, Path::new("again")).unwrap_err();
        let expected = "file`: 5 bytes are more than the 0 that a container may still get";
        assert!(problem.to_string().ends_with(expected), "{problem}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let problem = |name: &str| {
            let mut archive = Archive::new(Vec::new(), Access::Same, 8);
            let added = archive.add_file(&directory.path().join(name), Path::new("to"));
            added.unwrap_err().to_string()
        };
        assert!(problem("gone").contains("gone`: No such file"));
        let socket = directory.path().join("socket");
        let _socket = std::os::unix::net::UnixListener::bind(socket).unwrap();
        assert!(problem("socket").contains("socket`: "));
    }
}
