//! Cobertura XML (github.com/cobertura/web: coverage-04.dtd).

use std::collections::BTreeMap;

use super::super::xml::{Element, Reader};
use super::{Claimed, FileCoverage, PATH, Parsed, SOURCES};

/// Reads a report.
#[derive(Default)]
pub(super) struct CoberturaReader {
    sources: Vec<String>,
    files: Vec<File>,
    /// The index of each file by its package and its name: two packages may have a file of one name, below two sources.
    index: BTreeMap<(usize, String), usize>,
    /// The number of each package by its name.
    packages: BTreeMap<String, usize>,
    /// The open package; 0 outside of them.
    package: usize,
    /// Whether it has what a report of Clover has, whose root has the same name.
    is_clover: bool,
    /// The open elements, the root first.
    open: Vec<Open>,
    /// Covered and all lines, and branches, as the root has them.
    claimed: Option<[u64; 4]>,
}

enum Open {
    Source(String),
    Methods,
    Package,
    /// The index of its file.
    Class(Option<usize>),
    Other,
}

#[derive(Default)]
struct File {
    path: String,
    lines: BTreeMap<u32, Line>,
    /// Those of its methods, which the file has as well, as a rule.
    of_methods: BTreeMap<u32, Line>,
}

#[derive(Default)]
struct Line {
    hits: u64,
    branches: u32,
    taken: u32,
}

fn numbers(lines: &BTreeMap<u32, Line>, select: fn(&Line) -> bool) -> Vec<u32> {
    let selected = lines.iter().filter(|(_, line)| select(line));
    selected.map(|(number, _)| *number).collect()
}

impl CoberturaReader {
    /// What it has read, after the end of the report.
    ///
    /// # Errors
    /// When it is a report of Clover.
    pub(super) fn finish(self) -> Result<Parsed, String> {
        if self.is_clover && self.files.is_empty() {
            return Err(
                "it is a report of Clover; let the tests write Cobertura (PHPUnit: `--coverage-cobertura`) or LCOV"
                    .to_owned(),
            );
        }
        let mut lines = (0, 0);
        let files = self.files.into_iter().map(|mut file| {
            if file.lines.is_empty() {
                file.lines = file.of_methods;
            }
            let hit = file.lines.values().filter(|line| line.hits > 0).count();
            lines.0 += hit as u64;
            lines.1 += file.lines.len() as u64;
            let values = file.lines.values();
            FileCoverage {
                covered: values
                    .clone()
                    .map(|line| u64::from(line.hits > 0) + u64::from(line.taken))
                    .sum(),
                total: values.map(|line| 1 + u64::from(line.branches)).sum(),
                missing: numbers(&file.lines, |line| line.hits == 0),
                executed: numbers(&file.lines, |line| line.hits > 0),
                path: file.path,
            }
        });
        let files = files.collect();
        // Producers count branches in several ways, lines in one.
        let claimed = self
            .claimed
            .filter(|claimed| (claimed[0], claimed[1]) != lines);
        let claimed = claimed.map(|[covered, all, taken, branches]| Claimed {
            covered: covered.saturating_add(taken),
            total: all.saturating_add(branches),
        });
        Ok(Parsed {
            files,
            sources: self.sources,
            claimed: claimed.filter(Claimed::is_possible),
        })
    }

    fn claimed(element: &Element<'_>) -> Result<Option<[u64; 4]>, String> {
        let number = |name| -> Result<Option<u64>, String> {
            let value = element.attribute(name)?;
            Ok(value.and_then(|value| value.trim().parse().ok()))
        };
        let lines = number("lines-covered")?.zip(number("lines-valid")?);
        let branches = number("branches-covered")?.zip(number("branches-valid")?);
        let (taken, branches) = branches.unwrap_or_default();
        Ok(lines.map(|(covered, all)| [covered, all, taken, branches]))
    }

    fn class(&mut self, element: &Element<'_>) -> Result<Option<usize>, String> {
        let Some(name) = element.attribute("filename")? else {
            return Ok(None);
        };
        let name = &name[..name.floor_char_boundary(PATH)];
        let next = self.files.len();
        // An absolute path is one file, whatever uses it.
        let package = if name.starts_with('/') {
            0
        } else {
            self.package
        };
        let at = self.index.entry((package, name.to_owned()));
        let at = *at.or_insert(next);
        if at == next {
            self.files.push(File {
                path: name.to_owned(),
                ..File::default()
            });
        }
        Ok(Some(at))
    }

    fn package(&mut self, element: &Element<'_>) -> Result<(), String> {
        let name = element.attribute("name")?.unwrap_or_default();
        let name = name[..name.floor_char_boundary(PATH)].to_owned();
        let next = self.packages.len() + 1;
        self.package = *self.packages.entry(name).or_insert(next);
        Ok(())
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
        // Of 64 bits, with a sign or without: compilers write negative counts now and then.
        let number = |name| -> Result<Option<i128>, String> {
            let value = element.attribute(name)?;
            Ok(value.and_then(|value| value.trim().parse().ok()))
        };
        let at = number("number")?.and_then(|number| u32::try_from(number).ok());
        let (Some(at), Some(hits)) = (at, number("hits")?) else {
            return Err("a `line` has no `number` or `hits`".to_owned());
        };
        let hits = u64::try_from(hits.max(0)).unwrap_or(u64::MAX);
        let in_methods = self.open.iter().any(|open| matches!(open, Open::Methods));
        let lines = if in_methods {
            &mut file.of_methods
        } else {
            &mut file.lines
        };
        let line = lines.entry(at).or_default();
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
        if self.open.is_empty() {
            self.claimed = Self::claimed(element)?;
        }
        // `<coverage><project>` (openclover.org: clover.xsd).
        self.is_clover |= name == "project" && self.open.len() == 1;
        let open = match name {
            "methods" => Open::Methods,
            "package" => {
                self.package(element)?;
                Open::Package
            }
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
        match self.open.pop() {
            Some(Open::Source(source)) => {
                let source = source.trim().trim_end_matches('/');
                if !source.is_empty() && self.sources.len() < SOURCES {
                    self.sources.push(source.to_owned());
                }
            }
            Some(Open::Package) => self.package = 0,
            _ => {}
        }
        Ok(())
    }
}
