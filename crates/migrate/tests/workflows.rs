//! Workflows with the constructs that are seen in public ones, and what becomes of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use migrate::{Moved, Verdict, diff, migrate, notes, summary};
use proptest::prelude::*;
use serde::Deserialize;

const ACTIONS: &str = "OWNER/seaworthy@v1";

fn workflows() -> Vec<(String, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows");
    let files = std::fs::read_dir(directory).expect("the directory");
    let mut all: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read_to_string(&path).expect("text"))
        })
        .collect();
    all.sort();
    all
}

fn moved(text: &str) -> Moved {
    migrate(text, ACTIONS).expect("a workflow")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn each_workflow_has_its_diff_and_what_is_lost() {
    let all = workflows();
    assert!(all.len() >= 60, "{}", all.len());
    for (name, text) in all {
        let moved = moved(&text);
        let path = format!("{name}.yml");
        let shown = format!(
            "{}\n{}{}",
            summary(&path, &moved),
            notes(&path, &moved),
            diff(&path, &text, &moved.text)
        );
        insta::assert_snapshot!(name, shown.replace('\r', "␍"));
    }
}

#[test]
fn a_second_run_changes_nothing() {
    for (name, text) in workflows() {
        let once = moved(&text).text;
        assert_eq!(moved(&once).text, once, "{name}");
    }
}

#[test]
fn what_is_not_moved_is_not_changed() {
    for (name, text) in workflows() {
        let moved = moved(&text);
        if matches!(moved.verdict(), Verdict::Untouched | Verdict::Not) {
            assert_eq!(moved.text, text, "{name}");
        }
    }
}

#[test]
fn comments_of_their_own_line_stay() {
    for (name, text) in workflows() {
        let new = moved(&text).text;
        for line in text
            .lines()
            .filter(|line| line.trim_start().starts_with('#'))
        {
            assert!(new.contains(line), "{name}: {line}");
        }
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Input>,
}

#[derive(Debug, Deserialize)]
struct Input {
    #[serde(default)]
    required: bool,
}

fn metadata(action: &str) -> Metadata {
    let path = root().join("actions").join(action).join("action.yml");
    let text = std::fs::read_to_string(path).expect("action.yml");
    serde_saphyr::from_str(&text).expect("YAML")
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Workflow {
    jobs: BTreeMap<String, Job>,
    runs: Job,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Job {
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    uses: String,
    with: BTreeMap<String, String>,
}

fn new_steps(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let workflow: Workflow = serde_saphyr::from_str(text).expect("YAML");
    let jobs = workflow.jobs.into_values().chain([workflow.runs]);
    jobs.flat_map(|job| job.steps)
        .filter_map(|step| {
            let action = step
                .uses
                .strip_prefix("OWNER/seaworthy/actions/")?
                .strip_suffix("@v1")?;
            Some((action.to_owned(), step.with))
        })
        .collect()
}

#[test]
fn new_steps_have_inputs_of_the_actions_and_values_that_they_take() {
    let mut seen = 0;
    for (name, text) in workflows() {
        for (action, with) in new_steps(&moved(&text).text) {
            let metadata = metadata(&action);
            for (input, value) in &with {
                assert!(
                    metadata.inputs.contains_key(input),
                    "{name}: {action} has no `{input}`"
                );
                check_value(input, value, &name);
            }
            // The host of a registry of Azure requires a user; without one it is the name of the resource.
            let registry = with.get("registry").map_or("", String::as_str);
            let has_user = with.contains_key("username");
            assert!(
                has_user || !registry.contains(".azurecr."),
                "{name}: {registry}"
            );
            for (input, _) in metadata
                .inputs
                .iter()
                .filter(|(_, declared)| declared.required)
            {
                assert!(
                    with.contains_key(input),
                    "{name}: {action} requires `{input}`"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

// The inputs whose values are a list of words, or have a form.
fn check_value(input: &str, value: &str, name: &str) {
    if value.contains("${{") {
        return;
    }
    let words: &[&str] = match input {
        "fail-on" => &["critical", "high", "medium", "low", "none"],
        "scan-type" => &[
            "image", "archive", "fs", "rootfs", "sbom", "config", "secret",
        ],
        "cluster-access" => &["direct", "run-command"],
        "sbom" => &["cyclonedx", "spdx"],
        "upload"
        | "comment"
        | "push"
        | "ignore-unfixed"
        | "fail-on-fixable-only"
        | "create-namespace"
        | "offline"
        | "dependency-snapshot"
        | "dry-run" => &["true", "false"],
        "registry" => {
            assert!(!value.contains('/'), "{name}: registry: {value}");
            return;
        }
        "registries" => {
            for line in value.lines() {
                assert!(
                    [1, 3].contains(&line.split_whitespace().count()),
                    "{name}: registries: {value}"
                );
            }
            return;
        }
        "context" | "dockerfile" => {
            // A Dockerfile may be beside its context.
            let is_inside = input == "dockerfile" || !value.contains("..");
            assert!(
                !value.starts_with('/') && is_inside,
                "{name}: {input}: {value}"
            );
            return;
        }
        _ => return,
    };
    assert!(words.contains(&value), "{name}: {input}: {value}");
}

#[test]
fn every_new_name_in_the_table_is_an_input_or_output_of_the_action() {
    for peer in peers::PEERS {
        let metadata = metadata(peer.action);
        for mapping in peer.inputs.iter().chain(peer.environment) {
            for target in mapping.targets() {
                assert!(
                    metadata.inputs.contains_key(*target),
                    "{} `{}`: {target}",
                    peer.name,
                    mapping.old
                );
            }
        }
        for mapping in peer.outputs {
            for target in mapping.targets() {
                assert!(
                    metadata.outputs.contains_key(*target),
                    "{} `{}`: {target}",
                    peer.name,
                    mapping.old
                );
            }
        }
    }
}

#[test]
fn the_page_has_the_table() {
    let path = root().join("docs/migrate.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page
        .split_once("<!-- generated: tables -->\n")
        .expect("the start of the tables");
    let (tables, after) = rest
        .split_once("<!-- end -->\n")
        .expect("the end of the tables");
    let new = migrate::page::tables();
    if std::env::var_os("SEAWORTHY_GENERATE").is_some() {
        let page = format!("{before}<!-- generated: tables -->\n{new}<!-- end -->\n{after}");
        std::fs::write(path, page).expect("the page is written");
        return;
    }
    assert!(
        tables == new,
        "the tables of docs/migrate.md are stale; run `cargo xtask generate`"
    );
}

/// What a step is: text that stays, or that is moved.
fn step() -> impl Strategy<Value = (bool, String)> {
    let stays = prop_oneof![
        Just("      - run: |\n          echo \"a  b\"   \n\n          # not a comment\n".to_owned()),
        Just("      # A comment.\n      - {name: x, run: 'true'}\n\n".to_owned()),
        Just("      - uses: actions/setup-python@v6 # v6.0.0\n        with: {python-version: '3.13'}\n".to_owned()),
        "[a-z]{1,8}".prop_map(|name| format!("      - name: >-\n          {name}\n          {name}\n        run: echo {name}\n")),
        "[a-z]{1,8}".prop_map(|name| format!("      - env: {{A: \"\\t\"}}\n        run: \"echo {name}\" # {name}\n")),
    ];
    let moves = prop_oneof![
        ("[a-z]{1,8}", 0..3usize).prop_map(|(name, code)| format!(
            "      - name: {name}\n        uses: aquasecurity/trivy-action@v0.36.0\n        with:\n          image-ref: {name}:1\n          exit-code: {code}\n"
        )),
        "[a-z]{1,8}".prop_map(|name| format!(
            "      - uses: docker/build-push-action@v6\n        with:\n          context: {name}\n          tags: {name}:1\n"
        )),
        "[a-z]{1,8}".prop_map(|name| format!("      - run: trivy image {name}:1\n")),
        Just("      - uses: docker/setup-buildx-action@v3\n".to_owned()),
    ];
    prop_oneof![
        stays.prop_map(|text| (true, text)),
        moves.prop_map(|text| (false, text))
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn steps_that_stay_are_the_same_bytes_in_the_same_order(
        steps in proptest::collection::vec(step(), 1..8),
        has_permissions: bool,
    ) {
        let permissions = if has_permissions { "    permissions:\n      contents: read # only\n" } else { "" };
        let mut text = format!("on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n{permissions}    steps:\n");
        for (_, step) in &steps {
            text.push_str(step);
        }
        let new = moved(&text).text;
        let mut rest = new.as_str();
        for (_, step) in steps.iter().filter(|(stays, _)| *stays) {
            // A blank line after a step that is removed may go with it.
            let step = step.trim_end_matches('\n');
            let (_, after) = rest.split_once(step).unwrap_or_else(|| panic!("{step}\n---\n{new}"));
            rest = after;
        }
        prop_assert!(serde_saphyr::from_str::<Workflow>(&new).is_ok(), "{}", new);
        prop_assert_eq!(&moved(&new).text, &new);
    }

    #[test]
    fn any_text_is_an_error_or_gives_a_document(text in "\\PC{0,200}|[-:{}\\[\\]&*!|>'\" \n#a-c]{0,200}") {
        if let Ok(moved) = migrate(&text, ACTIONS) {
            prop_assert!(migrate(&moved.text, ACTIONS).is_ok());
        }
    }

    #[test]
    fn a_damaged_workflow_is_an_error_or_gives_a_document(
        which: prop::sample::Index,
        from: prop::sample::Index,
        length in 0..40usize,
        with in "[-:{}\\[\\]&*!|>'\" \n\t#a$]{0,4}",
    ) {
        let all = workflows();
        let (_, text) = which.get(&all);
        let mut chars: Vec<char> = text.chars().collect();
        let start = from.index(chars.len());
        let end = (start + length).min(chars.len());
        chars.splice(start..end, with.chars());
        let text: String = chars.into_iter().collect();
        if let Ok(moved) = migrate(&text, ACTIONS) {
            prop_assert!(migrate(&moved.text, ACTIONS).is_ok());
        }
    }
}
