//! Verification of an image as it was built, before it is published.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::archive::Archive;
use crate::{Destination, VERSION};
use xtask::actions::{Action, BUSYBOX};
use xtask::setup::command::{command, output, run};

/// Load the image in the archive `file` into Docker, and return its name there.
///
/// # Errors
/// When Docker rejects it.
pub(crate) fn load(file: &Path) -> anyhow::Result<String> {
    let loaded = output(command("docker", ["load", "--quiet", "--input"]).arg(file))?;
    let name = loaded.trim().rsplit(' ').next().unwrap_or_default();
    Ok(name.to_owned())
}

/// Check what is in the image of `action`, that it reports its version, that its tools start, and that it exits
/// with the code of a bad input without inputs.
///
/// # Errors
/// With the check that failed.
pub(crate) fn verify(action: &Action, archive: &Archive, file: &Path) -> anyhow::Result<()> {
    let content = file.with_extension("content");
    if content.is_dir() {
        std::fs::remove_dir_all(&content)?;
    }
    archive.unpack(&content)?;
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(content.join("usr/local/bin"))? {
        programs.push(entry?.file_name().to_string_lossy().into_owned());
    }
    programs.sort();
    let mut expected = vec![action.name];
    expected.extend(&action.tools);
    expected.extend(BUSYBOX);
    expected.sort_unstable();
    ensure!(
        programs == expected,
        "the image has the programs {programs:?}; expected {expected:?}"
    );
    ensure!(
        content
            .join("usr/share/doc/busybox-static/copyright")
            .is_file()
            && content.join("usr/share/common-licenses/GPL-2").is_file(),
        "the image has busybox without its license"
    );
    ensure!(
        !content.join("bin").exists(),
        "the image has a directory `/bin`"
    );

    let image = load(file)?;
    let image = image.as_str();
    let version = output(&mut command(
        "docker",
        ["run", "--rm", "--network=none", image, "--version"],
    ))?;
    ensure!(
        version.trim() == format!("{} {VERSION}", action.name),
        "`--version` printed `{}`",
        version.trim()
    );
    for tool in &action.tools {
        let argument = if *tool == "kustomize" {
            "version"
        } else {
            "--version"
        };
        run(&mut inside(image, tool, &[argument]))?;
    }
    container_hook(image)?;
    let rejected = command(
        "docker",
        [
            "run",
            "--rm",
            "--network=none",
            "--env=GITHUB_ACTIONS=true",
            image,
        ],
    )
    .output()
    .context("failed to start `docker`")?;
    let log = String::from_utf8_lossy(&rejected.stdout);
    ensure!(
        rejected.status.code() == Some(3) && log.contains("::error"),
        "expected exit code 3 and an error without inputs, got {}: {log}",
        rejected.status
    );
    // Docker's copy was for the test only.
    run(&mut command("docker", ["rmi", "--force", image]))
}

// What Actions Runner Controller does in the image: it is started with `tail`, gets files by `tar`, and a script for `sh`
// (github.com/actions/runner-container-hooks, packages/k8s/src/k8s/utils.ts, `writeContainerStepScript`).
fn container_hook(image: &str) -> anyhow::Result<()> {
    let script = "mkdir -p /__w/_temp/_github_home /github && echo one >/__w/_temp/_github_home/file \
        && tar cf /tmp/a.tar -C /__w _temp && tar xf /tmp/a.tar --no-same-owner -C /tmp \
        && find /tmp/_temp -type f -exec chmod u+rw {} \\; && find /tmp/_temp -type f -exec stat -c '%s %n' {} \\; \
        && cp -a /tmp/_temp /tmp/copy && mv /__w/_temp/_github_home /github/home && rm /github/home/file \
        && exec env \"A=b c\" sh -c 'echo \"$A\"'";
    let printed = output(&mut inside(image, "sh", &["-e", "-c", script]))?;
    ensure!(
        printed.ends_with("b c\n") && printed.contains("4 /tmp/_temp/_github_home/file"),
        "the programs that Actions Runner Controller starts do not work: {printed}"
    );
    run(&mut inside(image, "tail", &["-n", "1", "/etc/os-release"]))
}

// The run of a `program` of the image.
fn inside(image: &str, program: &str, args: &[&str]) -> Command {
    let options = ["run", "--rm", "--network=none", "--entrypoint"];
    let mut run = command("docker", options);
    run.args([program, image]).args(args);
    run
}

/// Write the SBOM of the image of `action` with the image of `trivy-scan`, as it was built. The names of the crates are in
/// its binary.
///
/// # Errors
/// When the scan fails, or finds no crate.
pub(crate) fn sbom(
    destination: &Destination,
    action: &str,
    architecture: &str,
) -> anyhow::Result<()> {
    let directory = destination.directory.canonicalize()?;
    let scanner = directory.join("trivy-scan.tar");
    let image = load(&scanner)?;
    let mut scan = command(
        "docker",
        [
            "run",
            "--rm",
            "--network=host",
            "--workdir=/github/workspace",
        ],
    );
    let mut variables = vec![
        ("INPUT_SCAN-TYPE", "archive".to_owned()),
        ("INPUT_PATH", format!("{action}.tar")),
        ("INPUT_SBOM", "cyclonedx".to_owned()),
        ("INPUT_SCANNERS", "vuln".to_owned()),
        ("INPUT_UPLOAD", "false".to_owned()),
        ("INPUT_COMMENT", "false".to_owned()),
        ("INPUT_SARIF-FILE", format!("{action}.sarif")),
        ("INPUT_REPORT-FILE", format!("{action}.json")),
        ("INPUT_FAIL-ON", "critical".to_owned()),
        ("INPUT_FAIL-ON-FIXABLE-ONLY", "true".to_owned()),
        ("INPUT_CACHE-DIRECTORY", ".trivy-cache".to_owned()),
        ("GITHUB_WORKSPACE", "/github/workspace".to_owned()),
    ];
    if let Some(repository) = &destination.db_repository {
        variables.push(("INPUT_DB-REPOSITORIES", repository.clone()));
    }
    for (name, value) in variables {
        scan.arg("--env").arg(format!("{name}={value}"));
    }
    scan.arg("--volume")
        .arg(format!("{}:/github/workspace", directory.display()));
    run(scan.arg(image))?;
    let written = directory.join(format!("{action}.cdx.json"));
    let text = std::fs::read_to_string(&written)
        .with_context(|| format!("failed to read `{}`", written.display()))?;
    for package in [
        "pkg:cargo/tokio@",
        "pkg:cargo/rustls@",
        "pkg:deb/debian/busybox-static@",
    ] {
        ensure!(
            text.contains(package),
            "the SBOM of {action} does not have `{package}…`"
        );
    }
    let kept = directory.join(format!("{action}.{architecture}.cdx.json"));
    std::fs::rename(&written, kept).context("failed to store the SBOM")
}
