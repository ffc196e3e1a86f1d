//! `action.yml` and the README of an action match its declaration: their inputs and outputs are generated.

mod network;

use std::fmt::Write as _;
use std::path::Path;

use actions_toolkit::command_line::RESERVED;
use actions_toolkit::text::Table;
use actions_toolkit::{Action, Input};
use serde::Deserialize;

pub use network::check_network;

/// With this variable set the files are written, as `cargo xtask generate` does, and not compared.
const WRITE: &str = "SEAWORTHY_GENERATE";

/// Check `actions/<name>/action.yml` and `README.md`, below `root`, against the declaration of `action`.
///
/// # Panics
/// When a file is missing, has no markers, or is stale.
pub fn check(action: &Action, root: &Path) {
    check_options(action);
    let directory = root.join("actions").join(action.name);
    let inputs = readme_inputs(action);
    let outputs = readme_outputs(action);
    generated(
        &directory.join("action.yml"),
        "#",
        "",
        "inputs and outputs",
        &yaml(action),
    );
    generated(
        &directory.join("README.md"),
        "<!--",
        " -->",
        "inputs",
        &inputs,
    );
    generated(
        &directory.join("README.md"),
        "<!--",
        " -->",
        "outputs",
        &outputs,
    );
    let written: Metadata =
        serde_saphyr::from_str(&read(&directory.join("action.yml"))).expect("action.yml is YAML");
    let declared = Metadata {
        description: action.about.to_owned(),
        runs: Runs {
            using: "docker".to_owned(),
            image: "../../Dockerfile.action".to_owned(),
            entrypoint: format!("/usr/local/bin/{}", action.name),
        },
    };
    assert_eq!(written, declared, "actions/{}/action.yml", action.name);
}

// No input has the name of an option of every action, and the examples of `--help` have options that there are.
fn check_options(action: &Action) {
    let inputs: Vec<_> = (action.inputs)().iter().map(|input| input.name).collect();
    for reserved in RESERVED {
        assert!(!inputs.contains(reserved), "`{reserved}` is an option");
    }
    for example in action.examples {
        // What is quoted is a value.
        let unquoted = example.options.split('\'').step_by(2);
        let words = unquoted.flat_map(|part| part.split(' '));
        for option in words.filter_map(|word| word.strip_prefix("--")) {
            let name = option.split('=').next().unwrap_or_default();
            assert!(
                inputs.contains(&name) || RESERVED.contains(&name),
                "`--{name}` of an example"
            );
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Metadata {
    description: String,
    runs: Runs,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Runs {
    using: String,
    image: String,
    entrypoint: String,
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

// What is between `<open> generated: <part><close>` and `<open> end<close>`.
fn generated(path: &Path, open: &str, close: &str, part: &str, content: &str) {
    let text = read(path);
    let begin = format!("{open} generated: {part}{close}\n");
    let end = format!("{open} end{close}\n");
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{} has no line `{}`", path.display(), begin.trim_end()));
    let (table, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("{} has no line `{}`", path.display(), end.trim_end()));
    if std::env::var_os(WRITE).is_some() {
        let text = format!("{before}{begin}{content}{end}{after}");
        std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return;
    }
    assert!(
        table == content,
        "the {part} of {} are stale; run `cargo xtask generate`",
        path.display()
    );
}

// As the runner passes it: an empty one is none, which only the step replaces.
fn workflow_default(input: &Input) -> Option<&'static str> {
    let default = input.workflow_default.or(input.default);
    default.filter(|default| !default.is_empty())
}

// In YAML's single quotes, the only mark inside is the quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn yaml(action: &Action) -> String {
    let mut text = String::from("inputs:\n");
    for (topic, inputs) in action.topics() {
        let _ = writeln!(text, "  # {topic}");
        for input in inputs {
            let _ = writeln!(
                text,
                "  {}:\n    description: {}\n    required: {}",
                input.name,
                quoted(input.help),
                input.required
            );
            if let Some(default) = workflow_default(&input) {
                let _ = writeln!(text, "    default: {}", quoted(default));
            } else if let Some(default) = input.default {
                let _ = writeln!(text, "    # By default, `{default}`.");
            }
        }
    }
    text.push_str("\noutputs:\n");
    for output in action.outputs {
        let _ = writeln!(
            text,
            "  {}:\n    description: {}",
            output.name,
            quoted(output.help)
        );
    }
    text
}

fn readme_inputs(action: &Action) -> String {
    let mut text = String::new();
    for (topic, inputs) in action.topics() {
        let mut table = Table::new(["input", "default", ""]);
        table.extend(inputs.iter().map(|input| {
            let default = match (input.required, workflow_default(input).or(input.default)) {
                (true, _) => "required".to_owned(),
                (false, Some(default)) => format!("`{default}`"),
                (false, None) => String::new(),
            };
            [
                format!("`{}`", input.name),
                default,
                input.help.replace('|', "\\|"),
            ]
        }));
        let _ = writeln!(text, "\n### {topic}\n\n{table}");
    }
    text.trim_start().to_owned()
}

fn readme_outputs(action: &Action) -> String {
    let mut table = Table::new(["output", ""]);
    let row = |output: &actions_toolkit::Output| {
        [
            format!("`{}`", output.name),
            output.help.replace('|', "\\|"),
        ]
    };
    table.extend(action.outputs.iter().map(row));
    table.to_string()
}
