//! The actions of `actions/actions.txt`, which `Dockerfile.action`, the release workflow and the tests read too.

use std::fmt::Write as _;
use std::sync::LazyLock;

use anyhow::Context as _;

use crate::paths;

const LIST: &str = include_str!("../../../actions/actions.txt");
/// The lines of `Dockerfile.action` between which the stages are.
const START: &str = "# generated: the stages of actions/actions.txt, by `cargo xtask generate`\n";
const END: &str = "# end\n";

/// The actions, in the order in which their images are built.
pub static ACTIONS: LazyLock<Vec<Action>> =
    LazyLock::new(|| LIST.lines().filter_map(Action::parse).collect());

/// A line of the list.
#[derive(Debug)]
pub struct Action {
    /// Of its crate, its directory and its image.
    pub name: &'static str,
    /// The programs in its image in addition to its own.
    pub tools: Vec<&'static str>,
    /// Images of other actions that it gets by digest: the build argument, and the action.
    pub images: Vec<(&'static str, &'static str)>,
}

impl Action {
    // `None` for a comment.
    fn parse(line: &'static str) -> Option<Self> {
        let line = line.split('#').next()?;
        let (name, content) = line.split_once(':')?;
        let (images, tools) = content
            .split_whitespace()
            .partition::<Vec<_>, _>(|word| word.contains('='));
        Some(Self {
            name,
            tools,
            images: images
                .into_iter()
                .filter_map(|word| word.split_once('='))
                .collect(),
        })
    }

    // The stage of its image.
    fn stage(&self) -> String {
        let name = self.name;
        let mut stage = format!("FROM scratch AS {name}\nCOPY --from=base /base/ /\n");
        // Writing into a text does not fail.
        if !self.tools.is_empty() {
            let tools = self.tools.iter().map(|tool| format!("/out/{tool} "));
            let tools: String = tools.collect();
            let _ = writeln!(stage, "COPY --from=tools {tools}/usr/local/bin/");
        }
        let _ = writeln!(stage, "COPY --from=build /out/{name} /usr/local/bin/");
        let mut variables = String::new();
        for (argument, _) in &self.images {
            let _ = writeln!(stage, "ARG {argument}=");
            let _ = write!(variables, " SEAWORTHY_{argument}=${{{argument}}}");
        }
        let _ = writeln!(stage, "ENV PATH=/usr/local/bin{variables}");
        let _ = writeln!(stage, "ENTRYPOINT [\"/usr/local/bin/{name}\"]");
        stage
    }
}

/// The programs of busybox that every image has, and busybox itself.
pub const BUSYBOX: [&str; 12] = [
    "busybox", "chmod", "cp", "env", "find", "mkdir", "mv", "rm", "sh", "stat", "tail", "tar",
];

/// The tools of all actions, each once.
pub fn tools() -> Vec<&'static str> {
    let mut tools: Vec<_> = ACTIONS.iter().flat_map(|action| &action.tools).collect();
    tools.sort();
    tools.dedup();
    tools.into_iter().copied().collect()
}

/// Write the stages into `Dockerfile.action`.
///
/// # Errors
/// When the file can't be read or written, or its markers are missing.
pub(crate) fn generate() -> anyhow::Result<()> {
    let path = paths::root().join("Dockerfile.action");
    let text = std::fs::read_to_string(&path).context("failed to read `Dockerfile.action`")?;
    let text = with_stages(&text).context("failed to find the markers in `Dockerfile.action`")?;
    std::fs::write(&path, text).context("failed to write `Dockerfile.action`")
}

// `dockerfile` with the stages between its markers; `None` if there are none.
fn with_stages(dockerfile: &str) -> Option<String> {
    let (before, rest) = dockerfile.split_once(START)?;
    let (_, after) = rest.split_once(END)?;
    let stages: Vec<_> = ACTIONS.iter().map(Action::stage).collect();
    Some(format!("{before}{START}{}{END}{after}", stages.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_crate_and_a_directory_and_every_tool_a_module() {
        let exists = |path: String| assert!(paths::root().join(&path).is_file(), "{path}");
        let mut above = Vec::new();
        for action in ACTIONS.iter() {
            exists(format!("crates/{}/src/main.rs", action.name));
            exists(format!("actions/{}/action.yml", action.name));
            for (_, image) in &action.images {
                assert!(above.contains(image), "{action:?}");
            }
            above.push(action.name);
        }
        for tool in tools() {
            exists(format!("tools/{tool}/go.mod"));
        }
        let directories = std::fs::read_dir(paths::root().join("actions")).unwrap();
        let directories = directories.filter(|entry| entry.as_ref().unwrap().path().is_dir());
        assert_eq!(directories.count(), ACTIONS.len());
    }

    #[test]
    fn a_stage_has_what_the_line_names() {
        let action = Action::parse("ci: TRIVY_IMAGE=trivy-scan copa trivy # why").unwrap();
        assert_eq!(
            action.stage(),
            "FROM scratch AS ci\nCOPY --from=base /base/ /\nCOPY --from=tools /out/copa /out/trivy /usr/local/bin/\nCOPY --from=build /out/ci /usr/local/bin/\nARG TRIVY_IMAGE=\nENV PATH=/usr/local/bin SEAWORTHY_TRIVY_IMAGE=${TRIVY_IMAGE}\nENTRYPOINT [\"/usr/local/bin/ci\"]\n"
        );
        assert!(Action::parse("# ci: copa").is_none());
    }

    #[test]
    fn the_dockerfile_has_the_programs_of_busybox() {
        let text = std::fs::read_to_string(paths::root().join("Dockerfile.action")).unwrap();
        let line = format!("for name in {}; do ln -s busybox", BUSYBOX[1..].join(" "));
        assert!(text.contains(&line), "{line}");
    }

    #[test]
    fn the_dockerfile_has_the_stages_of_the_list() {
        let text = std::fs::read_to_string(paths::root().join("Dockerfile.action")).unwrap();
        let current = with_stages(&text).is_some_and(|expected| text == expected);
        assert!(current, "run `cargo xtask generate`");
    }
}
