//! The checks that cargo does not have: workflows, manifests, documents, the application.

use super::{Outcome, broken, check};
use crate::setup::builds::Builds;
use crate::setup::command::command;
use crate::setup::{crates_io, kubernetes_schemas, npm, pypi};
use crate::{browser, paths, site};

/// The check of the documentation site.
const SITE: &str = "the documentation site";

/// Workflows and manifests, by their linters.
pub(super) fn yaml(outcomes: &mut Vec<Outcome>, builds: &Builds) {
    match builds.wait("actionlint") {
        Ok(directory) => {
            let mut lint = command(
                &directory.join("actionlint").to_string_lossy(),
                ["-no-color"],
            );
            lint.args(yaml_files(".github/workflows"))
                .args(yaml_files("examples"));
            check(outcomes, "actionlint", lint.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "actionlint", &e),
    }
    match builds.wait("kube-score") {
        Ok(directory) => {
            let score = directory.join("kube-score");
            let mut score = command(&score.to_string_lossy(), ["score", "--output-format=ci"]);
            score.args(yaml_files("k8s")).current_dir(paths::root());
            check(outcomes, "kube-score", &mut score);
        }
        Err(e) => broken(outcomes, "kube-score", &e),
    }
    match builds.wait("kubeconform") {
        Ok(directory) => schemas(outcomes, &directory.join("kubeconform")),
        Err(e) => broken(outcomes, "kubeconform", &e),
    }
    match pypi::ZIZMOR.provide() {
        Ok(programs) => {
            let mut audit = command(
                &programs.join("zizmor").to_string_lossy(),
                [
                    "--offline",
                    "--no-progress",
                    "--quiet",
                    "--persona=pedantic",
                    ".",
                ],
            );
            audit.args(yaml_files("examples"));
            check(outcomes, "zizmor", audit.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "zizmor", &e),
    }
    match npm::provide("workflow-parser", "check.mjs") {
        Ok(script) => {
            let mut parse = command("node", [script, paths::root()]);
            check(outcomes, "workflow-parser", &mut parse);
        }
        Err(e) => broken(outcomes, "workflow-parser", &e),
    }
}

fn schemas(outcomes: &mut Vec<Outcome>, kubeconform: &std::path::Path) {
    match kubernetes_schemas::provide() {
        Ok(directory) => {
            let schemas = directory.join("{{ .ResourceKind }}{{ .KindSuffix }}.json");
            let mut validate = command(
                &kubeconform.to_string_lossy(),
                ["-strict", "-summary", "-schema-location"],
            );
            validate.arg(schemas).args(yaml_files("k8s"));
            check(outcomes, "kubeconform", validate.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "kubeconform", &e),
    }
}

// The YAML files in `directory` of the checkout; none if there is no such directory.
fn yaml_files(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(paths::root().join(directory));
    let names = entries.into_iter().flatten().flatten();
    names
        .map(|entry| std::path::Path::new(directory).join(entry.file_name()))
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "yml" || end == "yaml")
        })
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

/// The dependencies: licenses, sources, bans. Advisories are part of the scan of `Cargo.lock`.
pub(super) fn dependencies(outcomes: &mut Vec<Outcome>) {
    match crates_io::CARGO_DENY.provide() {
        Ok(program) => {
            let args = ["check", "--deny=warnings", "bans", "licenses", "sources"];
            let mut deny = command(&program.to_string_lossy(), args);
            check(outcomes, "cargo deny", deny.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "cargo deny", &e),
    }
}

/// Every rule of Trivy on what is deployed, of any severity, and its rules for secrets on the checkout: the workflows
/// apply them too, and a finding there would be the first red step of a release.
pub(super) fn configuration(outcomes: &mut Vec<Outcome>, builds: &Builds) {
    match builds.wait("trivy") {
        Ok(directory) => {
            for what in ["k8s", "app"] {
                let mut trivy = command(
                    &directory.join("trivy").to_string_lossy(),
                    ["config", "--quiet", "--skip-check-update", "--exit-code=1"],
                );
                trivy
                    .args(["--ignorefile", ".github/trivyignore.yaml", what])
                    .current_dir(paths::root());
                check(outcomes, &format!("trivy config {what}"), &mut trivy);
            }
            let mut trivy = command(
                &directory.join("trivy").to_string_lossy(),
                ["fs", "--quiet", "--scanners=secret", "--exit-code=1", "."],
            );
            trivy.arg("--skip-dirs=target").current_dir(paths::root());
            check(outcomes, "trivy secret", &mut trivy);
        }
        Err(e) => broken(outcomes, "trivy config", &e),
    }
}

/// The commands of the documents, by the parser of the CLI.
pub(super) fn azure_commands(outcomes: &mut Vec<Outcome>) {
    const NAME: &str = "az commands of docs/";
    match pypi::AZURE_CLI.provide() {
        Ok(programs) => {
            let python = programs.join("python");
            let mut parse = command(
                &python.to_string_lossy(),
                ["tools/azure-cli/check.py", "docs/azure-setup.md"],
            );
            // The CLI keeps an index of its commands in this directory.
            parse
                .env("AZURE_CONFIG_DIR", paths::state().join("azure-cli"))
                .env("AZURE_CORE_COLLECT_TELEMETRY", "no")
                .current_dir(paths::root());
            check(outcomes, NAME, &mut parse);
        }
        Err(e) => broken(outcomes, NAME, &e),
    }
}

/// The application's own tests and lints, in the test stage of its image.
pub(super) fn application(outcomes: &mut Vec<Outcome>) {
    const IMAGE: &str = "seaworthy/flask-app:test";
    let build = [
        "build", "--quiet", "--target", "test", "--tag", IMAGE, "app",
    ];
    let mut build = command("docker", build);
    // Docker's own builder: the other one needs a plug-in.
    build.current_dir(paths::root()).env("DOCKER_BUILDKIT", "0");
    check(outcomes, "the application's test stage", &mut build);
    let mut tests = command("docker", ["run", "--rm", IMAGE]);
    check(outcomes, "the application's tests", &mut tests);
    page(outcomes);
}

/// The page of the image that ships, in a browser.
pub(super) fn page(outcomes: &mut Vec<Outcome>) {
    const IMAGE: &str = "seaworthy/flask-app:browser";
    let tests = browser::build(IMAGE).and_then(|()| browser::tests(IMAGE, None));
    match tests {
        Ok((_application, mut tests)) => check(outcomes, "the application's page", &mut tests),
        Err(e) => broken(outcomes, "the application's page", &e),
    }
}

/// The documentation site in a browser: its links, its search, its diagrams.
pub(super) fn documentation(outcomes: &mut Vec<Outcome>) {
    match site::tests() {
        Ok(mut tests) => check(outcomes, SITE, &mut tests),
        Err(e) => broken(outcomes, SITE, &e),
    }
}
