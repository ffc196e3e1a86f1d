//! The commit of a checkout, read from its files.
//!
//! There may be no git binary beside us, and git refuses a folder that belongs to another user, which a
//! workspace does in a container action.

use std::path::Path;

/// The commit that is checked out in `folder`, if it is a checkout.
pub(crate) fn head(folder: &Path) -> Option<String> {
    let git = folder.join(".git");
    let git = match std::fs::read_to_string(&git) {
        // A worktree or a submodule: a file that names the folder.
        Ok(text) => folder.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return commit(&head);
    };
    // A worktree keeps its branches in the folder of the checkout that it belongs to.
    let common = match std::fs::read_to_string(git.join("commondir")) {
        Ok(path) => git.join(path.trim()),
        Err(_) => git,
    };
    if let Ok(text) = std::fs::read_to_string(common.join(name)) {
        return commit(&text);
    }
    let packed = std::fs::read_to_string(common.join("packed-refs")).ok()?;
    packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, of)| *of == name))
        .and_then(|(sha, _)| commit(sha))
}

/// `text` as the name of a commit, 40 hex digits.
pub(crate) fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let sound = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    type Files<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn a_checkout_says_its_commit_in_every_form_that_git_writes() {
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
            ("no checkout", &[("a.txt", "a")], None),
            (
                "no commit yet",
                &[(".git/HEAD", "ref: refs/heads/main\n")],
                None,
            ),
        ];
        for (name, files, expected) in table {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            assert_eq!(head(folder.path()).as_deref(), expected, "{name}");
        }
    }
}
