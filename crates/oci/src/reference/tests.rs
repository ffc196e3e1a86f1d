use super::*;
use proptest::prelude::*;

#[test]
fn references_of_every_form() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let table = [
        ("app", None, "app", None),
        ("app:dev", None, "app", Some("dev")),
        ("team/app:1.2_3-x", None, "team/app", Some("1.2_3-x")),
        ("localhost:5000/a:1", Some("localhost:5000"), "a", Some("1")),
        ("localhost/a", Some("localhost"), "a", None),
        (
            "seaworthy.azurecr.io/flask-app:f00-patched",
            Some("seaworthy.azurecr.io"),
            "flask-app",
            Some("f00-patched"),
        ),
    ];
    for (text, registry, path, tag) in table {
        let image: ImageRef = text.parse().unwrap();
        assert_eq!(
            (image.registry(), image.repository(), image.tag()),
            (registry, path, tag)
        );
        let pinned: ImageRef = format!("{text}@{digest}").parse().unwrap();
        assert_eq!(pinned.reference(), digest);
    }
}

#[test]
fn errors_name_the_invalid_part() {
    let table = [
        ("", "missing repository; use the form `repository:tag`"),
        (":1", "missing repository; use the form `repository:tag`"),
        (
            "App:1",
            "invalid repository name `App`; use lower-case letters and digits, separated by single `.`, `_` or `-`",
        ),
        (
            "a:b+c",
            "invalid tag `b+c`; use up to 128 letters, digits, `_`, `.` and `-`, not starting with `.` or `-`",
        ),
        (
            "a@sha256:12",
            "invalid digest `sha256:12`; use `sha256:` and 64 hex digits",
        ),
        ("-x.io/a", "invalid registry host `-x.io`"),
    ];
    for (text, message) in table {
        assert_eq!(
            text.parse::<ImageRef>().unwrap_err().to_string(),
            message,
            "{text}"
        );
    }
}

#[test]
fn another_tag_or_registry() {
    let image: ImageRef = "localhost:5000/a:1".parse().unwrap();
    assert_eq!(
        image.with_tag("1-patched").unwrap().to_string(),
        "localhost:5000/a:1-patched"
    );
    assert_eq!(
        image
            .moved_to("seaworthy.azurecr.io", "b")
            .unwrap()
            .to_string(),
        "seaworthy.azurecr.io/b:1"
    );
}

proptest! {
    #[test]
    fn parsing_never_panics_and_display_is_its_inverse(text in "[a-zA-Z0-9:/@._-]{0,60}") {
        if let Ok(image) = text.parse::<ImageRef>() {
            prop_assert_eq!(image.to_string(), text);
        }
    }
}

#[test]
fn normalized_names() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let table = [
        (
            "debian:trixie-slim",
            "docker.io/library/debian:trixie-slim".to_owned(),
        ),
        ("debian", "docker.io/library/debian:latest".to_owned()),
        ("team/tools:1", "docker.io/team/tools:1".to_owned()),
        (
            "mirror.example:5000/debian:13",
            "mirror.example:5000/debian:13".to_owned(),
        ),
        (
            &format!("debian:13@{digest}"),
            format!("docker.io/library/debian@{digest}"),
        ),
    ];
    for (input, full) in table {
        let image: ImageRef = input.parse().unwrap();
        assert_eq!(image.normalized(), full);
    }
}

#[test]
fn the_api_of_docker_hub_has_full_names() {
    let table = [
        ("debian:13", ("docker.io", "library/debian")),
        ("docker.io/debian:13", ("docker.io", "library/debian")),
        ("index.docker.io/team/app", ("docker.io", "team/app")),
        ("ghcr.io/app", ("ghcr.io", "app")),
        ("127.0.0.1:5000/team/app:1", ("127.0.0.1:5000", "team/app")),
    ];
    for (image, (host, path)) in table {
        let image: ImageRef = image.parse().unwrap();
        assert_eq!(image.in_registry(), (host, path.into()));
    }
}
