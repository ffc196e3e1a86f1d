//! The `azure-deploy` binary.

fn main() -> std::process::ExitCode {
    actions_toolkit::run(&azure_deploy::ACTION, azure_deploy::run)
}
