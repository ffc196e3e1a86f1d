//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::pipeline::Trigger;
use crate::{bench, browser, pipeline, progress, release, stack, test};

/// Build, test and run the pipeline on one machine.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the pipeline: build, scan, patch, push, deploy and serve the application.
    Pipeline {
        /// The working tree to use instead of this one.
        #[arg(long)]
        source: Option<std::path::PathBuf>,
    },
    /// Run one workflow against the local services.
    Workflow {
        /// Its path, such as `examples/monorepo.yml`.
        path: String,
        /// The event to run it for.
        #[arg(long, default_value = "push")]
        event: String,
        /// One of its jobs, with those that it needs, instead of all.
        #[arg(long)]
        job: Option<String>,
    },
    /// Run every check and test.
    Test {
        /// Only what does not need Docker.
        #[arg(long)]
        fast: bool,
    },
    /// Write what is generated: parts of each `action.yml` and README, and of `Dockerfile.action`.
    Generate,
    /// Check the words of `STYLE.md` alone.
    Words {
        /// Below these paths; everywhere if there are none.
        paths: Vec<std::path::PathBuf>,
    },
    /// Run a benchmark.
    Bench {
        /// Which one.
        name: String,
    },
    /// The steps of a release.
    Release {
        #[command(subcommand)]
        step: release::Step,
    },
    /// Take the screenshot of the application's page that the README shows.
    Screenshot,
    /// Install what is missing and start the local services: Docker, registry, GitHub, Azure, Kubernetes.
    Up,
    /// Stop everything that `up` started, and restore every setting that it changed.
    Down {
        /// Also remove the images that were made and the cache of built tools.
        #[arg(long)]
        purge: bool,
    },
    /// Show what runs, and where.
    Status,
    /// Show the log of a part.
    Logs {
        /// The part; without it, the parts are listed.
        name: Option<String>,
    },
    /// The fake GitHub and Azure, in the foreground.
    #[command(hide = true)]
    Serve,
}

/// Run the command of the arguments.
pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Pipeline { source } => pipeline::run(&source.unwrap_or_else(crate::paths::root)),
        Command::Workflow { path, event, job } => {
            let trigger = Trigger::new(&path, &event);
            let trigger = job.iter().fold(trigger, |trigger, job| trigger.job(job));
            pipeline::workflow(trigger, &crate::paths::root()).map(drop)
        }
        Command::Test { fast } => return test::run(fast),
        Command::Generate => crate::generate::write(),
        Command::Words { paths } => test::words::check(&paths),
        Command::Bench { name } => bench::run(&name),
        Command::Release { step } => release::run(step),
        Command::Screenshot => browser::screenshot(),
        // The tools that only a run needs are built too, so that the run need not wait for them.
        Command::Up => stack::up().and_then(|stack| stack.builds.finish()),
        Command::Down { purge } => stack::down(purge),
        Command::Status => stack::status(),
        Command::Logs { name } => stack::logs(name.as_deref()),
        Command::Serve => stack::serve(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            progress::failed(&e);
            ExitCode::FAILURE
        }
    }
}
