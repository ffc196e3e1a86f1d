#!/bin/sh
# The compiler of the workspace's crates for `cargo xtask fuzz` (`RUSTC_WORKSPACE_WRAPPER`): with libFuzzer's coverage, as cargo-fuzz
# sets it (github.com/rust-fuzz/cargo-fuzz, src/project.rs). Dependencies are those of all other builds.
exec "$@" --cfg fuzzing -Cdebug-assertions=on -Coverflow-checks=on \
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
