//! The chart among the manifests, and its values.

use std::path::Path;

use actions_toolkit::{BadInput, Workspace, WorkspacePath};

use super::super::{RegistryTarget, manifest_paths};
use super::Chart;
use super::remote::Remote;
use super::renderer::File;
use crate::action::Inputs;

/// Bytes of a file of values.
const VALUES: usize = limits::MIB;
/// Files and directories of a chart, and the bytes of all files.
const FILES: usize = 10_000;
pub(super) const SIZE: u64 = 64 * limits::MIB as u64;

/// The chart among `paths`, if there is one.
///
/// # Errors
/// [`BadInput`] for more than one, for files that cannot be read, for a reference that is invalid, and for inputs that nothing uses.
pub(in super::super) fn find(
    workspace: &Workspace,
    inputs: &Inputs,
    paths: &[WorkspacePath],
    target: &RegistryTarget,
    namespace: &str,
) -> Result<Option<Chart>, BadInput> {
    let mut charts = paths.iter().filter(|path| manifest_paths::is_chart(path));
    let Some(path) = charts.next() else {
        let inputs = [
            (Inputs::release, inputs.release.is_some()),
            (Inputs::chart_values, !inputs.chart_values.is_empty()),
        ];
        return match inputs.into_iter().find(|(_, is_set)| *is_set) {
            Some((input, _)) => Err(BadInput::new(
                input,
                "requires a Helm chart among the `manifests`",
            )),
            None => Ok(None),
        };
    };
    if let Some(other) = charts.next() {
        let problem = format!(
            "there are two Helm charts, `{}` and `{}`; deploy each in its own step",
            path.given(),
            other.given()
        );
        return Err(BadInput::new(Inputs::manifests, problem));
    }
    let remote = if let Some(reference) = manifest_paths::reference(path) {
        Some(Remote::find(reference, inputs, target)?)
    } else {
        check_files(workspace.root(), &path.absolute()).map_err(|problem| {
            let problem = format!("the chart `{}`: {problem}", path.relative());
            BadInput::new(Inputs::manifests, problem)
        })?;
        None
    };
    let bad = |problem: String| BadInput::new(Inputs::chart_values, problem);
    let (mut values, mut set) = (Vec::new(), Vec::new());
    for line in &inputs.chart_values {
        if line.contains('=') {
            set.push(line.clone());
            continue;
        }
        let file = workspace.path(Inputs::chart_values, line).map_err(bad)?;
        if !file.absolute().exists() {
            return Err(bad(format!(
                "there is no file `{line}` in the workspace, and it is not of the form `NAME=value`"
            )));
        }
        let text = limits::read_text(workspace.root(), &file.absolute(), VALUES);
        values.push(File {
            path: file.relative().to_owned(),
            text: text.map_err(|e| bad(format!("`{line}` cannot be read: {e}")))?,
        });
    }
    Ok(Some(Chart {
        path: path.clone(),
        remote,
        release: inputs.release.clone(),
        namespace: namespace.to_owned(),
        values,
        set,
    }))
}

// Helm follows links, and reads every file.
fn check_files(root: &Path, path: &Path) -> Result<(), String> {
    let root = root.canonicalize().map_err(|e| e.to_string())?;
    let (mut pending, mut files, mut size) = (vec![path.to_owned()], 0, 0);
    while let Some(path) = pending.pop() {
        files += 1;
        let shown = || path.strip_prefix(&root).unwrap_or(&path).display();
        let real = path
            .canonicalize()
            .map_err(|e| format!("`{}` cannot be read: {e}", shown()))?;
        if !real.starts_with(&root) {
            let problem = format!("`{}` is a link that leads out of the workspace", shown());
            return Err(problem);
        }
        let metadata = real.metadata().map_err(|e| e.to_string())?;
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(|e| e.to_string())?;
            pending.extend(entries.flatten().map(|entry| entry.path()));
        } else if metadata.is_file() {
            size += metadata.len();
        } else {
            return Err(format!("`{}` is not a file", shown()));
        }
        if files > FILES || size > SIZE {
            let limit = SIZE / limits::MIB as u64;
            return Err(format!("it has more than {FILES} files, or {limit} MiB"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_that_leads_out_of_the_workspace_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        let chart = directory.path().join("root/chart");
        std::fs::create_dir_all(chart.join("templates")).unwrap();
        std::fs::write(directory.path().join("secret"), "a").unwrap();
        std::fs::write(chart.join("Chart.yaml"), "name: chart").unwrap();
        let root = directory.path().join("root");
        assert_eq!(check_files(&root, &chart), Ok(()));
        let link = chart.join("templates/secret.txt");
        std::os::unix::fs::symlink(directory.path().join("secret"), &link).unwrap();
        let error = check_files(&root, &chart).unwrap_err();
        assert!(error.contains("templates/secret.txt` is a link"), "{error}");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("..", chart.join("templates/around")).unwrap();
        let error = check_files(&root, &chart).unwrap_err();
        assert!(!error.is_empty());
    }
}
