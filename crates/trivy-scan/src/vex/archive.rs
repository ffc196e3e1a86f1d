//! Unpacking a VEX repository: the JSON files of a `tar.gz` or `zip` archive.

use std::fs::File;
use std::io::{Read, Seek as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// The most bytes of an archive; that of Aqua Security has less than 5 MiB.
pub(super) const ARCHIVE_LIMIT: u64 = 256 << 20;
/// The most bytes that it unpacks to.
const UNPACKED_LIMIT: u64 = 2 << 30;
/// The most bytes of one document.
pub(super) const DOCUMENT_LIMIT: u64 = 32 << 20;
const MAX_FILES: usize = 100_000;
/// Directories that a file is in: each is made.
const DEPTH: usize = 32;
/// The most bytes of a long name in a tar archive.
const NAME_LIMIT: u64 = 64 << 10;

/// Write the JSON files that `archive` has in its directory `inside` to the directory `into`.
///
/// # Errors
/// When it is damaged, too large, or in another format.
pub(super) fn unpack(archive: &Path, inside: &str, into: &Path) -> anyhow::Result<()> {
    let mut file = File::open(archive)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic)?;
    file.rewind()?;
    let mut files = Files {
        inside,
        into,
        count: 0,
        room: UNPACKED_LIMIT,
    };
    match magic[..] {
        [0x1f, 0x8b, ..] => files.add_tar(file),
        [b'P', b'K', 3, 4] => files.add_zip(file),
        _ => bail!("its archive is neither `tar.gz` nor `zip`"),
    }
}

struct Files<'a> {
    inside: &'a str,
    into: &'a Path,
    count: usize,
    /// The bytes that may still be unpacked.
    room: u64,
}

