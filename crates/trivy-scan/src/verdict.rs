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

impl Gate {
    pub(crate) fn new(inputs: &Inputs) -> Self {
        Self {
            fail_on: inputs.fail_on.0,
            fixable_only: inputs.fail_on_fixable_only,
            new_only: inputs.fail_on_new_only,
            dismissed: inputs.fail_on_dismissed,
        }
    }

    /// The verdict on `findings`, each with whether it is new.
    ///
    /// # Errors
    /// [`PolicyFailure`] when one of them fails the step.
    pub(crate) fn judge<'a>(
        self,
        findings: impl Iterator<Item = (&'a Finding, bool)>,
    ) -> Result<Done, PolicyFailure> {
        let Some(fail_on) = self.fail_on else {
            return Ok(Done("passed"));
        };
        let fails = |(finding, new): &(&Finding, bool)| {
            finding.is_open()
                && finding.severity >= fail_on
                && (finding.is_fixable() || !self.fixable_only)
                && (*new || !self.new_only)
        };
        let over = findings.filter(fails).count();
        if over == 0 {
            return Ok(Done("passed"));
        }
        let kind = match (self.new_only, self.fixable_only) {
            (true, true) => "new fixable finding",
            (true, false) => "new finding",
            (false, true) => "fixable finding",
            (false, false) => "finding",
        };
        Err(PolicyFailure(format!(
            "{} of severity {fail_on} or worse; update what has a fixed version, or list in `ignore-file` what cannot do harm here",
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
