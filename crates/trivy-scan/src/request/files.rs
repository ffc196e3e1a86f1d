//! Files on which the results of every scan depend, in addition to the inputs.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use fleet::Dependencies;
use oci::Digest;

/// What an entry that ends with a day has in it, in an ignore file (`exp:`, `expired_at`) or a policy (Rego's `time.now_ns`).
const OF_A_DAY: [&[u8]; 3] = [b"exp:", b"expired_at", b"time."];

/// Bytes of the largest file in which the end of an entry is looked for; a larger one counts as of the day.
const FILE: u64 = 8 * limits::MIB as u64;

/// The content of `files` and of the settings in `config`, as digests. A file that cannot be read is as an empty one.
pub(crate) fn dependencies(
    files: impl IntoIterator<Item = PathBuf>,
    config: Option<&str>,
) -> Dependencies {
    let mut dependencies = Dependencies::default();
    let digest = |content: &[u8]| Digest::sha256(content).to_string();
    for file in files {
        let (text, is_of_a_day) = of_file(&file).unwrap_or_else(|_| (digest(b""), false));
        dependencies.is_of_a_day |= is_of_a_day;
        dependencies.texts.push(text);
    }
    let config = config.map(|config| digest(config.as_bytes()));
    dependencies.texts.extend(config);
    dependencies
}

// The digest of `file`, and whether something in it ends with a day.
fn of_file(file: &Path) -> std::io::Result<(String, bool)> {
    // Links in the workspace are permitted; that they stay there was checked with the input.
    let file = file.canonicalize()?;
    let open = || limits::open(file.parent().unwrap_or(&file), &file);
    let mut content = Vec::new();
    open()?.take(FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE {
        return Ok((Digest::from_reader(open()?)?.to_string(), true));
    }
    let digest = Digest::sha256(&content).to_string();
    Ok((digest, ends_with_a_day(&content)))
}

fn ends_with_a_day(content: &[u8]) -> bool {
    OF_A_DAY
        .iter()
        .any(|part| content.windows(part.len()).any(|window| window == *part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_only_where_something_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let is_of_a_day = |text: &str| {
            let file = directory.path().join("file");
            std::fs::write(&file, text).unwrap();
            let dependencies = dependencies([file], Some("{}"));
            assert_eq!(dependencies.texts.len(), 2);
            dependencies.is_of_a_day
        };
        assert!(!is_of_a_day("CVE-2099-0001\n"));
        assert!(is_of_a_day("CVE-2099-0001 exp:2099-01-01\n"));
        assert!(is_of_a_day("expired_at: 2099-01-01\n"));
        assert!(is_of_a_day("time.now_ns() > 1\n"));
        // Its end is not looked for, and its content counts.
        let file = directory.path().join("file");
        let large = |end: &[u8]| {
            let large = std::fs::File::create(&file).unwrap();
            large.set_len(FILE).unwrap();
            std::os::unix::fs::FileExt::write_at(&large, end, FILE).unwrap();
            dependencies([file.clone()], None)
        };
        let (one, other) = (large(b"a"), large(b"b"));
        assert!(one.is_of_a_day);
        assert_ne!(one.texts, other.texts);
    }
}
