#!/bin/sh
# The compiler of the workspace's crates for `cargo xtask fuzz` (`RUSTC_WORKSPACE_WRAPPER`): with libFuzzer's coverage, as cargo-fuzz
# sets it (github.com/rust-fuzz/cargo-fuzz, src/project.rs). Dependencies are those of all other builds. Libraries are optimized; an
# action is mostly code that no target runs, which takes minutes to optimize: only in the profile `fuzzing`, for a run of hours.
case " $* " in
*" opt-level=2 "*) level=2 ;;
*" --crate-name ci "* | *" --crate-name trivy_scan "* | *" --crate-name copacetic_patch "* | *" --crate-name azure_deploy "*) level=0 ;;
*) level=2 ;;
esac
exec "$@" --cfg fuzzing -Copt-level=$level -Cdebug-assertions=on -Coverflow-checks=on \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
