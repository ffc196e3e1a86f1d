//! Limits for bytes from outside, so that what a tool, a container or a checkout contains can neither fill the memory nor
//! keep a step busy.
//!
//! - [`Lines`]: a stream of bytes as lines of a bounded length, in one pass;
//! - [`Shown`]: how much of an output is shown, and how much is not;
//! - [`read`], [`read_text`] and [`open`]: a file of a directory that a stranger may have filled.

mod file;
mod lines;
mod shown;

pub use file::{open, read, read_text};
pub use lines::{LINE, Lines};
pub use shown::Shown;

/// Bytes in a mebibyte.
pub const MIB: usize = 1024 * 1024;
