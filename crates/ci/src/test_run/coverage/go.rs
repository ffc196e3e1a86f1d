//! Profiles of Go (golang.org/x/tools/cover, `ParseProfilesFromReader`): the first line has the mode, every other one
//! `file:line.column,line.column statements count`.

use std::collections::BTreeMap;

use super::{FileCoverage, PATH, Parsed, numbers};

/// Lines of the largest block: a larger one is not of a source.
const LINES: u32 = 100_000;
/// Lines of all blocks.
const ALL_LINES: u32 = 10_000_000;

/// Start and end, each as line and column.
type Block = [u32; 4];

/// Statements of a block, and whether they were executed.
type Blocks = BTreeMap<Block, (u32, bool)>;

/// Whether `text` is a profile.
pub(in crate::test_run) fn is_profile(text: &str) -> bool {
    text.starts_with("mode: ")
}

/// Parse a profile. A block that several packages were tested with is covered if one of them executes it.
///
/// # Errors
/// When a line is malformed.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let mut files: BTreeMap<&str, Blocks> = BTreeMap::new();
    let mut lines = 0_u32;
    for (number, line) in text.lines().enumerate().skip(1) {
        let line = line.trim();
        // Profiles that were concatenated.
        if line.is_empty() || is_profile(line) {
            continue;
        }
        let parsed = block(line).filter(|(_, [start, _, end, _], ..)| {
            lines = lines.saturating_add(end.saturating_sub(*start));
            start <= end && end - start <= LINES && lines <= ALL_LINES
        });
        let Some((file, block, statements, is_executed)) = parsed else {
            return Err(format!(
                "not a profile of Go: line {} is malformed",
                number + 1
            ));
        };
        let known = files.entry(file).or_default().entry(block);
        let known = known.or_insert((statements, false));
        known.1 |= is_executed;
    }
    Ok(Parsed {
        files: files
            .into_iter()
            .map(|(path, blocks)| file(path, &blocks))
            .collect(),
        ..Parsed::default()
    })
}

fn block(line: &str) -> Option<(&str, Block, u32, bool)> {
    let (file, rest) = line.rsplit_once(':')?;
    let mut fields = rest.split(' ');
    let (start, end) = fields.next()?.split_once(',')?;
    let place = |text: &str| -> Option<[u32; 2]> {
        let (line, column) = text.split_once('.')?;
        Some([line.parse().ok()?, column.parse().ok()?])
    };
    let ([line, column], [last, last_column]) = (place(start)?, place(end)?);
    let statements = fields.next()?.parse().ok()?;
    let count: u64 = fields.next()?.parse().ok()?;
    let file = &file[..file.floor_char_boundary(PATH)];
    let is_whole = fields.next().is_none();
    is_whole.then_some((
        file,
        [line, column, last, last_column],
        statements,
        count > 0,
    ))
}

// Statements count, as `go tool cover` counts them; of the lines it has only those of their blocks.
fn file(path: &str, blocks: &Blocks) -> FileCoverage {
    let sum = |select: fn(bool) -> bool| {
        let selected = blocks
            .values()
            .filter(|(_, is_executed)| select(*is_executed));
        selected
            .map(|(statements, _)| u64::from(*statements))
            .sum::<u64>()
    };
    let mut lines: BTreeMap<u32, bool> = BTreeMap::new();
    for ([start, _, end, _], (statements, is_executed)) in blocks {
        if *statements > 0 {
            for line in *start..=*end {
                *lines.entry(line).or_default() |= is_executed;
            }
        }
    }
    FileCoverage {
        path: path.to_owned(),
        covered: sum(|is_executed| is_executed),
        total: sum(|_| true),
        missing: numbers(&lines, |is_executed| !is_executed),
        executed: numbers(&lines, |is_executed| is_executed),
    }
}
