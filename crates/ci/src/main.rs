//! The `ci` binary.

fn main() -> std::process::ExitCode {
    actions_toolkit::run(&ci::ACTION, ci::run)
}
