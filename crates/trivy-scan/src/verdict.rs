//! The gate: which findings fail the step. The report has all of them.

use actions_toolkit::{Done, PolicyFailure, text};
use findings::Finding;
use trivy::Severity;

use crate::request::Inputs;

/// Which findings fail the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The lowest severity that fails the step; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// Whether only fixable findings count.
    pub(crate) fixable_only: bool,
    /// Whether only findings that are not in the baseline count.
    pub(crate) new_only: bool,
    /// Whether findings count whose alert was dismissed.
    pub(crate) dismissed: bool,
}

/// A finding that the gate decides on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gated<'a> {
    pub(crate) finding: &'a Finding,
    /// Without a baseline, all are.
    pub(crate) is_new: bool,
    /// Whether the filter hides it.
    pub(crate) is_hidden: bool,
}

impl Gate {
    pub(crate) fn new(inputs: &Inputs) -> Self {
        Self {
            fail_on: inputs.fail_on.0,
            fixable_only: inputs.fail_on_fixable_only,
            new_only: inputs.fail_on_new_only,
            dismissed: inputs.fail_on_dismissed,
        }
    }

    /// Whether `finding` fails the step if it is new.
    pub(crate) fn counts(self, finding: &Finding, fail_on: Severity) -> bool {
        finding.is_open()
            && finding.severity >= fail_on
            && (finding.is_fixable() || !self.fixable_only)
    }

    /// The verdict on `findings`.
    ///
    /// # Errors
    /// [`PolicyFailure`] when one of them fails the step.
    pub(crate) fn judge<'a>(
        self,
        findings: impl Iterator<Item = Gated<'a>>,
    ) -> Result<Done, PolicyFailure> {
        let Some(fail_on) = self.fail_on else {
            return Ok(Done("passed"));
        };
        let mut over = 0;
        let mut hidden = 0;
        for gated in findings {
            if self.counts(gated.finding, fail_on) && (gated.is_new || !self.new_only) {
                over += 1;
                hidden += usize::from(gated.is_hidden);
            }
        }
        if over == 0 {
            return Ok(Done("passed"));
        }
        let hidden = match hidden {
            0 => String::new(),
            count => format!(" ({count} hidden by the filters)"),
        };
        let kind = match (self.new_only, self.fixable_only) {
            (true, true) => "new fixable finding",
            (true, false) => "new finding",
            (false, true) => "fixable finding",
            (false, false) => "finding",
        };
        Err(PolicyFailure(format!(
            "{} of severity {fail_on} or worse{hidden}; update what has a fixed version, or list in `ignore-file` what cannot do harm here",
            text::plural(over, kind)
        )))
    }
}

/// The verdict on what was not scanned, in `count` places, with `fail-on-not-scanned`.
///
/// # Errors
/// [`PolicyFailure`] if there are any.
pub(crate) fn judge_coverage(count: usize) -> Result<(), PolicyFailure> {
    if count == 0 {
        return Ok(());
    }
    Err(PolicyFailure(format!(
        "something was not scanned in {} (`fail-on-not-scanned`); see the warnings, add a lock file, or exclude it with `skip-dirs`",
        text::plural(count, "place")
    )))
}
