//! The whole pipeline through the actions, compared with a plain script that does the same.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

use super::{median, path_with_buildkit, timed};
use crate::pipeline::{self, checkout, image};
use crate::setup::base_images;
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, output, run as run_command};
use crate::stack::{self, Stack};
use crate::{paths, progress};

const ROUNDS: usize = 5;
/// The parts of both: the steps of the workflow after its checkout, and the laps of the script.
const PARTS: [&str; 4] = ["build", "scan", "patch", "deploy"];

/// One run: the whole, and its parts.
struct Run {
    whole: Duration,
    parts: [Duration; PARTS.len()],
}

/// The workflow with the four actions against a plain script that does the same, in turn. Each run has its
/// own commit, as it is after a push to `main`; the first round is not counted, so that both find their images and caches warm.
///
/// # Errors
/// When one of them fails.
pub(super) fn run() -> anyhow::Result<()> {
    let _lock = stack::lock("pipeline")?;
    let stack = stack::up(PIPELINE)?;
    let bench = Bench {
        checkout: checkout::prepare(&paths::root(), &stack)?,
        work: paths::state().join("bench"),
        path: path(&stack)?,
        stack,
    };
    image::provide(&bench.checkout, &bench.stack)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        // What comes second finds the machine busy with the old pods of the first: each is first in turn.
        let mut order = ["the actions", "a script"];
        order.rotate_left(round % 2);
        for who in order {
            progress::line(format!("\nround {round} of {ROUNDS}: {who}"));
            let commit = bench.commit()?;
            if who == "a script" {
                theirs.push(bench.script(&commit)?);
            } else {
                ours.push(bench.actions()?);
            }
            remove_images(&commit)?;
        }
        if round == 0 {
            ours.clear();
            theirs.clear();
        }
    }
    show(&ours, &theirs);
    Ok(())
}

fn show(ours: &[Run], theirs: &[Run]) {
    let middle = |runs: &[Run], of: &dyn Fn(&Run) -> Duration| {
        median(runs.iter().map(of).collect()).as_secs_f64()
    };
    let line = |name: &str, of: &dyn Fn(&Run) -> Duration| {
        let (ours, theirs) = (middle(ours, of), middle(theirs, of));
        progress::line(format!("{name:<16} {ours:>8.2} {theirs:>8.2}"));
        (ours, theirs)
    };
    progress::line(format!(
        "\n{:<16} {:>8} {:>8}   seconds, medians of {ROUNDS}",
        "", "actions", "script"
    ));
    for (index, name) in PARTS.iter().enumerate() {
        line(name, &|run| {
            run.parts.get(index).copied().unwrap_or_default()
        });
    }
    // act's own: the container of the job, the checkout, what lies between the steps.
    line("the rest", &|run| {
        run.whole.saturating_sub(run.parts.iter().sum())
    });
    let (ours, theirs) = line("the whole", &|run| run.whole);
    progress::line(format!(
        "\npipeline: {ours:.1} s with the actions, {theirs:.1} s as a script: {:.2} (goal 1.00)",
        ours / theirs
    ));
}

struct Bench {
    stack: Stack,
    checkout: PathBuf,
    work: PathBuf,
    path: String,
}

impl Bench {
    // A commit of the same tree, upon the one before.
    fn commit(&self) -> anyhow::Result<String> {
        checkout::commit(&self.checkout)?;
        let head = output(command("git", ["rev-parse", "HEAD"]).current_dir(&self.checkout))?;
        Ok(head.trim().to_owned())
    }

    fn actions(&self) -> anyhow::Result<Run> {
        let mut steps = Vec::new();
        let whole = timed(|| {
            steps = pipeline::act(&self.stack, &self.checkout, pipeline::DEPLOYMENT)?;
            Ok(())
        })?;
        // The first one is the checkout.
        let steps = steps.get(1..).unwrap_or_default();
        let times: Vec<_> = steps.iter().map(|step| step.time).collect();
        let parts = times.try_into().map_err(|_| {
            let names: Vec<_> = steps.iter().map(|step| &*step.name).collect();
            let names = names.join("`, `");
            anyhow!("the workflow has the steps `{names}`, which are not {PARTS:?}")
        })?;
        Ok(Run { whole, parts })
    }

