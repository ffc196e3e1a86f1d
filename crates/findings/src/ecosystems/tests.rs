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

/// Name and text of each file.
type Above = &'static [(&'static str, &'static str)];

/// Files next to a manifest, and those of the directory two above, where it is `packages/a`.
struct Files {
    siblings: &'static [&'static str],
    above: Above,
}

impl Directories for Files {
    fn has(&self, name: &str) -> bool {
        self.siblings.contains(&name)
    }

    fn above(&self, name: &str) -> Vec<(Rc<str>, String)> {
        let files = self.above.iter().filter(|(of, _)| *of == name);
        files
            .map(|(_, text)| (Rc::from(*text), "packages/a".to_owned()))
            .collect()
    }
}

fn gap_next_to(name: &str, text: &str, siblings: &'static [&'static str]) -> Option<Gap> {
    let files = Files {
        siblings,
        above: &[],
    };
    unlocked(name, || text.to_owned(), &files)
}

const PROJECT: &str = "[project]\ndependencies = [\"a\"]\n";
const PACKAGE: &str = r#"{"dependencies": {"a": "1"}}"#;

#[test]
fn a_manifest_without_a_lock_file_is_a_gap() {
    let locks: [&'static [&'static str]; 5] = [
        &["uv.lock"],
        &["poetry.lock"],
        &["Pipfile.lock"],
        &["pylock.toml"],
        &["requirements.txt", "pdm.lock"],
    ];
    for lock in locks {
        assert_eq!(
            gap_next_to("pyproject.toml", PROJECT, lock),
            None,
            "{lock:?}"
        );
    }
    let none = Some(Gap::NoLockFile);
    let found = gap_next_to("pyproject.toml", PROJECT, &["requirements-dev.txt"]);
    assert_eq!(found, none);
    assert_eq!(gap_next_to("package.json", PACKAGE, &[]), none);
    assert_eq!(gap_next_to("package.json", PACKAGE, &["bun.lock"]), None);
    let unpinned = Gap::Unpinned(["a".to_owned()].into());
    let found = gap_next_to("requirements-dev.txt", "a\nb==1\n", &[]);
    assert_eq!(found, Some(unpinned));
    assert_eq!(gap_next_to("requirements.txt", "b==1\n", &[]), None);
}

#[test]
fn manifests_of_other_ecosystems_need_their_lock_file() {
    let table: [(&str, &str, &'static [&'static str], bool); 15] = [
        (
            "Pipfile",
            "[packages]\nflask = \"*\"\n",
            &["Pipfile.lock"],
            true,
        ),
        (
            "Pipfile",
            "[packages]\n[dev-packages]\nx = \"*\"\n",
            &["Pipfile.lock"],
            false,
        ),
        (
            "Gemfile",
            "source 'x'\ngem 'rails'\n",
            &["Gemfile.lock"],
            true,
        ),
        (
            "Gemfile",
            "  gem(\"rails\", '~> 8')\n",
            &["Gemfile.lock"],
            true,
        ),
        (
            "Gemfile",
            "source 'x'\ngemspec\n# gem 'a'\n",
            &["Gemfile.lock"],
            false,
        ),
        (
            "composer.json",
            r#"{"require": {"php": "8", "a/b": "1"}}"#,
            &["composer.lock"],
            true,
        ),
        (
            "composer.json",
            r#"{"require": {"php": "8", "ext-json": "*"}}"#,
            &["composer.lock"],
            false,
        ),
        ("composer.json", "not JSON", &["composer.lock"], false),
        (
            "build.gradle",
            "dependencies {\n  implementation 'a:b:1'\n}",
            &["gradle.lockfile"],
            true,
        ),
        (
            "build.gradle.kts",
            "  api(libs.guava)\n",
            &["gradle.lockfile"],
            true,
        ),
        (
            "build.gradle",
            "  runtimeOnly(\"a:b:1\") { }\n",
            &["gradle.lockfile"],
            true,
        ),
        (
            "build.gradle",
            "implementation project(':core')\n",
            &["gradle.lockfile"],
            false,
        ),
        (
            "build.gradle.kts",
            "implementation(project(\":core\"))\n",
            &["gradle.lockfile"],
            false,
        ),
        (
            "build.gradle",
            "testImplementation 'a:b:1'\ncompileJava { }\nruntime = 1\n",
            &["gradle.lockfile"],
            false,
        ),
        (
            "build.gradle",
            "apply plugin: 'java'\n// implementation 'a'\n",
            &["gradle.lockfile"],
            false,
        ),
    ];
    for (name, text, lock, is_gap) in table {
        let expected = is_gap.then_some(Gap::NoLockFile);
        assert_eq!(gap_next_to(name, text, &[]), expected, "{name}: {text}");
        assert_eq!(gap_next_to(name, text, lock), None, "{name}: {text}");
    }
}

