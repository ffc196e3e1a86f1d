//! `cargo xtask`: the project's own commands.

mod bench;
mod browser;
mod cli;
mod paths;
mod pipeline;
mod say;
mod setup;
mod stack;
mod test;

fn main() -> std::process::ExitCode {
    cli::main()
}
