//! The ci action compared with the same commands by hand, and its own cost on a large context.

use std::io::Write as _;
use std::process::Command;

use anyhow::Context as _;

use super::action::Action;
use super::process::{Cost, measure};
use super::{median, path_with_buildkit, timed};
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, run as run_command};
use crate::{paths, progress, stack};

const ROUNDS: usize = 5;
const IMAGE: &str = "seaworthy/flask-app:bench-ci";
const CONTEXT: usize = 500_000_000;

/// Print every figure.
///
/// # Errors
/// When a part of it fails.
pub(super) fn run() -> anyhow::Result<()> {
    stack::up(PIPELINE)?;
    let bench = Bench {
        action: Action::build("ci")?,
        path: path_with_buildkit()?,
    };
    bench.warm_build()?;
    bench.whole_step()?;
    bench.large_context()
}

struct Bench {
    action: Action,
    path: String,
}

impl Bench {
    fn step(&self, context: &str, more: &[&str]) -> Command {
        let mut step = Command::new(&self.action.program);
        step.arg(format!("--context={context}"))
            .arg(format!("--image={IMAGE}"))
            // Its reports must not be committed.
            .args([
                "--junit-file=target/junit.xml",
                "--sarif-file=target/ci.sarif",
            ])
            .args(more)
            .current_dir(paths::root());
        step
    }

    // A build with everything in the cache: what is left is what the action adds to it.
    fn warm_build(&self) -> anyhow::Result<()> {
        let more = [
            "--test-target=none",
            "--static-analysis=none",
            "--health-path=none",
        ];
        let action = || measure(&mut self.step("app", &more)).map(drop);
        let docker = || {
            let mut docker = command("docker", ["build", "--quiet", "--tag", IMAGE, "app"]);
            run_command(
                docker
                    .env("PATH", &self.path)
                    .env("DOCKER_BUILDKIT", "1")
                    .current_dir(paths::root()),
            )
        };
        compare("warm build ÷ `docker build`", action, docker)
    }

    // Tests, linters and smoke test: in parallel in the action, in sequence in the script.
    fn whole_step(&self) -> anyhow::Result<()> {
        let action = || measure(&mut self.step("app", &[])).map(drop);
        let script = || {
            let mut script = command("bash", [&paths::root().join("tools/bench/ci.sh")]);
            run_command(
                script
                    .env("PATH", &self.path)
                    .env("DOCKER_BUILDKIT", "1")
                    .env("IMAGE", IMAGE)
                    .current_dir(paths::root()),
            )
        };
        compare("whole step ÷ script", action, script)
    }

    fn large_context(&self) -> anyhow::Result<()> {
        let large = self.action.directory.join("large");
        std::fs::create_dir_all(&large).context("failed to make the large context")?;
        std::fs::write(
            large.join("Dockerfile"),
            "FROM debian:trixie-slim\nCOPY Dockerfile /\n",
        )?;
        let mut blob = std::fs::File::create(large.join("blob"))?;
        let piece: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for _ in 0..CONTEXT / piece.len() {
            blob.write_all(&piece)?;
        }
        let mut step = Command::new(&self.action.program);
        step.args([
            "--context=large",
            &format!("--image={IMAGE}-large"),
            "--test-target=none",
            "--static-analysis=none",
            "--health-path=none",
        ])
        .env("GITHUB_WORKSPACE", &self.action.directory);
        let Cost { memory, wall, .. } = measure(&mut step)?;
        #[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
        let megabytes = memory as f64 / 1e6;
        progress::line(format!(
            "context of 500 MB: {megabytes:.1} MB of memory, {:.1} s",
            wall.as_secs_f64()
        ));
        std::fs::remove_dir_all(large).context("failed to remove the large context")
    }
}

fn compare(
    what: &str,
    action: impl Fn() -> anyhow::Result<()>,
    other: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Each once before it is timed: both find their caches warm.
    action()?;
    other()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(timed(&action)?);
        theirs.push(timed(&other)?);
    }
    let (ours, theirs) = (median(ours).as_secs_f64(), median(theirs).as_secs_f64());
    progress::line(format!(
        "{what}: {:.2} ({ours:.2} s, {theirs:.2} s)",
        ours / theirs
    ));
    Ok(())
}
