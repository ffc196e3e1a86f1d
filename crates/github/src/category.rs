//! Categories: GitHub closes an alert when a newer analysis of its category does not have it.

use actions_toolkit::GithubEnv;

/// The default category of an analysis of `name` by a scan of `kind`: the workflow, the job, and the target; nothing
/// that changes from run to run.
pub fn category(github: &GithubEnv<'_>, kind: &str, name: &str) -> String {
    format!("{}/{kind}/{name}", job_category(github))
}

/// What all categories of one job start with: the path of the workflow, and the job.
pub fn job_category(github: &GithubEnv<'_>) -> String {
    let workflow = github.workflow_path().unwrap_or("local");
    format!("{workflow}:{}", github.job().unwrap_or("local"))
}

/// The two parts of the id of an analysis, `automationDetails.id`: all before the last `/` is the category, which
/// decides which analysis closes which alerts; what follows is the run id, which GitHub stores and does not use
/// (docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning, "runAutomationDetails object").
pub fn category_and_run_id(id: &str) -> (&str, &str) {
    id.rsplit_once('/').unwrap_or(("", id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_id_is_what_follows_the_last_slash() {
        // GitHub's table.
        let table = [
            (
                "my-analysis/tool1/2021-02-01",
                ("my-analysis/tool1", "2021-02-01"),
            ),
            ("my-analysis/tool1/", ("my-analysis/tool1", "")),
            ("my-analysis for tool1", ("", "my-analysis for tool1")),
        ];
        for (id, parts) in table {
            assert_eq!(category_and_run_id(id), parts);
        }
    }
}
