//! Fuzz targets for the parsers of foreign bytes. `cargo xtask fuzz` builds this with `--cfg fuzzing`; otherwise it is empty.
//!
//! libFuzzer is linked by this crate itself, and its coverage is set by `rustc.sh` for the crates of the workspace alone:
//! cargo-fuzz would build every dependency a second time, and needs a nightly compiler for `AddressSanitizer`, which finds
//! nothing in a workspace that forbids `unsafe`. One program has all targets, since linking one for each takes longer than a run.
#![cfg(fuzzing)]

mod archive;
mod grammar;
mod targets;

use archive::Unpack;
pub use targets::TARGETS;

/// A parser, and the tokens that its inputs are made of.
pub struct Target {
    /// Its name, also of the directory of its seeds in `corpus/`.
    pub name: &'static str,
    parse: Parse,
    tokens: &'static [&'static str],
}

enum Parse {
    Bytes(fn(&[u8])),
    /// Only what is UTF-8 reaches it.
    Text(fn(&str)),
    /// It gets a tar in a file, and a directory to unpack it in.
    Tar(Unpack),
    /// The same with a compressed one.
    TarGz(Unpack),
    /// The same with a compressed tar, and with a zip archive.
    TarGzOrZip(Unpack),
}

impl Target {
    /// Parse the input that `program` is.
    ///
    /// # Panics
    /// When the parser does.
    pub fn run(&self, program: &[u8]) {
        let input = grammar::expand(program, self.tokens);
        match self.parse {
            Parse::Bytes(parse) => parse(&input),
            Parse::Text(parse) => {
                // Read as the actions read a tool's output.
                parse(&String::from_utf8_lossy(&input));
            }
            Parse::Tar(unpack) => archive::check_tar(&input, unpack),
            Parse::TarGz(unpack) => archive::check_tar_gz(&input, unpack),
            Parse::TarGzOrZip(unpack) => {
                archive::check_tar_gz(&input, unpack);
                archive::check_zip(&input, unpack);
            }
        }
    }
}
