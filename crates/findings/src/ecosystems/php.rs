//! PHP packages (getcomposer.org/doc/04-schema.md).

use super::{Ecosystem, FileName, PackageFile};

pub(super) const PHP: Ecosystem = Ecosystem {
    installed: Some("composer-vendor"),
    normalize: str::to_lowercase,
    files: &[
        PackageFile::lock("composer.lock", "composer"),
        PackageFile::new(FileName::Exact("composer.json")).without_lock_file(declares_packages),
    ],
};

// PHP itself and its extensions, `php`, `ext-json`, `lib-curl`, are no packages: those have a vendor, `monolog/monolog`.
fn declares_packages(text: &str) -> bool {
    let manifest: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let packages = manifest["require"].as_object();
    packages.is_some_and(|packages| packages.keys().any(|name| name.contains('/')))
}
