//! What `cargo xtask` starts for the local pipeline, as a separate program: with its dependencies, `xtask` would take
//! minutes to compile before it says its first word.
#![expect(
    clippy::disallowed_methods,
    reason = "a fake calls the programs of its stack"
)]

mod certificates;
mod load_balancer;
mod registry_password;
mod serve;
mod trivy_db;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use xtask::progress;

/// The services of the local pipeline.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the fake GitHub and Azure, and the load balancer's controller, until SIGTERM.
    Serve,
    /// Write the certificates of the registry and of the cluster that are missing.
    Certificates,
    /// Push a vulnerability database to a registry as `trivy-db:2`.
    PublishDatabase {
        /// The registry's host and port.
        registry: String,
        /// The archive of the database.
        archive: PathBuf,
    },
    /// Print a password for the registry, for an hour or so: what `az acr login --expose-token` prints.
    RegistryPassword,
    /// Print the inputs of the step of a workflow that uses `./actions/NAME`, as JSON.
    Inputs {
        /// The workflow.
        workflow: PathBuf,
        /// The name of the action.
        action: String,
    },
}

fn main() -> ExitCode {
    // Without a TLS provider, building a client panics. An error means that there is one already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Serve => serve::run(),
        Command::Certificates => certificates::write(),
        Command::PublishDatabase { registry, archive } => trivy_db::publish(&registry, &archive),
        Command::RegistryPassword => registry_password::get().map(progress::line),
        Command::Inputs { workflow, action } => inputs(&workflow, &action).map(progress::line),
    };
    progress::exit_code(&outcome)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the runtime")
}

// The values as the workflow has them, expressions included.
fn inputs(workflow: &std::path::Path, action: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(workflow)
        .with_context(|| format!("failed to read `{}`", workflow.display()))?;
    let workflow: serde_json::Value =
        serde_saphyr::from_str(&text).context("failed to read the workflow")?;
    let uses = format!("./actions/{action}");
    let jobs = workflow["jobs"].as_object().into_iter().flatten();
    let steps = jobs.flat_map(|(_, job)| job["steps"].as_array().into_iter().flatten());
    let mut uses = steps.filter(|step| step["uses"] == *uses);
    let step = uses.next().context("the workflow has no such step")?;
    Ok(step["with"].to_string())
}
