//! Unpacking a repository: a `tar.gz` as `git archive` makes it, with everything in one directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, ensure};
use flate2::read::MultiGzDecoder;
use limits::MIB;
use tar::EntryType;

use super::reference::{COMMIT, is_commit};

/// The most bytes of an archive.
pub(super) const SIZE: u64 = 128 * MIB as u64;
/// What is unpacked in a run, of all archives together.
pub(super) const MOST: Most = Most {
    mebibytes: 512,
    entries: 100_000,
};
/// The most bytes of a long name, and of a comment.
const HEADER: u64 = 64 * 1024;
/// Directories that a file is in: each is made, and only files are counted.
const DEPTH: usize = 48;
/// Digits of the shortest abbreviation of a commit.
const ABBREVIATION: usize = 7;

/// How much is unpacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    mebibytes: u64,
    entries: usize,
}

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    most: Most,
    bytes: u64,
    entries: usize,
}

impl Room {
    pub(super) fn new(most: Most) -> Self {
        Self {
            most,
            bytes: most.mebibytes * MIB as u64,
            entries: most.entries,
        }
    }

    /// What is left after `bytes` more.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn without(self, bytes: u64) -> Result<Self, String> {
        let left = self.bytes.checked_sub(bytes).ok_or_else(|| {
            format!(
                "what is fetched is over the limit of {} MiB when it is unpacked",
                self.most.mebibytes
            )
        })?;
        Ok(Self {
            bytes: left,
            ..self
        })
    }
}

/// What was in an archive.
#[derive(Debug)]
pub(super) struct Unpacked {
    /// The commit that it is of, if the archive has it.
    pub(super) commit: Option<String>,
    /// The links, which were left out.
    pub(super) links: BTreeSet<PathBuf>,
    /// What is left for the next archive.
    pub(super) room: Room,
}

/// Write the files of `archive` to the directory `into`, without the directory that they are in. Links are left out: one may lead
/// anywhere.
///
/// # Errors
/// When it is damaged or too large, or has a path that leads out of it.
pub(super) fn unpack(archive: &Path, into: &Path, room: Room) -> anyhow::Result<Unpacked> {
    let unreadable = "the archive cannot be unpacked";
    let unpacked = Limited {
        inner: MultiGzDecoder::new(File::open(archive)?),
        room,
    };
    let mut tar = tar::Archive::new(unpacked);
    let (mut commit, mut top, mut links) = (None, String::new(), BTreeSet::new());
    let mut left = room.entries;
    let mut long_name: Option<PathBuf> = None;
    // Raw: a parser would read long names into memory, of any length.
    let entries = tar.entries().context(unreadable)?.raw(true);
    for entry in entries {
        let mut entry = entry.context(unreadable)?;
        ensure!(
            left > 0,
            "what is fetched has more than {} files",
            room.most.entries
        );
        left -= 1;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let own = entry.path().context(unreadable)?.into_owned();
                let path = long_name.take().unwrap_or(own);
                let (directory, inside) = split(&path)?;
                top = directory;
                if !inside.as_os_str().is_empty() {
                    let written = write(&mut entry, &into.join(&inside));
                    written.with_context(|| format!("failed to unpack `{}`", inside.display()))?;
                }
            }
            EntryType::Symlink | EntryType::Link => {
                let own = entry.path().context(unreadable)?.into_owned();
                let (_, inside) = split(&long_name.take().unwrap_or(own))?;
                if !inside.as_os_str().is_empty() {
                    links.insert(inside);
                }
            }
            // `git archive` has the commit there.
            EntryType::XGlobalHeader => {
                let comment = extended(&mut entry, b"comment").context(unreadable)?;
                let is_commit = |text: &String| is_commit(text, COMMIT);
                commit = commit.or(comment.filter(is_commit));
            }
            EntryType::XHeader => {
                let name = extended(&mut entry, b"path").context(unreadable)?;
                long_name = name.map(PathBuf::from);
            }
            EntryType::GNULongName => {
                let mut bytes = Vec::new();
                let mut name = entry.take(HEADER);
                name.read_to_end(&mut bytes).context(unreadable)?;
                let name = String::from_utf8_lossy(&bytes);
                long_name = Some(name.trim_end_matches('\0').into());
            }
            _ => long_name = None,
        }
    }
    // GitHub calls the directory `owner-name-commit`.
    let short = top
        .rsplit('-')
        .next()
        .filter(|end| is_commit(end, ABBREVIATION));
    let commit = commit.or_else(|| short.map(ToOwned::to_owned));
    let room = Room {
        entries: left,
        ..tar.into_inner().room
    };
    Ok(Unpacked {
        commit,
        links,
        room,
    })
}

// The first directory of `path`, and the rest.
fn split(path: &Path) -> anyhow::Result<(String, PathBuf)> {
    let mut parts = path.components();
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    ensure!(
        parts.clone().all(is_plain),
        "the archive has the path `{}`, which leads out of it",
        path.display()
    );
    ensure!(
        parts.clone().count() <= DEPTH + 1,
        "the archive has a file in more than {DEPTH} directories"
    );
    let first = parts.next();
    let first = first.map(|part| part.as_os_str().to_string_lossy().into_owned());
    Ok((first.unwrap_or_default(), parts.as_path().to_owned()))
}

fn write(content: &mut impl Read, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = File::create_new(to)?;
    io::copy(content, &mut file).map(drop)
}

