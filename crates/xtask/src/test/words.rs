//! The table of words in `STYLE.md`, over documents and over texts that a person sees.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::paths;
use crate::setup::command::{command, output};

mod rust;

/// Where the table is. The page names every word that it replaces, so it is not checked itself.
const STYLE: &str = "STYLE.md";
/// The heads of the table's columns.
const COLUMNS: [&str; 3] = ["not", "but", "still fine"];

/// Directories whose texts are vendors' or generated.
const VENDORED: &[&str] = &["crates/fake-azure/schemas/", "crates/fake-github/schemas/"];

/// A rule's phrase that is right in some file: the end of its path, the phrase, the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// A row of the table.
#[derive(Debug)]
struct Rule {
    /// Lower-case words of each phrase.
    phrases: Vec<Vec<String>>,
    term: String,
    allowed: Vec<Vec<String>>,
}

/// A word with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    line: usize,
    /// Nothing but blanks is between it and the word before.
    joined: bool,
}

/// A phrase of a rule in a text.
#[derive(Debug, PartialEq, Eq)]
struct Match {
    line: usize,
    phrase: String,
    term: String,
}

/// Check every document, workflow and source below `only`, paths in the checkout; all of it if there are none.
///
/// # Errors
/// With each place where the table forbids a phrase.
pub(crate) fn check(only: &[PathBuf]) -> anyhow::Result<()> {
    let root = paths::root();
    let style = read(&root.join(STYLE))?;
    let rules = rules(&style)?;
    let mut report = String::new();
    let mut count = 0;
    for path in tracked(&root)? {
        if !only.is_empty() && !only.iter().any(|start| path.starts_with(start)) {
            continue;
        }
        let Some(kind) = Kind::from_path(&path) else {
            continue;
        };
        let words = kind.words(&read(&root.join(&path))?);
        for Match { line, phrase, term } in matches(&words, &rules) {
            if !is_excepted(&path, &phrase) {
                count += 1;
                writeln!(report, "{}:{line}: `{phrase}`; use {term}", path.display())?;
            }
        }
    }
    ensure!(
        count == 0,
        "`{STYLE}` has other words for {count} phrases:\n{report}"
    );
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))
}

fn is_excepted(path: &Path, phrase: &str) -> bool {
    EXCEPTIONS
        .iter()
        .any(|(file, allowed, _)| path.ends_with(file) && *allowed == phrase)
}

// Tracked files that exist, relative to the root.
fn tracked(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = output(command("git", list).current_dir(root))?;
    let paths = listed.split('\0').filter(|path| !path.is_empty());
    Ok(paths
        .map(PathBuf::from)
        .filter(|path| root.join(path).is_file())
        .collect())
}

/// What a person reads of a file.
#[derive(Clone, Copy)]
enum Kind {
    Everything,
    /// What follows the marker.
    Comments(&'static str),
    /// String literals and doc comments.
    RustTexts,
}

impl Kind {
    // `None` for a file that is not checked.
    fn from_path(path: &Path) -> Option<Self> {
        let name = path.to_string_lossy();
        if name == STYLE || VENDORED.iter().any(|start| name.starts_with(start)) {
            return None;
        }
        let is_action = path.file_name().is_some_and(|name| name == "action.yml");
        match path.extension()?.to_str()? {
            "md" | "html" => Some(Self::Everything),
            "yml" if is_action => Some(Self::Everything),
            "yml" | "yaml" | "toml" | "sh" | "py" | "action" => Some(Self::Comments("#")),
            "go" | "mjs" => Some(Self::Comments("//")),
            "rs" if !is_test(&name) => Some(Self::RustTexts),
            _ => None,
        }
    }

    fn words(self, text: &str) -> Vec<Word> {
        match self {
            Self::Everything => words(text.lines().zip(1..)),
            Self::Comments(marker) => words(comments(text, marker)),
            Self::RustTexts => rust::words(text),
        }
    }
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

// The text after `marker` in each line. One inside of a quoted value counts too, which does no harm.
fn comments<'a>(text: &'a str, marker: &'static str) -> impl Iterator<Item = (&'a str, usize)> {
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let (_, comment) = line.split_once(marker)?;
        Some((comment, number))
    })
}

// The words of `lines`, each with its number. Words on lines that follow each other are joined.
fn words<'a>(lines: impl Iterator<Item = (&'a str, usize)>) -> Vec<Word> {
    let is_part = |c: char| c.is_alphanumeric() || ['_', '-', '\''].contains(&c);
    let mut words: Vec<Word> = Vec::new();
    let mut joined = false;
    let mut last = 0;
    for (line, number) in lines {
        joined &= number == last + 1;
        last = number;
        let mut rest = line;
        while let Some(start) = rest.find(is_part) {
            joined &= rest[..start].trim().is_empty();
            let text = &rest[start..];
            let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
            let word = text[..end].trim_matches(['\'', '-']).to_lowercase();
            rest = &text[end..];
            words.push(Word {
                text: word,
                line: number,
                joined,
            });
            joined = true;
        }
        joined &= rest.trim().is_empty() && !line.trim().is_empty();
    }
    words
}

