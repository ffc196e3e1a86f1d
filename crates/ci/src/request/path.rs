//! Paths in the inputs: in a container, in the build context, in the workspace.

use std::path::{Component, Path, PathBuf};

use actions_toolkit::{BadInput, Scope, Value, WorkspacePath, glob};

/// A path in a container, or of a request: it starts with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AbsolutePath(pub(crate) String);

impl Value for AbsolutePath {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if text.starts_with('/') && is_plain {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` must start with `/` and contain no whitespace"
            ))
        }
    }
}

/// A path of a report in the test container, which may have globs; a relative one is below its working directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportPath(pub(crate) String);

impl Value for ReportPath {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        if text.contains(char::is_control) || text.ends_with('/') {
            return Err(format!("`{text}` is not the path of a file"));
        }
        glob::paths(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// The path of a file to write; the workspace itself is not one.
pub(super) fn file(input: &str, path: &WorkspacePath) -> Result<WorkspacePath, BadInput> {
    if path.relative().is_empty() {
        let problem = format!("`{}` is not the path of a file", path.given());
        return Err(BadInput::new(input, problem));
    }
    Ok(path.clone())
}

/// `text` without `.` parts, relative to a directory that it does not leave.
pub(super) fn relative(input: &str, text: &str) -> Result<String, BadInput> {
    let parts = Path::new(text)
        .components()
        .filter(|part| *part != Component::CurDir);
    let is_normal = |part| matches!(part, Component::Normal(_));
    let path: PathBuf = parts.clone().collect();
    match path.to_str() {
        Some(path) if !path.is_empty() && parts.clone().all(is_normal) => Ok(path.to_owned()),
        _ => Err(BadInput::new(
            input,
            format!("`{text}` must be a relative path without `..`"),
        )),
    }
}
