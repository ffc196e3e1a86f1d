//! What a person reads: the table in the log, the summary, the comment.

mod comment;
mod rows;
mod say;
mod summary;

use findings::{Counts, Finding};

use crate::scan::Answer;

pub(crate) use comment::comment;
use rows::{findings_table, log_lines};
pub(crate) use say::{log, notes, outputs};
pub(crate) use summary::{Facts, summary};

/// The counts of all answers together.
pub(crate) fn counts(answers: &[Answer]) -> Counts {
    Counts::from_iter(answers.iter().flat_map(|answer| &answer.findings))
}

/// How many are new and fixed, if there is a baseline for any of the targets.
pub(crate) fn changes(answers: &[Answer]) -> Option<(usize, usize)> {
    let mut compared = answers
        .iter()
        .filter_map(|a| a.comparison.as_ref())
        .peekable();
    compared.peek()?;
    Some(compared.fold((0, 0), |(new, fixed), comparison| {
        (new + comparison.count_new(), fixed + comparison.fixed.len())
    }))
}

/// Every finding with whether it is new; all are where there is nothing to compare with.
pub(crate) fn with_news(answers: &[Answer]) -> impl Iterator<Item = (&Finding, bool)> {
    answers.iter().flat_map(|answer| {
        answer.findings.iter().enumerate().map(|(at, finding)| {
            let compared = answer.comparison.as_ref();
            let new = compared.is_none_or(|comparison| comparison.new.get(at) == Some(&true));
            (finding, new)
        })
    })
}