fn matches(words: &[Word], rules: &[Rule]) -> Vec<Match> {
    let mut matches = Vec::new();
    for at in 0..words.len() {
        for rule in rules {
            let Some(phrase) = rule.phrases.iter().find(|p| is_at(words, at, p)) else {
                continue;
            };
            // An allowed phrase begins at most as many words before as it has.
            let allowed = rule.allowed.iter().any(|allowed| {
                let earliest = at.saturating_sub(allowed.len());
                (earliest..=at).any(|start| {
                    is_at(words, start, allowed) && start + allowed.len() >= at + phrase.len()
                })
            });
            if !allowed {
                matches.push(Match {
                    line: words[at].line,
                    phrase: phrase.join(" "),
                    term: rule.term.clone(),
                });
            }
        }
    }
    matches
}

fn is_at(words: &[Word], at: usize, phrase: &[String]) -> bool {
    let Some(words) = words.get(at..at + phrase.len()) else {
        return false;
    };
    let same = words
        .iter()
        .zip(phrase)
        .all(|(word, text)| word.text == *text);
    same && words.iter().skip(1).all(|word| word.joined)
}

// The rows of the table in `style`.
fn rules(style: &str) -> anyhow::Result<Vec<Rule>> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let row = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(row.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    let phrases = |cell: &str| -> Vec<Vec<String>> {
        let phrases = cell.split(',').map(str::trim).filter(|p| !p.is_empty());
        phrases
            .map(|phrase| phrase.split_whitespace().map(str::to_lowercase).collect())
            .collect()
    };
    let table = style
        .lines()
        .map(cells)
        .skip_while(|row| row.as_ref().is_none_or(|row| *row != COLUMNS));
    let mut rules = Vec::new();
    // Below the heads and the rule under them.
    for row in table.skip(2).map_while(|row| row) {
        let [not, but, fine] = row.as_slice() else {
            bail!("a row of the table in {STYLE} does not have three cells: {row:?}");
        };
        rules.push(Rule {
            phrases: phrases(not),
            term: but.clone(),
            allowed: phrases(fine),
        });
    }
    ensure!(
        rules.len() > 10,
        "{STYLE} has no table with the columns {COLUMNS:?}"
    );
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(not: &[&str], but: &str, fine: &[&str]) -> Rule {
        let phrases = |texts: &[&str]| -> Vec<Vec<String>> {
            let words = |text: &&str| text.split(' ').map(ToOwned::to_owned).collect();
            texts.iter().map(words).collect()
        };
        Rule {
            phrases: phrases(not),
            term: but.to_owned(),
            allowed: phrases(fine),
        }
    }

    fn phrases(path: &str, text: &str) -> Vec<(usize, String)> {
        let rules = [
            rule(&["folder", "folders"], "directory", &[]),
            rule(&["side by side"], "in parallel", &[]),
            rule(&["is no"], "is not a", &["there is no", "is no longer"]),
        ];
        let kind = Kind::from_path(Path::new(path));
        let words = kind.map(|kind| kind.words(text)).unwrap_or_default();
        let matches = matches(&words, &rules).into_iter();
        matches.map(|m| (m.line, m.phrase)).collect()
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        phrases(path, text)
            .into_iter()
            .map(|(line, _)| line)
            .collect()
    }

    #[test]
    fn a_word_matches_whole_and_a_phrase_across_lines() {
        assert_eq!(
            lines("a.md", "A folder.\n\nFOLDERS: subfolder, folder_name"),
            [1, 3]
        );
        assert_eq!(lines("a.md", "They run side by\nside."), [1]);
        assert!(lines("a.md", "side by\n\nside, on the side. By side").is_empty());
    }

    #[test]
    fn an_allowed_phrase_covers_what_it_contains() {
        assert_eq!(lines("a.md", "`x` is no number"), [1]);
        assert!(lines("a.md", "There is no image. It is no longer used.").is_empty());
        assert_eq!(lines("a.md", "there is no image\nthat is no image"), [2]);
    }

    #[test]
    fn comments_of_workflows_and_all_of_an_action_are_read() {
        let workflow = "# a folder\nname: folder\nrun: x # this folder";
        assert_eq!(lines("ci.yml", workflow), [1, 3]);
        assert_eq!(lines("actions/ci/action.yml", "description: A folder"), [1]);
    }

    #[test]
    fn the_texts_of_a_source_are_read_and_its_names_and_tests_are_not() {
        let source = "//! A folder.\nlet folder = 'f';\nfail(\"no \\\n   folder\");\n// a folder\nlet x = r#\"a \"folder\"\"#;\n\n#[cfg(test)]\nmod tests { \"folder\" }";
        assert_eq!(lines("crates/ci/src/lib.rs", source), [1, 4, 6]);
        assert!(lines("crates/ci/tests/process.rs", source).is_empty());
    }

    #[test]
    fn the_table_is_read_from_the_page() {
        let style = std::fs::read_to_string(paths::root().join(STYLE)).unwrap();
        let rules = rules(&style).unwrap();
        let first = rules.first().unwrap();
        assert_eq!(first.phrases.first().unwrap(), &["mend"]);
        assert!(first.term.contains("fix"), "{first:?}");
        assert!(rules.iter().any(|rule| !rule.allowed.is_empty()));
        assert!(super::rules("| not | but |\n|---|---|\n| a | b |\n").is_err());
    }

    #[test]
    fn every_exception_has_a_reason_and_a_file() {
        for (file, phrase, reason) in EXCEPTIONS {
            assert!(paths::root().join(file).is_file(), "{file}");
            assert!(reason.len() > 10, "{file}: {phrase}");
        }
    }
}
