//! JavaScript packages. Trivy's report has the lines of the lock files that it reads with lines.

use super::{Ecosystem, FileName, PackageFile};

pub(super) const NPM: Ecosystem = Ecosystem {
    installed: Some("node-pkg"),
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("package-lock.json", "npm"),
        PackageFile::lock("yarn.lock", "yarn"),
        PackageFile::lock("pnpm-lock.yaml", "pnpm"),
        PackageFile::lock("bun.lock", "bun"),
        PackageFile::unread_lock("npm-shrinkwrap.json"),
        PackageFile::unread_lock("bun.lockb"),
        PackageFile::new(FileName::Exact("package.json")).without_lock_file(declares_packages),
    ],
};

// Development dependencies are not scanned, locked or not. What is not JSON declares nothing that npm could install.
fn declares_packages(text: &str) -> bool {
    let manifest: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    ["dependencies", "optionalDependencies"].iter().any(|key| {
        let packages = manifest[key].as_object();
        packages.is_some_and(|packages| !packages.is_empty())
    })
}
