use super::*;
use crate::image_info::{instruction, rfc3339};

#[test]
fn times_are_rfc_3339() {
    // 2026-11-24, ten past one.
    assert_eq!(
        rfc3339(1_795_482_639_292_456_824),
        "2026-11-24T01:10:39.292456824Z"
    );
}

#[test]
fn the_pushed_digest_is_in_the_last_line() {
    let hex = "ab".repeat(32);
    let line = format!("1.0: digest: sha256:{hex} size: 1160");
    assert_eq!(digest_in(&line).unwrap().hex(), hex);
    assert_eq!(digest_in("Pushed"), None);
}

#[test]
fn credentials_that_docker_would_drop_are_rejected() {
    let image: ImageRef = "seaworthy.azurecr.io/a:1".parse().unwrap();
    let with = |password: &str| {
        let credentials = Credentials {
            username: "u".into(),
            password: password.into(),
        };
        docker_credentials(&image, &credentials).is_ok()
    };
    assert!(with("eyJhbGciOi.J9_x-y"));
    assert!(["~~~", "a~~~", "ab~~~"].iter().any(|p| !with(p)));
}

#[test]
fn an_instruction_is_shown_without_the_builders_additions() {
    let table = [
        (
            "RUN /bin/sh -c apt-get update  && x # buildkit",
            "RUN apt-get update && x",
        ),
        ("/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD [\"bash\"]"),
        ("COPY wsgi.py ./ # buildkit", "COPY wsgi.py ./"),
        ("", ""),
    ];
    for (input, expected) in table {
        assert_eq!(instruction(input), expected);
    }
}

#[tokio::test]
async fn without_docker_the_error_has_a_hint() {
    let error = Docker::connect(Some("unix:///nonexistent.sock"))
        .await
        .err()
        .unwrap();
    assert_eq!(
        format!("{error:#}"),
        "failed to connect to Docker at `/nonexistent.sock`: the socket does not exist; is Docker running, and is its socket mounted into this container?"
    );
}
