//! Scala packages. The lock file is that of the plugin sbt-dependency-lock, which Trivy reads.

use super::{Ecosystem, FileName, PackageFile, numbered};

pub(super) const SCALA: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("build.sbt.lock", "sbt"),
        PackageFile::new(FileName::Exact("build.sbt")).without_lock_file(declares_packages),
    ],
};

// `libraryDependencies += "org.typelevel" %% "cats-core" % "2.12.0"`; one for `Test` is not delivered.
fn declares_packages(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let is_of_tests = ["% Test", "% \"test\""]
            .iter()
            .any(|end| line.contains(*end));
        line.contains("libraryDependencies") && !line.starts_with("//") && !is_of_tests
    })
}
