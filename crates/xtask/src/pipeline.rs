//! Running a workflow of the repository with `act` against the local services.

pub mod checkout;
mod first_look;
pub mod image;
mod local_actions;
mod log;

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::setup::base_images::{self, Origin};
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, output};
use crate::setup::timings;
use crate::stack::{self, Stack};
use crate::{paths, progress};

pub use log::Step;

/// The repository's name in the local runs.
pub(crate) const REPOSITORY: &str = "octo-org/app";

/// The workflow that carries the application to the cluster, as a push to `main` starts it.
pub(crate) const DEPLOYMENT: Trigger = Trigger::new(".github/workflows/azure-deploy.yml", "push");

/// What starts a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger<'a> {
    /// The path of the workflow.
    pub workflow: &'a str,
    /// The event.
    pub event: &'a str,
    /// One of its jobs, if not all of them are to run.
    job: Option<&'a str>,
}

impl<'a> Trigger<'a> {
    /// All of `workflow`, for `event`.
    pub const fn new(workflow: &'a str, event: &'a str) -> Self {
        Self {
            workflow,
            event,
            job: None,
        }
    }

    /// The job `name` of it alone, and those that it needs.
    #[must_use]
    pub const fn job(self, name: &'a str) -> Self {
        Self {
            job: Some(name),
            ..self
        }
    }
}

/// Bring the stack up, deploy for a push of the tree `source` to `main`, and print its address.
///
/// # Errors
/// When the stack does not come up, or the workflow fails.
pub(crate) fn run(source: &Path) -> anyhow::Result<()> {
    let stack = workflow(DEPLOYMENT, source)?;
    let table = timings::table();
    if !table.is_empty() {
        progress::line(format!("\n{table}"));
    }
    serving(&stack)
}

/// Bring the stack up, and run what `trigger` starts on the tree `source`, as its branch `main`.
///
/// # Errors
/// When the stack does not come up, or the workflow fails.
pub(crate) fn workflow(trigger: Trigger<'_>, source: &Path) -> anyhow::Result<Stack> {
    // There is one checkout to run in, and one cluster to deploy to.
    let _lock = stack::lock("pipeline")?;
    let started = Instant::now();
    let stack = Stack::begin(stack::build(PIPELINE)?)?;
    let checkout = progress::step("preparing the checkout", || {
        checkout::prepare(source, &stack)
    })?;
    if trigger == DEPLOYMENT && !stack.builds.has("kubernetes") {
        first_look::run(&checkout, &stack)?;
    }
    stack.complete()?;
    image::provide(&checkout, &stack)?;
    timings::record_run("set-up", started.elapsed());
    let started = Instant::now();
    act(&stack, &checkout, trigger)?;
    timings::record_run("workflow", started.elapsed());
    Ok(stack)
}

