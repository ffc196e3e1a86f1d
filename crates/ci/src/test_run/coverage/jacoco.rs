//! XML of `JaCoCo` (jacoco.org: report.dtd).

use std::collections::BTreeMap;

use super::super::xml::{Element, Reader};
use super::{Claimed, FileCoverage, PATH, Parsed, numbers};

/// Branches of a line that are counted: more are not of a source.
const BRANCHES: u64 = 100_000;

/// Reads a report.
#[derive(Default)]
pub(super) struct JacocoReader {
    /// Each file by its group and its path, from its package and its name: two modules may have a file of one name.
    files: BTreeMap<(usize, String), File>,
    /// Groups so far; the number of the open one, 0 outside of them.
    groups: usize,
    group: usize,
    /// Covered and all lines, and branches, as the root has them.
    lines: Option<(u64, u64)>,
    branches: (u64, u64),
    /// The open package, and the open file.
    package: String,
    file: Option<String>,
    /// The open elements, the root first.
    open: Vec<Open>,
}

enum Open {
    /// The number of the one around it.
    Group(usize),
    Package,
    File,
    Other,
}

#[derive(Default)]
struct File {
    /// Whether each line was executed.
    lines: BTreeMap<u32, bool>,
    taken: u64,
    branches: u64,
}

/// Whether the start of a report is that of one of `JaCoCo`.
pub(in crate::test_run) fn is_jacoco(start: &str) -> bool {
    start.contains("<report")
        && (start.contains("JACOCO") || start.contains("sessioninfo") || start.contains("<package"))
}

impl JacocoReader {
    /// What it has read, after the end of the report.
    pub(super) fn finish(self) -> Parsed {
        let mut lines = (0, 0);
        let files = self.files.into_iter().map(|((_, path), file)| {
            let missing = numbers(&file.lines, |is_executed| !is_executed);
            let executed = numbers(&file.lines, |is_executed| is_executed);
            lines.0 += executed.len() as u64;
            lines.1 += file.lines.len() as u64;
            FileCoverage {
                path,
                covered: executed.len() as u64 + file.taken,
                total: file.lines.len() as u64 + file.branches,
                missing,
                executed,
            }
        });
        let files = files.collect();
        let claimed = self.lines.filter(|claimed| *claimed != lines);
        let claimed = claimed.map(|(covered, all)| Claimed {
            covered: covered.saturating_add(self.branches.0),
            total: all.saturating_add(self.branches.1),
        });
        Parsed {
            files,
            sources: Vec::new(),
            claimed: claimed.filter(Claimed::is_possible),
        }
    }

    // A total of the report: `<counter type="LINE" missed="1" covered="2"/>` in its root.
    fn total(&mut self, element: &Element<'_>) -> Result<(), String> {
        let number = |name| -> Result<u64, String> {
            let value = element.attribute(name)?;
            Ok(value
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or(0))
        };
        let covered = number("covered")?;
        let both = (covered, covered.saturating_add(number("missed")?));
        match element.attribute("type")?.as_deref() {
            Some("LINE") => self.lines = Some(both),
            Some("BRANCH") => self.branches = both,
            _ => {}
        }
        Ok(())
    }

    // `<line nr="5" mi="0" ci="3" mb="1" cb="1"/>`: missed and covered instructions, and branches.
    fn line(&mut self, element: &Element<'_>) -> Result<(), String> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let number = |name| -> Result<u64, String> {
            let value = element.attribute(name)?;
            Ok(value
                .and_then(|value| value.trim().parse().ok())
                .unwrap_or(0))
        };
        let Ok(at) = u32::try_from(number("nr")?) else {
            return Err("a `line` has no `nr`".to_owned());
        };
        let (missed, taken) = (number("mb")?.min(BRANCHES), number("cb")?.min(BRANCHES));
        let file = self.files.entry((self.group, path.clone())).or_default();
        *file.lines.entry(at).or_default() |= number("ci")? > 0;
        file.taken += taken;
        file.branches += missed + taken;
        Ok(())
    }
}

impl Reader for JacocoReader {
    fn start(&mut self, element: &Element<'_>) -> Result<(), String> {
        let name = element.name();
        let named = |limit: usize| -> Result<String, String> {
            let value = element.attribute("name")?.unwrap_or_default();
            Ok(value[..value.floor_char_boundary(limit)].to_owned())
        };
        let open = match name {
            "group" => {
                self.groups += 1;
                Open::Group(std::mem::replace(&mut self.group, self.groups))
            }
            "counter" if self.open.len() == 1 => {
                self.total(element)?;
                Open::Other
            }
            "package" => {
                self.package = named(PATH)?;
                Open::Package
            }
            "sourcefile" => {
                let file = named(PATH)?;
                self.file = Some(match self.package.as_str() {
                    "" => file,
                    package => format!("{package}/{file}"),
                });
                Open::File
            }
            "line" => {
                self.line(element)?;
                Open::Other
            }
            _ => Open::Other,
        };
        self.open.push(open);
        Ok(())
    }

    fn text(&mut self, _: &str) {}

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::Group(outer)) => self.group = outer,
            Some(Open::Package) => self.package.clear(),
            Some(Open::File) => self.file = None,
            _ => {}
        }
        Ok(())
    }
}
