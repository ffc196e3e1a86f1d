//! How much of the code the tests ran, as Cobertura's XML or coverage.py's JSON says.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use serde::Deserialize;

use crate::place::Map;

/// The most bytes of a report that are read.
pub(crate) const SIZE_LIMIT: usize = 64 * 1024 * 1024;

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// The files, the least covered first.
    pub(crate) files: Vec<FileCoverage>,
}

/// What a report says of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileCoverage {
    /// Its path in the repository, or as the report has it if it is none of the repository's.
    pub(crate) path: String,
    /// Lines and branches that ran.
    pub(crate) covered: u64,
    /// Lines and branches in all.
    pub(crate) total: u64,
    /// Lines that did not run, in order.
    pub(crate) missing: Vec<u32>,
}

impl Coverage {
    /// Read a report; `map` leads from its paths to those of the repository.
    ///
    /// # Errors
    /// When it is neither of the two forms, or has no line.
    pub(crate) fn parse(report: &[u8], map: &Map) -> Result<Self, String> {
        let text = std::str::from_utf8(report).map_err(|e| format!("it is no text: {e}"))?;
        let mut files = if text.trim_start().starts_with('{') {
            of_json(text, map)?
        } else {
            of_cobertura(text, map)?
        };
        // The largest gap first: that is where a test is worth most.
        files.sort_by(|a, b| {
            let gap = |file: &FileCoverage| file.total - file.covered;
            gap(b).cmp(&gap(a)).then_with(|| a.path.cmp(&b.path))
        });
        let coverage = Self { files };
        match coverage.counts() {
            (_, 0) => Err("it has no line of code".to_owned()),
            _ => Ok(coverage),
        }
    }

    /// What ran, and what there is: lines and branches, as coverage.py counts them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let add = |(covered, total): (u64, u64), file: &FileCoverage| {
            (covered + file.covered, total + file.total)
        };
        self.files.iter().fold((0, 0), add)
    }

    /// In percent with two decimals, rounded down: 100 means all of it.
    pub(crate) fn percent(&self) -> String {
        let (covered, total) = self.counts();
        percent(covered, total)
    }

    /// Whether at least `limit` percent ran.
    pub(crate) fn reaches(&self, limit: f64) -> bool {
        let (covered, total) = self.counts();
        #[allow(clippy::cast_precision_loss)] // code has no 2^52 lines
        let (covered, total) = (covered as f64, total as f64);
        covered * 100.0 >= limit * total
    }
}

/// `part` of `whole` in percent with two decimals, rounded down.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000;
    let hundredths = hundredths.checked_div(whole.into()).unwrap_or_default();
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Lines for a reader: `3-5, 9`.
pub(crate) fn ranges(lines: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(*line) => *end = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let words = ranges.into_iter().map(|(start, end)| {
        if start == end {
            start.to_string()
        } else {
            format!("{start}-{end}")
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

// coverage.readthedocs.io/en/latest/commands/cmd_json.html
#[derive(Deserialize)]
struct Json {
    files: BTreeMap<String, JsonFile>,
}

#[derive(Deserialize)]
struct JsonFile {
    summary: JsonSummary,
    #[serde(default)]
    missing_lines: Vec<u32>,
}

// No file has four thousand million lines: sums of such counts have room in 64 bits.
#[derive(Deserialize)]
struct JsonSummary {
    covered_lines: u32,
    num_statements: u32,
    #[serde(default)]
    covered_branches: u32,
    #[serde(default)]
    num_branches: u32,
}

fn of_json(text: &str, map: &Map) -> Result<Vec<FileCoverage>, String> {
    let report: Json = serde_json::from_str(text)
        .map_err(|e| format!("it is no JSON report of coverage.py: {e}"))?;
    let file = |(path, file): (String, JsonFile)| {
        let of = file.summary;
        if of.covered_lines > of.num_statements || of.covered_branches > of.num_branches {
            return Err(format!("it says that more of `{path}` ran than there is"));
        }
        Ok(FileCoverage {
            path: map.file(&path).unwrap_or(path),
            covered: u64::from(of.covered_lines) + u64::from(of.covered_branches),
            total: u64::from(of.num_statements) + u64::from(of.num_branches),
            missing: file.missing_lines,
        })
    };
    report.files.into_iter().map(file).collect()
}

#[derive(Default)]
struct Line {
    hits: u64,
    branches: u32,
    taken: u32,
}

// github.com/cobertura/web: coverage-04.dtd
fn of_cobertura(text: &str, map: &Map) -> Result<Vec<FileCoverage>, String> {
    // Most writers name the document type; it is not fetched.
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options)
        .map_err(|e| format!("it is no valid XML: {e}"))?;
    let root = document.root_element();
    if !root.has_tag_name("coverage") {
        let name = root.tag_name().name();
        return Err(format!("its root is `{name}`, not `coverage`"));
    }
    let sources: Vec<_> = root
        .descendants()
        .filter(|node| node.has_tag_name("source"))
        .filter_map(|node| node.text())
        .map(|source| source.trim().trim_end_matches('/'))
        .filter(|source| !source.is_empty())
        .collect();
    let mut files: BTreeMap<&str, BTreeMap<u32, Line>> = BTreeMap::new();
    for class in root.descendants().filter(|node| node.has_tag_name("class")) {
        let Some(name) = class.attribute("filename") else {
            continue;
        };
        let lines = files.entry(name).or_default();
        for node in class.descendants().filter(|node| node.has_tag_name("line")) {
            line(node, lines)?;
        }
    }
    let place = |name: &str| {
        let inside = sources
            .iter()
            .find_map(|source| map.file(&format!("{source}/{name}")));
        inside
            .or_else(|| map.file(name))
            .unwrap_or_else(|| name.to_owned())
    };
    let file = |(name, lines): (&str, BTreeMap<u32, Line>)| FileCoverage {
        path: place(name),
        covered: lines
            .values()
            .map(|line| u64::from(line.hits > 0) + u64::from(line.taken))
            .sum(),
        total: lines
            .values()
            .map(|line| 1 + u64::from(line.branches))
            .sum(),
        missing: lines
            .iter()
            .filter(|(_, line)| line.hits == 0)
            .map(|(number, _)| *number)
            .collect(),
    };
    Ok(files.into_iter().map(file).collect())
}

fn line(node: Node, lines: &mut BTreeMap<u32, Line>) -> Result<(), String> {
    let number = |name: &str| node.attribute(name)?.trim().parse::<u64>().ok();
    let at = number("number").and_then(|number| u32::try_from(number).ok());
    let (Some(at), Some(hits)) = (at, number("hits")) else {
        return Err("it has a `line` without `number` or `hits`".to_owned());
    };
    let line = lines.entry(at).or_default();
    line.hits = line.hits.saturating_add(hits);
    // `50% (1/2)`: branches taken and branches in all.
    let condition = node.attribute("condition-coverage").unwrap_or_default();
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

#[cfg(test)]
mod tests;
