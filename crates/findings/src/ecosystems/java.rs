//! Java packages. Of a `pom.xml`, Trivy's report lists the packages whose version it does not know.

use super::{Ecosystem, FileName, PackageFile, numbered};

/// Configurations of the `java` plugin whose packages are delivered ("The Java Plugin" in Gradle's user guide),
/// and their older names.
const CONFIGURATIONS: [&str; 5] = ["implementation", "api", "runtimeOnly", "compile", "runtime"];

pub(super) const JAVA: Ecosystem = Ecosystem {
    installed: Some("jar"),
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("gradle.lockfile", "gradle"),
        PackageFile::new(FileName::Exact("build.gradle")).without_lock_file(declares_packages),
        PackageFile::new(FileName::Exact("build.gradle.kts")).without_lock_file(declares_packages),
    ],
};

// `implementation 'group:name:1'`, `api(libs.x)`; a project of the same build is no package.
fn declares_packages(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let argument = CONFIGURATIONS
            .iter()
            .find_map(|name| line.strip_prefix(name));
        let argument = argument.filter(|rest| rest.starts_with(['(', ' ', '"', '\'']));
        argument.is_some_and(|rest| {
            let rest = rest.trim_start_matches(['(', ' ']);
            !rest.is_empty() && !rest.starts_with(['=', '{', '.']) && !rest.starts_with("project(")
        })
    })
}
