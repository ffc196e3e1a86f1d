//! The project's own commands, with few dependencies: the first run says its first word after seconds. What needs
//! more is a program that this one builds and starts: `local-services`, `release`.

pub mod actions;
pub mod bench;
pub mod browser;
mod cli;
mod fuzz;
mod generate;
pub mod paths;
pub mod pipeline;
pub mod progress;
pub mod setup;
mod site;
pub mod stack;
mod test;

pub use cli::main;
