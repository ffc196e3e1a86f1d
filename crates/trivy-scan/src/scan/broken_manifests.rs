//! Manifests of Kubernetes and templates of `CloudFormation` that Trivy can't read: it skips them silently, and a scan of the
//! rest has no finding. One document that is not YAML leaves out the whole file
//! (`pkg/iac/scanners/kubernetes/parser/parser.go`). What Trivy logs of others is in [`trivy::Report::unread`].

use std::collections::HashSet;
use std::path::Path;

use findings::SourceFiles;
use serde_json::Value;
use walkdir::{DirEntry, WalkDir};

use super::coverage::DEPTH;
use super::skipped::Skipped;

/// Of the files that Trivy reads as manifests or templates.
const EXTENSIONS: &[&str] = &["yaml", "yml", "json"];

/// The manifests below `root`, which is `prefix` in the workspace, that are not `known`: checked, or reported as unread, and why.
pub(super) fn gaps(
    root: &Path,
    prefix: &str,
    source: &SourceFiles,
    known: &HashSet<&str>,
    skipped: &Skipped,
) -> Vec<String> {
    // Trivy renders a chart.
    let is_chart = |entry: &DirEntry| entry.path().join("Chart.yaml").is_file();
    let entries = WalkDir::new(root).max_depth(DEPTH).sort_by_file_name();
    let entries = entries
        .into_iter()
        .filter_entry(|entry| !skipped.omits(entry, root) && !is_chart(entry));
    let is_manifest = |entry: &DirEntry| {
        let extension = entry.path().extension();
        extension.is_some_and(|extension| EXTENSIONS.iter().any(|name| extension == *name))
    };
    let files = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.depth() > 0 && entry.file_type().is_file() && is_manifest(entry));
    files
        .filter_map(|entry| {
            let relative = entry.path().strip_prefix(root).ok()?.to_string_lossy();
            if known.contains(&*relative) {
                return None;
            }
            let path = [prefix, &relative].join("/");
            let path = path.trim_matches('/');
            let problem = problem(&source.text(path)?)?;
            Some(format!("{path} {problem}; it was not checked"))
        })
        .collect()
}

// Why a manifest can't be read; `None` for any other file, and for one that can.
pub(super) fn problem(text: &str) -> Option<String> {
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    let is_template = has("AWSTemplateFormatVersion:");
    // JSON has the name in quotes, on any line. It is YAML too.
    let is_json = text.trim_start().starts_with('{');
    let is_json_template = is_json && text.contains("\"AWSTemplateFormatVersion\"");
    if !(has("apiVersion:") && has("kind:") || is_template || is_json_template) {
        return None;
    }
    // As for Trivy, `name: {{ x }}` is not valid: a mapping can't be a key.
    let error = serde_saphyr::from_multiple::<Value>(text).err()?;
    if text.contains("{{") && !is_json {
        return Some("is a template, which Trivy does not render".to_owned());
    }
    let error = error.to_string();
    // The rest of the message is an excerpt.
    let first = error.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    Some(format!("is not valid YAML: {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n";

    #[test]
    fn a_manifest_that_trivy_cannot_read_is_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let template = format!("{POD}  image: {{{{ image }}}}\n");
        let two = format!("{POD}---\n{POD}  x: [\n");
        let quoted = "apiVersion: v1\nkind: ConfigMap\ndata:\n  rule: '{{ x }}'\n";
        for (path, text) in [
            ("k8s/pod.yaml", POD),
            ("k8s/quoted.yaml", quoted),
            ("k8s/template.yml", template.as_str()),
            ("k8s/read.yaml", template.as_str()),
            ("k8s/two.yaml", two.as_str()),
            ("k8s/values.yaml", "x: [\n"),
            ("k8s/values.json", "{\"x\": [\n"),
            (
                "k8s/well/stack.yaml",
                "AWSTemplateFormatVersion: '2010-09-09'\nResources:\n  A: {Type: !Sub 'x', B: !GetAtt a.b, C: !Join [',', [!Ref a]]}\n",
            ),
            (
                "k8s/stack.yaml",
                "AWSTemplateFormatVersion: '2010-09-09'\nResources: [\n",
            ),
            (
                "k8s/stack.json",
                "{\"AWSTemplateFormatVersion\": \"2010-09-09\", \"Resources\": {",
            ),
            ("k8s/notes.txt", template.as_str()),
            ("k8s/chart/Chart.yaml", "apiVersion: v2\n"),
            ("k8s/chart/templates/pod.yaml", template.as_str()),
        ] {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let gaps = gaps(
            &directory.path().join("k8s"),
            "k8s",
            &SourceFiles::new(directory.path()),
            &HashSet::from(["read.yaml"]),
            &Skipped::default(),
        );
        let [json, yaml, template, broken] = <[String; 4]>::try_from(gaps).unwrap();
        for (gap, path) in [(json, "k8s/stack.json"), (yaml, "k8s/stack.yaml")] {
            assert!(
                gap.starts_with(&format!("{path} is not valid YAML: ")),
                "{gap}"
            );
        }
        assert_eq!(
            template,
            "k8s/template.yml is a template, which Trivy does not render; it was not checked"
        );
        assert!(
            broken.starts_with("k8s/two.yaml is not valid YAML: ")
                && broken.ends_with("; it was not checked"),
            "{broken}"
        );
    }
}