#[test]
fn a_lock_file_that_trivy_does_not_read_is_a_gap() {
    let table: [(&str, &str, &'static [&'static str]); 3] = [
        ("package.json", PACKAGE, &["npm-shrinkwrap.json"]),
        ("package.json", PACKAGE, &["bun.lockb"]),
        ("pyproject.toml", PROJECT, &["pdm.lock"]),
    ];
    for (name, text, lock) in table {
        let gap = gap_next_to(name, text, lock);
        assert_eq!(gap, Some(Gap::UnreadLockFile(lock[0])));
    }
}

#[test]
fn a_project_without_dependencies_is_not_a_gap() {
    let table = [
        ("package.json", "{}", false),
        ("package.json", r#"{"dependencies": {}}"#, false),
        ("package.json", r#"{"devDependencies": {"a": "1"}}"#, false),
        (
            "package.json",
            r#"{"optionalDependencies": {"a": "1"}}"#,
            true,
        ),
        ("package.json", "not JSON", false),
        (
            "pyproject.toml",
            "[tool.x]\ndependencies = [\"a\"]\n",
            false,
        ),
        ("pyproject.toml", "[project]\ndependencies = []\n", false),
        (
            "pyproject.toml",
            "[project]\ndependencies = [\n]\nname = \"x\"\n",
            false,
        ),
        (
            "pyproject.toml",
            "[project]\ndependencies = [\n  # none\n  \"a>=1\",\n]\n",
            true,
        ),
        (
            "pyproject.toml",
            "[build-system]\nrequires = [\"a\"]\n",
            false,
        ),
        (
            "pyproject.toml",
            "[project]\nname = \"dependencies\"\n",
            false,
        ),
        (
            "pyproject.toml",
            "[project.optional-dependencies]\nx = ['a']\n",
            true,
        ),
        (
            "pyproject.toml",
            "[dependency-groups]\ndev = []\nall = [{include-group = \"dev\"}]\n",
            false,
        ),
        (
            "pyproject.toml",
            "[dependency-groups]\ndev = [\"a\"]\n",
            true,
        ),
        (
            "pyproject.toml",
            "[tool.poetry.dependencies]\npython = \"^3\"\n",
            false,
        ),
        (
            "pyproject.toml",
            "[tool.poetry.dependencies]\npython = \"^3\"\na = \"^1\"\n",
            true,
        ),
    ];
    for (name, text, is_gap) in table {
        let gap = gap_next_to(name, text, &[]);
        assert_eq!(gap, is_gap.then_some(Gap::NoLockFile), "{text}");
    }
}

#[test]
fn a_member_of_a_workspace_has_its_lock_file() {
    let table: [(&str, &str, Above, bool); 9] = [
        (
            "package.json",
            PACKAGE,
            &[("package-lock.json", r#""packages": {"packages/a": {}}"#)],
            false,
        ),
        (
            "package.json",
            PACKAGE,
            &[("package-lock.json", r#""packages": {"packages/ab": {}}"#)],
            true,
        ),
        (
            "package.json",
            PACKAGE,
            &[("pnpm-lock.yaml", "importers:\n  .: {}\n  packages/a:\n")],
            false,
        ),
        (
            "package.json",
            PACKAGE,
            &[("yarn.lock", "\"a@workspace:packages/a\":\n")],
            false,
        ),
        (
            "package.json",
            PACKAGE,
            &[
                ("yarn.lock", "x@1:\n"),
                ("package.json", r#"{"workspaces": ["packages/*"]}"#),
            ],
            false,
        ),
        (
            "package.json",
            PACKAGE,
            &[("yarn.lock", "x@1:\n"), ("package.json", "{}")],
            true,
        ),
        (
            "pyproject.toml",
            PROJECT,
            &[("uv.lock", "source = { editable = \"packages/a\" }")],
            false,
        ),
        (
            "pyproject.toml",
            PROJECT,
            &[("uv.lock", "source = { editable = \"other\" }")],
            true,
        ),
        (
            "pyproject.toml",
            PROJECT,
            &[
                ("yarn.lock", "x@1:\n"),
                ("package.json", r#"{"workspaces": []}"#),
            ],
            true,
        ),
    ];
    for (name, text, above, is_gap) in table {
        let files = Files {
            siblings: &[],
            above,
        };
        let gap = unlocked(name, || text.to_owned(), &files);
        assert_eq!(gap, is_gap.then_some(Gap::NoLockFile), "{above:?}");
    }
}
