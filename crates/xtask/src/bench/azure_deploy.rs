//! The azure-deploy action compared with `docker push`, `kubectl apply` and `kubectl rollout status`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::action::Action;
use super::process::measure;
use super::{mean, timed};
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, output, run as run_command};
use crate::stack::{self, Stack, registry_ca};
use crate::{paths, progress};

const ROUNDS: usize = 10;
/// The manifests' own is the pipeline's.
const NAMESPACE: &str = "bench";

/// Print every figure. Each deployment is of an image that the cluster does not have yet.
///
/// # Errors
/// When a part of it fails.
pub(super) fn run() -> anyhow::Result<()> {
    let stack = stack::up(PIPELINE)?;
    let action = Action::build("azure-deploy")?;
    let bench = Bench {
        path: path(&stack)?,
        work: action.directory.join("workspace"),
        action,
        stack,
    };
    bench.manifests()?;
    run_command(&mut bench.script("login"))?;
    let outcome = bench.rounds();
    let namespace = ["delete", "namespace", NAMESPACE, "--wait=false"];
    run_command(bench.kubectl().args(namespace))?;
    outcome
}

struct Bench {
    action: Action,
    stack: Stack,
    path: String,
    work: std::path::PathBuf,
}

impl Bench {
    fn rounds(&self) -> anyhow::Result<()> {
        let (mut ours, mut theirs, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            // Each is first in turn, and finds the cluster at rest.
            let mut order = ["ours", "theirs"];
            order.rotate_left(round % 2);
            for who in order {
                let image = build(&format!("bench-{round}-{who}"))?;
                self.settle()?;
                if who == "theirs" {
                    let row = timed(|| run_command(self.script("deploy").env("IMAGE", &image)))?;
                    theirs.push(row);
                } else {
                    ours.push(measure(&mut self.step(&image))?.wall);
                    unchanged.push(measure(&mut self.step(&image))?.wall);
                }
            }
            if round == 0 {
                // It made the namespace.
                for times in [&mut ours, &mut theirs, &mut unchanged] {
                    times.clear();
                }
            }
        }
        // A pod is Ready at its next probe, a second earlier or later: the times have two peaks, and a median jumps between them.
        let [ours, unchanged, theirs] =
            [ours, unchanged, theirs].map(|times: Vec<Duration>| mean(&times).as_secs_f64());
        progress::line(format!(
            "\none step: {ours:.2} s; push, apply, rollout status: {theirs:.2} s: {:.2} (goal 1.05)",
            ours / theirs
        ));
        progress::line(format!(
            "deployed again without a change: {unchanged:.2} s (goal 2)"
        ));
        Ok(())
    }

    // Wait until the pods that the deployment before has replaced are gone.
    fn settle(&self) -> anyhow::Result<()> {
        let terminating =
            "{range .items[?(@.metadata.deletionTimestamp)]}pod/{.metadata.name} {end}";
        let pods = output(
            self.kubectl()
                .args(["get", "pods", "--namespace", NAMESPACE])
                .arg(format!("--output=jsonpath={terminating}")),
        )?;
        if pods.trim().is_empty() {
            return Ok(());
        }
        let wait = [
            "wait",
            "--for=delete",
            "--timeout=2m",
            "--namespace",
            NAMESPACE,
        ];
        run_command(self.kubectl().args(wait).args(pods.split_whitespace()))
    }

    // Those of the application, in another namespace.
    fn manifests(&self) -> anyhow::Result<()> {
        let directory = self.work.join("k8s");
        std::fs::create_dir_all(&directory)?;
        let mut count = 0;
        for entry in std::fs::read_dir(paths::root().join("k8s"))? {
            let entry = entry?;
            let text = std::fs::read_to_string(entry.path())?;
            let moved = text
                .replace("namespace: web", &format!("namespace: {NAMESPACE}"))
                .replace("name: web", &format!("name: {NAMESPACE}"));
            count += usize::from(moved != text);
            std::fs::write(directory.join(entry.file_name()), moved)?;
        }
        ensure!(count > 0, "the manifests do not name the namespace `web`");
        Ok(())
    }

    fn step(&self, image: &str) -> Command {
        let azure = format!("http://{}", stack::AZURE);
        let mut step = self.action.step(&self.path);
        for (input, value) in [
            ("IMAGE", image),
            ("CLIENT-ID", stack::CLIENT),
            ("TENANT-ID", stack::TENANT),
            ("SUBSCRIPTION-ID", stack::SUBSCRIPTION),
            ("AUTHORITY-HOST", &azure),
            ("RESOURCE-MANAGER", &azure),
            ("REGISTRY", "seaworthy"),
            ("RESOURCE-GROUP", "seaworthy"),
            ("CLUSTER", "seaworthy"),
            ("MANIFESTS", "k8s"),
            ("EXPECT-COMMIT", tag(image)),
            ("ENVIRONMENT-VARIABLES", "DEPLOYED_AT={time}"),
        ] {
            step.env(format!("INPUT_{input}"), value);
        }
        let url = format!("{azure}/oidc/token?api-version=2.0");
        step.env("ACTIONS_ID_TOKEN_REQUEST_URL", url)
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", stack::OIDC_REQUEST_TOKEN)
            .env("SSL_CERT_FILE", registry_ca());
        step
    }

    fn script(&self, part: &str) -> Command {
        let script = paths::root().join("tools/bench/deploy.sh");
        let mut script = command("bash", [&script, Path::new(part)]);
        script
            .env("PATH", &self.path)
            .env("WORK", &self.work)
            .env("NAMESPACE", NAMESPACE)
            .env("LOGIN_SERVER", stack::LOGIN_SERVER)
            .env("AZURE", stack::AZURE)
            .env("TENANT", stack::TENANT)
            .env("CLIENT", stack::CLIENT)
            .env("OIDC_REQUEST_TOKEN", stack::OIDC_REQUEST_TOKEN)
            .env("CURL_CA_BUNDLE", registry_ca())
            .env("DOCKER_CONFIG", self.action.directory.join("docker"))
            .env("KUBECONFIG", &self.stack.kubeconfig);
        script
    }

    fn kubectl(&self) -> Command {
        let mut kubectl = command("kubectl", [] as [&str; 0]);
        kubectl
            .env("PATH", &self.path)
            .env("KUBECONFIG", &self.stack.kubeconfig);
        kubectl
    }
}

fn path(stack: &Stack) -> anyhow::Result<String> {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let kubernetes = stack.builds.wait("kubernetes")?;
    Ok(format!("{}:{inherited}", kubernetes.display()))
}

fn tag(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}

// The application with its own commit: the layers are there, the image is new.
fn build(commit: &str) -> anyhow::Result<String> {
    let image = format!("flask-app:{commit}");
    let argument = format!("--build-arg=APP_COMMIT={commit}");
    let unique = format!("--label=dev.seaworthy.bench={}", std::process::id());
    let mut build = command(
        "docker",
        ["build", "--quiet", &argument, &unique, "--tag", &image],
    );
    run_command(
        build
            .arg("app")
            .current_dir(paths::root())
            // Docker's own builder: the other one needs a plug-in.
            .env("DOCKER_BUILDKIT", "0"),
    )
    .context("failed to build the application")?;
    Ok(image)
}
