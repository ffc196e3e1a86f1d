//! Cobertura XML (github.com/cobertura/web: coverage-04.dtd).

use std::collections::BTreeMap;

use super::super::xml::{Element, Reader};
use super::{FileCoverage, SOURCES};

/// Bytes of the longest path of Linux (`PATH_MAX`).
const PATH: usize = 4096;

/// Reads a report.
#[derive(Default)]
pub(super) struct CoberturaReader {
    sources: Vec<String>,
    files: Vec<File>,
    /// The index of each file by its name.
    index: BTreeMap<String, usize>,
    /// The open elements, the root first.
    open: Vec<Open>,
}

enum Open {
    Source(String),
    /// The index of its file.
    Class(Option<usize>),
    Other,
}

#[derive(Default)]
struct File {
    path: String,
    lines: BTreeMap<u32, Line>,
}

#[derive(Default)]
struct Line {
    hits: u64,
    branches: u32,
    taken: u32,
}

impl CoberturaReader {
    /// The files, and the directories that they are in, after the end of the report.
    pub(super) fn finish(self) -> (Vec<FileCoverage>, Vec<String>) {
        let files = self.files.into_iter().map(|file| {
            let lines = file.lines.values();
            FileCoverage {
                covered: lines
                    .clone()
                    .map(|line| u64::from(line.hits > 0) + u64::from(line.taken))
                    .sum(),
                total: lines.map(|line| 1 + u64::from(line.branches)).sum(),
                missing: file
                    .lines
                    .iter()
                    .filter(|(_, line)| line.hits == 0)
                    .map(|(number, _)| *number)
                    .collect(),
                path: file.path,
            }
        });
        (files.collect(), self.sources)
    }

    fn class(&mut self, element: &Element<'_>) -> Result<Option<usize>, String> {
        let Some(name) = element.attribute("filename")? else {
            return Ok(None);
        };
        let name = &name[..name.floor_char_boundary(PATH)];
        if let Some(known) = self.index.get(name) {
            return Ok(Some(*known));
        }
        let at = self.files.len();
        self.files.push(File {
            path: name.to_owned(),
            ..File::default()
        });
        self.index.insert(name.to_owned(), at);
        Ok(Some(at))
    }

    // A line of the class that is open.
    fn line(&mut self, element: &Element<'_>) -> Result<(), String> {
        let class = self.open.iter().rev().find_map(|open| match open {
            Open::Class(file) => Some(*file),
            _ => None,
        });
        let Some(file) = class.flatten().and_then(|at| self.files.get_mut(at)) else {
            return Ok(());
        };
        let number = |name| -> Result<Option<u64>, String> {
            let value = element.attribute(name)?;
            Ok(value.and_then(|value| value.trim().parse().ok()))
        };
        let at = number("number")?.and_then(|number| u32::try_from(number).ok());
        let (Some(at), Some(hits)) = (at, number("hits")?) else {
            return Err("a `line` has no `number` or `hits`".to_owned());
        };
        let line = file.lines.entry(at).or_default();
        line.hits = line.hits.saturating_add(hits);
        // `50% (1/2)`: taken and all branches.
        let condition = element.attribute("condition-coverage")?.unwrap_or_default();
        let fraction = condition
            .split_once('(')
            .and_then(|(_, rest)| rest.trim_end_matches(')').split_once('/'));
        if let Some((taken, all)) = fraction {
            let all = all.parse().unwrap_or(0);
            line.branches = line.branches.max(all);
            line.taken = line.taken.max(taken.parse().unwrap_or(0)).min(all);
        }
        Ok(())
    }
}

impl Reader for CoberturaReader {
    fn start(&mut self, element: &Element<'_>) -> Result<(), String> {
        let name = element.name();
        if self.open.is_empty() && name != "coverage" {
            let name = &name[..name.floor_char_boundary(PATH)];
            return Err(format!("the root element is `{name}`, not `coverage`"));
        }
        let open = match name {
            "source" => Open::Source(String::new()),
            "class" => Open::Class(self.class(element)?),
            "line" => {
                self.line(element)?;
                Open::Other
            }
            _ => Open::Other,
        };
        self.open.push(open);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(Open::Source(source)) = self.open.last_mut()
            && source.len() + text.len() <= PATH
        {
            source.push_str(text);
        }
    }

    fn end(&mut self) -> Result<(), String> {
        if let Some(Open::Source(source)) = self.open.pop() {
            let source = source.trim().trim_end_matches('/');
            if !source.is_empty() && self.sources.len() < SOURCES {
                self.sources.push(source.to_owned());
            }
        }
        Ok(())
    }
}