// The value of `key` in an extended header.
fn extended(header: &mut impl Read, key: &[u8]) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    header.take(HEADER).read_to_end(&mut bytes)?;
    let records = tar::PaxExtensions::new(&bytes).flatten();
    let mut records = records.filter(|record| record.key_bytes() == key);
    let value = records.next().map(|record| record.value_bytes().to_vec());
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

/// Fails when there is not enough room.
struct Limited<R> {
    inner: R,
    room: Room,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.room = self.room.without(read as u64).map_err(io::Error::other)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    type Tar = tar::Builder<flate2::write::GzEncoder<Vec<u8>>>;

    fn tar() -> Tar {
        let level = flate2::Compression::fast();
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), level))
    }

    // With a name that a builder would not write.
    fn add(tar: &mut Tar, kind: EntryType, path: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }

    // The files, and what else there is.
    fn unpacked(tar: Tar, room: Room) -> Result<(Vec<String>, Unpacked), String> {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("archive");
        std::fs::write(&archive, tar.into_inner().unwrap().finish().unwrap()).unwrap();
        let into = directory.path().join("into");
        std::fs::create_dir(&into).unwrap();
        let unpacked = unpack(&archive, &into, room).map_err(|e| format!("{e:#}"))?;
        let (mut pending, mut files) = (vec![into.clone()], Vec::new());
        while let Some(path) = pending.pop() {
            if path.symlink_metadata().unwrap().is_dir() {
                let entries = std::fs::read_dir(&path).unwrap().flatten();
                pending.extend(entries.map(|entry| entry.path()));
            } else {
                let path = path.strip_prefix(&into).unwrap();
                files.push(path.display().to_string());
            }
        }
        files.sort();
        Ok((files, unpacked))
    }

    #[test]
    fn files_are_unpacked_without_their_directory() {
        let mut archive = tar();
        let comment = format!("52 comment={SHA}\n");
        add(
            &mut archive,
            EntryType::XGlobalHeader,
            "pax_global_header",
            comment.as_bytes(),
        );
        add(&mut archive, EntryType::Directory, "o-r-0123456/", b"");
        add(
            &mut archive,
            EntryType::Regular,
            "o-r-0123456/a/b.yaml",
            b"a",
        );
        add(
            &mut archive,
            EntryType::XHeader,
            "x",
            b"22 path=o-r/long.yaml\n",
        );
        add(&mut archive, EntryType::Regular, "o-r-0123456/lo", b"b");
        add(&mut archive, EntryType::Symlink, "o-r-0123456/link", b"");
        add(&mut archive, EntryType::Link, "o-r-0123456/hard", b"");
        add(&mut archive, EntryType::Fifo, "o-r-0123456/fifo", b"");
        let (files, archive) = unpacked(archive, Room::new(MOST)).unwrap();
        assert_eq!(files, ["a/b.yaml", "long.yaml"]);
        assert_eq!(archive.commit.as_deref(), Some(SHA));
        let links = ["hard", "link"].map(PathBuf::from);
        assert_eq!(archive.links, BTreeSet::from(links));
        // Without the comment, the directory has it.
        let table = [
            ("octo-org-base-0123abc/a", Some("0123abc")),
            ("base-v1/a", None),
        ];
        for (path, expected) in table {
            let mut archive = tar();
            add(&mut archive, EntryType::Regular, path, b"");
            let (files, archive) = unpacked(archive, Room::new(MOST)).unwrap();
            assert_eq!(files, ["a"]);
            assert_eq!(archive.commit.as_deref(), expected);
        }
    }

    #[test]
    fn what_is_too_large_or_leads_out_is_an_error() {
        type Files<'a> = &'a [(&'a str, &'a [u8])];
        let large = vec![b' '; MIB];
        let most = Most {
            mebibytes: 1,
            entries: 3,
        };
        let deep = format!("{}a", "r/".repeat(DEPTH + 1));
        let table: [(Files<'_>, &str); 6] = [
            (
                &[(&deep, b"")],
                "the archive has a file in more than 48 directories",
            ),
            (
                &[("r/a", &large)],
                "what is fetched is over the limit of 1 MiB when it is unpacked",
            ),
            (
                &[("r/a", b""), ("r/b", b""), ("r/c", b""), ("r/d", b"")],
                "what is fetched has more than 3 files",
            ),
            (
                &[("r/../../up", b"")],
                "the archive has the path `r/../../up`, which leads out of it",
            ),
            (
                &[("/etc/cron", b"")],
                "the archive has the path `/etc/cron`, which leads out of it",
            ),
            (&[("r/a", b""), ("r/a", b"")], "failed to unpack `a`"),
        ];
        for (files, expected) in table {
            let mut archive = tar();
            for (path, content) in files {
                add(&mut archive, EntryType::Regular, path, content);
            }
            let problem = unpacked(archive, Room::new(most)).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn the_limits_are_for_all_archives() {
        let archive = |content: &[u8]| {
            let mut archive = tar();
            add(&mut archive, EntryType::Regular, "r/a", content);
            archive
        };
        let room = Room::new(Most {
            mebibytes: 1,
            entries: 2,
        });
        let large = vec![b' '; 700 * 1024];
        let (_, first) = unpacked(archive(&large), room).unwrap();
        let problem = unpacked(archive(&large), first.room).unwrap_err();
        assert!(problem.contains("over the limit of 1 MiB"), "{problem}");
        let (_, second) = unpacked(archive(b""), first.room).unwrap();
        let problem = unpacked(archive(b""), second.room).unwrap_err();
        assert!(problem.contains("more than 2 files"), "{problem}");
        assert!(room.without(MIB as u64).is_ok());
        assert!(room.without(MIB as u64 + 1).is_err());
    }
}
