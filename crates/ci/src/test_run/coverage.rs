//! The coverage report of the tests: Cobertura or `JaCoCo` XML, JSON of coverage.py, LCOV, or a profile of Go.

pub(crate) mod changed;
mod cobertura;
pub(super) mod go;
pub(super) mod jacoco;
pub(super) mod lcov;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::xml;
use crate::source_map::SourceMap;
use cobertura::CoberturaReader;
use jacoco::JacocoReader;

/// Maximum size of a report in bytes.
pub(crate) const SIZE_LIMIT: usize = 64 * 1024 * 1024;
/// Bytes of the longest path of Linux (`PATH_MAX`).
const PATH: usize = 4096;
/// Bytes at the start of a report that show which one it is.
const START: usize = 4096;
/// Files whose path in the repository is looked up: the largest gaps, more than the report shows.
const RESOLVED: usize = 100;
/// Directories of the report in which a file is looked up.
const SOURCES: usize = 100;

/// A report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// The file with the most uncovered lines and branches first.
    pub(crate) files: Vec<FileCoverage>,
    /// The report's own totals, where its files have other ones. coverage.py writes one of several files with one name
    /// below different sources, and counts all of them.
    pub(crate) claimed: Option<Claimed>,
}

/// The totals that a report has next to its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// Covered lines and branches.
    pub(crate) covered: u64,
    /// All lines and branches.
    pub(crate) total: u64,
}

/// What a parser reads.
#[derive(Default)]
struct Parsed {
    files: Vec<FileCoverage>,
    /// Directories that the files are in.
    sources: Vec<String>,
    claimed: Option<Claimed>,
}

/// The coverage of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileCoverage {
    /// In the repository; as the report has it if the repository does not have the file, and beyond the first 100 files.
    pub(crate) path: String,
    /// Lines and branches that were executed.
    pub(crate) covered: u64,
    /// All lines and branches.
    pub(crate) total: u64,
    /// Lines that were not executed, in ascending order.
    pub(crate) missing: Vec<u32>,
    /// Lines that were executed, in ascending order.
    pub(crate) executed: Vec<u32>,
}

impl Coverage {
    /// Parse a report; `source_map` resolves its paths.
    ///
    /// # Errors
    /// When it has none of the formats, or no lines of code.
    pub(crate) fn parse(report: &[u8], source_map: &SourceMap) -> Result<Self, String> {
        Self::read(report, Some(source_map))
    }

    /// Parse a report of another checkout, of which only the totals count.
    ///
    /// # Errors
    /// As [`Coverage::parse`].
    pub(crate) fn totals(report: &[u8]) -> Result<Self, String> {
        Self::read(report, None)
    }

    fn read(report: &[u8], source_map: Option<&SourceMap>) -> Result<Self, String> {
        let text = std::str::from_utf8(report).map_err(|e| format!("not UTF-8: {e}"))?;
        let Parsed {
            mut files,
            sources,
            claimed,
        } = if text.trim_start().starts_with('{') {
            parse_json(text)?
        } else if lcov::is_lcov(text) {
            lcov::parse(text)?
        } else if go::is_profile(text) {
            go::parse(text)?
        } else if jacoco::is_jacoco(&text[..text.floor_char_boundary(START)]) {
            let mut reader = JacocoReader::default();
            xml::read(text, true, &mut reader)?;
            reader.finish()
        } else {
            let mut reader = CoberturaReader::default();
            // Most reports have a document type; it is not fetched.
            xml::read(text, true, &mut reader)?;
            reader.finish()?
        };
        // The largest gap first: a test there is worth most.
        files.sort_by(|a, b| {
            let gap = |file: &FileCoverage| file.total - file.covered;
            gap(b).cmp(&gap(a)).then_with(|| a.path.cmp(&b.path))
        });
        let resolved = files.iter_mut().take(RESOLVED);
        for (file, source_map) in resolved.zip(std::iter::repeat(source_map)) {
            let Some(source_map) = source_map else {
                break;
            };
            let in_source = sources
                .iter()
                .find_map(|source| source_map.file(&format!("{source}/{}", file.path)));
            if let Some(path) = in_source.or_else(|| source_map.file(&file.path)) {
                file.path = path;
            }
        }
        let coverage = Self { files, claimed };
        match coverage.counts() {
            (_, 0) => Err("it contains no lines of code".to_owned()),
            _ => Ok(coverage),
        }
    }

