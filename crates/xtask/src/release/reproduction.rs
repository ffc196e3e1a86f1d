//! Whether the images come out the same when they are built once more: the programs by another builder, which has
//! nothing of BuildKit's, and the digests by putting the images together anew.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::archive::Archive;
use super::base::Bases;
use super::builder::{Build, Builder};
use super::images::{EPOCH, Stages};
use super::{ACTIONS, Place, images};
use crate::pipeline::image;
use crate::say;
use crate::setup::command::{command, output, run};

/// Build the images of the checkout `source` again, and compare them with those in the folder of `place`.
///
/// # Errors
/// With the program or the image that differs.
pub(super) fn check(source: &Path, bases: &Bases, place: &Place) -> anyhow::Result<()> {
    let again = place.folder.join("again");
    if again.is_dir() {
        std::fs::remove_dir_all(&again).context("while removing what an earlier run left")?;
    }
    images::build(source, bases, place, &again, Stages::Assembled)?;
    for action in ACTIONS {
        let digest = |folder: &Path| -> anyhow::Result<oci::Digest> {
            let archive = Archive::open(&folder.join(format!("{action}.tar")))?;
            Ok(archive.manifest.digest)
        };
        let (first, second) = (digest(&place.folder)?, digest(&again)?);
        ensure!(
            first == second,
            "{action} was put together twice, and differs: {first} and {second}"
        );
        say::line(format!("  {action}: {first} twice"));
    }
    let built = again.join("programs");
    by_the_docker(source, &built)?;
    let by_docker = programs(&built)?;
    for action in ACTIONS {
        let released = programs(&place.folder.join(format!("{action}.content/usr/local/bin")))?;
        for (name, content) in released {
            ensure!(
                by_docker.get(&name) == Some(&content),
                "the program `{name}` in the image of {action} is not the one that Docker's own builder makes"
            );
        }
    }
    say::line("  two builders made the same programs");
    application(source, bases, &again)?;
    std::fs::remove_dir_all(&again).context("while removing the second images")
}

// The application has no builder of its own, which would set the times of its files: its Dockerfile does.
fn application(source: &Path, bases: &Bases, folder: &Path) -> anyhow::Result<()> {
    let builder = Builder::start(source, folder, bases)?;
    let build = Build {
        context: "app",
        dockerfile: "Dockerfile",
        target: "",
        arguments: vec![("SOURCE_DATE_EPOCH", EPOCH.to_owned())],
        labels: Vec::new(),
        anew: Some(String::new()),
        one_time: false,
    };
    let digest = |name: &str| -> anyhow::Result<oci::Digest> {
        builder.build(name, &build)?;
        let archive = Archive::open(&folder.join(format!("{name}.tar")))?;
        Ok(archive.manifest.digest)
    };
    let (first, second) = (digest("flask-app")?, digest("flask-app-again")?);
    ensure!(
        first == second,
        "the application was built twice, and differs: {first} and {second}"
    );
    say::line(format!("  flask-app: {first} twice"));
    Ok(())
}

// The programs of the last stage, which has those of all actions, into the folder `to`.
fn by_the_docker(source: &Path, to: &Path) -> anyhow::Result<()> {
    let image = image::build(source)?;
    let container = output(&mut command("docker", ["create", &image, "ci"]))?;
    let container = container.trim();
    std::fs::create_dir_all(to)?;
    let copied = run(command("docker", ["cp"])
        .arg(format!("{container}:/usr/local/bin/."))
        .arg(to));
    run(&mut command("docker", ["rm", container]))?;
    copied
}

// The content of each program in `folder`, by name.
fn programs(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("while reading `{}`", folder.display()))?;
    let mut programs = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        programs.insert(name, std::fs::read(entry.path())?);
    }
    Ok(programs)
}
