use super::*;

#[test]
fn each_format_names_a_package_on_its_line() {
    let table: [(&str, &str, &str, &str, Option<u32>); 11] = [
        (
            "requirements.txt",
            "# by uv\n-r x.txt\nFlask[async]==3.1.2 \\\n    --hash=sha256:00\n",
            "flask",
            "3.1.2",
            Some(3),
        ),
        (
            "requirements.txt",
            "zope.interface==1\n",
            "zope-interface",
            "1",
            Some(1),
        ),
        ("requirements.txt", "flasky==1\n", "flask", "1", None),
        (
            "requirements.txt",
            "a==1 ; python_version < '3'\na==2\n",
            "a",
            "2",
            Some(2),
        ),
        ("requirements.txt", "a==1\n", "a", "9", Some(1)),
        (
            "uv.lock",
            "version = 1\n\n[[package]]\nname = \"flask\"\nversion = \"3.1.2\"\n[package.metadata]\nname = \"no\"\n",
            "Flask",
            "3.1.2",
            Some(4),
        ),
        (
            "poetry.lock",
            "[[package]]\nname = \"a\"\nversion = \"1\"\n[[package]]\nname = \"a\"\nversion = \"2\"\n",
            "a",
            "2",
            Some(5),
        ),
        (
            "Pipfile.lock",
            "{\n  \"default\": {\n    \"flask\": {\n      \"version\": \"==3.1.2\"\n",
            "flask",
            "3.1.2",
            Some(3),
        ),
        (
            "pyproject.toml",
            "[project]\ndependencies = [\n  \"flask>=3\",\n  \"gunicorn\",\n]\n",
            "gunicorn",
            "23",
            Some(4),
        ),
        (
            "pyproject.toml",
            "dependencies = [\"a\", \"b==2\"]\n",
            "b",
            "2",
            Some(1),
        ),
        (
            "pylock.toml",
            "lock-version = \"1.0\"\n\n[[packages]]\nname = \"flask\"\nversion = \"3.1.2\"\nwheels = [\n  {name = \"no\"},\n]\n\n[[packages.dependencies]]\nname = \"no\"\n\n[[packages]]\nname = \"Jinja2\"\nversion = \"3.1.6\"\n",
            "jinja2",
            "3.1.6",
            Some(14),
        ),
    ];
    let python = Ecosystem::from_trivy_type("pylock").unwrap();
    for (file, text, name, version, expected) in table {
        let index = python.package_index(file, "", || Some(text.to_owned()));
        let line = python.line(&index.unwrap(), name, version);
        assert_eq!(line, expected, "{file}: {name}");
    }
}

#[test]
fn a_type_of_trivy_has_its_ecosystem() {
    let types = [
        "python-pkg",
        "pip",
        "poetry",
        "uv",
        "pipenv",
        "pylock",
        "node-pkg",
        "npm",
    ];
    for trivy_type in types {
        assert!(
            Ecosystem::from_trivy_type(trivy_type).is_some(),
            "{trivy_type}"
        );
    }
    assert!(Ecosystem::from_trivy_type("debian").is_none());
}

#[test]
fn lock_files_rank_before_manifests() {
    let names = [
        "requirements.txt",
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "pylock.toml",
        "requirements-dev.txt",
        "pyproject.toml",
    ];
    assert!(names.is_sorted_by_key(|name| rank(name).unwrap()));
    // Its lines are in Trivy's report.
    assert_eq!(rank("package-lock.json"), None);
    assert_eq!(rank("README.md"), None);
}

#[test]
fn a_manifest_without_a_lock_file_is_a_gap() {
    let gap = |name: &str, text: &str, sibling: &str| {
        unlocked(name, || text.to_owned(), |name| name == sibling)
    };
    let project = "[project]\ndependencies = [\"a\"]\n";
    let locks = [
        "uv.lock",
        "poetry.lock",
        "pdm.lock",
        "Pipfile.lock",
        "pylock.toml",
        "requirements.txt",
    ];
    for lock in locks {
        assert_eq!(gap("pyproject.toml", project, lock), None, "{lock}");
    }
    assert_eq!(
        gap("pyproject.toml", project, "requirements-dev.txt"),
        Some(Gap::NoLockFile)
    );
    assert_eq!(gap("pyproject.toml", "[tool.x]\n", ""), None);
    let package = "{\"dependencies\": {}}";
    assert_eq!(gap("package.json", package, ""), Some(Gap::NoLockFile));
    assert_eq!(gap("package.json", package, "bun.lock"), None);
    let unpinned = Gap::Unpinned(["a".to_owned()].into());
    assert_eq!(gap("requirements-dev.txt", "a\nb==1\n", ""), Some(unpinned));
    assert_eq!(gap("requirements.txt", "b==1\n", ""), None);
}
