//! The gate: which findings fail the step. The report has all of them.

use std::fmt;

use actions_toolkit::{Done, PolicyFailure, Scope, Value, invalid_choice, text};
use findings::Finding;
use trivy::Severity;

use crate::exploitation::Exploitation;
use crate::request::Inputs;

/// What fails the step: one of these is enough.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FailOn {
    /// A finding of this severity or a worse one.
    pub(crate) severity: Option<Severity>,
    /// A vulnerability in CISA's catalog of exploited ones.
    pub(crate) kev: bool,
    /// A vulnerability whose EPSS score is over this one.
    pub(crate) epss: Option<f64>,
}

/// What the input may have, for its message.
const CHOICES: [&str; 7] = [
    "critical", "high", "medium", "low", "kev", "epss>0.5", "none",
];

impl FailOn {
    /// Whether nothing fails the step.
    pub(crate) fn is_never(self) -> bool {
        self == Self::default()
    }
}

impl Value for FailOn {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let parts = text.split([',', '\n']).map(str::trim);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let mut fail_on = Self::default();
        for part in &parts {
            let invalid = || invalid_choice(part, &CHOICES);
            let epss = part
                .strip_prefix("epss")
                .map(|rest| rest.trim_start().strip_prefix('>'));
            match (*part, epss) {
                ("none", _) if parts.len() > 1 => {
                    return Err(format!("`{text}` has `none` and something else"));
                }
                ("none", _) => {}
                ("kev", _) => fail_on.kev = true,
                (_, Some(number)) => {
                    let number = number.and_then(|number| number.trim().parse::<f64>().ok());
                    let number = number.filter(|number| (0.0..1.0).contains(number));
                    fail_on.epss = Some(number.ok_or_else(|| {
                        format!(
                            "invalid score in `{part}`; use a form such as `epss>0.5`, from 0 to 1"
                        )
                    })?);
                }
                _ => {
                    let severity = Severity::parse(part, scope).map_err(|_| invalid())?;
                    // A list of severities, as Trivy has it: the lowest one decides.
                    let lowest = fail_on
                        .severity
                        .map_or(severity, |known| known.min(severity));
                    fail_on.severity = Some(lowest);
                }
            }
        }
        Ok(fail_on)
    }
}

/// As the end of `3 findings …`.
impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self
            .severity
            .map(|lowest| format!("of severity {lowest} or worse"));
        let kev = self.kev.then(|| "exploited in the wild (KEV)".to_owned());
        let epss = self
            .epss
            .map(|score| format!("with an EPSS score over {score}"));
        let parts: Vec<_> = [severity, kev, epss].into_iter().flatten().collect();
        f.write_str(&parts.join(" or "))
    }
}

/// Which findings fail the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gate {
    pub(crate) fail_on: FailOn,
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
            fail_on: inputs.fail_on,
            fixable_only: inputs.fail_on_fixable_only,
            new_only: inputs.fail_on_new_only,
            dismissed: inputs.fail_on_dismissed,
        }
    }

    /// Whether `finding` fails the step if it is new.
    pub(crate) fn counts(self, finding: &Finding, exploitation: &Exploitation) -> bool {
        let lowest = self.fail_on.severity;
        let is_severe = lowest.is_some_and(|lowest| finding.severity >= lowest);
        finding.is_open()
            && (is_severe || exploitation.reason(finding).is_some())
            && (finding.is_fixable() || !self.fixable_only)
    }

    /// The verdict on `findings`.
    ///
    /// # Errors
    /// [`PolicyFailure`] when one of them fails the step.
    pub(crate) fn judge<'a>(
        self,
        findings: impl Iterator<Item = Gated<'a>>,
        exploitation: &Exploitation,
    ) -> Result<Done, PolicyFailure> {
        let mut over = 0;
        let mut hidden = 0;
        for gated in findings {
            if self.counts(gated.finding, exploitation) && (gated.is_new || !self.new_only) {
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
            "{} {}{hidden}; update what has a fixed version, or list in `ignore-file` what cannot do harm here",
            text::plural(over, kind),
            self.fail_on
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

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    #[test]
    fn what_fails_the_step_is_a_list() {
        let parse = |text: &str| {
            let (log, workspace) = (Log::sink(), Workspace::new("."));
            let fail_on = FailOn::parse(text, &Scope::new(&log, &workspace));
            fail_on.map(|fail_on| fail_on.to_string())
        };
        let table = [
            ("none", Ok("")),
            ("high", Ok("of severity high or worse")),
            ("critical,high", Ok("of severity high or worse")),
            ("kev", Ok("exploited in the wild (KEV)")),
            (
                "critical, kev, epss > 0.5",
                Ok(
                    "of severity critical or worse or exploited in the wild (KEV) or with an EPSS score over 0.5",
                ),
            ),
            ("epss>0", Ok("with an EPSS score over 0")),
            (
                "epss>50",
                Err("invalid score in `epss>50`; use a form such as `epss>0.5`, from 0 to 1"),
            ),
            (
                "epss",
                Err("invalid score in `epss`; use a form such as `epss>0.5`, from 0 to 1"),
            ),
            ("kev,none", Err("`kev,none` has `none` and something else")),
            (
                "kev,severe",
                Err(
                    "invalid value `severe`; expected one of `critical`, `high`, `medium`, `low`, `kev`, `epss>0.5`, `none`",
                ),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(
                parse(text).as_deref().map_err(String::as_str),
                expected,
                "{text}"
            );
        }
    }
}
