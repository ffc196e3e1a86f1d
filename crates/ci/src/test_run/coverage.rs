//! The coverage report of the tests: Cobertura XML, or JSON of coverage.py.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};
use serde::Deserialize;

use crate::source_map::SourceMap;

/// Maximum size of a report in bytes.
pub(crate) const SIZE_LIMIT: usize = 64 * 1024 * 1024;

/// A report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// The file with the most uncovered lines and branches first.
    pub(crate) files: Vec<FileCoverage>,
}

/// The coverage of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileCoverage {
    /// In the repository; as the report has it if the repository does not have the file.
    pub(crate) path: String,
    /// Lines and branches that were executed.
    pub(crate) covered: u64,
    /// All lines and branches.
    pub(crate) total: u64,
    /// Lines that were not executed, in ascending order.
    pub(crate) missing: Vec<u32>,
}

impl Coverage {
    /// Parse a report; `source_map` resolves its paths.
    ///
    /// # Errors
    /// When it has neither of the two formats, or no lines of code.
    pub(crate) fn parse(report: &[u8], source_map: &SourceMap) -> Result<Self, String> {
        let text = std::str::from_utf8(report).map_err(|e| format!("not UTF-8: {e}"))?;
        let mut files = if text.trim_start().starts_with('{') {
            parse_json(text, source_map)?
        } else {
            parse_cobertura(text, source_map)?
        };
        // The largest gap first: a test there is worth most.
        files.sort_by(|a, b| {
            let gap = |file: &FileCoverage| file.total - file.covered;
            gap(b).cmp(&gap(a)).then_with(|| a.path.cmp(&b.path))
        });
        let coverage = Self { files };
        match coverage.counts() {
            (_, 0) => Err("it contains no lines of code".to_owned()),
            _ => Ok(coverage),
        }
    }

    /// Covered and all lines and branches, added up as coverage.py does.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let add = |(covered, total): (u64, u64), file: &FileCoverage| {
            (covered + file.covered, total + file.total)
        };
        self.files.iter().fold((0, 0), add)
    }

    /// In percent with two decimals, rounded down: 100.00 means complete.
    pub(crate) fn percent(&self) -> String {
        let (covered, total) = self.counts();
        percent(covered, total)
    }

    /// Whether at least `min` percent are covered.
    pub(crate) fn reaches(&self, min: f64) -> bool {
        let (covered, total) = self.counts();
        #[expect(clippy::cast_precision_loss, reason = "code has no 2^52 lines")]
        let (covered, total) = (covered as f64, total as f64);
        covered * 100.0 >= min * total
    }
}

/// `part` of `whole` in percent with two decimals, rounded down.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 10_000;
    let hundredths = hundredths.checked_div(whole.into()).unwrap_or_default();
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Sorted lines as ranges: `3-5, 9`.
pub(crate) fn ranges(lines: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(*line) => *end = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let ranges = ranges.into_iter().map(|(start, end)| {
        if start == end {
            start.to_string()
        } else {
            format!("{start}-{end}")
        }
    });
    ranges.collect::<Vec<_>>().join(", ")
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

// 32 bits are enough for the lines of a file, and their sums fit into 64 bits.
#[derive(Deserialize)]
struct JsonSummary {
    covered_lines: u32,
    num_statements: u32,
    #[serde(default)]
    covered_branches: u32,
    #[serde(default)]
    num_branches: u32,
}

fn parse_json(text: &str, source_map: &SourceMap) -> Result<Vec<FileCoverage>, String> {
    let report: Json =
        serde_json::from_str(text).map_err(|e| format!("not a JSON report of coverage.py: {e}"))?;
    let file = |(path, file): (String, JsonFile)| {
        let summary = file.summary;
        if summary.covered_lines > summary.num_statements
            || summary.covered_branches > summary.num_branches
        {
            return Err(format!(
                "it counts more covered lines or branches of `{path}` than there are"
            ));
        }
        Ok(FileCoverage {
            path: source_map.file(&path).unwrap_or(path),
            covered: u64::from(summary.covered_lines) + u64::from(summary.covered_branches),
            total: u64::from(summary.num_statements) + u64::from(summary.num_branches),
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
fn parse_cobertura(text: &str, source_map: &SourceMap) -> Result<Vec<FileCoverage>, String> {
    // Most reports have a document type; it is not fetched.
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, options).map_err(|e| format!("not valid XML: {e}"))?;
    let root = document.root_element();
    if !root.has_tag_name("coverage") {
        let name = root.tag_name().name();
        return Err(format!("the root element is `{name}`, not `coverage`"));
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
    let path = |name: &str| {
        let in_source = sources
            .iter()
            .find_map(|source| source_map.file(&format!("{source}/{name}")));
        in_source
            .or_else(|| source_map.file(name))
            .unwrap_or_else(|| name.to_owned())
    };
    let file = |(name, lines): (&str, BTreeMap<u32, Line>)| FileCoverage {
        path: path(name),
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
        return Err("a `line` has no `number` or `hits`".to_owned());
    };
    let line = lines.entry(at).or_default();
    line.hits = line.hits.saturating_add(hits);
    // `50% (1/2)`: taken and all branches.
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