    /// Covered and all lines and branches, added up as coverage.py does; those of the lower coverage, where the report's own
    /// totals are others: what is missing in a report may be what is not covered.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let sum = self.sum();
        let claimed = self.claimed.map(|claimed| (claimed.covered, claimed.total));
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        match claimed {
            Some(claimed) if product(claimed.0, sum.1) < product(sum.0, claimed.1) => claimed,
            _ => sum,
        }
    }

    fn sum(&self) -> (u64, u64) {
        let add = |(covered, total): (u64, u64), file: &FileCoverage| {
            (covered + file.covered, total + file.total)
        };
        self.files.iter().fold((0, 0), add)
    }

    /// How the report's own totals differ from its files.
    pub(crate) fn difference(&self) -> Option<String> {
        let Claimed { covered, total } = self.claimed?;
        let (of_files, all) = self.sum();
        Some(format!(
            "the coverage report counts {covered} of {total} lines and branches, its files {of_files} of {all}; the lower percentage counts"
        ))
    }

    /// In percent with two decimals, rounded down: 100.00 means complete.
    pub(crate) fn percent(&self) -> String {
        let (covered, total) = self.counts();
        percent(covered, total)
    }

    /// Its change from `base` in percentage points, as the two percentages are shown: `+0.52`.
    pub(crate) fn change(&self, base: &Self) -> String {
        let of = |coverage: &Self| {
            let (covered, total) = coverage.counts();
            hundredths(covered, total)
        };
        let (own, base) = (of(self), of(base));
        let sign = match own.cmp(&base) {
            Ordering::Less => "-",
            Ordering::Equal => "±",
            Ordering::Greater => "+",
        };
        let change = own.abs_diff(base);
        format!("{sign}{}.{:02}", change / 100, change % 100)
    }

    /// Whether at least `min` percent are covered.
    pub(crate) fn reaches(&self, min: f64) -> bool {
        let (covered, total) = self.counts();
        #[expect(clippy::cast_precision_loss, reason = "code has no 2^52 lines")]
        let (covered, total) = (covered as f64, total as f64);
        covered * 100.0 >= min * total
    }
}

fn hundredths(part: u64, whole: u64) -> u128 {
    let hundredths = u128::from(part) * 10_000;
    hundredths.checked_div(whole.into()).unwrap_or_default()
}

/// `part` of `whole` in percent with two decimals, rounded down.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let hundredths = hundredths(part, whole);
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
    totals: Option<JsonSummary>,
}

#[derive(Deserialize)]
struct JsonFile {
    summary: JsonSummary,
    #[serde(default)]
    missing_lines: Vec<u32>,
    #[serde(default)]
    executed_lines: Vec<u32>,
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

fn parse_json(text: &str) -> Result<Parsed, String> {
    let report: Json = serde_json::from_str(text).map_err(|e| {
        format!("not a JSON report of coverage.py: {e}; other tools have Cobertura or LCOV, too")
    })?;
    let file = |(path, mut file): (String, JsonFile)| {
        file.missing_lines.sort_unstable();
        file.executed_lines.sort_unstable();
        let summary = file.summary;
        if summary.covered_lines > summary.num_statements
            || summary.covered_branches > summary.num_branches
        {
            return Err(format!(
                "it counts more covered lines or branches of `{path}` than there are"
            ));
        }
        Ok(FileCoverage {
            path,
            covered: u64::from(summary.covered_lines) + u64::from(summary.covered_branches),
            total: u64::from(summary.num_statements) + u64::from(summary.num_branches),
            missing: file.missing_lines,
            executed: file.executed_lines,
        })
    };
    let totals = report.totals;
    let summaries = report.files.values().map(|file| &file.summary);
    let lines = summaries.fold((0, 0), |(covered, all), summary| {
        let (of_file, all_of_file) = summary.lines();
        (covered + of_file, all + all_of_file)
    });
    let claimed = totals.filter(|totals| totals.lines() != lines);
    let claimed = claimed.map(|totals| Claimed {
        covered: u64::from(totals.covered_lines) + u64::from(totals.covered_branches),
        total: u64::from(totals.num_statements) + u64::from(totals.num_branches),
    });
    let files: Result<_, String> = report.files.into_iter().map(file).collect();
    Ok(Parsed {
        files: files?,
        sources: Vec::new(),
        claimed: claimed.filter(Claimed::is_possible),
    })
}

impl JsonSummary {
    fn lines(&self) -> (u64, u64) {
        (self.covered_lines.into(), self.num_statements.into())
    }
}

impl Claimed {
    fn is_possible(&self) -> bool {
        self.total > 0 && self.covered <= self.total
    }
}

// The numbers of those `lines` of a file whose executions `select` chooses.
fn numbers<T: Copy>(lines: &BTreeMap<u32, T>, select: fn(T) -> bool) -> Vec<u32> {
    let selected = lines.iter().filter(|(_, executed)| select(**executed));
    selected.map(|(number, _)| *number).collect()
}

#[cfg(test)]
mod tests;
