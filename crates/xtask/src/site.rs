//! The documentation site: the pages of `docs/SUMMARY.md` and the files that they link to, built by mdBook. They stay
//! where they are in the checkout, so that a link means the same on GitHub and on the site.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::setup::command::{command, run};
use crate::setup::{crates_io, npm};
use crate::{browser, paths, progress};

/// The list of the pages, in the format of mdBook, with links that also lead to them on GitHub.
const CONTENTS: &str = "docs/SUMMARY.md";

/// Build the site. Returns its directory, `target/site/book`.
///
/// # Errors
/// When a tool is unavailable, or a file that a page links to.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let mdbook = crates_io::MDBOOK.provide()?;
    let mermaid = npm::provide("site", "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js")?;
    let (root, site) = (paths::root(), paths::root().join("target/site"));
    if site.exists() {
        std::fs::remove_dir_all(&site).context("failed to remove the previous site")?;
    }
    let contents = at_root(CONTENTS, &read(&root.join(CONTENTS))?)?;
    let pages = links(&contents).into_iter().map(PathBuf::from);
    let pages: BTreeSet<_> = pages.collect();
    let mut files = pages.clone();
    for page in &pages {
        files.extend(linked(page, &read(&root.join(page))?)?);
    }
    let pages_of_site = site.join("src");
    for file in files.difference(&pages) {
        copy(&root.join(file), &pages_of_site.join(file))?;
    }
    for page in &pages {
        let text = read(&root.join(page))?;
        write_page(&pages_of_site.join(as_index(page)), &with_index(&text))?;
    }
    write_page(&pages_of_site.join("SUMMARY.md"), &with_index(&contents))?;
    copy(&mermaid, &site.join("mermaid.tiny.js"))?;
    for name in ["book.toml", "diagrams.js"] {
        copy(&root.join("tools/site").join(name), &site.join(name))?;
    }
    run(command(&mdbook.to_string_lossy(), ["build"]).current_dir(&site))?;
    Ok(site.join("book"))
}

/// Build it, and print where it is.
///
/// # Errors
/// As [`build`].
pub(crate) fn write() -> anyhow::Result<()> {
    let book = progress::step("building the site", build)?;
    progress::line(format!("  {}", book.join("index.html").display()));
    Ok(())
}

/// The tests of the site in a browser, which reads it from its files.
///
/// # Errors
/// As [`build`], and when the test's packages are unavailable.
pub(crate) fn tests() -> anyhow::Result<Command> {
    let book = build()?;
    let args = ["-m", "pytest", "-p", "no:cacheprovider", "tests/site"];
    let mut tests = command(&browser::python()?, args);
    tests
        .current_dir(paths::root())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SITE", book);
    Ok(tests)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))
}

fn write_page(path: &Path, text: &str) -> anyhow::Result<()> {
    create_parent(path)?;
    std::fs::write(path, text).with_context(|| format!("failed to write `{}`", path.display()))
}

fn create_parent(path: &Path) -> anyhow::Result<()> {
    let directory = path.parent().context("a file is in a directory")?;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("failed to create `{}`", directory.display()))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    create_parent(to)?;
    std::fs::copy(from, to)
        .with_context(|| format!("failed to copy `{}` to `{}`", from.display(), to.display()))?;
    Ok(())
}

// mdBook makes `index.html` of a README, but leaves the links to it as they are (rust-lang/mdBook#984).
fn as_index(page: &Path) -> PathBuf {
    if page.file_name().is_some_and(|name| name == "README.md") {
        return page.with_file_name("index.md");
    }
    page.to_owned()
}

// The text with links to where `as_index` puts the pages.
fn with_index(text: &str) -> String {
    let mut parts = text.split("](");
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([')', '#']).unwrap_or(part.len());
        let (target, rest) = part.split_at(end);
        changed.push_str("](");
        match target.strip_suffix("README.md") {
            Some(directory) if !target.contains("://") => {
                changed.push_str(directory);
                changed.push_str("index.md");
            }
            _ => changed.push_str(target),
        }
        changed.push_str(rest);
    }
    changed
}

// The targets of the links of Markdown in `text`, without fragments, and of its images in HTML.
fn links(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split([')', '#']).next());
    let images = text.split(" src=\"").skip(1);
    links
        .chain(images.filter_map(|rest| rest.split('"').next()))
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

// The files that `page` links to, as paths from the root of the checkout.
fn linked(page: &Path, text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let targets = links(text).into_iter();
    targets.map(|target| from_root(page, target)).collect()
}

// The path of what a link of `page` leads to, from the root of the checkout.
fn from_root(page: &Path, target: &str) -> anyhow::Result<PathBuf> {
    let mut path = page.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            _ => {
                let inside = part == Component::ParentDir && path.pop();
                ensure!(
                    inside,
                    "`{target}` of `{}` leads out of the checkout",
                    page.display()
                );
            }
        }
    }
    Ok(path)
}

// The same list with links from the root of the checkout, which mdBook takes as the root of its pages.
fn at_root(contents: &str, text: &str) -> anyhow::Result<String> {
    let mut parts = text.split("](");
    let mut list = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (target, rest) = part.split_once(')').context("a link has no end")?;
        let path = from_root(Path::new(contents), target)?;
        list.push_str(&format!("]({}){rest}", path.display()));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    #[test]
    fn pages_keep_their_place_in_the_checkout() {
        let list = "# Contents\n\n[What](../README.md)\n- [Move](migrate.md)\n";
        assert_eq!(
            super::at_root("docs/SUMMARY.md", list).unwrap(),
            "# Contents\n\n[What](README.md)\n- [Move](docs/migrate.md)\n"
        );
    }

    #[test]
    fn a_readme_is_the_index_of_its_directory() {
        let text = "[a](b/README.md#c) [d](README.md), `README.md` [e](https://x/README.md)";
        assert_eq!(
            super::with_index(text),
            "[a](b/index.md#c) [d](index.md), `README.md` [e](https://x/README.md)"
        );
        assert_eq!(
            super::as_index(Path::new("b/README.md")),
            Path::new("b/index.md")
        );
    }

    #[test]
    fn files_that_a_page_links_to_are_part_of_the_site() {
        let text =
            "[a](b.md#c) [d](#e) ![f](../g/h.png) <img src=\"k.svg\"> [i](https://example.com/j)";
        assert_eq!(
            super::linked(Path::new("docs/page.md"), text).unwrap(),
            ["docs/b.md", "g/h.png", "docs/k.svg"].map(PathBuf::from)
        );
        let error = super::linked(Path::new("page.md"), "[a](../b)").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`../b` of `page.md` leads out of the checkout"
        );
    }
}
