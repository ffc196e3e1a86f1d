//! The runner's side of an action.
//!
//! This crate is the only one that knows `INPUT_`, `GITHUB_`, `RUNNER_` and `ACTIONS_`. An action
//! declares itself once as an [`Action`], and hands [`run`] an async function:
//!
//! ```no_run
//! use actions_toolkit::{Action, Context, Done, Example, InputSet as _, Output, inputs};
//!
//! inputs! {
//!     struct Inputs {
//!         "Common" {
//!             /// Name of the person to greet.
//!             who: String,
//!         }
//!     }
//! }
//!
//! const GREET: Action = Action {
//!     name: "greet",
//!     about: "Say hello.",
//!     inputs: Inputs::declared,
//!     replaced: |_| None,
//!     outputs: &[Output::new("result", "`passed`, `failed` or `error`.")],
//!     examples: &[Example::new("Greet somebody", "--who world")],
//! };
//!
//! async fn greet(ctx: &Context) -> anyhow::Result<Done> {
//!     let inputs: Inputs = ctx.read()?;
//!     ctx.log().info(format!("hello {}", inputs.who));
//!     Ok(Done("passed"))
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     actions_toolkit::run(&GREET, greet)
//! }
//! ```
//!
//! The same binary runs outside GitHub: every input is also a command-line option of the same name.

mod action;
pub mod command_line;
mod context;
mod env;
mod failure;
#[cfg(fuzzing)]
pub mod fuzz;
mod github_env;
pub mod glob;
mod inputs;
mod log;
pub mod network;
mod oidc;
mod private_directory;
mod progress;
mod redactor;
mod report;
mod run;
mod secret;
pub mod text;
mod workspace;

pub use action::{Action, Example, Input, Output};
pub use context::Context;
pub use env::Env;
pub use failure::{BadInput, Cancelled, Done, ExitStatus, PolicyFailure};
pub use github_env::{ActionsCache, GithubEnv};
pub use inputs::{
    Age, GitHubToken, InputSet, Inputs, List, OrNone, Parsed, Scope, Timeout, Value, both,
    invalid_choice, kebab_case,
};
pub use log::{Buffered, Group, Level, Location, Log, StopCommands};
pub use oidc::Oidc;
pub use private_directory::PrivateDirectory;
pub use progress::{with_progress, with_timeout};
pub use redactor::{Redacted, Redactor};
pub use report::Report;
pub use run::run;
pub use secret::Secret;
pub use workspace::{FileClaim, ResultFile, Workspace, WorkspacePath};

/// The version of the suite, as `--version` and user agents show it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
