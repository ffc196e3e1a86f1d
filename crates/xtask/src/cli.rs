//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{bench, browser, pipeline, say, stack, test};

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
        /// The workflow to run.
        #[arg(
            long,
            hide = true,
            default_value = ".github/workflows/azure-deploy.yml"
        )]
        workflow: String,
        /// The working tree to take, if it is not this one.
        #[arg(long)]
        source: Option<std::path::PathBuf>,
    },
    /// Run every check and test.
    Test {
        /// Only what needs no container engine.
        #[arg(long)]
        fast: bool,
    },
    /// Run a benchmark.
    Bench {
        /// Which one.
        name: String,
    },
    /// Take the picture of the application's page that the README shows.
    Screenshot,
    /// Install what is missing and start the local stand-ins: engine, registry, GitHub, Azure, Kubernetes.
    Up,
    /// Stop everything that `up` started, and undo every setting that it changed.
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
    /// The stand-ins for GitHub and Azure, in the foreground.
    #[command(hide = true)]
    Serve,
}

/// Run the command that the arguments give.
pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Pipeline { workflow, source } => {
            pipeline::run(&workflow, &source.unwrap_or_else(crate::paths::root))
        }
        Command::Test { fast } => return test::run(fast),
        Command::Bench { name } => bench::run(&name),
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
            say::failed(&e);
            ExitCode::FAILURE
        }
    }
}
