//! The processors of containers.

use std::time::Duration;

use actions_toolkit::{Scope, Value};

/// What Docker requires: a hundredth of a processor (`verifyPlatformContainerResources` in `daemon/daemon_unix.go` of
/// github.com/moby/moby).
const LEAST: Duration = Duration::from_millis(10);

/// A number of processors, as the time on them that a second has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cpus(Duration);

impl Cpus {
    /// Nanoseconds in a second, as Docker takes them.
    pub(crate) fn nanoseconds(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl std::fmt::Display for Cpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}

impl Value for Cpus {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let number = f64::parse(text, scope)?;
        let time = Duration::try_from_secs_f64(number).ok();
        let time = time.filter(|time| *time >= LEAST);
        let problem = || format!("`{text}` is not a number of processors, such as `2` or `0.5`");
        time.map(Self).ok_or_else(problem)
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    #[test]
    fn processors_may_be_parts_of_one() {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        let parse = |text| Cpus::parse(text, &Scope::new(&log, &workspace));
        for (text, nanoseconds, shown) in [
            ("2", 2_000_000_000, "2"),
            ("1.50", 1_500_000_000, "1.5"),
            ("0.01", 10_000_000, "0.01"),
        ] {
            let cpus = parse(text).unwrap();
            assert_eq!(cpus.nanoseconds(), nanoseconds, "{text}");
            assert_eq!(cpus.to_string(), shown);
        }
        for text in ["0", "0.001", "-1", "inf", "NaN", "1e30", "two"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
