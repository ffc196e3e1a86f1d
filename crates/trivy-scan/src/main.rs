//! The `trivy-scan` binary.

// A large report is many small strings; musl's allocator takes several times as long for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    actions_toolkit::run(&trivy_scan::ACTION, trivy_scan::run)
}