impl Files<'_> {
    fn add_tar(&mut self, file: File) -> anyhow::Result<()> {
        let unpacked = MultiGzDecoder::new(file).take(UNPACKED_LIMIT);
        let mut tar = tar::Archive::new(unpacked);
        let damaged = "its archive is damaged";
        let mut long_name: Option<PathBuf> = None;
        // Raw: a parser would read long names into memory, of any length.
        for entry in tar.entries().context(damaged)?.raw(true) {
            let mut entry = entry.context(damaged)?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let own = entry.path().context(damaged)?.into_owned();
                    let path = long_name.take().unwrap_or(own);
                    self.add(&path, &mut entry)?;
                }
                EntryType::XHeader => {
                    let mut bytes = Vec::new();
                    entry
                        .take(NAME_LIMIT)
                        .read_to_end(&mut bytes)
                        .context(damaged)?;
                    let records = tar::PaxExtensions::new(&bytes).flatten();
                    let mut names = records.filter(|record| record.key_bytes() == b"path");
                    let name = names.next().map(|record| record.value_bytes().to_vec());
                    long_name = name.map(|name| String::from_utf8_lossy(&name).as_ref().into());
                }
                EntryType::GNULongName => {
                    let mut bytes = Vec::new();
                    entry
                        .take(NAME_LIMIT)
                        .read_to_end(&mut bytes)
                        .context(damaged)?;
                    let name = String::from_utf8_lossy(&bytes);
                    long_name = Some(name.trim_end_matches('\0').into());
                }
                EntryType::XGlobalHeader => {}
                _ => long_name = None,
            }
        }
        Ok(())
    }

    fn add_zip(&mut self, file: File) -> anyhow::Result<()> {
        let mut zip = zip::ZipArchive::new(file).context("its archive is damaged")?;
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).context("its archive is damaged")?;
            if entry.is_file() {
                let name = entry.name().context("its archive is damaged")?;
                let path = PathBuf::from(name.into_owned());
                self.add(&path, &mut entry)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, content: &mut impl Read) -> anyhow::Result<()> {
        let path = path.strip_prefix(".").unwrap_or(path);
        let Ok(path) = path.strip_prefix(self.inside) else {
            return Ok(());
        };
        let is_plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || path.extension().is_none_or(|extension| extension != "json") {
            return Ok(());
        }
        ensure!(
            path.components().count() <= DEPTH + 1,
            "its archive has a file in over {DEPTH} directories"
        );
        self.count += 1;
        ensure!(
            self.count <= MAX_FILES,
            "its archive has over {MAX_FILES} files"
        );
        let target = self.into.join(path);
        let write = || -> std::io::Result<u64> {
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut file = File::create_new(&target)?;
            std::io::copy(&mut content.take(DOCUMENT_LIMIT + 1), &mut file)
        };
        let shown = path.display();
        let written = { write }().with_context(|| format!("failed to unpack `{shown}`"))?;
        ensure!(
            written <= DOCUMENT_LIMIT,
            "`{shown}` in its archive is over the limit of {} MiB",
            DOCUMENT_LIMIT >> 20
        );
        let room = self.room.checked_sub(written);
        self.room = room.context("its archive is over the limit of 2 GiB when it is unpacked")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            // A name that a builder would not write.
            if path.contains("..") {
                let name = &mut header.as_old_mut().name;
                name[..path.len()].copy_from_slice(path.as_bytes());
                header.set_cksum();
                tar.append(&header, *content).unwrap();
            } else {
                tar.append_data(&mut header, path, *content).unwrap();
            }
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, content) in files {
            zip.start_file(*path, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn unpacked(bytes: &[u8], inside: &str) -> anyhow::Result<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("archive");
        std::fs::write(&archive, bytes).unwrap();
        let into = directory.path().join("into");
        std::fs::create_dir(&into).unwrap();
        unpack(&archive, inside, &into)?;
        let files = walkdir::WalkDir::new(directory.path()).sort_by_file_name();
        let files = files.into_iter().flatten();
        let files = files.filter(|file| file.file_type().is_file() && file.path() != archive);
        let name = |file: walkdir::DirEntry| {
            let path = file.path().strip_prefix(&into).unwrap();
            path.to_string_lossy().into_owned()
        };
        Ok(files.map(name).collect())
    }

    #[test]
    fn the_json_files_of_one_directory_are_unpacked() {
        let long = format!("hub-main/pkg/{}/vex.json", "long".repeat(40));
        let files: Vec<(&str, &[u8])> = vec![
            ("hub-main/index.json", b"{}"),
            (&long, b"{}"),
            ("hub-main/README.md", b"#"),
            ("hub-main/../../../up.json", b"{}"),
            ("other/index.json", b"{}"),
        ];
        let expected = ["index.json".to_owned(), long.replace("hub-main/", "")];
        assert_eq!(unpacked(&tar_gz(&files), "hub-main").unwrap(), expected);
        assert_eq!(unpacked(&zip(&files), "hub-main").unwrap(), expected);
        let all = unpacked(&tar_gz(&files), "").unwrap();
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn what_is_not_such_an_archive_is_an_error() {
        let twice: &[(&str, &[u8])] = &[("index.json", b"{}"), ("index.json", b"{}")];
        let large = vec![b' '; usize::try_from(DOCUMENT_LIMIT).unwrap() + 1];
        let deep = format!("{}index.json", "a/".repeat(DEPTH + 1));
        let table: [(Vec<u8>, &str); 6] = [
            (
                tar_gz(&[(&deep, b"{}")]),
                "its archive has a file in over 32 directories",
            ),
            (b"{}".to_vec(), "its archive is neither `tar.gz` nor `zip`"),
            (vec![0x1f, 0x8b, 8, 0], "its archive is damaged"),
            (b"PK\x03\x04".to_vec(), "its archive is damaged"),
            (tar_gz(twice), "failed to unpack `index.json`"),
            (
                tar_gz(&[("a.json", &large)]),
                "`a.json` in its archive is over the limit of 32 MiB",
            ),
        ];
        for (bytes, problem) in table {
            assert_eq!(unpacked(&bytes, "").unwrap_err().to_string(), problem);
        }
    }
}
