//! The coverage of the base branch: each run for a push to it keeps its own in the cache of the repository's workflows, and a
//! pull request reads the newest one of its base branch.

use actions_toolkit::Context;
use anyhow::Context as _;
use github::CacheEntries;
use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::request::Request;
use crate::request::test_stage::BaseCoverage;
use crate::test_run::coverage::{Coverage, FileCoverage};

/// Bytes of an entry.
const LIMIT: u64 = 1024;

/// Of runs that have their branch checked out. Others on a branch may have the commit of a pull request, as those for a comment.
const EVENTS: [&str; 2] = ["push", "schedule"];

/// An entry.
#[derive(Serialize, Deserialize)]
struct Totals {
    covered: u64,
    total: u64,
}

/// Add the coverage of the base branch to `outcome`, or keep that of the run, with `baseline-coverage: auto`. It is information:
/// what goes wrong is logged.
pub(crate) async fn look_up_or_keep(
    ctx: &Context,
    request: &Request,
    outcome: &mut Outcome,
    passed: bool,
) {
    let base = request.tests.as_ref().map(|tests| &tests.base_coverage);
    let Some(coverage) = &outcome.tests.coverage else {
        return;
    };
    if !matches!(base, Some(BaseCoverage::Auto)) {
        return;
    }
    let github = ctx.github();
    let base_ref = github.base_ref().filter(|base| !base.is_empty());
    let is_pull_request = base_ref.is_some();
    let is_of_branch = github
        .event_name()
        .is_some_and(|event| EVENTS.contains(&event));
    let own = github
        .git_ref()
        .and_then(|name| name.strip_prefix("refs/heads/"))
        .filter(|_| is_of_branch && passed);
    let Some(branch) = base_ref.or(own) else {
        return;
    };
    let work = async {
        let cache = CacheEntries::new(ctx)?;
        let cache = cache.context("the runner offers no cache (`ACTIONS_RESULTS_URL`, `ACTIONS_RUNTIME_TOKEN`), as outside of GitHub Actions and on GitHub Enterprise Server")?;
        // Neither has a comma, which is not allowed in a key. Without its name, an entry of the default branch would be found too.
        let what = format!("{}\n{branch}", request.category);
        let prefix = format!(
            "seaworthy-coverage-{}-",
            &Digest::sha256(what.as_bytes()).hex()[..16]
        );
        if is_pull_request {
            let found = cache.newest(&prefix, LIMIT).await?;
            let found = found.context(
                "no run for a push to the base branch has kept its coverage with `baseline-coverage: auto`, or GitHub has removed it since",
            )?;
            return parse(&found).map(Some);
        }
        let (covered, total) = coverage.counts();
        let entry = serde_json::to_vec(&Totals { covered, total })?;
        let key = format!("{prefix}{}", github.sha().unwrap_or_default());
        cache.add(&key, entry).await?;
        ctx.log()
            .info("the coverage is kept for pull requests into this branch");
        anyhow::Ok(None)
    };
    match work.await {
        Ok(base) => outcome.tests.base_coverage = base,
        Err(e) if is_pull_request => ctx
            .log()
            .notice(format!("the change of the coverage is unknown: {e:#}")),
        Err(e) => ctx
            .log()
            .notice(format!("the coverage is not kept for pull requests: {e:#}")),
    }
}

/// The coverage in an entry.
///
/// # Errors
/// When it is not one.
pub(crate) fn parse(entry: &[u8]) -> anyhow::Result<Coverage> {
    let totals: Totals =
        serde_json::from_slice(entry).context("the entry in the cache is invalid")?;
    let Totals { covered, total } = totals;
    anyhow::ensure!(
        covered <= total && total > 0,
        "the entry in the cache is invalid"
    );
    Ok(Coverage {
        files: vec![FileCoverage {
            covered,
            total,
            ..FileCoverage::default()
        }],
        claimed: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_the_totals_of_a_report() {
        let coverage = parse(br#"{"covered": 9, "total": 10}"#).unwrap();
        assert_eq!(coverage.percent(), "90.00");
        for invalid in [
            "",
            "{}",
            r#"{"covered": 11, "total": 10}"#,
            r#"{"covered": 0, "total": 0}"#,
        ] {
            assert!(parse(invalid.as_bytes()).is_err(), "{invalid}");
        }
    }
}
