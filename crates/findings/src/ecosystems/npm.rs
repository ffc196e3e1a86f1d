//! JavaScript packages. Trivy's report has the lines of the lock files that it reads with lines.

use super::{Ecosystem, FileName, PackageFile, Unlocked};

pub(super) const NPM: Ecosystem = Ecosystem {
    installed: "node-pkg",
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("package-lock.json", "npm"),
        PackageFile::lock("yarn.lock", "yarn"),
        PackageFile::lock("pnpm-lock.yaml", "pnpm"),
        PackageFile::lock("bun.lock", "bun"),
        PackageFile::new(FileName::Exact("package.json")).unlocked(Unlocked::WithoutLockFile {
            declares_packages: |text| text.contains("\"dependencies\""),
        }),
    ],
};