/// Run what `trigger` starts in `checkout`, and return its steps with their times.
///
/// # Errors
/// When it fails.
pub fn act(stack: &Stack, checkout: &Path, trigger: Trigger<'_>) -> anyhow::Result<Vec<Step>> {
    remove_killed()?;
    let directory = paths::state().join("act");
    std::fs::create_dir_all(&directory)?;
    let payload = directory.join("event.json");
    std::fs::write(&payload, event(trigger.event, checkout)?.to_string())?;
    // Secrets are passed in files with mode 0600, not as arguments, which every user can read.
    let secrets = private(
        &directory.join("secrets"),
        &[
            ("GITHUB_TOKEN", stack::GITHUB_TOKEN.to_owned()),
            ("REGISTRY_PASSWORD", stack.registry_password()?),
            ("KUBECONFIG", format!("'{}'", one_line(stack)?)),
        ],
    )?;
    let env = private(&directory.join("env"), &environment(checkout))?;
    let vars = private(&directory.join("vars"), &variables(stack))?;
    let act = stack.builds.wait("act")?.join("act");
    let log_file = paths::state().join("processes").join("act.log");
    let mut act = command(
        &act.to_string_lossy(),
        [
            trigger.event,
            "--json",
            "--rm",
            "--pull=false",
            // The image of the actions is there.
            "--rebuild=false",
            "--action-offline-mode",
            "--no-cache-server",
        ],
    );
    act.args([
        "--defaultbranch",
        "main",
        "--use-gitignore=false",
        "--actor",
        "seaworthy",
    ])
    .arg(format!("--platform=ubuntu-24.04={}", base_images::RUNNER))
    .arg(format!("--platform=self-hosted={}", base_images::RUNNER))
    // What an author writes who uses the actions from elsewhere.
    .arg(format!(
        "--local-repository=OWNER/seaworthy@v1={}",
        checkout.display()
    ))
    .args(local_actions::arguments(checkout)?)
    .arg("--workflows")
    .arg(trigger.workflow)
    .arg("--eventpath")
    .arg(&payload)
    .arg("--secret-file")
    .arg(&secrets)
    .arg("--env-file")
    .arg(&env)
    .arg("--var-file")
    .arg(&vars)
    .arg("--action-cache-path")
    .arg(directory.join("cache"))
    .args(trigger.job.iter().flat_map(|job| ["--job", *job]))
    .current_dir(checkout)
    .stdout(Stdio::piped())
    .stderr(std::fs::File::create(log_file.with_extension("err"))?);
    let mut child = act.spawn().context("failed to start act")?;
    let output = child.stdout.take().context("failed to read from act")?;
    let mut full = std::fs::File::create(&log_file).context("failed to write act's log")?;
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut lines = std::io::BufReader::new(output).lines();
        // The receiver is gone when a line could not be printed.
        lines.try_for_each(|line| sender.send(line))
    });
    let mut shown = log::Log::new();
    loop {
        match receiver.recv_timeout(progress::HEARTBEAT) {
            Ok(line) => shown.line(&line.context("failed to read from act")?, &mut full)?,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        shown.pulse();
    }
    // It finishes after the last line.
    let _ = reader.join();
    let status = child.wait()?;
    if !status.success() {
        let errors = std::fs::read_to_string(log_file.with_extension("err")).unwrap_or_default();
        bail!(
            "the workflow failed ({status}); see `cargo xtask logs act`{}",
            tail(&errors)
        );
    }
    Ok(shown.into_steps())
}

// A run of act that was killed left its containers, which keep the volumes that one of the same workflow has to make.
fn remove_killed() -> anyhow::Result<()> {
    let list = ["ps", "--all", "--quiet", "--filter=name=act-"];
    let all = output(&mut command("docker", list))?;
    if all.trim().is_empty() {
        return Ok(());
    }
    let format = "--format={{.Id}} {{.Config.Image}} {{json .Config.Env}}";
    let mut inspect = command("docker", ["inspect", "--type=container", format]);
    let inspected = output(inspect.args(all.split_whitespace()))?;
    // Other people may use act as well.
    let repository = format!("\"GITHUB_REPOSITORY={REPOSITORY}\"");
    let left = inspected.lines().filter_map(|line| {
        let (id, of) = line.split_once(' ')?;
        let is_own = of.starts_with(base_images::RUNNER) || of.contains(&repository);
        is_own.then_some(id)
    });
    let left: Vec<_> = left.collect();
    if left.is_empty() {
        return Ok(());
    }
    let remove = ["rm", "--force", "--volumes"];
    let removed = output(command("docker", remove).args(left));
    removed
        .map(drop)
        .context("failed to remove what an earlier run of act has left")
}

// The payload that GitHub sends (docs.github.com/webhooks/webhook-events-and-payloads), as far as it is read.
fn event(name: &str, checkout: &Path) -> anyhow::Result<serde_json::Value> {
    let repository = json!({"full_name": REPOSITORY, "name": "app", "owner": {"login": "octo-org"}, "default_branch": "main"});
    if !matches!(name, "merge_group" | "pull_request" | "pull_request_target") {
        return Ok(json!({"ref": "refs/heads/main", "repository": repository}));
    }
    let head = output(command("git", ["rev-parse", "HEAD"]).current_dir(checkout))?;
    let head = head.trim();
    if name == "merge_group" {
        let queue = format!("refs/heads/gh-readonly-queue/main/pr-1-{head}");
        let group = json!({"head_sha": head, "head_ref": queue, "base_sha": head, "base_ref": "refs/heads/main"});
        return Ok(
            json!({"action": "checks_requested", "merge_group": group, "repository": repository}),
        );
    }
    let side = |branch: &str| json!({"ref": branch, "sha": head, "repo": repository});
    let pull = json!({"number": 1, "head": side("change"), "base": side("main")});
    Ok(
        json!({"action": "synchronize", "number": 1, "pull_request": pull, "repository": repository}),
    )
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    last.iter().flat_map(|line| ["\n  ", line]).collect()
}

