//! LCOV tracefiles (github.com/linux-test-project/lcov, `geninfo(1)`, "TRACEFILE FORMAT").

use std::collections::BTreeMap;

use super::{Claimed, FileCoverage, PATH, Parsed, numbers};

/// Bytes of the name of a branch.
const BRANCH: usize = 64;

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

/// Parse a tracefile. Several records of one file are added up.
///
/// # Errors
/// When a line of code is before the first file, or malformed.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    let mut current = None;
    let (mut claimed, mut is_claimed, mut records) = ((0_u64, 0_u64), false, 0);
    for (number, line) in text.lines().enumerate() {
        let Some((key, value)) = line.trim().split_once(':') else {
            continue;
        };
        let invalid = || format!("not LCOV: line {} is malformed", number + 1);
        if key == "SF" {
            let path = &value[..value.floor_char_boundary(PATH)];
            current = Some(files.entry(path).or_default());
            records += 1;
            continue;
        }
        if !matches!(key, "DA" | "BRDA" | "LF" | "LH") {
            continue;
        }
        let file = current.as_mut().ok_or_else(invalid)?;
        match key {
            "DA" => {
                let mut fields = value.split(',');
                let line = fields.next().and_then(|field| field.trim().parse().ok());
                let hits = fields
                    .next()
                    .and_then(|field| field.trim().parse::<i64>().ok());
                let (line, hits) = line.zip(hits).ok_or_else(invalid)?;
                let all = file.lines.entry(line).or_default();
                // Compilers write negative counts now and then.
                *all = all.saturating_add(u64::try_from(hits).unwrap_or(0));
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
    let is_once = records == files.len();
    let count = |count: usize| count as u64;
    let mut sum = (0, 0);
    let files = files.into_iter().map(|(path, file)| {
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
