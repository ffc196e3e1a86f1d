//! The command line.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::pipeline::Trigger;
use crate::setup::builds::{Builds, CHECKS, PIPELINE};
use crate::setup::programs::PROGRAMS;
use crate::setup::timings;
use crate::test::{Extent, Tests};
use crate::{bench, browser, fuzz, pipeline, progress, site, stack, test};

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
        /// The working tree to use instead of this one.
        #[arg(long)]
        source: Option<std::path::PathBuf>,
    },
    /// Run every check and test.
    Test {
        /// Only the lints and tests of this crate that need neither Docker nor another crate's tests.
        #[arg(conflicts_with_all = ["fast", "judges"])]
        name: Option<String>,
        /// Only what does not need Docker.
        #[arg(long, conflicts_with = "judges")]
        fast: bool,
        /// Also what other projects' programs judge that take long to build.
        #[arg(long)]
        judges: bool,
        /// Also the tests with the real tools that passed today, with nothing changed since.
        #[arg(long, conflicts_with_all = ["name", "fast"])]
        again: bool,
    },
    /// Build the image of the actions, and let `Dockerfile.action` of this checkout start from it.
    Image,
    /// Write what is generated: parts of each `action.yml` and README, and of `Dockerfile.action`.
    Generate,
    /// Check the words of `STYLE.md` alone.
    Words {
        /// Below these paths; everywhere if there are none.
        paths: Vec<std::path::PathBuf>,
    },
    /// Fuzz the parsers of bytes from outside: one of them, or each for its part of the time.
    Fuzz {
        /// The target; its seeds are in `crates/fuzz/corpus/`.
        name: Option<String>,
        /// How long in all, such as `60s`, `5m` or `2h`.
        #[arg(long, default_value = "60s", value_parser = fuzz::duration)]
        time: std::time::Duration,
    },
    /// Run a benchmark.
    Bench {
        /// Which one.
        name: String,
        /// Rows of it: of `trivy-scan`, `fresh`, `cached`, `large`, `again`, `registry` and `sbom`; all by default.
        rows: Vec<String>,
    },
    /// The steps of a release; `help` lists them.
    #[command(disable_help_flag = true)]
    Release {
        /// The step, and its options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build the documentation site, `target/site/book/index.html`.
    Site,
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
}

/// Run the command of the arguments.
pub fn main() -> ExitCode {
    // What the caller holds open, a lock for example, is not for processes that outlive this one.
    close_fds::set_fds_cloexec(3, &[]);
    timings::record_own_compilation();
    let outcome = match Cli::parse().command {
        Command::Pipeline { source } => pipeline::run(&source.unwrap_or_else(crate::paths::root)),
        Command::Workflow {
            path,
            event,
            job,
            source,
        } => {
            let trigger = Trigger::new(&path, &event);
            let trigger = job.iter().fold(trigger, |trigger, job| trigger.job(job));
            pipeline::workflow(trigger, &source.unwrap_or_else(crate::paths::root)).map(drop)
        }
        Command::Test {
            name,
            fast,
            judges,
            again,
        } => {
            return test::run(&match name {
                Some(name) => Tests::OfCrate(name),
                None if fast => Tests::Fast,
                None => Tests::Every(Extent { judges, again }),
            });
        }
        Command::Image => pipeline::image::prepare(),
        Command::Generate => crate::generate::write(),
        Command::Words { paths } => test::words::check(&paths),
        Command::Fuzz { name, time } => fuzz::run(name.as_deref(), time).map(drop),
        Command::Bench { name, rows } => bench::run(&name, &rows),
        Command::Release { args } => return release(&args),
        Command::Site => site::write(),
        Command::Screenshot => browser::screenshot(),
        // The tools that only a run needs are built too, so that the run need not wait for them.
        Command::Up => up(),
        Command::Down { purge } => stack::down(purge),
        Command::Status => status(),
        Command::Logs { name } => stack::logs(name.as_deref()),
    };
    progress::exit_code(&outcome)
}

fn status() -> anyhow::Result<()> {
    stack::status()?;
    let table = timings::table_of_records();
    if !table.is_empty() {
        progress::line(format!("\n{table}"));
    }
    Ok(())
}

fn up() -> anyhow::Result<()> {
    let stack = stack::up(&[PIPELINE, CHECKS].concat())?;
    stack.provide_arm64()?;
    stack.builds.finish()
}

// Its program has dependencies that the other commands need not wait for.
fn release(args: &[String]) -> ExitCode {
    let program = Builds::start(&[], &[PROGRAMS]).wait(PROGRAMS);
    let run = program.and_then(|programs| {
        let mut release = std::process::Command::new(programs.join("release"));
        let status = release.args(args).status();
        status.context("failed to start the program `release`")
    });
    match run {
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(e) => {
            progress::failed(&e);
            ExitCode::FAILURE
        }
    }
}
