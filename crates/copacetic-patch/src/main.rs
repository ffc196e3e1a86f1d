//! The `copacetic-patch` binary.

fn main() -> std::process::ExitCode {
    actions_toolkit::run(&copacetic_patch::ACTION, copacetic_patch::run)
}
