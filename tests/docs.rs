//! The documents match the code: their links lead to files, their commands exist, and the messages that they explain
//! are messages of the code.

use std::path::{Path, PathBuf};
use std::process::Command;

use pipeline_tests::{program, root};
use walkdir::WalkDir;

/// The files below `directory` that end in `ending`, except what is built or vendored.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let skipped = ["target", ".git", "node_modules", "schemas"];
    let entries = WalkDir::new(directory).into_iter().filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !skipped.contains(&name.as_ref())
    });
    entries
        .map(|entry| entry.expect("the checkout can be read").into_path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the file can be read")
}

/// The code spans with which a list item of Markdown begins: "- `one` or ``two``: …".
fn leading_spans(item: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    let mut rest = item;
    loop {
        let quotes = rest.len() - rest.trim_start_matches('`').len();
        let (fence, text) = rest.split_at(quotes);
        let Some((span, after)) = text.split_once(fence).filter(|_| quotes > 0) else {
            return spans;
        };
        spans.push(span.trim());
        rest = after.strip_prefix(" or ").unwrap_or_default();
    }
}

#[test]
fn a_list_item_begins_with_the_messages_that_it_explains() {
    assert_eq!(leading_spans("`one`: `not this`"), ["one"]);
    assert_eq!(leading_spans("``a `b` `` or `c`: d"), ["a `b`", "c"]);
    assert!(leading_spans("no `span`").is_empty());
}

#[test]
fn the_messages_in_troubleshooting_are_in_the_code() {
    let mut code = String::new();
    let crates = std::fs::read_dir(root().join("crates")).expect("the crates");
    // A text that only a test has is not a message.
    let sources = crates.map(|entry| entry.expect("a crate").path().join("src"));
    for file in sources.flat_map(|source| files(&source, ".rs")) {
        // A text may go on in the next line of the source.
        let mut lines = read(&file).replace("\\\n", "\u{0}");
        while let Some(at) = lines.find('\u{0}') {
            let end = lines[at + 1..].find(|c: char| !c.is_whitespace());
            lines.replace_range(at..at + 1 + end.unwrap_or_default(), "");
        }
        code.push_str(&lines);
    }
    // Our own program around Helm's packages has messages too.
    code.push_str(&read(&root().join("tools/helm-template/main.go")));
    let page = read(&root().join("docs/troubleshooting.md"));
    let items = page.lines().filter_map(|line| line.strip_prefix("- "));
    let spans: Vec<_> = items.flat_map(leading_spans).collect();
    assert!(spans.len() > 50, "{spans:?}");
    let unknown: Vec<_> = spans.iter().filter(|span| !code.contains(**span)).collect();
    assert!(unknown.is_empty(), "no message has {unknown:#?}");
}

#[test]
fn the_links_of_the_documents_lead_to_files() {
    let mut dead = Vec::new();
    for document in files(&root(), ".md") {
        for link in read(&document).split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            let directory = document.parent().expect("a file is in a directory");
            if !target.contains("://") && !path.is_empty() && !directory.join(path).exists() {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn the_commands_of_the_documents_exist() {
    let xtask = |args: &[&str]| {
        let done = Command::new(program("xtask")).args(args).output();
        done.expect("xtask starts")
    };
    let mut seen = 0;
    for document in files(&root(), ".md") {
        for command in read(&document).split("cargo xtask ").skip(1) {
            let name = command.split(|c: char| !c.is_ascii_lowercase()).next();
            let name = name.unwrap_or_default();
            let help = xtask(&[name, "--help"]);
            assert!(
                help.status.success(),
                "{}: `cargo xtask {name}`",
                document.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 5);
}

#[test]
fn the_paths_in_the_documents_exist() {
    let roots = [
        "crates/", "docs/", "tests/", "tools/", "app/", "k8s/", ".github/",
    ];
    let is_path = |span: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        roots.iter().any(|start| span.starts_with(start)) && span.chars().all(is_part)
    };
    let mut seen = 0;
    let mut missing = Vec::new();
    for document in files(&root().join("docs"), ".md") {
        for span in read(&document).split('`').filter(|span| is_path(span)) {
            seen += 1;
            if !root().join(span).exists() {
                missing.push(format!("{}: {span}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(seen > 20, "{seen}");
}
