//! A module of Go in which one file is another one. The compiler replaces no file of a module that was downloaded, but a whole
//! module by a directory: a copy, which is there until the tool is built.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::command::{command, run};

/// What `go mod download -json` prints of a module.
#[derive(Deserialize)]
struct Downloaded {
    #[serde(rename = "Dir")]
    directory: String,
}

/// Where a module is, of which `go mod download -json` printed `downloaded`.
///
/// # Errors
/// When it is something else.
pub(super) fn directory_of(downloaded: &str) -> anyhow::Result<String> {
    let downloaded: Downloaded =
        serde_json::from_str(downloaded).context("failed to read what `go mod download` wrote")?;
    Ok(downloaded.directory)
}

/// Copy the `module`, of which Go has `downloaded` so much, to `copy`, with the second of `files` in place of the first. Returns the argument
/// with which a command in `directory`, which has a `go.mod`, uses it.
///
/// # Errors
/// When a file cannot be read or written.
pub(super) fn module(
    directory: &Path,
    downloaded: &str,
    module: &str,
    files: (&str, &Path),
    copy: &Path,
) -> anyhow::Result<String> {
    let downloaded = directory_of(downloaded)?;
    // Left by a build that was killed, or by the download.
    if copy.is_dir() {
        std::fs::remove_dir_all(copy)?;
    }
    std::fs::create_dir_all(copy)?;
    let module_copy = copy.join("module");
    let target = module_copy.to_string_lossy().into_owned();
    // Downloaded files are read-only.
    run(&mut command("cp", ["-r", &downloaded, &target]))?;
    run(&mut command("chmod", ["-R", "u+w", &target]))?;
    let (replaced, own) = files;
    std::fs::copy(own, module_copy.join(replaced))
        .with_context(|| format!("failed to replace `{replaced}` of {module}"))?;
    let go_mod = std::fs::read_to_string(directory.join("go.mod"))?;
    let go_mod = format!("{go_mod}\nreplace {module} => {target}\n");
    let file = copy.join("go.mod");
    std::fs::write(&file, go_mod)?;
    std::fs::copy(directory.join("go.sum"), copy.join("go.sum"))?;
    Ok(format!("-modfile={}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_module_has_the_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("cache/lib@v1/a.go", "package lib");
        write("cache/lib@v1/dns/many.go", "package dns // many");
        write("tool/none.go", "package dns // none");
        write("tool/go.mod", "module tool\n");
        write("tool/go.sum", "sums");
        let at = |path: &str| directory.path().join(path);
        let downloaded = serde_json::json!({"Path": "lib", "Dir": at("cache/lib@v1")}).to_string();
        let files = ("dns/many.go", &*at("tool/none.go"));
        let argument = module(&at("tool"), &downloaded, "lib", files, &at("copy")).unwrap();
        let read = |path: &str| std::fs::read_to_string(at(path)).unwrap();
        assert_eq!(
            argument,
            format!("-modfile={}", at("copy/go.mod").display())
        );
        assert_eq!(read("copy/module/dns/many.go"), "package dns // none");
        assert_eq!(read("copy/module/a.go"), "package lib");
        let replace = format!("replace lib => {}", at("copy/module").display());
        assert!(read("copy/go.mod").contains(&replace));
        assert_eq!(read("copy/go.sum"), "sums");
        assert_eq!(read("cache/lib@v1/dns/many.go"), "package dns // many");
    }
}
