//! The tree of a release: its actions name the published images, so nothing is built in the workflow that uses them.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::publish::Published;
use xtask::actions::{ACTIONS, Action};

/// What an action of the source names.
const SOURCE: &str = "../../Dockerfile.action";

/// Point each action in the working tree `root` to its image in `published`.
///
/// # Errors
/// When one has no image, or names something else than the Dockerfile.
pub(crate) fn write(root: &Path, published: &Published) -> anyhow::Result<()> {
    for Action { name: action, .. } in ACTIONS.iter() {
        let file = root.join("actions").join(action).join("action.yml");
        let what = || format!("failed to read `{}`", file.display());
        let text = std::fs::read_to_string(&file).with_context(what)?;
        let image = published
            .get(*action)
            .with_context(|| format!("no image of {action} was published"))?;
        std::fs::write(&file, pointed(&text, image).with_context(what)?)?;
    }
    Ok(())
}

fn pointed(text: &str, image: &str) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        if line.trim_start().starts_with(&format!("image: {SOURCE}")) {
            count += 1;
            lines.push(format!("  image: docker://{image}"));
        } else {
            lines.push(line.to_owned());
        }
    }
    if count != 1 {
        bail!("expected one line `image: {SOURCE}`, not {count}");
    }
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_names_its_image_by_digest() {
        let text = "runs:\n  using: docker\n  image: ../../Dockerfile.action # zizmor: ignore[x] y\n  entrypoint: /ci\n";
        let released = pointed(text, "ghcr.io/o/seaworthy/ci@sha256:1f").unwrap();
        assert_eq!(
            released,
            "runs:\n  using: docker\n  image: docker://ghcr.io/o/seaworthy/ci@sha256:1f\n  entrypoint: /ci\n"
        );
        assert!(pointed(&released, "x").is_err());
    }
}
