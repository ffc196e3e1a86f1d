//! One verdict of many.

use actions_toolkit::ExitStatus;

/// The error that decides, and the others. A policy that says no decides before a part without a verdict: what is
/// shown to be wrong stays wrong, whatever else could not be found out. What stands behind another failure, such as
/// a build step that both builds have, is told once.
pub(crate) fn sum(verdicts: Vec<anyhow::Result<()>>) -> (anyhow::Result<()>, Vec<String>) {
    let mut errors: Vec<anyhow::Error> = verdicts.into_iter().filter_map(Result::err).collect();
    let said_no =
        |error: &anyhow::Error| matches!(ExitStatus::from_error(error), ExitStatus::PolicyFailed);
    if errors.is_empty() {
        return (Ok(()), Vec::new());
    }
    let first = errors.remove(errors.iter().position(said_no).unwrap_or_default());
    let mut told = vec![format!("{first:#}")];
    for error in errors {
        let text = format!("{error:#}");
        if !told.contains(&text) {
            told.push(text);
        }
    }
    told.remove(0);
    (Err(first), told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::PolicyFailure;
    use anyhow::anyhow;

    #[test]
    fn a_no_decides_before_what_is_not_known() {
        let no = || Err(PolicyFailure("1 test failed".into()).into());
        let unknown = || Err(anyhow!("no registry"));
        let (verdict, others) = sum(vec![unknown(), Ok(()), no(), unknown(), no()]);
        assert_eq!(verdict.unwrap_err().to_string(), "1 test failed");
        assert_eq!(others, ["no registry", "1 test failed"][..1]);
        assert!(sum(vec![Ok(()), Ok(())]).0.is_ok());
        assert_eq!(
            sum(vec![unknown()]).0.unwrap_err().to_string(),
            "no registry"
        );
    }
}
