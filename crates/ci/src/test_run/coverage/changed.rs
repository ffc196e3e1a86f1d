//! The coverage of the lines that a pull request adds.

use std::path::Path;

use github::ChangedFile;

use super::{Coverage, FileCoverage};

/// Bytes of the largest file that is compared with the pull request.
const FILE: usize = 4 * limits::MIB;

/// How many of the added lines are covered, of those that the coverage report measures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChangedCoverage {
    pub(crate) covered: usize,
    pub(crate) total: usize,
    /// The lines that are not covered, by file.
    pub(crate) missing: Vec<(String, Vec<u32>)>,
    /// Files that are not in the checkout as they are in the pull request, because the base branch changes them too.
    pub(crate) differing: usize,
}

impl Coverage {
    /// That of `files` in the checkout `workspace`.
    pub(crate) fn of_changes(&self, workspace: &Path, files: &[ChangedFile]) -> ChangedCoverage {
        let mut changed = ChangedCoverage::default();
        for file in files {
            let Some(measured) = self.measured(&file.path) else {
                continue;
            };
            if !is_same(workspace, file) {
                changed.differing += 1;
                continue;
            }
            let is_in = |lines: &[u32], line: u32| lines.binary_search(&line).is_ok();
            let lines = file.added.iter().map(|(line, _)| *line);
            let (mut missing, mut covered) = (Vec::new(), 0);
            for line in lines {
                if is_in(&measured.missing, line) {
                    missing.push(line);
                } else if is_in(&measured.executed, line) {
                    covered += 1;
                }
            }
            changed.covered += covered;
            changed.total += covered + missing.len();
            if !missing.is_empty() {
                changed.missing.push((file.path.clone(), missing));
            }
        }
        changed
    }

    // By its path in the repository; of a file whose path was not looked up, by the only one that ends with it.
    fn measured(&self, path: &str) -> Option<&FileCoverage> {
        let mut own = self.files.iter().filter(|file| file.path == path);
        if let Some(file) = own.next() {
            // Of two with one name, below two sources, it is not known which one this is.
            return own.next().is_none().then_some(file);
        }
        let mut ending = self.files.iter().filter(|file| {
            let own = file.path.trim_start_matches("./");
            let before = path.strip_suffix(own);
            before.is_some_and(|before| before.ends_with('/')) && own.contains('/')
        });
        ending.next().filter(|_| ending.next().is_none())
    }
}

fn is_same(workspace: &Path, file: &ChangedFile) -> bool {
    let Ok(text) = limits::read_text(workspace, file.path.as_ref(), FILE) else {
        return false;
    };
    let lines: Vec<_> = text.lines().collect();
    file.added.iter().all(|(number, added)| {
        let line = lines.get(*number as usize - 1);
        line.is_some_and(|line| *line == added.trim_end_matches('\r'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_lines_are_covered_or_not_or_not_measured() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("app/a.py", "one\r\ntwo\nthree\nfour\n");
        write("app/pkg/b.py", "other\n");
        write("app/c.py", "one\n");
        let file = |path: &str, executed: &[u32], missing: &[u32]| FileCoverage {
            path: path.into(),
            executed: executed.to_vec(),
            missing: missing.to_vec(),
            ..FileCoverage::default()
        };
        let coverage = Coverage {
            files: vec![
                file("app/a.py", &[1, 2], &[3]),
                file("pkg/b.py", &[1], &[]),
                file("c.py", &[], &[1]),
            ],
            claimed: None,
        };
        let changed = |path: &str, added: &[(u32, &str)]| ChangedFile {
            path: path.into(),
            added: added
                .iter()
                .map(|(at, text)| (*at, (*text).to_owned()))
                .collect(),
        };
        let files = [
            changed("app/a.py", &[(1, "one"), (3, "three"), (4, "four")]),
            changed("app/pkg/b.py", &[(1, "one")]),
            // A name alone may be that of another file.
            changed("app/c.py", &[(1, "one")]),
            changed("README.md", &[(1, "one")]),
        ];
        let expected = ChangedCoverage {
            covered: 1,
            total: 2,
            missing: vec![("app/a.py".to_owned(), vec![3])],
            differing: 1,
        };
        assert_eq!(coverage.of_changes(directory.path(), &files), expected);
    }
}
