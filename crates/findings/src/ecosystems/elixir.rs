//! Elixir and Erlang packages (mix.hexdocs.pm/Mix.Tasks.Deps.html).

use super::{Directories, Ecosystem, FileName, PackageFile, numbered};

pub(super) const ELIXIR: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("mix.lock", "hex"),
        PackageFile::new(FileName::Exact("mix.exs"))
            .without_lock_file_above(declares_packages, is_locked_above),
    ],
};

// `{:phoenix, "~> 1.7"}`: a package of Hex has a version; one of `:git`, or of the repository, does not. One with `only: :test`
// is not delivered.
fn declares_packages(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let name = line.trim_start_matches(['[', ' ']).strip_prefix("{:");
        let version = name.and_then(|name| name.split_once(','));
        let version = version.and_then(|(_, rest)| rest.trim_start().strip_prefix('"'));
        let is_version =
            |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || "~<>=!".contains(c));
        version.is_some_and(is_version) && (!line.contains("only:") || line.contains(":prod"))
    })
}

// The applications of an umbrella project have its lock file, and so has what Mix has downloaded into `deps`.
fn is_locked_above(text: &str, directories: &dyn Directories) -> bool {
    let has_lock_file_above = numbered(text).any(|(_, line)| line.starts_with("lockfile: \"../"));
    let locks = directories.above("mix.lock");
    locks.iter().any(|(lock, member)| {
        let package = member.strip_prefix("deps/");
        let is_locked = |name: &str| lock.contains(&format!("\"{name}\":"));
        has_lock_file_above || package.is_some_and(is_locked)
    })
}
