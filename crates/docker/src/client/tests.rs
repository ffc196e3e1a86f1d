use super::*;
use crate::image_info::{instruction, rfc3339};

#[test]
fn a_time_in_the_small_hours_is_rfc_3339() {
    // 2026-11-24, ten past one.
    assert_eq!(
        rfc3339(1_795_482_639_292_456_824),
        "2026-11-24T01:10:39.292456824Z"
    );
}

#[test]
fn the_pushed_digest_stands_in_the_last_line() {
    let hex = "ab".repeat(32);
    let line = format!("1.0: digest: sha256:{hex} size: 1160");
    assert_eq!(digest_in(&line).unwrap().hex(), hex);
    assert_eq!(digest_in("Pushed"), None);
}

#[test]
fn credentials_that_would_be_dropped_are_refused() {
    let image: ImageRef = "seaworthy.azurecr.io/a:1".parse().unwrap();
    let with = |password: &str| {
        let given = Credentials {
            username: "u".into(),
            password: password.into(),
        };
        docker_credentials(&image, &given).is_ok()
    };
    assert!(with("eyJhbGciOi.J9_x-y"));
    assert!(["~~~", "a~~~", "ab~~~"].iter().any(|p| !with(p)));
}

#[test]
fn an_instruction_is_shown_without_the_builders_words() {
    let table = [
        (
            "RUN /bin/sh -c apt-get update  && x # buildkit",
            "RUN apt-get update && x",
        ),
        ("/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD [\"bash\"]"),
        ("COPY wsgi.py ./ # buildkit", "COPY wsgi.py ./"),
        ("", ""),
    ];
    for (given, shown) in table {
        assert_eq!(instruction(given), shown);
    }
}

#[tokio::test]
async fn without_an_engine_the_cure_is_named() {
    let error = Docker::connect(Some("unix:///nonexistent.sock"))
        .await
        .err()
        .unwrap();
    assert_eq!(
        format!("{error:#}"),
        "while connecting to Docker at `/nonexistent.sock`: is Docker running, and is its socket mounted into this container?: there is no such socket"
    );
}