    fn script(&self, commit: &str) -> anyhow::Result<Run> {
        if self.work.is_dir() {
            std::fs::remove_dir_all(&self.work).context("failed to remove the last run's files")?;
        }
        std::fs::create_dir_all(&self.work)?;
        let script = paths::root().join("tools/bench/pipeline.sh");
        let mut script = command("bash", [&script]);
        script
            .env("PATH", &self.path)
            .env("DOCKER_BUILDKIT", "1")
            .env("SOURCE", &self.checkout)
            .env("COMMIT", commit)
            .env("WORK", &self.work)
            .env("LOGIN_SERVER", stack::LOGIN_SERVER)
            .env("MIRROR", stack::MIRROR)
            .env("GITHUB", stack::GITHUB)
            .env("GITHUB_TOKEN", stack::GITHUB_TOKEN)
            .env("REPOSITORY", pipeline::REPOSITORY)
            .env("AZURE", stack::AZURE)
            .env("TENANT", stack::TENANT)
            .env("CLIENT", stack::CLIENT)
            .env("OIDC_REQUEST_TOKEN", stack::OIDC_REQUEST_TOKEN)
            .env("TOOLING", base_images::DEBIAN)
            .env("BUILDKIT", base_images::BUILDKIT)
            .env("KUBECONFIG", &self.stack.kubeconfig)
            .env(
                "CURL_CA_BUNDLE",
                self.checkout.join(checkout::CA_CERTIFICATES),
            );
        let whole = timed(|| run_command(&mut script))?;
        let text =
            std::fs::read_to_string(self.work.join("laps")).context("failed to read its laps")?;
        Ok(Run {
            whole,
            parts: laps(&text)?,
        })
    }
}

// A commit's images are of no use to the next one, and the disk is not endless.
fn remove_images(commit: &str) -> anyhow::Result<()> {
    let list = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    let names = output(&mut command("docker", list))?;
    let names: Vec<_> = names.lines().filter(|name| name.contains(commit)).collect();
    ensure!(!names.is_empty(), "the run left no image of its commit");
    run_command(command("docker", ["rmi", "--no-prune"]).args(names))
}

// The times between the lines of the script's file, each of which is a part's name and the time, in seconds since 1970,
// when it finished; the first one is its start.
fn laps(text: &str) -> anyhow::Result<[Duration; PARTS.len()]> {
    let mut times = Vec::new();
    for (line, name) in text.lines().zip(["begin"].iter().chain(&PARTS)) {
        let time = line
            .strip_prefix(name)
            .map(|time| time.trim().parse::<f64>());
        let time = time.with_context(|| format!("expected a lap of `{name}`, not `{line}`"))?;
        times.push(time.with_context(|| format!("`{line}` has no time"))?);
    }
    let spans: Vec<_> = times
        .windows(2)
        .map(|pair| Duration::try_from_secs_f64(pair[1] - pair[0]).unwrap_or_default())
        .collect();
    let parts = spans.try_into();
    parts.map_err(|spans: Vec<_>| anyhow!("the script timed {} parts", spans.len()))
}

fn path(stack: &Stack) -> anyhow::Result<String> {
    let mut path = path_with_buildkit()?;
    for tool in ["trivy", "copa", "kubernetes"] {
        path = format!("{}:{path}", stack.builds.wait(tool)?.display());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_is_the_time_since_the_one_before() {
        let text = "begin 10.5\nbuild 12.0\nscan 12.25\npatch 20\ndeploy 21\n";
        let expected = [1500, 250, 7750, 1000].map(Duration::from_millis);
        assert_eq!(laps(text).unwrap(), expected);
    }

    #[test]
    fn a_script_that_skips_a_part_is_not_measured() {
        for text in [
            "",
            "begin 1\nbuild 2\nscan 3\n",
            "begin 1\nscan 2\n",
            "begin x\n",
        ] {
            assert!(laps(text).is_err(), "{text}");
        }
    }
}
