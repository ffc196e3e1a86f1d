//! One verdict of all checks.

use actions_toolkit::ExitStatus;

/// The error that decides, and the messages of the others. A policy failure decides before an error without a verdict: a
/// failed check stays failed, whether or not the others have a result. A failure that several checks have, such as a
/// build step of both builds, is reported once.
pub(crate) fn combine(verdicts: Vec<anyhow::Result<()>>) -> (anyhow::Result<()>, Vec<String>) {
    let mut errors: Vec<anyhow::Error> = verdicts.into_iter().filter_map(Result::err).collect();
    let is_policy_failure =
        |error: &anyhow::Error| matches!(ExitStatus::from_error(error), ExitStatus::PolicyFailed);
    if errors.is_empty() {
        return (Ok(()), Vec::new());
    }
    let deciding = errors
        .iter()
        .position(is_policy_failure)
        .unwrap_or_default();
    let first = errors.remove(deciding);
    let mut messages = vec![format!("{first:#}")];
    for error in errors {
        let message = format!("{error:#}");
        if !messages.contains(&message) {
            messages.push(message);
        }
    }
    messages.remove(0);
    (Err(first), messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::PolicyFailure;
    use anyhow::anyhow;

    #[test]
    fn a_policy_failure_decides_before_an_error() {
        let failure = || Err(PolicyFailure("1 test failed".into()).into());
        let unknown = || Err(anyhow!("no registry"));
        let (verdict, others) = combine(vec![unknown(), Ok(()), failure(), unknown(), failure()]);
        assert_eq!(verdict.unwrap_err().to_string(), "1 test failed");
        assert_eq!(others, ["no registry", "1 test failed"][..1]);
        assert!(combine(vec![Ok(()), Ok(())]).0.is_ok());
        assert_eq!(
            combine(vec![unknown()]).0.unwrap_err().to_string(),
            "no registry"
        );
    }
}
