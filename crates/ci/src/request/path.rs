//! Paths in the inputs: in a container, in the build context, in the workspace.

use std::path::{Component, Path};

use actions_toolkit::{BadInput, Scope, Value, WorkspacePath, glob};

use crate::action::Inputs;

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

/// Whether `path` is that of a file to write; the workspace itself is not one.
pub(super) fn file(input: &str, path: &WorkspacePath) -> Result<(), BadInput> {
    if path.relative().is_empty() {
        let problem = format!("`{}` is not the path of a file", path.given());
        return Err(BadInput::new(input, problem));
    }
    Ok(())
}

/// The path of a Dockerfile, which may be out of its build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DockerfilePath {
    /// Relative to the context; out of it, it starts with `../`.
    pub(crate) in_context: String,
    /// Relative to the workspace.
    pub(crate) in_workspace: String,
}

impl DockerfilePath {
    /// That of the input `input` with the value `text`, which is relative to `context`.
    ///
    /// # Errors
    /// When it is not the path of a file in the workspace.
    pub(super) fn new(input: &str, text: &str, context: &WorkspacePath) -> Result<Self, BadInput> {
        let bad = || {
            let problem = "must be a path that is relative to `context`, in the workspace";
            BadInput::new(input, format!("`{text}` {problem}"))
        };
        let above = context.relative().split('/');
        let above: Vec<&str> = above.filter(|part| !part.is_empty()).collect();
        let mut parts = above.clone();
        for part in Path::new(text).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    parts.pop().ok_or_else(bad)?;
                }
                Component::Normal(part) => parts.push(part.to_str().ok_or_else(bad)?),
                Component::RootDir | Component::Prefix(_) => return Err(bad()),
            }
        }
        let both = above.iter().zip(&parts);
        let common = both.take_while(|(one, other)| one == other).count();
        if parts.len() == common {
            return Err(bad());
        }
        let up = above[common..].iter().map(|_| "..");
        let path: Vec<&str> = up.chain(parts[common..].iter().copied()).collect();
        Ok(Self {
            in_context: path.join("/"),
            in_workspace: parts.join("/"),
        })
    }

    /// That of the input `dockerfile`.
    ///
    /// # Errors
    /// As [`DockerfilePath::new`].
    pub(super) fn of(inputs: &Inputs) -> Result<Self, BadInput> {
        Self::new(Inputs::dockerfile, &inputs.dockerfile, &inputs.context)
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::Workspace;

    use super::*;

    #[test]
    fn a_dockerfile_may_be_out_of_its_context() {
        let path = |context: &str, text: &str| {
            let context = Workspace::new("/w").path("context", context).unwrap();
            let path = DockerfilePath::new("dockerfile", text, &context).ok()?;
            Some((path.in_context, path.in_workspace))
        };
        let table = [
            (".", "Dockerfile", Some(("Dockerfile", "Dockerfile"))),
            (
                "app",
                "./docker//api",
                Some(("docker/api", "app/docker/api")),
            ),
            ("app", "../app/api", Some(("api", "app/api"))),
            (
                "app",
                "../docker/api",
                Some(("../docker/api", "docker/api")),
            ),
            ("services/api", "../../api", Some(("../../api", "api"))),
            (
                "services/api",
                "../web/x",
                Some(("../web/x", "services/web/x")),
            ),
            ("app", "../../x", None),
            (".", "../x", None),
            ("app", "/etc/x", None),
            ("app", ".", None),
            ("app", "..", None),
            ("app", "", None),
        ];
        for (context, text, expected) in table {
            let expected = expected.map(|(one, other)| (one.to_owned(), other.to_owned()));
            assert_eq!(path(context, text), expected, "{context} {text}");
        }
    }
}
