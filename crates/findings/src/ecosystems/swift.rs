//! Swift packages and pods (docs.swift.org/package-manager, guides.cocoapods.org/syntax/podfile.html).

use super::{Directories, Ecosystem, FileName, PackageFile, numbered};

pub(super) const SWIFT: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("Package.resolved", "swift"),
        PackageFile::new(FileName::Exact("Package.swift"))
            .without_lock_file_above(declares_packages, is_locked_above),
    ],
};

pub(super) const COCOAPODS: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("Podfile.lock", "cocoapods"),
        PackageFile::new(FileName::Exact("Podfile")).without_lock_file(declares_pods),
    ],
};

// `.package(url: "https://…", from: "1.0.0")` or `.package(id: "a.b", …)`; a package of the repository has a `path`.
fn declares_packages(text: &str) -> bool {
    let lines = numbered(text).map(|(_, line)| line);
    let lines: Vec<_> = lines.filter(|line| !line.starts_with("//")).collect();
    let text = lines.join("\n");
    let mut arguments = text
        .split(".package(")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap_or_default());
    arguments.any(|arguments| {
        let mut keys = arguments.split(['(', ',', '\n']).map(str::trim_start);
        keys.any(|key| key.starts_with("url:") || key.starts_with("id:"))
    })
}

// What Swift has downloaded for another package is in its `.build/checkouts`.
fn is_locked_above(_: &str, directories: &dyn Directories) -> bool {
    let resolved = directories.above("Package.resolved");
    resolved
        .iter()
        .any(|(_, member)| member.starts_with(".build/checkouts/"))
}

// `pod 'Alamofire', '~> 5.0'`; a pod of the repository has a `:path`.
fn declares_pods(text: &str) -> bool {
    numbered(text).any(|(_, line)| {
        let argument = line.strip_prefix("pod").map(str::trim_start);
        let is_pod = argument.is_some_and(|rest| rest.starts_with(['"', '\'', '(']));
        is_pod && !line.contains(":path") && !line.contains(" path:")
    })
}
