//! Whether the images come out the same when they are built once more: the programs by another builder, which has
//! nothing of BuildKit's, and the digests by putting the images together anew.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::archive::Archive;
use super::base::Bases;
use super::builder::Stages;
use super::{ACTIONS, Place, images};
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
        let digest = |folder: &Path| -> anyhow::Result<container::Digest> {
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
    let by_engine = say::step(
        "building the programs with the engine's own builder",
        || {
            let built = again.join("programs");
            by_the_engine(source, &built)?;
            programs(&built)
        },
    )?;
    for action in ACTIONS {
        let released = programs(&place.folder.join(format!("{action}.content/usr/local/bin")))?;
        for (name, content) in released {
            ensure!(
                by_engine.get(&name) == Some(&content),
                "the program `{name}` in the image of {action} is not the one that the engine's own builder makes"
            );
        }
    }
    say::line("  two builders made the same programs");
    std::fs::remove_dir_all(&again).context("while removing the second images")
}

// The programs of the last stage, which has those of all actions, into the folder `to`.
fn by_the_engine(source: &Path, to: &Path) -> anyhow::Result<()> {
    let mut build = command("docker", ["build", "--quiet", "--file=Dockerfile.action"]);
    // The same that builds `uses: ./actions/<name>` in a run of the pipeline here, so it has most of it already.
    build
        .arg(".")
        .current_dir(source)
        .env("DOCKER_BUILDKIT", "0");
    let image = output(&mut build)?;
    let container = output(&mut command("docker", ["create", image.trim(), "ci"]))?;
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
