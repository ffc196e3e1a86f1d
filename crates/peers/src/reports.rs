//! Reports of tests, which `ci` replaces for tests that run in the image.

use crate::mapping::{Mapping, Peer, lost, same, together, unneeded};

const CHECK_RUN: &str = "there is no check run: summary, annotations and comment have the results";
const EVERY_FILE: &str = "the summary has what failed, what is new and what was skipped";
const OWN_RUN: &str = "the commit and the event of the run are used";

const fn check_run(old: &'static str) -> Mapping {
    unneeded(old, CHECK_RUN)
}

const fn layout(old: &'static str) -> Mapping {
    unneeded(old, EVERY_FILE)
}

const fn other_format(old: &'static str) -> Mapping {
    lost(old, "reports are JUnit's; convert them in the test command")
}

pub(crate) const PUBLISH: Peer = Peer {
    name: "EnricoMi/publish-unit-test-result-action",
    version: "2.24.0",
    action: "ci",
    inputs: &[
        together(
            "files",
            &["junit-path"],
            "the path in the container of the tests",
        ),
        together(
            "junit_files",
            &["junit-path"],
            "the path in the container of the tests",
        ),
        other_format("nunit_files"),
        other_format("xunit_files"),
        other_format("trx_files"),
        together("github_token", &["token"], "the same"),
        unneeded("github_token_actor", "the comment is found by its content"),
        unneeded(
            "github_retries",
            "requests are repeated as GitHub's responses say",
        ),
        unneeded(
            "seconds_between_github_reads",
            "requests are repeated as GitHub's responses say",
        ),
        unneeded(
            "seconds_between_github_writes",
            "requests are repeated as GitHub's responses say",
        ),
        unneeded(
            "secondary_rate_limit_wait_seconds",
            "requests are repeated as GitHub's responses say",
        ),
        unneeded("ssl_verify", "certificates are always verified"),
        lost("commit", OWN_RUN).unless(&["${{ github.sha }}"]),
        lost("event_file", OWN_RUN),
        lost("event_name", OWN_RUN),
        check_run("check_name"),
        check_run("check_run"),
        check_run("check_run_annotations"),
        check_run("check_run_annotations_branch"),
        check_run("fail_on"),
        layout("comment_title"),
        together("comment_mode", &["comment"], "`off` is `false`"),
        unneeded("action_fail", "a failed test fails the step"),
        unneeded(
            "action_fail_on_inconclusive",
            "a run without a test fails the step",
        ),
        lost("time_unit", "times are seconds, as in JUnit's reports").unless(&["seconds"]),
        unneeded(
            "test_file_prefix",
            "paths of the container become paths of the repository",
        ),
        layout("report_individual_runs"),
        layout("report_suite_logs"),
        layout("deduplicate_classes_by_file_name"),
        unneeded("large_files", "a report may have 64 MB"),
        layout("ignore_runs"),
        unneeded("job_summary", "the summary is always written"),
        together(
            "compare_to_earlier_commit",
            &["baseline-junit"],
            "the report of the base branch",
        ),
        layout("pull_request_build"),
        layout("test_changes_limit"),
        lost(
            "json_file",
            "the outputs have the numbers, and `junit-file` the report",
        ),
        unneeded("json_thousands_separator", "there is no such file"),
        unneeded("json_suite_details", "there is no such file"),
        unneeded("json_test_case_results", "there is no such file"),
        unneeded("search_pull_requests", OWN_RUN),
    ],
    outputs: &[lost(
        "json",
        "`tests`, `failures`, `skipped` and `flaky` have the numbers",
    )],
    environment: &[],
};

