use std::os::unix::fs::symlink;

use super::*;

struct Places {
    inside: tempfile::TempDir,
    outside: tempfile::TempDir,
}

impl Places {
    fn new() -> Self {
        let [inside, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::fs::write(inside.path().join("file"), "text").unwrap();
        std::fs::create_dir(inside.path().join("directory")).unwrap();
        std::fs::write(outside.path().join("secret"), "untouched").unwrap();
        symlink(outside.path().join("secret"), inside.path().join("link")).unwrap();
        symlink(outside.path(), inside.path().join("out")).unwrap();
        symlink("file", inside.path().join("alias")).unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            inside.path().join("fifo"),
            rustix::fs::Mode::RUSR,
        )
        .unwrap();
        Self { inside, outside }
    }

    fn path(&self, text: &str) -> Result<WorkspacePath, String> {
        Workspace::new(self.inside.path()).path("report", text)
    }

    fn read(&self, text: &str) -> Result<String, String> {
        let path = self.path(text)?;
        path.read(4).map_err(|e| e.to_string())
    }
}

#[test]
fn only_regular_files_of_the_workspace_are_read() {
    let places = Places::new();
    std::fs::write(places.inside.path().join("long"), "12345").unwrap();
    let inside = places.inside.path().join("file");
    let table = [
        ("file", Ok("text")),
        ("./file", Ok("text")),
        ("alias", Ok("text")),
        (inside.to_str().unwrap(), Ok("text")),
        (
            "absent",
            Err("input `report`: there is no `absent` in the workspace"),
        ),
        ("../secret", Err("`../secret` must not contain `..`")),
        (
            "/etc/passwd",
            Err("`/etc/passwd` is outside the workspace; use a path relative to it"),
        ),
        (
            "link",
            Err("input `report`: `link` is a link that leads out of the workspace"),
        ),
        (
            "out/secret",
            Err("input `report`: `out/secret` is a link that leads out of the workspace"),
        ),
        ("fifo", Err("input `report`: `fifo` is not a file")),
        (
            "directory",
            Err("input `report`: `directory` is not a file"),
        ),
        ("long", Err("input `report`: `long` is larger than 4 bytes")),
    ];
    for (text, expected) in table {
        let expected = expected.map(ToOwned::to_owned).map_err(ToOwned::to_owned);
        assert_eq!(places.read(text), expected, "{text}");
    }
}

#[test]
fn the_path_of_something_else_is_not_given_to_a_tool() {
    let places = Places::new();
    let existing = |text: &str| {
        let existing = places.path(text).unwrap().existing();
        existing.map(drop).map_err(|e| e.to_string())
    };
    for path in ["file", "alias", "directory", ""] {
        assert_eq!(existing(path), Ok(()), "{path}");
    }
    let error = existing("fifo").unwrap_err();
    assert_eq!(error, "input `report`: `fifo` is not a file");
}

#[test]
fn a_path_of_the_workspace_is_shown_relative_to_it() {
    let table = [
        ("/w/app/Dockerfile", Some("app/Dockerfile")),
        ("/w/./app//./Dockerfile", Some("app/Dockerfile")),
        ("/w", Some("")),
        ("/w/app/../Dockerfile", None),
        ("/workspace/Dockerfile", None),
        ("app/Dockerfile", None),
    ];
    for (path, expected) in table {
        let relative = Workspace::new("/w").relative(Path::new(path));
        assert_eq!(relative.as_deref(), expected, "{path}");
    }
}

#[test]
fn a_file_is_written_into_the_workspace_alone() {
    let places = Places::new();
    let write = |text: &str| {
        let written = places.path(text).unwrap().write(b"new");
        written.map_err(|e| format!("{e:#}"))
    };
    // A link is replaced, and what it points to stays.
    write("link").unwrap();
    write("a/b/report.json").unwrap();
    for text in ["link", "a/b/report.json"] {
        let path = places.inside.path().join(text);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "new");
    }
    let secret = places.outside.path().join("secret");
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "untouched");
    assert_eq!(
        write("out/report.json").unwrap_err(),
        "failed to write `out/report.json` (`report`) into the workspace: its directory is outside the workspace"
    );
    assert_eq!(
        write("directory").unwrap_err(),
        "failed to write `directory` (`report`) into the workspace: it is a directory"
    );
    let left = std::fs::read_dir(places.inside.path()).unwrap();
    let is_part = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(".seaworthy-")
    };
    assert_eq!(left.flatten().filter(is_part).count(), 0);
}

#[test]
fn several_results_have_several_names() {
    let report = Workspace::new("/w")
        .path("report", "out/report.json")
        .unwrap();
    let names = [(0, "json"), (1, "json"), (0, "cdx.json"), (2, "cdx.json")];
    assert_eq!(
        names.map(|(index, extension)| report.numbered(index, extension).relative().to_owned()),
        [
            "out/report.json",
            "out/report-2.json",
            "out/report.cdx.json",
            "out/report-3.cdx.json"
        ]
    );
}
