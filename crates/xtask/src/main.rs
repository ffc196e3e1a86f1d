//! `cargo xtask`: the project's own commands.

mod actions;
mod bench;
mod browser;
mod cli;
mod generate;
mod paths;
mod pipeline;
mod progress;
mod release;
mod setup;
mod stack;
mod test;

fn main() -> std::process::ExitCode {
    // What the caller holds open, a lock for example, is not for processes that outlive this one.
    close_fds::set_fds_cloexec(3, &[]);
    cli::main()
}
