//! Whether the images are the same when they are built again: the programs by another builder, which shares
//! nothing with BuildKit, and the digests by assembling the images from scratch.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::archive::Archive;
use crate::bases::Bases;
use crate::builder::{Build, Builder};
use crate::images::{EPOCH, Stages};
use crate::{Destination, images};
use xtask::actions::{ACTIONS, Action};
use xtask::pipeline::image;
use xtask::progress;
use xtask::setup::command::{command, output, run};

/// Build the images of the checkout `source` again, and compare them with those in the directory of `destination`; with
/// `second_builder`, the programs with those that another builder compiles too, which takes as long as the first time.
///
/// # Errors
/// With the program or the image that differs.
pub(crate) fn check(
    source: &Path,
    bases: &Bases,
    destination: &Destination,
    second_builder: bool,
) -> anyhow::Result<()> {
    let second = destination.directory.join("second");
    if second.is_dir() {
        std::fs::remove_dir_all(&second).context("failed to remove what an earlier run left")?;
    }
    images::build(source, bases, destination, &second, Stages::Assembled)?;
    for Action { name: action, .. } in ACTIONS.iter() {
        let digest = |directory: &Path| -> anyhow::Result<oci::Digest> {
            let archive = Archive::open(&directory.join(format!("{action}.tar")))?;
            Ok(archive.manifest.digest)
        };
        let digests = (digest(&destination.directory)?, digest(&second)?);
        ensure!(
            digests.0 == digests.1,
            "{action} is not reproducible: {} and {}",
            digests.0,
            digests.1
        );
        progress::line(format!("  {action}: {} twice", digests.0));
    }
    if second_builder {
        compare_programs(source, destination, &second.join("programs"))?;
    }
    application(source, bases, &second)?;
    std::fs::remove_dir_all(&second).context("failed to remove the second images")
}

// Those of the images with those that Docker's own builder makes in `built`.
fn compare_programs(source: &Path, destination: &Destination, built: &Path) -> anyhow::Result<()> {
    with_docker(source, built)?;
    let other = programs(built)?;
    for Action { name: action, .. } in ACTIONS.iter() {
        let released = programs(
            &destination
                .directory
                .join(format!("{action}.content/usr/local/bin")),
        )?;
        for (name, content) in released {
            ensure!(
                other.get(&name) == Some(&content),
                "the program `{name}` in the image of {action} differs from the one that Docker's own builder made"
            );
        }
    }
    progress::line("  two builders made the same programs");
    Ok(())
}

// Its Dockerfile sets the times of the files, not the builder.
fn application(source: &Path, bases: &Bases, directory: &Path) -> anyhow::Result<()> {
    let builder = Builder::start(source, directory, bases)?;
    let build = Build {
        context: "app",
        dockerfile: "Dockerfile",
        target: "",
        arguments: vec![("SOURCE_DATE_EPOCH", EPOCH.to_owned())],
        labels: Vec::new(),
        uncached: Some(String::new()),
        one_time: false,
    };
    let digest = |name: &str| -> anyhow::Result<oci::Digest> {
        builder.build(name, &build)?;
        let archive = Archive::open(&directory.join(format!("{name}.tar")))?;
        Ok(archive.manifest.digest)
    };
    let (first, second) = (digest("flask-app")?, digest("flask-app-second")?);
    ensure!(
        first == second,
        "the application is not reproducible: {first} and {second}"
    );
    progress::line(format!("  flask-app: {first} twice"));
    Ok(())
}

// The programs of the last stage, which has those of all actions, into the directory `to`.
fn with_docker(source: &Path, to: &Path) -> anyhow::Result<()> {
    let image = image::build(source)?;
    let container = output(&mut command("docker", ["create", &image, "none"]))?;
    let container = container.trim();
    std::fs::create_dir_all(to)?;
    let copied = run(command("docker", ["cp"])
        .arg(format!("{container}:/usr/local/bin/."))
        .arg(to));
    run(&mut command("docker", ["rm", container]))?;
    copied
}

// The content of each program in `directory`, by name.
fn programs(directory: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("failed to read `{}`", directory.display()))?;
    let mut programs = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        programs.insert(name, std::fs::read(entry.path())?);
    }
    Ok(programs)
}