fn private(path: &Path, pairs: &[(&str, String)]) -> anyhow::Result<std::path::PathBuf> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    for (name, value) in pairs {
        writeln!(file, "{name}={value}")?;
    }
    Ok(path.to_owned())
}

// The access to the cluster as JSON without an end of line in it: a value of act's file of secrets ends there.
fn one_line(stack: &Stack) -> anyhow::Result<String> {
    let kubectl = stack.kubectl()?;
    let view = ["config", "view", "--raw", "--flatten", "--output=json"];
    let mut view = command(&kubectl.to_string_lossy(), view);
    let text = output(view.env("KUBECONFIG", &stack.kubeconfig))?;
    Ok(text.lines().map(str::trim).collect())
}

// What GitHub's runner would set, where it is not act's own.
fn environment(checkout: &Path) -> Vec<(&'static str, String)> {
    let github = format!("http://{}", stack::GITHUB);
    vec![
        ("GITHUB_API_URL", github.clone()),
        ("GITHUB_SERVER_URL", github),
        ("GITHUB_REPOSITORY", REPOSITORY.to_owned()),
        (
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            format!("http://{}/oidc/token?api-version=2.0", stack::AZURE),
        ),
        (
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            stack::OIDC_REQUEST_TOKEN.to_owned(),
        ),
        // The local registry's CA certificate, in addition to those that this machine trusts.
        (
            "SSL_CERT_FILE",
            checkout
                .join(checkout::CA_CERTIFICATES)
                .to_string_lossy()
                .into_owned(),
        ),
    ]
}

// The repository's variables. Those that are not set mean the public services.
fn variables(stack: &Stack) -> Vec<(&'static str, String)> {
    let mut variables = BTreeMap::from([
        ("AZURE_CLIENT_ID", stack::CLIENT.to_owned()),
        ("AZURE_TENANT_ID", stack::TENANT.to_owned()),
        ("AZURE_SUBSCRIPTION_ID", stack::SUBSCRIPTION.to_owned()),
        ("AZURE_AUTHORITY_HOST", format!("http://{}", stack::AZURE)),
        ("AZURE_RESOURCE_MANAGER", format!("http://{}", stack::AZURE)),
        ("AZURE_REGISTRY", "seaworthy".to_owned()),
        ("AZURE_RESOURCE_GROUP", "seaworthy".to_owned()),
        ("AZURE_CLUSTER", "seaworthy".to_owned()),
        // For workflows that sign in with a password.
        ("REGISTRY", stack::LOGIN_SERVER.to_owned()),
        (
            "REGISTRY_USERNAME",
            "00000000-0000-0000-0000-000000000000".to_owned(),
        ),
    ]);
    if stack.origin == Origin::Made {
        variables.insert(
            "TRIVY_DB_REPOSITORIES",
            format!("{}/trivy-db:2", stack::MIRROR),
        );
        variables.insert("COPA_TOOLING_IMAGE", base_images::DEBIAN.to_owned());
    }
    variables.into_iter().collect()
}

/// The address of the application's Service.
///
/// # Errors
/// When it has none.
pub(crate) fn address(stack: &Stack) -> anyhow::Result<String> {
    let kubectl = stack.kubectl()?;
    let mut get = command(
        &kubectl.to_string_lossy(),
        [
            "--namespace",
            "web",
            "get",
            "service",
            "flask-app",
            "--output",
            "jsonpath={.status.loadBalancer.ingress[0].ip}",
            "--kubeconfig",
        ],
    );
    let address = output(get.arg(&stack.kubeconfig))?;
    if address.is_empty() {
        bail!("the Service has no address");
    }
    Ok(format!("http://{address}"))
}

fn serving(stack: &Stack) -> anyhow::Result<()> {
    let address = address(stack)?;
    let health = get(&format!("{address}/health"))?;
    progress::line(format!("\n{address} serves"));
    progress::line(format!("{address}/health responds {health}"));
    progress::line(format!(
        "http://{}/security shows the Security tab; `cargo xtask down` stops everything",
        stack::GITHUB
    ));
    Ok(())
}

/// The body of a successful response.
///
/// # Errors
/// When the request fails.
pub(crate) fn get(url: &str) -> anyhow::Result<String> {
    let args = [
        "--silent",
        "--show-error",
        "--fail",
        "--max-time",
        "10",
        url,
    ];
    let body = output(&mut command("curl", args))?;
    Ok(body.trim().to_owned())
}
