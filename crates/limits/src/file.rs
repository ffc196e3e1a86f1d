//! Files of a directory that a stranger may have filled: a checkout, a build context, an archive.

use std::fs::File;
use std::io::{Error, Read as _, Result};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// The content of the regular file `path`, which may be relative to `root`, of at most `limit` bytes.
///
/// # Errors
/// When it is missing, larger, not a regular file (a fifo would block, a device may have no end), or when links lead out
/// of `root`.
pub fn read(root: &Path, path: &Path, limit: usize) -> Result<Vec<u8>> {
    let file = open(root, path)?;
    let mut content = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(content)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_text(root: &Path, path: &Path, limit: usize) -> Result<String> {
    String::from_utf8(read(root, path, limit)?).map_err(|_| Error::other("it is not UTF-8"))
}

/// The regular file `path`, which may be relative to `root`, to be read.
///
/// # Errors
/// When it is missing, not a regular file, or when links lead out of `root`.
pub fn open(root: &Path, path: &Path) -> Result<File> {
    let path = root.join(path).canonicalize()?;
    if !path.starts_with(root.canonicalize()?) {
        return Err(Error::other("it is a link that leads out of its directory"));
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::options()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Error::other("it is not a regular file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_within_the_directory_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("file"), "12345").unwrap();
        std::fs::write(root.join("bytes"), b"\xff").unwrap();
        std::fs::write(directory.path().join("outside"), "secret").unwrap();
        symlink("file", root.join("link")).unwrap();
        symlink("../outside", root.join("leads-out")).unwrap();
        symlink("/proc/self/environ", root.join("environment")).unwrap();
        symlink("/dev/zero", root.join("device")).unwrap();
        let fifo = rustix::fs::mknodat(
            rustix::fs::CWD,
            root.join("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        );
        fifo.unwrap();
        let out = "it is a link that leads out of its directory";
        let table = [
            ("file", Ok("12345")),
            ("./link", Ok("12345")),
            ("bytes", Err("it is not UTF-8")),
            ("leads-out", Err(out)),
            ("../outside", Err(out)),
            ("environment", Err(out)),
            ("device", Err(out)),
            ("fifo", Err("it is not a regular file")),
            (".", Err("it is not a regular file")),
            ("absent", Err("No such file or directory (os error 2)")),
        ];
        for (path, expected) in table {
            let text = read_text(&root, Path::new(path), 5).map_err(|e| e.to_string());
            assert_eq!(text.as_deref().map_err(String::as_str), expected, "{path}");
        }
        let larger = read(&root, Path::new("file"), 4).unwrap_err();
        assert_eq!(larger.to_string(), "it is larger than 4 bytes");
    }
}
