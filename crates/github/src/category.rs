//! Categories: GitHub closes an alert when a newer analysis of its category does not have it.

use actions_toolkit::{Env, GithubEnv};

use crate::Leg;

/// The default category of an analysis of `name` by a scan of `kind`: the workflow, the job, the leg of its matrix, and the
/// target; nothing that changes from run to run.
pub fn category(github: &GithubEnv<'_>, leg: &Leg, kind: &str, name: &str) -> String {
    format!("{}/{kind}/{name}", job_category(github, leg))
}

/// What all categories of one job start with: the path of the workflow, the job, with those that call it, and the leg of its
/// matrix.
pub fn job_category(github: &GithubEnv<'_>, leg: &Leg) -> String {
    let workflow = github.workflow_path().unwrap_or("local");
    let job = github.job_path();
    let job = job.as_deref().unwrap_or("local");
    format!("{workflow}:{job}{}", leg.suffix())
}

/// What distinguishes the step from others of its job: its `id`, or the number of a repeated action; `None` for the first one
/// without an `id` (docs.github.com/actions/reference/workflows-and-actions/variables, `GITHUB_ACTION`).
pub fn step_name(env: &Env) -> Option<&str> {
    let name = env.get("GITHUB_ACTION").filter(|name| !name.is_empty())?;
    let Some(generated) = name.strip_prefix("__") else {
        return Some(name);
    };
    let (_, number) = generated.rsplit_once('_')?;
    Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
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

    #[test]
    fn a_step_is_named_by_its_id_or_its_number() {
        let table = [
            ("", None),
            ("scan", Some("scan")),
            ("__octo-org_seaworthy_actions_trivy-scan", None),
            ("__octo-org_seaworthy_actions_trivy-scan_2", Some("2")),
            ("__self", None),
        ];
        for (name, expected) in table {
            let env = Env::from_pairs([("GITHUB_ACTION", name)]);
            assert_eq!(step_name(&env), expected, "{name}");
        }
    }
}
