use super::super::LocalRegistry;
use super::*;
use serde_json::{Value, json};

mod docker;

use docker::Fake;

pub(in crate::local_registry) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o444);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

const TAR: &[u8] = b"./\0 and so on";
const GZIP: &[u8] = b"\x1f\x8b\x08 and so on";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd and so on";
const SKIPPED: &[u8] = b"\x50\x2a\x4d\x18 and so on";

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::sha256(bytes).hex())
}

fn config(diff_ids: &[&str]) -> Vec<u8> {
    let json = json!({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    json.to_string().into_bytes()
}

fn requested(name: &str, diff_ids: &[&str]) -> Requested {
    Requested {
        name: name.parse().unwrap(),
        diff_ids: diff_ids.iter().map(|&id| id.to_owned()).collect(),
    }
}

fn unpacked(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let archive = tar(files);
    let mut archive = tar::Archive::new(archive.as_slice());
    archive.unpack(directory.path()).unwrap();
    directory
}

// The only image of an archive whose only layer is the file `name`.
fn image(name: &str, layer: &[u8], diff_id: &str) -> anyhow::Result<(Saved, tempfile::TempDir)> {
    let config = config(&[diff_id]);
    let list = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": [name]}]);
    let list = list.to_string();
    let files = [
        (name, layer),
        ("c.json", &config),
        ("manifest.json", list.as_bytes()),
    ];
    let directory = unpacked(&files);
    let saved = Saved::read(directory.path(), &[requested("app:1", &[diff_id])])?;
    Ok((saved.into_iter().next().unwrap(), directory))
}

#[test]
fn a_layer_has_the_digest_of_what_is_served() {
    let diff_id = Digest::sha256(TAR);
    let table = [
        ("abc/layer.tar".to_owned(), TAR, "", diff_id.clone()),
        (blob(TAR), TAR, "", diff_id.clone()),
        (blob(GZIP), GZIP, "+gzip", Digest::sha256(GZIP)),
        (blob(ZSTD), ZSTD, "+zstd", Digest::sha256(ZSTD)),
        (blob(SKIPPED), SKIPPED, "+zstd", Digest::sha256(SKIPPED)),
        // A name that is not a digest.
        (
            "abc/layer.tar".to_owned(),
            GZIP,
            "+gzip",
            Digest::sha256(GZIP),
        ),
        (
            "blobs/sha256/abc".to_owned(),
            GZIP,
            "+gzip",
            Digest::sha256(GZIP),
        ),
        // The tar of a layer may be empty.
        ("abc/layer.tar".to_owned(), b"", "", diff_id.clone()),
    ];
    for (name, bytes, compression, digest) in table {
        let (saved, _directory) = image(&name, bytes, diff_id.as_str()).unwrap();
        let media_type = format!("application/vnd.oci.image.layer.v1.tar{compression}");
        let layer = Descriptor::new(&media_type, &digest, bytes.len() as u64);
        assert_eq!(saved.manifest.layers, [layer], "{name}");
        let (known, path) = &saved.blobs[0];
        assert_eq!(known, digest.as_str());
        assert_eq!(std::fs::read(path).unwrap(), bytes);

        let config = config(&[diff_id.as_str()]);
        let digest = Digest::sha256(&config);
        assert_eq!(saved.manifest.config.digest, digest.as_str());
        assert_eq!(std::fs::read(&saved.blobs[1].1).unwrap(), config);
    }
}

#[test]
fn a_layer_may_be_a_link_within_the_archive() {
    let directory = unpacked(&[
        ("one/layer.tar", TAR),
        ("c.json", &config(&["sha256:a"])),
        ("manifest.json", b"[]"),
    ]);
    std::fs::create_dir(directory.path().join("two")).unwrap();
    let link = directory.path().join("two/layer.tar");
    std::os::unix::fs::symlink("../one/layer.tar", &link).unwrap();
    let path = inside(directory.path(), "two/layer.tar").unwrap();
    assert!(path.ends_with("one/layer.tar"));

    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
    let error = inside(directory.path(), "two/layer.tar").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`two/layer.tar` is outside of the archive"
    );
}

#[test]
fn errors_of_an_archive() {
    let id = Digest::sha256(TAR).to_string();
    let entry = |layers: &[&str]| json!([{"Config": "c.json", "RepoTags": null, "Layers": layers}]);
    let other = blob(b"something else");
    let whole = "Docker does not have the whole image; pull or build it again";
    let table = [
        (
            entry(&["x/layer.tar"]),
            format!("invalid image `app:1`: {whole}: `x/layer.tar` is missing in the archive: No such file or directory (os error 2)"),
        ),
        (
            entry(&[&other]),
            format!("invalid image `app:1`: the layer `{other}` is neither a tar nor compressed with gzip or zstd"),
        ),
        (
            entry(&["a", "b"]),
            "invalid image `app:1`: the archive has 2 layers, but the configuration has 1".to_owned(),
        ),
        (
            json!([{"Config": "d.json", "Layers": null}]),
            "invalid image `app:1`: `d.json` is missing in the archive: No such file or directory (os error 2)".to_owned(),
        ),
        (
            json!([]),
            "Docker's archive has 0 images, and none is named `app:1`".to_owned(),
        ),
        (
            json!({}),
            "invalid `manifest.json` in Docker's archive: invalid type: map, expected a sequence at line 1 column 0".to_owned(),
        ),
    ];
    for (list, message) in table {
        let directory = unpacked(&[
            ("manifest.json", list.to_string().as_bytes()),
            ("c.json", &config(&[&id])),
            (&other, b"something else"),
        ]);
        let error = Saved::read(directory.path(), &[requested("app:1", &[&id])]).unwrap_err();
        assert_eq!(format!("{error:#}"), message);
    }

    let directory = unpacked(&[("c.json", b"")]);
    let error = Saved::read(directory.path(), &[requested("app:1", &[])]).unwrap_err();
    assert_eq!(error.to_string(), "Docker's archive has no `manifest.json`");
}

#[test]
fn an_image_for_another_platform_is_rejected() {
    let list = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["a/layer.tar"]}]);
    let directory = unpacked(&[
        ("manifest.json", list.to_string().as_bytes()),
        ("c.json", &config(&["sha256:arm"])),
    ]);
    let error = Saved::read(directory.path(), &[requested("app:1", &["sha256:amd"])]).unwrap_err();
    let message =
        "invalid image `app:1`: the layers in the archive differ from those that Docker reports";
    assert!(format!("{error:#}").starts_with(message), "{error:#}");
}

