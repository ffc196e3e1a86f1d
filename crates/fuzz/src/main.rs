//! The program of all targets: libFuzzer's, for the target that the variable `SEAWORTHY_FUZZ` names.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
mod libfuzzer {
    use std::path::Path;
    use std::sync::LazyLock;

    use fuzz::{TARGETS, Target};

    static TARGET: LazyLock<&Target> = LazyLock::new(|| {
        let name = std::env::var("SEAWORTHY_FUZZ").expect("SEAWORTHY_FUZZ names a target");
        for target in TARGETS {
            // `cargo xtask fuzz` knows the targets by these.
            let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("corpus")
                .join(target.name);
            assert!(seeds.is_dir(), "`{}` has no seeds", target.name);
        }
        let target = TARGETS.iter().find(|target| target.name == name);
        target.unwrap_or_else(|| panic!("there is no target `{name}`"))
    });

    libfuzzer_sys::fuzz_target!(|program: &[u8]| TARGET.run(program));
}

#[cfg(not(feature = "libfuzzer"))]
fn main() {}
