//! What the registry has, and which repositories use it: what none uses any more is removed.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Registry};

/// Manifests and blobs.
#[derive(Default)]
pub(super) struct Content {
    /// By `repository/reference`.
    manifests: HashMap<String, Stored>,
    /// By digest.
    blobs: HashMap<String, Held>,
    /// Why the last upload that failed could not be stored.
    pub(super) upload_error: Option<String>,
    /// Why a blob of a repository could not be read where it is: the client saw only a status.
    source_errors: HashMap<String, String>,
}

/// A manifest.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

/// Where the bytes of a blob are.
#[derive(Clone)]
pub(super) enum Blob {
    File(PathBuf),
    Remote {
        registry: Arc<Registry>,
        repository: String,
        size: u64,
    },
}

struct Held {
    blob: Blob,
    /// The repositories in which a client knows that it is here, and does not send it again.
    by: BTreeSet<String>,
}

impl Content {
    /// Store `manifest` in `repository` under `reference` and its digest.
    pub(super) fn store(&mut self, repository: &str, reference: &str, manifest: &Stored) {
        for name in [reference, manifest.digest.as_str()] {
            let key = format!("{repository}/{name}");
            self.manifests.insert(key, manifest.clone());
        }
    }

    /// The manifest `repository/reference`.
    pub(super) fn manifest(&self, key: &str) -> Option<&Stored> {
        self.manifests.get(key)
    }

    /// Add a blob for `repository`, unless it is here; returns the file that is not needed then.
    pub(super) fn add(&mut self, repository: &str, digest: &str, blob: Blob) -> Option<PathBuf> {
        let Some(known) = self.blobs.get_mut(digest) else {
            let by = BTreeSet::from([repository.to_owned()]);
            self.blobs.insert(digest.to_owned(), Held { blob, by });
            return None;
        };
        known.by.insert(repository.to_owned());
        match (&known.blob, blob) {
            (Blob::Remote { .. }, file @ Blob::File(_)) => {
                known.blob = file;
                None
            }
            (Blob::File(kept), Blob::File(path)) => (*kept != path).then_some(path),
            (_, Blob::Remote { .. }) => None,
        }
    }

    /// The blob `digest`.
    pub(super) fn blob(&self, digest: &str) -> Option<Blob> {
        self.blobs.get(digest).map(|held| held.blob.clone())
    }

    /// The blob `digest` for a client that reads `repository`, or mounts it there.
    pub(super) fn hold(&mut self, repository: &str, digest: &str) -> Option<Blob> {
        let held = self.blobs.get_mut(digest)?;
        held.by.insert(repository.to_owned());
        Some(held.blob.clone())
    }

    /// The blob is in the file `path` as well; returns the file that has it already, if there is one.
    pub(super) fn fetched(&mut self, digest: &str, path: &Path) -> Option<PathBuf> {
        let held = self.blobs.get_mut(digest)?;
        if let Blob::File(kept) = &held.blob {
            return Some(kept.clone());
        }
        held.blob = Blob::File(path.to_owned());
        None
    }

    /// A blob of `repository` can't be read, because of `error`.
    pub(super) fn failed(&mut self, repository: &str, error: &anyhow::Error) {
        let error = format!("{error:#}");
        self.source_errors.insert(repository.to_owned(), error);
    }

    /// Why a blob of `repository` could not be read.
    pub(super) fn source_error(&self, repository: &str) -> Option<&str> {
        self.source_errors.get(repository).map(String::as_str)
    }

    /// Forget `repository`; returns the files of the blobs that no other repository uses.
    pub(super) fn remove(&mut self, repository: &str) -> Vec<PathBuf> {
        let prefix = format!("{repository}/");
        self.manifests.retain(|key, _| !key.starts_with(&prefix));
        self.source_errors.remove(repository);
        let mut files = Vec::new();
        self.blobs.retain(|_, held| {
            let is_last = held.by.remove(repository) && held.by.is_empty();
            if let (true, Blob::File(path)) = (is_last, &held.blob) {
                files.push(path.clone());
            }
            !is_last
        });
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Blob {
        Blob::File(name.into())
    }

    #[test]
    fn a_blob_is_removed_with_the_last_repository_that_uses_it() {
        let mut content = Content::default();
        for (repository, digest, path) in
            [("a", "base", "1"), ("a", "own", "2"), ("b", "base", "1")]
        {
            assert_eq!(content.add(repository, digest, file(path)), None);
        }
        assert_eq!(content.remove("a"), [PathBuf::from("2")]);
        assert!(content.blob("base").is_some() && content.blob("own").is_none());
        // A client that knows that it is here does not send it.
        assert!(content.hold("c", "base").is_some());
        assert!(content.remove("b").is_empty());
        assert_eq!(content.remove("c"), [PathBuf::from("1")]);
        assert!(content.hold("d", "base").is_none());
    }

    #[test]
    fn the_second_file_of_a_blob_is_not_needed() {
        let mut content = Content::default();
        content.add("a", "base", file("1"));
        assert_eq!(content.add("b", "base", file("2")), Some("2".into()));
        assert_eq!(content.fetched("base", "3".as_ref()), Some("1".into()));
        assert_eq!(content.fetched("other", "4".as_ref()), None);
    }

    #[test]
    fn a_repository_is_not_another_one_whose_name_begins_alike() {
        let mut content = Content::default();
        let manifest = Stored {
            digest: Digest::sha256(b"{}"),
            media_type: oci::MANIFEST.to_owned(),
            bytes: Bytes::from_static(b"{}"),
        };
        content.store("x/app", "1", &manifest);
        content.store("x/app-2", "1", &manifest);
        content.remove("x/app");
        assert!(content.manifest("x/app/1").is_none());
        assert!(content.manifest("x/app-2/1").is_some());
    }
}
