//! `action.yml` and the README of an action against the action's own declaration.

use std::collections::BTreeMap;
use std::path::Path;

use actions_toolkit::Action;
use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    name: String,
    description: String,
    #[serde(default)]
    inputs: BTreeMap<String, InputYaml>,
    #[serde(default)]
    outputs: BTreeMap<String, OutputYaml>,
    runs: Runs,
}

#[derive(Deserialize)]
struct InputYaml {
    description: String,
    #[serde(default)]
    required: bool,
    default: Option<String>,
}

#[derive(Deserialize)]
struct OutputYaml {
    description: String,
}

#[derive(Deserialize)]
struct Runs {
    using: String,
    image: String,
    entrypoint: String,
}

/// What in `actions/<name>/` (below `root`) differs from the declaration, one line a difference.
///
/// # Panics
/// When a file is missing or is no YAML.
pub fn differences(action: &Action, root: &Path) -> Vec<String> {
    let folder = root.join("actions").join(action.name);
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name))
            .unwrap_or_else(|e| panic!("actions/{}/{name}: {e}", action.name))
    };
    let yaml: Metadata = serde_saphyr::from_str(&read("action.yml")).expect("action.yml");
    let readme = read("README.md");
    let mut found = Vec::new();
    let mut same = |what: String, declared: &str, written: &str| {
        if declared != written {
            found.push(format!(
                "{what}: declared `{declared}`, written `{written}`"
            ));
        }
    };
    same("description".into(), action.about, &yaml.description);
    same(
        "name is set".into(),
        "true",
        &(!yaml.name.is_empty()).to_string(),
    );
    same("using".into(), "docker", &yaml.runs.using);
    same("image".into(), "../../Dockerfile.action", &yaml.runs.image);
    same(
        "entrypoint".into(),
        &format!("/usr/local/bin/{}", action.name),
        &yaml.runs.entrypoint,
    );
    let declared: Vec<_> = action.inputs.iter().map(|i| i.name).collect();
    let mut sorted = declared.clone();
    sorted.sort_unstable();
    same(
        "inputs".into(),
        &sorted.join(" "),
        &yaml.inputs.keys().cloned().collect::<Vec<_>>().join(" "),
    );
    for input in action.inputs {
        let Some(written) = yaml.inputs.get(input.name) else {
            continue;
        };
        // A token's default is the run's own: only the runner knows it.
        let default = if input.name == "token" {
            Some("${{ github.token }}")
        } else {
            input.default
        };
        same(
            format!("input {} description", input.name),
            input.help,
            &written.description,
        );
        same(
            format!("input {} required", input.name),
            &input.required.to_string(),
            &written.required.to_string(),
        );
        same(
            format!("input {} default", input.name),
            default.unwrap_or(""),
            written.default.as_deref().unwrap_or(""),
        );
        let shown = match (input.required, default) {
            (true, _) => "required".to_owned(),
            (false, Some(default)) => format!("`{default}`"),
            (false, None) => String::new(),
        };
        let row = format!("| `{}` | {shown} | {} |", input.name, input.help);
        same(
            format!("README has `{row}`"),
            "true",
            &readme.contains(&row).to_string(),
        );
    }
    let mut declared: Vec<_> = action.outputs.iter().map(|o| o.name).collect();
    declared.sort_unstable();
    same(
        "outputs".into(),
        &declared.join(" "),
        &yaml.outputs.keys().cloned().collect::<Vec<_>>().join(" "),
    );
    for output in action.outputs {
        let Some(written) = yaml.outputs.get(output.name) else {
            continue;
        };
        same(
            format!("output {} description", output.name),
            output.help,
            &written.description,
        );
        let row = format!("| `{}` | {} |", output.name, output.help);
        same(
            format!("README has `{row}`"),
            "true",
            &readme.contains(&row).to_string(),
        );
    }
    found
}
