//! Steps of copa-action, and of Copa itself, as steps of `copacetic-patch`.

use peers::Peer;

use crate::plan::{NewStep, by_table};
use crate::shell::Arguments;
use crate::value::is_dynamic;
use crate::workflow::input;

/// The step with these inputs, and what is lost.
pub(crate) fn patch(peer: &'static Peer, inputs: &[(String, String)]) -> (NewStep, Vec<String>) {
    let mut new = NewStep::new("copacetic-patch");
    let mut lost = Vec::new();
    by_table(peer, inputs, &mut new, &mut lost);
    if let Some(tag) = input(inputs, "patched-tag") {
        let own = input(inputs, "image").and_then(|image| image.rsplit_once(':'));
        if own.is_some_and(|(_, own)| own == tag) {
            lost.push(format!("`patched-tag: {tag}` is the image's own, which would be overwritten; the patched image is `{tag}-patched`"));
        } else {
            new.keep("patched-tag", "patched-tag");
        }
    }
    if let Some(version) = input(inputs, "buildkit-version") {
        if is_dynamic(version) || version.starts_with('v') || version == "latest" {
            new.replace(
                "buildkit-version",
                "buildkit-image",
                format!("moby/buildkit:{version}"),
            );
        } else {
            new.replace(
                "buildkit-version",
                "buildkit-image",
                format!("moby/buildkit:v{version}"),
            );
        }
    }
    (new, lost)
}

/// The inputs of copa-action that `copa patch` has.
pub(crate) fn from_command(words: &[String]) -> Result<Vec<(String, String)>, String> {
    if words.get(1).map(String::as_str) != Some("patch") {
        return Err("`copa` without `patch` is not known".to_owned());
    }
    let short = [
        ("-i", "image"),
        ("-r", "report"),
        ("-t", "tag"),
        ("-a", "addr"),
        ("-o", "output"),
        ("-f", "format"),
        ("-s", "scanner"),
    ];
    let arguments = Arguments::parse(&words[2..], &["debug", "ignore-errors", "push"], &short);
    let mut inputs = Vec::new();
    for (option, value) in &arguments.options {
        let name = match option.as_str() {
            "image" | "timeout" | "output" | "format" => option,
            "report" => "image-report",
            "tag" => "patched-tag",
            // Trivy is what the action scans with, and a progress is in the log.
            "scanner" | "progress" | "debug" => continue,
            _ => return Err(format!("`--{option}` is not known")),
        };
        inputs.push((name.to_owned(), value.clone()));
    }
    Ok(inputs)
}
