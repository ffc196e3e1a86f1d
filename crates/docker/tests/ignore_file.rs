//! What a build context has, beside `docker build`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use docker::{BuildRequest, Docker};
use oci::ImageRef;

const FILES: [&str; 22] = [
    ".env",
    "README.md",
    "a.pyc",
    "a+(b)",
    "app/.env",
    "app/__pycache__/x.pyc",
    "app/node_modules/x/index.js",
    "app/prod.env",
    "app/views/a.py",
    "app/views/b.pyc",
    "build/out/a.o",
    "build/out/keep/me",
    "docs/README.md",
    "docs/a.md",
    "docs/deep/er/a.md",
    "node_modules/x/index.js",
    "node_modules/y/README.md",
    "tests/a b.txt",
    "tests/{a,b}",
    "tests/é.md",
    "x",
    "y/x",
];

/// Each is an ignore file.
const PATTERNS: [&str; 18] = [
    "Dockerfile",
    "Dockerfile\n.dockerignore\nx",
    "**.pyc\n**.env",
    "**/*.pyc\n**/.env",
    "*\n!app",
    "*\n!app/views\n!docs/*.md",
    "**\n!README.md",
    "node_modules\n!node_modules/y",
    "**/node_modules\n!node_modules/y/README.md",
    "build/out\n!build/out/keep",
    "docs/**\n!docs/deep/er/a.md",
    "docs/**/a.md",
    "tests/{a,b}\na+(b)\n{x,y}",
    "tests/?.md\ntests/a?b.txt\n?",
    "[a-d]*\n[^t]\n[!x]",
    "./app//views/\n/x\n../y",
    "# notes\n #a\n  tests  \n! tests/a b.txt",
    "app\n!app/views/a.py\napp/views/b*",
];

// The files of the image.
fn files(image: &str) -> BTreeSet<String> {
    let script = format!(
        "id=$(docker create {image} none) && docker export $id | tar --list; docker rm $id >/dev/null"
    );
    let list = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("Docker");
    let list = String::from_utf8(list.stdout).expect("Docker");
    let paths = list
        .lines()
        .filter_map(|path| path.strip_prefix("context/"));
    let own = |path: &&str| !path.ends_with('/');
    paths.filter(own).map(ToOwned::to_owned).collect()
}

// By the builder that needs no plugin. Unlike BuildKit and ours, it does not look for `!**/name` in a directory that is ignored.
fn build_with_docker(context: &Path, image: &str) {
    let built = Command::new("docker")
        .args(["build", "--quiet", "--tag", image])
        .arg(context)
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .expect("Docker");
    assert!(built.status.success(), "{built:?}");
}

#[tokio::test]
#[ignore = "real: needs Docker"]
async fn a_context_has_the_files_that_docker_build_sends() {
    let host = std::env::var("DOCKER_HOST").ok();
    let docker = Docker::connect(host.as_deref()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    for file in FILES {
        let path = directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    let dockerfile = "FROM scratch\nCOPY . /context\n";
    std::fs::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
    let names = ["ours", "dockers"].map(|name| format!("seaworthy-ignore-real:{name}"));
    for patterns in PATTERNS {
        std::fs::write(directory.path().join(".dockerignore"), patterns).unwrap();
        let image = names[0].parse::<ImageRef>().unwrap();
        let request = BuildRequest::new(directory.path(), "Dockerfile", image);
        docker.build(&request, |_| ()).await.unwrap();
        build_with_docker(directory.path(), &names[1]);
        let [ours, dockers] = names.each_ref().map(|name| files(name));
        assert_eq!(ours, dockers, "{patterns}");
    }
    for name in names {
        docker.untag(&name.parse().unwrap()).await.unwrap();
    }
}
