//! Python packages in an image: where they are, and which version fixes them.

use std::str::FromStr as _;

use pep440_rs::Version;

/// Where a package is installed; both without the leading `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Location<'p> {
    /// The directory of the virtual environment, `opt/venv`; empty for the image's own Python.
    pub(crate) environment: &'p str,
    /// Its directory `site-packages`.
    pub(crate) site_packages: &'p str,
}

impl<'p> Location<'p> {
    /// From the package's metadata file, as Trivy writes it:
    /// `opt/venv/lib/python3.13/site-packages/flask-3.0.0.dist-info/METADATA`. `None` for a package that is vendored
    /// in another one, or that the distribution installed.
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        let (before, rest) = path.split_once("/site-packages/")?;
        let own = rest.split('/').next()?;
        if !own.ends_with(".dist-info") && !own.ends_with(".egg-info") {
            return None;
        }
        let (root, _) = before.split_once("/lib/python")?;
        let root = root.trim_start_matches('/');
        let system = root == "usr" || root.starts_with("usr/");
        Some(Self {
            environment: if system { "" } else { root },
            site_packages: &path[..before.len() + "/site-packages".len()],
        })
    }
}

/// A name as the package index compares it (packaging.python.org, name normalization).
pub(crate) fn normalized(name: &str) -> String {
    let lower = name.to_lowercase();
    let parts = lower.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-")
}

/// The lowest version of `fixed` (`2.2.3, 3.0.6`) that is above `installed` and has the same major version.
pub(crate) fn minor_update(installed: &str, fixed: &str) -> Option<Version> {
    let installed = Version::from_str(installed).ok()?;
    let offered = fixed
        .split(',')
        .filter_map(|text| Version::from_str(text.trim()).ok());
    let fits = |version: &Version| {
        *version > installed
            && version.epoch() == installed.epoch()
            && version.release().first() == installed.release().first()
    };
    offered.filter(fits).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_package_is_installed() {
        let of = |path| Location::parse(path).map(|l| (l.environment, l.site_packages));
        let table = [
            (
                "opt/venv/lib/python3.13/site-packages/flask-3.0.0.dist-info/METADATA",
                Some(("opt/venv", "opt/venv/lib/python3.13/site-packages")),
            ),
            (
                "usr/local/lib/python3.13/site-packages/Flask-3.0.0.dist-info/METADATA",
                Some(("", "usr/local/lib/python3.13/site-packages")),
            ),
            (
                "opt/venv/lib/python3.13/site-packages/setuptools/_vendor/wheel-0.45.1.dist-info/METADATA",
                None,
            ),
            ("usr/lib/python3/dist-packages/six-1.17.0.egg-info", None),
            ("app/requirements.txt", None),
        ];
        for (path, expected) in table {
            assert_eq!(of(path), expected, "{path}");
        }
    }

    #[test]
    fn an_update_stays_within_the_major_version() {
        let table = [
            ("2.2.2", "2.2.3, 3.0.6", Some("2.2.3")),
            ("2.2.2", "3.0.6", None),
            ("1.26.5", "1.26.19, 2.2.2", Some("1.26.19")),
            ("2.0.0", "1.26.19, 2.2.2", Some("2.2.2")),
            ("1.9", "1.10", Some("1.10")),
            ("1.0", "", None),
            ("unknown", "1.0", None),
        ];
        for (installed, fixed, expected) in table {
            let update = minor_update(installed, fixed).map(|version| version.to_string());
            assert_eq!(update.as_deref(), expected, "{installed} {fixed}");
        }
    }

    #[test]
    fn names_are_compared_as_in_the_index() {
        for name in [
            "Typing_Extensions",
            "typing.extensions",
            "typing--extensions",
        ] {
            assert_eq!(normalized(name), "typing-extensions");
        }
    }
}
