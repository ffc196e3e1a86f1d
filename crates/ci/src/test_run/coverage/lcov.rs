//! LCOV tracefiles (github.com/linux-test-project/lcov, `geninfo(1)`, "TRACEFILE FORMAT").

use std::collections::BTreeMap;

use super::{Claimed, FileCoverage, PATH, Parsed, numbers};

/// Bytes of the name of a branch.
const BRANCH: usize = 64;
/// Files of one name that are separate.
const SAME_NAME: usize = 100;

/// The records by their path.
type Files<'a> = BTreeMap<&'a str, Vec<Record<'a>>>;

/// From a line `SF` to the next one.
struct Record<'a> {
    test: &'a str,
    file: File,
}

#[derive(Default)]
struct File {
    /// Hits of each line.
    lines: BTreeMap<u32, u64>,
    /// Whether each branch was taken, by its line and name.
    branches: BTreeMap<(u32, String), bool>,
}

/// Whether `text` is a tracefile: its first line that is not a comment names a test or a file.
pub(in crate::test_run) fn is_lcov(text: &str) -> bool {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let first = lines
        .clone()
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with("TN:") || line.starts_with("SF:"))
}

/// Parse a tracefile. Several records of one file are added up. Tracefiles that were concatenated may have several files of
/// one relative path, each in another package: they have other lines in a test of the same name.
///
/// # Errors
/// When a line of code is before the first file, or malformed.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut files = Files::new();
    let mut current: Option<(&str, Record<'_>)> = None;
    let mut of_test = "";
    let (mut claimed, mut is_claimed, mut records) = ((0_u64, 0_u64), false, 0);
    for (number, line) in text.lines().enumerate() {
        let Some((key, value)) = line.trim().split_once(':') else {
            continue;
        };
        let invalid = || format!("not LCOV: line {} is malformed", number + 1);
        match key {
            "TN" => {
                of_test = value;
                continue;
            }
            "SF" => {
                let path = &value[..value.floor_char_boundary(PATH)];
                let file = File::default();
                if let Some((path, record)) = current.replace((
                    path,
                    Record {
                        test: of_test,
                        file,
                    },
                )) {
                    add(&mut files, path, record);
                }
                records += 1;
                continue;
            }
            "DA" | "BRDA" | "LF" | "LH" => {}
            _ => continue,
        }
        let (_, Record { file, .. }) = current.as_mut().ok_or_else(invalid)?;
        match key {
            "DA" => {
                let mut fields = value.split(',');
                let line = fields.next().and_then(|field| field.trim().parse().ok());
                let hits = fields
                    .next()
                    .and_then(|field| field.trim().parse::<i128>().ok());
                let (line, hits) = line.zip(hits).ok_or_else(invalid)?;
                let all = file.lines.entry(line).or_default();
                // Compilers write negative counts now and then, and LLVM ones of 64 bits without a sign.
                let hits = u64::try_from(hits.max(0)).unwrap_or(u64::MAX);
                *all = all.saturating_add(hits);
            }
            "BRDA" => {
                let (line, rest) = value.split_once(',').ok_or_else(invalid)?;
                let (branch, taken) = rest.rsplit_once(',').ok_or_else(invalid)?;
                let line = line.trim().parse().map_err(|_| invalid())?;
                let branch = branch[..branch.floor_char_boundary(BRANCH)].to_owned();
                *file.branches.entry((line, branch)).or_default() |=
                    !matches!(taken.trim(), "-" | "0");
            }
            _ => {
                let count: u64 = value.trim().parse().map_err(|_| invalid())?;
                let sum = if key == "LH" {
                    &mut claimed.0
                } else {
                    &mut claimed.1
                };
                *sum = sum.saturating_add(count);
                is_claimed = true;
            }
        }
    }
    if let Some((path, record)) = current {
        add(&mut files, path, record);
    }
    let is_once = records == files.values().map(Vec::len).sum::<usize>();
    let count = |count: usize| count as u64;
    let mut sum = (0, 0);
    let files = files.into_iter().flat_map(|(path, records)| {
        let records = records.into_iter();
        records.map(move |record| (path, record.file))
    });
    let files = files.map(|(path, file)| {
        let hit = count(file.lines.values().filter(|hits| **hits > 0).count());
        let taken = count(file.branches.values().filter(|taken| **taken).count());
        sum = (sum.0 + hit, sum.1 + count(file.lines.len()));
        FileCoverage {
            path: path.to_owned(),
            covered: hit + taken,
            total: count(file.lines.len() + file.branches.len()),
            missing: numbers(&file.lines, |hits| hits == 0),
            executed: numbers(&file.lines, |hits| hits > 0),
        }
    });
    let files = files.collect();
    let claimed = (is_claimed && is_once && claimed != sum).then_some(Claimed {
        covered: claimed.0,
        total: claimed.1,
    });
    Ok(Parsed {
        files,
        sources: Vec::new(),
        claimed: claimed.filter(Claimed::is_possible),
    })
}

// Add what `record` has on the file `path`.
fn add<'a>(files: &mut Files<'a>, path: &'a str, record: Record<'a>) {
    let known = files.entry(path).or_default();
    // An absolute path is one file, of which a compiler may write other lines for each unit.
    let is_one = path.starts_with('/') || known.len() >= SAME_NAME;
    let has_its_lines = |other: &Record<'_>| {
        let (lines, others) = (&record.file.lines, &other.file.lines);
        lines.keys().eq(others.keys())
    };
    let is_of_another_test = |other: &Record<'_>| is_one || other.test != record.test;
    let at = known.iter().position(has_its_lines);
    match at.or_else(|| known.iter().position(is_of_another_test)) {
        Some(at) => known[at].file.merge(record.file),
        None => known.push(record),
    }
}

impl File {
    fn merge(&mut self, other: Self) {
        for (line, hits) in other.lines {
            let all = self.lines.entry(line).or_default();
            *all = all.saturating_add(hits);
        }
        for (branch, is_taken) in other.branches {
            *self.branches.entry(branch).or_default() |= is_taken;
        }
    }
}
