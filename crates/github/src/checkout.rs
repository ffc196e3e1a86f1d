//! The commit of a checkout, read from its files.
//!
//! There may be no git binary, and git refuses a directory of another user, which the workspace of a container
//! action is.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Bytes of the largest file; `packed-refs` has a line for each branch and tag.
const LIMIT: u64 = 64 << 20;

/// The commit that is checked out in `directory`, if it is a checkout.
pub(crate) fn head(directory: &Path) -> Option<String> {
    let git = directory.join(".git");
    let git = match text(&git) {
        // A worktree or a submodule: a file that names the directory.
        Ok(text) => directory.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    let head = text(&git.join("HEAD")).ok()?;
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return commit(&head);
    };
    // A worktree keeps its branches in the directory of the checkout that it belongs to.
    let common = match text(&git.join("commondir")) {
        Ok(path) => git.join(path.trim()),
        Err(_) => git,
    };
    if let Ok(sha) = text(&common.join(name)) {
        return commit(&sha);
    }
    let packed = text(&common.join("packed-refs")).ok()?;
    packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, of)| *of == name))
        .and_then(|(sha, _)| commit(sha))
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

/// `text` as the name of a commit, 40 hex digits.
pub(crate) fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let valid = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    type Files<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn the_commit_of_a_checkout_is_read_in_every_form_that_git_writes() {
        let packed = format!("# pack-refs with: peeled\n{SHA} refs/heads/main\n");
        let table: [(&str, Files, Option<&str>); 6] = [
            ("detached", &[(".git/HEAD", SHA)], Some(SHA)),
            (
                "a branch",
                &[
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/refs/heads/main", SHA),
                ],
                Some(SHA),
            ),
            (
                "a packed branch",
                &[
                    (".git/HEAD", "ref: refs/heads/main\n"),
                    (".git/packed-refs", &packed),
                ],
                Some(SHA),
            ),
            (
                "a worktree",
                &[
                    (".git", "gitdir: main/.git/worktrees/x\n"),
                    ("main/.git/worktrees/x/HEAD", "ref: refs/heads/x\n"),
                    ("main/.git/worktrees/x/commondir", "../..\n"),
                    ("main/.git/refs/heads/x", SHA),
                ],
                Some(SHA),
            ),
            ("not a checkout", &[("a.txt", "a")], None),
            (
                "no commit yet",
                &[(".git/HEAD", "ref: refs/heads/main\n")],
                None,
            ),
        ];
        for (name, files, expected) in table {
            let directory = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = directory.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            assert_eq!(head(directory.path()).as_deref(), expected, "{name}");
        }
    }
}
