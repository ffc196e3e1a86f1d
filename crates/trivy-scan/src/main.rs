//! The `trivy-scan` binary.

fn main() -> std::process::ExitCode {
    actions_toolkit::run(&trivy_scan::ACTION, trivy_scan::run)
}