pub(crate) const REPORTER: Peer = Peer {
    name: "dorny/test-reporter",
    version: "3.0.0",
    action: "ci",
    inputs: &[
        lost(
            "artifact",
            "the report comes from the container of the tests",
        ),
        check_run("name"),
        together(
            "path",
            &["junit-path"],
            "the path in the container of the tests",
        ),
        unneeded("path-replace-backslashes", "paths are those of Linux"),
        lost("reporter", "reports are JUnit's").unless(&[
            "java-junit",
            "jest-junit",
            "mocha-junit",
            "python-xunit",
        ]),
        layout("list-suites"),
        layout("list-tests"),
        layout("list-files"),
        unneeded(
            "max-annotations",
            "annotations are limited as GitHub shows them",
        ),
        unneeded("fail-on-error", "a failed test fails the step"),
        unneeded("fail-on-empty", "a run without a test fails the step"),
        unneeded(
            "working-directory",
            "paths of the container become paths of the repository",
        ),
        layout("report-title"),
        layout("only-summary"),
        unneeded("use-actions-summary", "the summary is always written"),
        layout("badge-title"),
        layout("collapsed"),
        same("token"),
    ],
    outputs: &[
        together("conclusion", &["result"], "`passed`, `failed` or `error`"),
        lost("passed", "`tests` less `failures` and `skipped`"),
        together("failed", &["failures"], "the same"),
        same("skipped"),
        lost("time", "the summary has it"),
        lost("url", CHECK_RUN),
        lost("url_html", CHECK_RUN),
        lost("summary_file", "the summary is on the page of the run"),
        lost("slug_prefix", "the summary is on the page of the run"),
    ],
    environment: &[],
};

pub(crate) const JUNIT_REPORT: Peer = Peer {
    name: "mikepenz/action-junit-report",
    version: "6.4.2",
    action: "ci",
    inputs: &[
        same("token"),
        together("github_token", &["token"], "the same"),
        together(
            "report_paths",
            &["junit-path"],
            "the path in the container of the tests",
        ),
        layout("group_reports"),
        unneeded(
            "test_files_prefix",
            "paths of the container become paths of the repository",
        ),
        unneeded(
            "exclude_sources",
            "paths of the container become paths of the repository",
        ),
        check_run("annotate_only"),
        check_run("check_annotations"),
        check_run("update_check"),
        check_run("check_name"),
        lost("commit", OWN_RUN).unless(&["${{ github.sha }}"]),
        unneeded("fail_on_failure", "a failed test fails the step"),
        unneeded(
            "fail_on_parse_error",
            "a report that is not valid fails the step",
        ),
        unneeded("require_tests", "a run without a test fails the step"),
        lost(
            "require_passed_tests",
            "a run without a test fails the step",
        )
        .unless(&["false"]),
        layout("include_passed"),
        layout("include_skipped"),
        layout("check_title_template"),
        layout("bread_crumb_delimiter"),
        layout("summary"),
        unneeded(
            "check_retries",
            "tests that pass after a rerun are shown as flaky",
        ),
        unneeded(
            "transformers",
            "paths of the container become paths of the repository",
        ),
        unneeded("job_summary", "the summary is always written"),
        layout("job_summary_text"),
        layout("detailed_summary"),
        layout("flaky_summary"),
        layout("verbose_summary"),
        layout("skip_success_summary"),
        layout("include_empty_in_summary"),
        layout("include_time_in_summary"),
        layout("simplified_summary"),
        layout("group_suite"),
        together("comment", &["comment"], "the same"),
        unneeded("updateComment", "the one comment is updated"),
        layout("annotate_notice"),
        unneeded(
            "follow_symlink",
            "the report comes from the container of the tests",
        ),
        check_run("job_name"),
        unneeded(
            "annotations_limit",
            "annotations are limited as GitHub shows them",
        ),
        lost("skip_annotations", "failed tests are annotated").unless(&["false"]),
        unneeded(
            "truncate_stack_traces",
            "an annotation has the failed assertion",
        ),
        layout("resolve_ignore_classname"),
        layout("skip_comment_without_tests"),
        lost("pr_id", OWN_RUN),
    ],
    outputs: &[
        together("total", &["tests"], "the same"),
        lost("passed", "`tests` less `failures` and `skipped`"),
        same("skipped"),
        together("failed", &["failures"], "the same"),
        lost("time", "the summary has it"),
        lost("summary", "the summary is on the page of the run"),
        lost("detailed_summary", "the summary is on the page of the run"),
        lost("flaky_summary", "the summary is on the page of the run"),
        lost("report_url", CHECK_RUN),
    ],
    environment: &[],
};
