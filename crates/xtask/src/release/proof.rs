//! An image is tested as it was built, before anybody can fetch it.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::archive::Archive;
use super::{Place, VERSION};
use crate::setup::command::{command, output, run};

/// The tools in the image of `action`.
pub(super) fn tools(action: &str) -> &'static [&'static str] {
    match action {
        "trivy-scan" => &["trivy"],
        "copacetic-patch" => &["copa", "trivy"],
        "azure-deploy" => &["kustomize"],
        _ => &[],
    }
}

/// Give Docker the image in the archive `file`; what it calls it is returned.
///
/// # Errors
/// When Docker does not take it.
pub(crate) fn load(file: &Path) -> anyhow::Result<String> {
    let loaded = output(command("docker", ["load", "--quiet", "--input"]).arg(file))?;
    let name = loaded.trim().rsplit(' ').next().unwrap_or_default();
    Ok(name.to_owned())
}

/// Check what is in the image of `action`, that it says its version, that its tools start, and that it refuses to
/// work without inputs with the exit code of a wrong input.
///
/// # Errors
/// With what is not so.
pub(super) fn run_on(action: &str, archive: &Archive, file: &Path) -> anyhow::Result<()> {
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
    let mut expected = vec![action];
    expected.extend(tools(action));
    expected.sort_unstable();
    ensure!(
        programs == expected,
        "the image has the programs {programs:?}, not {expected:?}"
    );
    ensure!(
        !content.join("bin").exists(),
        "the image has a shell's folder `/bin`"
    );

    let image = load(file)?;
    let image = image.as_str();
    let said = output(&mut command(
        "docker",
        ["run", "--rm", "--network=none", image, "--version"],
    ))?;
    ensure!(
        said.trim() == format!("{action} {VERSION}"),
        "it says it is `{}`",
        said.trim()
    );
    for tool in tools(action) {
        let argument = if *tool == "kustomize" {
            "version"
        } else {
            "--version"
        };
        run(&mut command(
            "docker",
            [
                "run",
                "--rm",
                "--network=none",
                "--entrypoint",
                tool,
                image,
                argument,
            ],
        ))?;
    }
    let refused = command(
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
    .context("while starting `docker`")?;
    let said = String::from_utf8_lossy(&refused.stdout);
    ensure!(
        refused.status.code() == Some(3) && said.contains("::error"),
        "without inputs it ended with {} and said: {said}",
        refused.status
    );
    // The archive is what counts: Docker's copy was for this.
    run(&mut command("docker", ["rmi", "--force", image]))
}

/// Let the image of `trivy-scan`, as it was built, write the bill of materials of the image of `action`; the names
/// of our own crates are in its binary.
///
/// # Errors
/// When it does not, or finds not one crate.
pub(super) fn bill(place: &Place, action: &str, architecture: &str) -> anyhow::Result<()> {
    let folder = place.folder.canonicalize()?;
    let scanner = folder.join("trivy-scan.tar");
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
    let mut given = vec![
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
    if let Some(repository) = &place.db_repository {
        given.push(("INPUT_DB-REPOSITORIES", repository.clone()));
    }
    for (name, value) in given {
        scan.arg("--env").arg(format!("{name}={value}"));
    }
    scan.arg("--volume")
        .arg(format!("{}:/github/workspace", folder.display()));
    run(scan.arg(image))?;
    let written = folder.join(format!("{action}.cdx.json"));
    let text = std::fs::read_to_string(&written)
        .with_context(|| format!("while reading `{}`", written.display()))?;
    for package in ["pkg:cargo/tokio@", "pkg:cargo/rustls@"] {
        ensure!(
            text.contains(package),
            "the bill of materials of {action} does not have `{package}…`"
        );
    }
    let kept = folder.join(format!("{action}.{architecture}.cdx.json"));
    std::fs::rename(&written, kept).context("while keeping the bill of materials")
}
