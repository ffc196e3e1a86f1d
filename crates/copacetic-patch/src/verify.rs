//! Whether a patched image may get its tag: it runs as before, has nothing new, fewer findings, and works.

pub(crate) mod comparison;
mod counts;
mod pip_check;
mod smoke_test;
mod verification;

pub(crate) use comparison::{Comparison, findings, remaining, same_packages};
pub(crate) use counts::Counts;
pub(crate) use smoke_test::{SmokeCommand, SmokeTest, smoke_test};
pub(crate) use verification::Verification;
