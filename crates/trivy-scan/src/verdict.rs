//! The gate: what fails the step. The report keeps everything.

use actions_toolkit::{BadInput, Done, Inputs, PolicyFailure, text};
use findings::Finding;
use trivy::Severity;

/// What fails the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate {
    /// The lowest severity; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// Whether there must be an update or a change that mends it.
    pub(crate) fixable_only: bool,
    /// Whether the baseline must not have it.
    pub(crate) new_only: bool,
}

impl Gate {
    pub(crate) fn of(inputs: &Inputs) -> Result<Self, BadInput> {
        let fail_on = match inputs.required("fail-on")? {
            "none" => None,
            text => Some(text.parse().map_err(|_| {
                BadInput::new(
                    "fail-on",
                    format!("`{text}` is none of `critical`, `high`, `medium`, `low`, `none`"),
                )
            })?),
        };
        Ok(Self {
            fail_on,
            fixable_only: inputs.flag("fail-on-fixable-only")?,
            new_only: inputs.flag("fail-on-new-only")?,
        })
    }

    /// The verdict on `findings`, each with whether it is new.
    ///
    /// # Errors
    /// [`PolicyFailure`] when one of them is over the gate.
    pub(crate) fn judge<'a>(
        self,
        findings: impl Iterator<Item = (&'a Finding, bool)>,
    ) -> Result<Done, PolicyFailure> {
        let Some(fail_on) = self.fail_on else {
            return Ok(Done("passed"));
        };
        let counts = |(finding, new): &(&Finding, bool)| {
            finding.is_open()
                && finding.severity >= fail_on
                && (finding.is_fixable() || !self.fixable_only)
                && (*new || !self.new_only)
        };
        let over = findings.filter(counts).count();
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
            "{} of severity {fail_on} or worse; update what has a fixed version, or list in `ignore-file` what can't hurt here",
            text::plural(over, kind)
        )))
    }
}