#[test]
fn names_are_compared_in_their_normalized_form() {
    let entry = |tags: Value| -> Entry {
        serde_json::from_value(json!({"Config": "", "RepoTags": tags})).unwrap()
    };
    let table = [
        (json!(["debian:13"]), "docker.io/library/debian:13", true),
        (json!(["other:1", "debian:latest"]), "debian", true),
        (json!(["docker.io/library/debian:13"]), "debian:13", true),
        (json!(["team/app:1"]), "index.docker.io/team/app:1", true),
        (json!(["team/app:1"]), "host:5000/team/app:1", false),
        (json!(["debian:13"]), "debian:12", false),
        (json!(null), "debian:13", false),
    ];
    for (tags, name, is_named) in table {
        let result = entry(tags).is_named(&name.parse().unwrap());
        assert_eq!(result, is_named, "{name}");
    }
}

#[tokio::test]
async fn images_are_saved_in_one_archive() {
    let fake = Fake::start(&[("app:1", "A"), ("debian:13", "B")]).await;
    let served = fake.add(&["app:1", "debian:13"]).await.unwrap();
    assert_eq!(served, ["A", "B"]);
    assert_eq!(fake.requests(), ["app:1 debian:13"]);
}

#[tokio::test]
async fn two_names_of_one_image() {
    let fake = Fake::start(&[("app:1", "A"), ("base:1", "A")]).await;
    assert_eq!(fake.add(&["app:1", "base:1"]).await.unwrap(), ["A", "A"]);
    assert_eq!(fake.add(&["app:1", "app:1"]).await.unwrap(), ["A", "A"]);
    assert_eq!(fake.requests(), ["app:1 base:1", "app:1"]);
}

#[tokio::test]
async fn a_name_without_a_tag_is_latest_or_an_id() {
    let fake = Fake::start(&[("app:latest", "A"), ("app:2", "B"), ("0a1b2c", "C")]).await;
    assert_eq!(fake.add(&["app", "app:2"]).await.unwrap(), ["A", "B"]);
    assert_eq!(fake.add(&["0a1b2c"]).await.unwrap(), ["C"]);
    assert_eq!(fake.requests(), ["app:2 app:latest", "0a1b2c"]);
}

#[tokio::test]
async fn images_that_an_archive_does_not_identify_are_saved_one_by_one() {
    let digest = format!("app@{}", Digest::sha256(b"app"));
    let fake = Fake::start(&[(&digest, "A"), ("debian:13", "B"), ("0a1b2c", "C")]).await;
    let served = fake.add(&[&digest, "debian:13"]).await.unwrap();
    assert_eq!(served, ["A", "B"]);
    let mut requests = fake.requests();
    requests.sort_unstable();
    assert_eq!(requests, [&digest, "debian:13"]);

    let served = fake.add(&["0a1b2c", "debian:13"]).await.unwrap();
    assert_eq!(served, ["C", "B"]);
    assert_eq!(fake.requests().first().unwrap(), "0a1b2c debian:13");
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let fake = Fake::start(&[("app:1", "A")]).await;
    let error = fake.add(&["app:1", "debian:13"]).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "failed to read `app:1` and `debian:13` from Docker: Docker has no image `debian:13`"
    );
}
