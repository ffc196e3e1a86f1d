//! What a person reads: the table in the log, the summary, the comment.

mod comment;
mod findings;
mod imported;
mod log;
mod notes;
mod outputs;
mod summary;
mod table;
mod vex;

use ::findings::Counts;

use crate::baseline::Comparison;
use crate::filter::Filter;
use crate::scan::ScanOutcome;
use crate::verdict::Gated;

pub(crate) use comment::comment;
use findings::{findings_table, log_lines};
pub(crate) use imported::{imported_section, log_imported};
pub(crate) use log::log;
pub(crate) use notes::notes;
pub(crate) use outputs::set_outputs;
pub(crate) use summary::{Facts, summary};
pub(crate) use table::table;
pub(crate) use vex::{vex_lines, vex_section};

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

/// Every finding that the gate decides on.
pub(crate) fn gated<'a>(
    outcomes: impl IntoIterator<Item = &'a ScanOutcome>,
) -> impl Iterator<Item = Gated<'a>> {
    outcomes.into_iter().flat_map(|outcome| {
        let compared = outcome.comparison.as_ref();
        let is_new = move |new: fn(&Comparison) -> &[bool], at: usize| {
            compared.is_none_or(|comparison| new(comparison).get(at) == Some(&true))
        };
        let shown = outcome.findings.iter().enumerate();
        let counted = shown.filter(|(at, _)| !outcome.dismissed.contains_key(at));
        let shown = counted.map(move |(at, finding)| Gated {
            finding,
            is_new: is_new(|comparison| &comparison.new, at),
            is_hidden: false,
        });
        let hidden = outcome.hidden.iter().enumerate();
        let hidden = hidden.map(move |(at, finding)| Gated {
            finding,
            is_new: is_new(|comparison| &comparison.new_hidden, at),
            is_hidden: true,
        });
        shown.chain(hidden)
    })
}

/// How many open findings of `outcomes` the filter hides, for a person; `None` if it hides nothing.
pub(crate) fn hidden_message<'a>(
    filter: &Filter,
    outcomes: impl IntoIterator<Item = &'a ScanOutcome>,
) -> Option<String> {
    let hidden = outcomes.into_iter().flat_map(|outcome| &outcome.hidden);
    let counts: Counts = hidden.collect();
    let inputs = filter.inputs();
    (counts.total() > 0).then(|| format!("hidden by {inputs}: {counts}; the gate counts them"))
}
