//! C and C++ packages (docs.conan.io/2/reference/conanfile.html).

use super::{Ecosystem, FileName, PackageFile, numbered};

pub(super) const CPP: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("conan.lock", "conan"),
        PackageFile::new(FileName::Exact("conanfile.txt")).without_lock_file(declares_packages),
        PackageFile::new(FileName::Exact("conanfile.py"))
            .without_lock_file(recipe_declares_packages),
    ],
};

// `zlib/1.3` in `[requires]`; what is in `[tool_requires]` is not delivered.
fn declares_packages(text: &str) -> bool {
    let mut section = "";
    numbered(text).any(|(_, line)| {
        if line.starts_with('[') {
            section = line;
            return false;
        }
        section == "[requires]" && !line.starts_with('#') && line.contains('/')
    })
}

// `requires = "zlib/1.3"`, or a list or a tuple of them, also in lines below; or `self.requires("zlib/1.3")`.
fn recipe_declares_packages(text: &str) -> bool {
    let is_text = |text: &str| {
        let text = text.strip_prefix('f').unwrap_or(text);
        text.starts_with(['"', '\''])
    };
    let mut is_in_list = false;
    numbered(text).any(|(_, line)| {
        if let Some(argument) = line.strip_prefix("self.requires(") {
            return is_text(argument);
        }
        if is_in_list {
            is_in_list = !line.contains([']', ')']);
            return is_text(line);
        }
        let value = line.strip_prefix("requires").map(str::trim_start);
        let Some(value) = value.and_then(|rest| rest.strip_prefix('=')) else {
            return false;
        };
        let value = value.trim_start();
        let first = value.trim_start_matches(['[', '(']);
        is_in_list = first.is_empty() && !value.is_empty();
        is_text(first)
    })
}
