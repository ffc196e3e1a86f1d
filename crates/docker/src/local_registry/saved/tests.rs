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

fn wanted(name: &str, diff_ids: &[&str]) -> Wanted {
    Wanted {
        name: name.parse().unwrap(),
        diff_ids: diff_ids.iter().map(|&id| id.to_owned()).collect(),
    }
}

fn unpacked(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let archive = tar(files);
    let mut archive = tar::Archive::new(archive.as_slice());
    archive.unpack(folder.path()).unwrap();
    folder
}

// The one image of an archive whose one layer lies at `name`.
fn image(name: &str, layer: &[u8], diff_id: &str) -> anyhow::Result<(Saved, tempfile::TempDir)> {
    let config = config(&[diff_id]);
    let list = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": [name]}]);
    let list = list.to_string();
    let files = [
        (name, layer),
        ("c.json", &config),
        ("manifest.json", list.as_bytes()),
    ];
    let folder = unpacked(&files);
    let saved = Saved::read(folder.path(), &[wanted("app:1", &[diff_id])])?;
    Ok((saved.into_iter().next().unwrap(), folder))
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
        // A name that is no digest.
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
        let (saved, _folder) = image(&name, bytes, diff_id.as_str()).unwrap();
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
    let folder = unpacked(&[
        ("one/layer.tar", TAR),
        ("c.json", &config(&["sha256:a"])),
        ("manifest.json", b"[]"),
    ]);
    std::fs::create_dir(folder.path().join("two")).unwrap();
    let link = folder.path().join("two/layer.tar");
    std::os::unix::fs::symlink("../one/layer.tar", &link).unwrap();
    let path = inside(folder.path(), "two/layer.tar").unwrap();
    assert!(path.ends_with("one/layer.tar"));

    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", link).unwrap();
    let error = inside(folder.path(), "two/layer.tar").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`two/layer.tar` leads out of the archive"
    );
}

#[test]
fn what_is_wrong_with_an_archive_is_told() {
    let id = Digest::sha256(TAR).to_string();
    let entry = |layers: &[&str]| json!([{"Config": "c.json", "RepoTags": null, "Layers": layers}]);
    let other = blob(b"something else");
    let whole = "Docker does not have the whole image; pull or build it again";
    let table = [
        (
            entry(&["x/layer.tar"]),
            format!("in `app:1`: {whole}: `x/layer.tar` is missing in the archive: No such file or directory (os error 2)"),
        ),
        (
            entry(&[&other]),
            format!("in `app:1`: the layer `{other}` is neither a tar nor compressed by gzip or zstd"),
        ),
        (
            entry(&["a", "b"]),
            "in `app:1`: the archive has 2 layers, the configuration 1".to_owned(),
        ),
        (
            json!([{"Config": "d.json", "Layers": null}]),
            "in `app:1`: `d.json` is missing in the archive: No such file or directory (os error 2)".to_owned(),
        ),
        (
            json!([]),
            "Docker's archive has 0 images, and none of them is named `app:1`".to_owned(),
        ),
        (
            json!({}),
            "in the `manifest.json` of Docker's archive: invalid type: map, expected a sequence at line 1 column 0".to_owned(),
        ),
    ];
    for (list, told) in table {
        let folder = unpacked(&[
            ("manifest.json", list.to_string().as_bytes()),
            ("c.json", &config(&[&id])),
            (&other, b"something else"),
        ]);
        let error = Saved::read(folder.path(), &[wanted("app:1", &[&id])]).unwrap_err();
        assert_eq!(format!("{error:#}"), told);
    }

    let folder = unpacked(&[("c.json", b"")]);
    let error = Saved::read(folder.path(), &[wanted("app:1", &[])]).unwrap_err();
    assert_eq!(error.to_string(), "Docker's archive has no `manifest.json`");
}

#[test]
fn an_image_for_another_platform_is_not_taken_for_the_image() {
    let list = json!([{"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["a/layer.tar"]}]);
    let folder = unpacked(&[
        ("manifest.json", list.to_string().as_bytes()),
        ("c.json", &config(&["sha256:arm"])),
    ]);
    let error = Saved::read(folder.path(), &[wanted("app:1", &["sha256:amd"])]).unwrap_err();
    let told = "in `app:1`: the archive has other layers than Docker tells of the image";
    assert!(format!("{error:#}").starts_with(told), "{error:#}");
}

#[test]
fn names_are_compared_in_full() {
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
        let found = entry(tags).is_named(&name.parse().unwrap());
        assert_eq!(found, is_named, "{name}");
    }
}

#[tokio::test]
async fn images_come_in_one_archive() {
    let fake = Fake::start(&[("app:1", "A"), ("debian:13", "B")]).await;
    let served = fake.add(&["app:1", "debian:13"]).await.unwrap();
    assert_eq!(served, ["A", "B"]);
    assert_eq!(fake.asked(), ["app:1 debian:13"]);
}

#[tokio::test]
async fn one_image_may_stand_for_both() {
    let fake = Fake::start(&[("app:1", "A"), ("base:1", "A")]).await;
    assert_eq!(fake.add(&["app:1", "base:1"]).await.unwrap(), ["A", "A"]);
    assert_eq!(fake.add(&["app:1", "app:1"]).await.unwrap(), ["A", "A"]);
    assert_eq!(fake.asked(), ["app:1 base:1", "app:1"]);
}

#[tokio::test]
async fn a_name_without_a_tag_is_latest_or_an_id() {
    let fake = Fake::start(&[("app:latest", "A"), ("app:2", "B"), ("0a1b2c", "C")]).await;
    assert_eq!(fake.add(&["app", "app:2"]).await.unwrap(), ["A", "B"]);
    assert_eq!(fake.add(&["0a1b2c"]).await.unwrap(), ["C"]);
    assert_eq!(fake.asked(), ["app:2 app:latest", "0a1b2c"]);
}

#[tokio::test]
async fn images_that_an_archive_does_not_tell_apart_come_one_by_one() {
    let digest = format!("app@{}", Digest::sha256(b"app"));
    let fake = Fake::start(&[(&digest, "A"), ("debian:13", "B"), ("0a1b2c", "C")]).await;
    let served = fake.add(&[&digest, "debian:13"]).await.unwrap();
    assert_eq!(served, ["A", "B"]);
    let mut asked = fake.asked();
    asked.sort_unstable();
    assert_eq!(asked, [&digest, "debian:13"]);

    let served = fake.add(&["0a1b2c", "debian:13"]).await.unwrap();
    assert_eq!(served, ["C", "B"]);
    assert_eq!(fake.asked().first().unwrap(), "0a1b2c debian:13");
}

#[tokio::test]
async fn an_image_that_the_engine_lacks_is_named() {
    let fake = Fake::start(&[("app:1", "A")]).await;
    let error = fake.add(&["app:1", "debian:13"]).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "while taking `app:1` and `debian:13` out of Docker: Docker has no image `debian:13`"
    );
}
