//! What a person reads: the table in the log, the summary, the comment.

mod comment;
mod findings;
mod log;
mod notes;
mod outputs;
mod summary;

use ::findings::{Counts, Finding};

use crate::scan::ScanOutcome;

pub(crate) use comment::comment;
use findings::{findings_table, log_lines};
pub(crate) use log::log;
pub(crate) use notes::notes;
pub(crate) use outputs::set_outputs;
pub(crate) use summary::{Facts, summary};

/// The counts of all outcomes together.
fn counts(outcomes: &[ScanOutcome]) -> Counts {
    outcomes
        .iter()
        .flat_map(|outcome| &outcome.findings)
        .collect()
}

/// The numbers of new and fixed findings, if any target has a baseline.
fn changes(outcomes: &[ScanOutcome]) -> Option<(usize, usize)> {
    let mut compared = outcomes
        .iter()
        .filter_map(|a| a.comparison.as_ref())
        .peekable();
    compared.peek()?;
    Some(compared.fold((0, 0), |(new, fixed), comparison| {
        (new + comparison.count_new(), fixed + comparison.fixed.len())
    }))
}

/// Every finding that the gate counts and whether it is new; without a baseline, all of them are.
pub(crate) fn gated(outcomes: &[ScanOutcome]) -> impl Iterator<Item = (&Finding, bool)> {
    outcomes.iter().flat_map(|outcome| {
        let findings = outcome.findings.iter().enumerate();
        let counted = findings.filter(|(at, _)| !outcome.dismissed.contains_key(at));
        counted.map(|(at, finding)| {
            let compared = outcome.comparison.as_ref();
            let new = compared.is_none_or(|comparison| comparison.new.get(at) == Some(&true));
            (finding, new)
        })
    })
}
