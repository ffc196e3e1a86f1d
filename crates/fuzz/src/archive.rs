//! Archives that are made of a description, and a directory to unpack them in: random bytes hardly ever become an archive.
//!
//! A description has entries apart from each other by [`SEPARATOR`], each the letter of its type in a tar, its path, and after `=` its
//! content, or where it leads: `0a/b.json={}`, `2link=../outside`. An archive is taken as it is.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tar::EntryType;

/// Between two entries.
const SEPARATOR: u8 = 0x1e;
/// The most entries.
const ENTRIES: usize = 256;
/// What is in the file next to the directory for what is unpacked.
const OUTSIDE: &[u8] = b"outside";
const BLOCK: usize = 512;

/// Unpacks the archive at the first path into the directory at the second one.
pub(crate) type Unpack = fn(&Path, &Path);

/// Unpack the tar that `description` is.
///
/// # Panics
/// When something outside of the directory is changed, and when `unpack` panics.
pub(crate) fn check_tar(description: &[u8], unpack: Unpack) {
    check(&tar(description), unpack);
}

/// The same, compressed.
///
/// # Panics
/// As [`check_tar`].
pub(crate) fn check_tar_gz(description: &[u8], unpack: Unpack) {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = gzip.write_all(&tar(description));
    let archive = written.and_then(|()| gzip.finish());
    check(
        &pick(description, archive.expect("bytes are written")),
        unpack,
    );
}

/// The same as a zip archive, whose entries are files and links.
///
/// # Panics
/// As [`check_tar`].
pub(crate) fn check_zip(description: &[u8], unpack: Unpack) {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default;
    for (kind, path, content) in entries(description) {
        let path = String::from_utf8_lossy(path);
        let content = String::from_utf8_lossy(content);
        // A name that is there already, or is too long, is refused.
        if kind == b'2' {
            let _ = zip.add_symlink(&*path, &*content, options());
        } else if zip.start_file(&*path, options()).is_ok() {
            let _ = zip.write_all(content.as_bytes());
        }
    }
    let archive = zip.finish().expect("bytes are written").into_inner();
    check(&pick(description, archive), unpack);
}

// What is an archive already, such as a seed whose bytes were changed, or `made`.
fn pick(description: &[u8], made: Vec<u8>) -> Vec<u8> {
    let is_archive = description.starts_with(&[0x1f, 0x8b]) || description.starts_with(b"PK");
    if is_archive {
        description.to_vec()
    } else {
        made
    }
}

fn tar(description: &[u8]) -> Vec<u8> {
    if description.get(257..262) == Some(b"ustar") {
        return description.to_vec();
    }
    let mut bytes = Vec::new();
    for (kind, path, content) in entries(description) {
        // The builder would refuse such names.
        let mut header = tar::Header::new_gnu();
        let is_link = matches!(kind, b'1' | b'2');
        let old = header.as_old_mut();
        copy(path, &mut old.name);
        if is_link {
            copy(content, &mut old.linkname);
        }
        let content = if is_link { &[][..] } else { content };
        header.set_entry_type(EntryType::new(kind));
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(1);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.extend([0; 2 * BLOCK]);
    bytes
}

fn copy(from: &[u8], to: &mut [u8]) {
    let length = from.len().min(to.len());
    to[..length].copy_from_slice(&from[..length]);
}

// Type, path and content of each entry.
fn entries(description: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    let entries = description.split(|byte| *byte == SEPARATOR).take(ENTRIES);
    entries.filter_map(|entry| {
        let (kind, rest) = entry.split_first()?;
        let end = rest.iter().position(|byte| *byte == b'=');
        let (path, content) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &[][..]),
        };
        Some((*kind, path, content))
    })
}

fn check(archive: &[u8], unpack: Unpack) {
    let name = format!("seaworthy-fuzz-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    // An input that failed has left it.
    let _ = fs::remove_dir_all(&root);
    let (file, into, outside) = (
        root.join("archive"),
        root.join("into"),
        root.join("outside"),
    );
    fs::create_dir_all(&into).expect("a directory");
    fs::create_dir(&outside).expect("a directory");
    fs::write(&file, archive).expect("a file");
    let untouched = outside.join("file");
    fs::write(&untouched, OUTSIDE).expect("a file");
    let before = state(&untouched);
    unpack(&file, &into);
    assert_eq!(state(&untouched), before, "a file outside was changed");
    assert_eq!(fs::read(&untouched).ok().as_deref(), Some(OUTSIDE));
    assert_eq!(names(&outside), ["file"]);
    let mut names = names(&root);
    // An unpacker may remove it.
    names.retain(|name| name != "archive");
    assert_eq!(names, ["into", "outside"]);
    let _ = fs::remove_dir_all(&root);
}

// Its permissions, and its number of names: a hard link is one.
fn state(file: &Path) -> Option<(u32, u64)> {
    let metadata = file.symlink_metadata().ok()?;
    Some((metadata.mode(), metadata.nlink()))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
