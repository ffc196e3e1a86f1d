//! The first bytes of a file in a container: enough to know what it is.

use std::io::Read as _;

use anyhow::Context as _;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt as _;

use super::Container;

/// Bytes of the archive that are read: its headers, also those of a long link, and the head of the file.
const ARCHIVE: usize = 8 * 1024;
/// Bytes of the file that are returned.
const HEAD: u64 = 256;

/// What a path in a container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileHead {
    /// A regular file, by its first 256 bytes.
    File(Vec<u8>),
    /// A symbolic link, by its target.
    Link(String),
    /// Anything else.
    Other,
}

impl Container {
    /// What `path` is; `None` if it does not exist. A large file is not read further than needed.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn head(&self, path: &str) -> anyhow::Result<Option<FileHead>> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let docker = &self.docker.api;
        let mut chunks = docker.download_from_container(&self.id, Some(options));
        let mut archive = Vec::new();
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) => archive.extend(chunk),
                Err(DockerError::DockerResponseServerError {
                    status_code: 404, ..
                }) => return Ok(None),
                Err(e) => {
                    return Err(e)
                        .with_context(|| format!("failed to read `{path}` in a container"));
                }
            }
            if archive.len() >= ARCHIVE {
                break;
            }
        }
        Ok(first_entry(&archive).unwrap_or(Some(FileHead::Other)))
    }
}

// The archive may be cut off after the head of its first entry.
pub(super) fn first_entry(archive: &[u8]) -> std::io::Result<Option<FileHead>> {
    let mut archive = tar::Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let entry = entry?;
    let kind = entry.header().entry_type();
    Ok(Some(if kind.is_symlink() {
        let target = entry.link_name()?.unwrap_or_default();
        FileHead::Link(target.to_string_lossy().into_owned())
    } else if kind.is_file() {
        let mut head = Vec::new();
        entry.take(HEAD).read_to_end(&mut head)?;
        FileHead::File(head)
    } else {
        FileHead::Other
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_the_beginning_of_its_archive() {
        let archive = |kind: tar::EntryType, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            let mut tar = tar::Builder::new(Vec::new());
            if kind.is_symlink() {
                tar.append_link(&mut header, "sh", "/bin/dash").unwrap();
            } else {
                tar.append_data(&mut header, "sh", content).unwrap();
            }
            let mut bytes = tar.into_inner().unwrap();
            bytes.truncate(ARCHIVE);
            first_entry(&bytes).unwrap()
        };
        let file = archive(tar::EntryType::Regular, &vec![7; 100_000]);
        assert_eq!(file, Some(FileHead::File(vec![7; 256])));
        let link = archive(tar::EntryType::Symlink, b"");
        assert_eq!(link, Some(FileHead::Link("/bin/dash".to_owned())));
        let directory = archive(tar::EntryType::Directory, b"");
        assert_eq!(directory, Some(FileHead::Other));
        assert_eq!(first_entry(b"").unwrap(), None);
    }
}
