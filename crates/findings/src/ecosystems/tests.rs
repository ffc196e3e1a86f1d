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
    unlocked(name, false, || text.to_owned(), &files)
}

fn gap_below(name: &str, text: &str, above: Above) -> Option<Gap> {
    let files = Files {
        siblings: &[],
        above,
    };
    unlocked(name, false, || text.to_owned(), &files)
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

/// Name and text of a manifest, its lock file, and whether it has packages.
const COMPILED: &[(&str, &str, &[&str], bool)] = &[
    (
        "Cargo.toml",
        "[package]\nname = \"x\"\n\n[dependencies]\nserde = \"1\"\n",
        &["Cargo.lock"],
        true,
    ),
    (
        "Cargo.toml",
        "[dependencies.serde]\nversion = \"1\"\n",
        &["Cargo.lock"],
        true,
    ),
    (
        "Cargo.toml",
        "[target.'cfg(unix)'.dependencies]\nnix = { version = \"1\" }\n",
        &["Cargo.lock"],
        true,
    ),
    (
        "Cargo.toml",
        "[dependencies]\na = { path = \"../a\" }\nb.path = \"../b\"\n[dependencies.c]\npath = \"../c\"\n",
        &["Cargo.lock"],
        false,
    ),
    (
        "Cargo.toml",
        "[dev-dependencies]\na = \"1\"\n[build-dependencies]\nb = \"1\"\n[dependencies]\n# c = \"1\"\n",
        &["Cargo.lock"],
        false,
    ),
    (
        "Cargo.toml",
        "[workspace.dependencies]\na = \"1\"\n",
        &["Cargo.lock"],
        false,
    ),
    (
        "a.csproj",
        "<Project>\n  <PackageReference Include=\"A\" Version=\"1\" />\n",
        &["packages.lock.json"],
        true,
    ),
    (
        "a.fsproj",
        "<Project>\n  <PackageReference Include=\"A\" Version=\"1\" />\n",
        &["packages.lock.json"],
        true,
    ),
    (
        "a.csproj",
        "<Project>\n  <PackageReference Include=\"A\" Version=\"1\" />\n",
        &["packages.config"],
        true,
    ),
    (
        "a.csproj",
        "<Project>\n  <PackageReference Include=\"A\" Version=\"1\" />\n",
        &["Directory.Packages.props"],
        true,
    ),
    (
        "a.csproj",
        "<Project>\n  <PackageReference Include=\"A\" Version=\"1\" />\n  <PackageReference Include=\"Microsoft.NET.Test.Sdk\" Version=\"17\" />\n",
        &["packages.lock.json"],
        false,
    ),
    (
        "a.csproj",
        "<PackageReference Include=\"A\" Version=\"1\" PrivateAssets=\"All\" />\n",
        &["packages.lock.json"],
        false,
    ),
    (
        "a.csproj",
        "<ProjectReference Include=\"../b/b.csproj\" />\n<!-- <PackageReference Include=\"A\" /> -->\n",
        &["packages.lock.json"],
        false,
    ),
    (
        "pubspec.yaml",
        "name: x\ndependencies:\n  http: ^1.0.0\n",
        &["pubspec.lock"],
        true,
    ),
    (
        "pubspec.yaml",
        "dependencies:\n  http:\n  a:\n    path: ../a\n",
        &["pubspec.lock"],
        true,
    ),
    (
        "pubspec.yaml",
        "dependencies:\n  http:\n    git: https://example.com/http\n",
        &["pubspec.lock"],
        true,
    ),
    (
        "pubspec.yaml",
        "dependencies:\n  flutter:\n    sdk: flutter\n  a: {path: ../a}\ndev_dependencies:\n  test: any\n",
        &["pubspec.lock"],
        false,
    ),
    (
        "pubspec.yaml",
        "name: x\n# dependencies:\nenvironment:\n  sdk: ^3.0.0\n",
        &["pubspec.lock"],
        false,
    ),
    (
        "Podfile",
        "target 'X' do\n  pod 'Alamofire', '~> 5.0'\nend\n",
        &["Podfile.lock"],
        true,
    ),
    ("Podfile", "pod(\"A\")\n", &["Podfile.lock"], true),
    (
        "Podfile",
        "pod 'A', :path => '../a'\n# pod 'B'\npodspec\n",
        &["Podfile.lock"],
        false,
    ),
    (
        "Package.swift",
        "dependencies: [\n  .package(url: \"https://example.com/a.git\", from: \"1.0.0\"),\n]\n",
        &["Package.resolved"],
        true,
    ),
    (
        "Package.swift",
        ".package(\n  name: \"a\",\n  url: \"https://example.com/a.git\", .exact(\"1.0.0\")\n)\n",
        &["Package.resolved"],
        true,
    ),
    (
        "Package.swift",
        ".package(id: \"mona.a\", from: \"1.0.0\")\n",
        &["Package.resolved"],
        true,
    ),
    (
        "Package.swift",
        ".package(path: \"../a\"),\n// .package(url: \"x\")\n.binaryTarget(name: \"b\", url: \"x\")\n",
        &["Package.resolved"],
        false,
    ),
    (
        "mix.exs",
        "defp deps do\n  [\n    {:phoenix, \"~> 1.7\"},\n",
        &["mix.lock"],
        true,
    ),
    (
        "mix.exs",
        "[{:jason, \"1.4.0\", only: [:dev, :prod]}]\n",
        &["mix.lock"],
        true,
    ),
    (
        "mix.exs",
        "{:credo, \"~> 1.7\", only: [:dev, :test]},\n{:a, in_umbrella: true},\n{:b, git: \"https://example.com\"},\n# {:c, \"1\"}\n",
        &["mix.lock"],
        false,
    ),
    (
        "conanfile.txt",
        "[requires]\nzlib/1.3\n",
        &["conan.lock"],
        true,
    ),
    (
        "conanfile.txt",
        "[requires]\n# zlib/1.3\n[tool_requires]\ncmake/3.30\n",
        &["conan.lock"],
        false,
    ),
    (
        "conanfile.py",
        "class A(ConanFile):\n    requires = \"zlib/1.3\"\n",
        &["conan.lock"],
        true,
    ),
    (
        "conanfile.py",
        "    requires = [\n        \"zlib/1.3\",\n    ]\n",
        &["conan.lock"],
        true,
    ),
    (
        "conanfile.py",
        "    def requirements(self):\n        self.requires(f\"zlib/{self.version}\")\n",
        &["conan.lock"],
        true,
    ),
    (
        "conanfile.py",
        "    tool_requires = \"cmake/3.30\"\n    requires = []\n    name = \"x\"\n        self.requires(self.tested_reference_str)\n",
        &["conan.lock"],
        false,
    ),
    (
        "build.sbt",
        "libraryDependencies += \"a\" %% \"b\" % \"1\"\n",
        &["build.sbt.lock"],
        true,
    ),
    (
        "build.sbt",
        "  libraryDependencies ++= Seq(\n",
        &["build.sbt.lock"],
        true,
    ),
    (
        "build.sbt",
        "libraryDependencies += \"a\" %% \"b\" % \"1\" % Test\n// libraryDependencies ++= x\nname := \"x\"\n",
        &["build.sbt.lock"],
        false,
    ),
    (
        "Project.toml",
        "[deps]\nJSON = \"682c06a0-de6a-54ab-a142-c8b1cf79cde6\"\n",
        &["Manifest.toml"],
        true,
    ),
    (
        "Project.toml",
        "[deps]\nJSON = \"1\"\n[compat]\njulia = \"1.10\"\n",
        &["Manifest.toml"],
        false,
    ),
];

#[test]
fn manifests_of_compiled_languages_need_their_lock_file() {
    for &(name, text, lock, is_gap) in COMPILED {
        let expected = is_gap.then_some(Gap::NoLockFile);
        assert_eq!(gap_next_to(name, text, &[]), expected, "{name}: {text}");
        assert_eq!(gap_next_to(name, text, lock), None, "{name}: {text}");
    }
}

#[test]
fn a_lock_file_above_is_that_of_the_workspace() {
    let cargo = "[package]\nname = \"a\"\n[dependencies]\nserde = \"1\"\n";
    let project = "<PackageReference Include=\"A\" />\n";
    let dart = "resolution: workspace\ndependencies:\n  http: any\n";
    let mix = "lockfile: \"../../mix.lock\",\n{:a, \"~> 1.0\"},\n";
    let julia = "[deps]\nJSON = \"682c06a0-de6a-54ab-a142-c8b1cf79cde6\"\n";
    let table: [(&str, &str, Above, bool); 13] = [
        (
            "Cargo.toml",
            cargo,
            &[("Cargo.lock", "[[package]]\nname = \"a\"\n")],
            false,
        ),
        (
            "Cargo.toml",
            cargo,
            &[("Cargo.lock", "[[package]]\nname = \"ab\"\n")],
            true,
        ),
        (
            "Cargo.toml",
            cargo,
            &[("Cargo.toml", "[workspace]\n")],
            true,
        ),
        (
            "a.csproj",
            project,
            &[(
                "Directory.Packages.props",
                "<PackageVersion Include=\"A\"/>",
            )],
            false,
        ),
        (
            "a.csproj",
            project,
            &[("Directory.Packages.props", "<Project/>")],
            true,
        ),
        (
            "pubspec.yaml",
            dart,
            &[("pubspec.lock", "packages:\n")],
            false,
        ),
        ("pubspec.yaml", dart, &[], true),
        (
            "pubspec.yaml",
            "dependencies:\n  http: any\n",
            &[("pubspec.lock", "packages:\n")],
            true,
        ),
        ("mix.exs", mix, &[("mix.lock", "%{}")], false),
        ("mix.exs", mix, &[], true),
        (
            "Project.toml",
            julia,
            &[
                ("Project.toml", "[workspace]\nprojects = [\"packages/a\"]\n"),
                ("Manifest.toml", "x"),
            ],
            false,
        ),
        (
            "Project.toml",
            julia,
            &[("Project.toml", "[deps]\n"), ("Manifest.toml", "x")],
            true,
        ),
        (
            "Package.swift",
            ".package(url: \"x\")",
            &[("Package.resolved", "{}")],
            true,
        ),
    ];
    for (name, text, above, is_gap) in table {
        let gap = gap_below(name, text, above);
        assert_eq!(gap, is_gap.then_some(Gap::NoLockFile), "{name} {above:?}");
    }
}

#[test]
fn lock_files_and_manifests_name_packages() {
    for name in [
        "Cargo.lock",
        "Cargo.toml",
        "x.csproj",
        "requirements-dev.txt",
    ] {
        assert!(names_packages(name), "{name}");
    }
    assert!(!names_packages("README.md"));
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
fn pinned_requirements_that_trivy_does_not_read_are_a_gap() {
    let gap = |name: &str, is_read: bool, text: &str| {
        let files = Files {
            siblings: &[],
            above: &[],
        };
        unlocked(name, is_read, || text.to_owned(), &files)
    };
    let unread = Some(Gap::UnreadFile);
    assert_eq!(gap("requirements-prod.txt", false, "# x\na==1\n"), unread);
    assert_eq!(gap("requirements_base.txt", false, "a==1\nb\n"), unread);
    let unpinned = Some(Gap::Unpinned(["b".to_owned()].into()));
    assert_eq!(gap("requirements-prod.txt", true, "a==1\nb\n"), unpinned);
    assert_eq!(gap("requirements-prod.txt", true, "a==1\n"), None);
    assert_eq!(gap("requirements-prod.txt", false, "-r x.txt\n"), None);
    assert_eq!(gap("requirements-dev.txt", false, "a==1\n"), None);
    assert_eq!(gap("requirements.txt", false, "a==1\n"), None);
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
        let gap = gap_below(name, text, above);
        assert_eq!(gap, is_gap.then_some(Gap::NoLockFile), "{above:?}");
    }
}
