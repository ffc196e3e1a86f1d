//! Ruby packages (bundler.io/man/gemfile.5.html).

use super::{Ecosystem, FileName, PackageFile, Unlocked, numbered};

pub(super) const RUBY: Ecosystem = Ecosystem {
    installed: "gemspec",
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("Gemfile.lock", "bundler"),
        PackageFile::new(FileName::Exact("Gemfile"))
            .unlocked(Unlocked::WithoutLockFile { declares_packages }),
    ],
};

fn declares_packages(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let argument = line.strip_prefix("gem").map(str::trim_start);
        argument.is_some_and(|rest| rest.starts_with(['"', '\'', '(']))
    })
}
