//! Ruby packages (bundler.io/man/gemfile.5.html).

use super::{Ecosystem, FileName, PackageFile, numbered};

pub(super) const RUBY: Ecosystem = Ecosystem {
    installed: Some("gemspec"),
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("Gemfile.lock", "bundler"),
        PackageFile::new(FileName::Exact("Gemfile")).without_lock_file(declares_packages),
    ],
};

fn declares_packages(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let argument = line.strip_prefix("gem").map(str::trim_start);
        argument.is_some_and(|rest| rest.starts_with(['"', '\'', '(']))
    })
}
