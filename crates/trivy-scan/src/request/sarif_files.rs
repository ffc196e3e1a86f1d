//! SARIF files of other scanners.

use std::path::Path;

use actions_toolkit::{BadInput, Context, Scope, Value, Workspace, glob};
use findings::SourceFiles;
use findings::imported::{ImportedRun, import};
use globset::GlobMatcher;
use walkdir::WalkDir;

use super::Inputs;

/// Bytes of all files together; GitHub accepts 10 MB of one, compressed.
const LIMIT: usize = 256 * limits::MIB;
/// Files of one step.
const FILES: usize = 100;
/// Entries of the workspace that are looked at for a glob.
const ENTRIES: usize = 200_000;

/// A line of the input `sarif`: a path, or a glob in which `*` does not match `/`.
#[derive(Debug, Clone)]
pub(crate) struct SarifGlob {
    text: String,
    glob: GlobMatcher,
}

impl Value for SarifGlob {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let pattern = text.trim_start_matches("./");
        Ok(Self {
            text: text.to_owned(),
            glob: glob::paths(pattern)?,
        })
    }
}

/// A file, and the analyses in it.
pub(crate) struct SarifFile {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) runs: Vec<ImportedRun>,
}

impl SarifFile {
    /// The files of the input `sarif`. They are read here, so that one that GitHub rejects is reported before anything is
    /// started.
    pub(super) async fn all(
        ctx: &Context,
        inputs: &Inputs,
        workspace: &Workspace,
    ) -> Result<Vec<Self>, BadInput> {
        let bad = |problem: String| BadInput::new(Inputs::sarif, problem);
        if inputs.sarif.is_empty() {
            return Ok(Vec::new());
        }
        if !inputs.upload {
            return Err(bad(
                "is there to be uploaded, and `upload` is `false`".to_owned()
            ));
        }
        let (globs, roots) = (inputs.sarif.clone(), roots(ctx, workspace));
        let workspace = workspace.clone();
        // A workspace, and a file, may be large.
        let read = move || Self::read(&globs, &workspace, &roots);
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|e| Err(bad(format!("cannot be read: {e}"))))
    }

    fn read(
        globs: &[SarifGlob],
        workspace: &Workspace,
        roots: &[String],
    ) -> Result<Vec<Self>, BadInput> {
        let bad = |problem: String| BadInput::new(Inputs::sarif, problem);
        let mut paths = Vec::new();
        for line in globs {
            let found = line.files(workspace).map_err(bad)?;
            paths.extend(found);
        }
        paths.sort();
        paths.dedup();
        if paths.len() > FILES {
            return Err(bad(format!(
                "has {} files, over the limit of {FILES}",
                paths.len()
            )));
        }
        let source = SourceFiles::new(workspace.root());
        let mut room = LIMIT;
        let read = |path: String| {
            let bytes = limits::read(workspace.root(), Path::new(&path), room)
                .map_err(|e| bad(format!("`{path}` cannot be read: {e}")))?;
            room -= bytes.len();
            let runs = import(&bytes, &source, roots);
            let runs = runs.map_err(|problem| bad(format!("`{path}` {problem}")))?;
            Ok(Self { path, runs })
        };
        paths.into_iter().map(read).collect()
    }
}

impl SarifGlob {
    fn files(&self, workspace: &Workspace) -> Result<Vec<String>, String> {
        let text = &self.text;
        if !text.contains(['*', '?', '[', '{']) {
            let path = workspace.path(Inputs::sarif, text)?;
            let existing = path
                .existing()
                .map_err(|_| format!("there is no `{text}` in the workspace"))?;
            if existing.is_file() {
                return Ok(vec![path.relative().to_owned()]);
            }
            // As upload-sarif has it.
            let files = SarifGlob::in_directory(path.relative())?.search(workspace);
            return if files.is_empty() {
                Err(format!("`{text}` is a directory without a file `*.sarif`"))
            } else {
                Ok(files)
            };
        }
        let files = self.search(workspace);
        if files.is_empty() {
            return Err(format!("`{text}` matches no file in the workspace"));
        }
        Ok(files)
    }

    fn in_directory(path: &str) -> Result<Self, String> {
        let text = format!("{}/**/*.sarif", globset::escape(path));
        let pattern = text.trim_start_matches('/');
        Ok(Self {
            glob: glob::paths(pattern)?,
            text,
        })
    }

    fn search(&self, workspace: &Workspace) -> Vec<String> {
        let entries = WalkDir::new(workspace.root())
            .into_iter()
            .filter_entry(|entry| entry.file_name() != ".git")
            .take(ENTRIES)
            .filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_file());
        let paths = files.filter_map(|entry| workspace.relative(entry.path()));
        paths
            .filter(|path| self.glob.is_match(path))
            .take(FILES + 1)
            .collect()
    }
}

// The names of the workspace in the containers of the runner and on its host, where another scanner may have run.
fn roots(ctx: &Context, workspace: &Workspace) -> Vec<String> {
    let root = workspace.root();
    let resolved = root.canonicalize();
    let mut roots = vec![root.to_string_lossy().into_owned()];
    roots.extend(resolved.map(|path| path.to_string_lossy().into_owned()));
    roots.push("/github/workspace".to_owned());
    if let Some((_, name)) = ctx
        .github()
        .repository()
        .and_then(|repository| repository.split_once('/'))
    {
        // `/home/runner/work/app`, in which the checkout is `app`.
        let parent = ctx.env().get("RUNNER_WORKSPACE");
        roots.extend(parent.map(|parent| format!("{parent}/{name}")));
        roots.push(format!("/home/runner/work/{name}/{name}"));
        roots.push(format!("/__w/{name}/{name}"));
    }
    roots
}
