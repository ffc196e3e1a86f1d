use super::*;

fn read(text: &str, namespace: Option<&str>) -> Result<Manifests, String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("app.yaml"), text).unwrap();
    let workspace = Workspace::new(directory.path());
    let paths = [workspace.path("manifests", ".").unwrap()];
    Manifests::read(&workspace, &paths, &[], namespace).map_err(|e| e.to_string())
}

fn labels(manifests: &Manifests) -> Vec<String> {
    manifests.objects().iter().map(Object::label).collect()
}

const CRON: &str = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: tidy}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          initContainers: [{name: wait, image: 'localhost:5077/a:1'}]\n          containers: [{name: main, image: 'localhost:5077/b:1'}]\n";

#[test]
fn images_are_matched_in_every_kind_of_pod_by_their_repository() {
    let mut manifests = read(CRON, None).unwrap();
    assert!(!manifests.name_repository("localhost"));
    assert_eq!(
        manifests.with_image("a", "seaworthy.azurecr.io/a@sha256:0"),
        ["CronJob/tidy `wait`"]
    );
    assert_eq!(
        manifests.images(),
        ["localhost:5077/b:1", "seaworthy.azurecr.io/a@sha256:0"]
    );
}

#[test]
fn a_repository_is_matched_whole() {
    let table = [
        ("flask-app", "flask-app", true),
        ("seaworthy.azurecr.io/flask-app:latest", "flask-app", true),
        ("localhost:5000/flask-app", "flask-app", true),
        ("seaworthy.azurecr.io/team/flask-app", "flask-app", false),
        (
            "seaworthy.azurecr.io/team/flask-app",
            "team/flask-app",
            true,
        ),
        ("flask-app-worker:1", "flask-app", false),
        ("not an image", "flask-app", false),
    ];
    for (image, repository, expected) in table {
        assert_eq!(is_of(image, repository), expected, "{image} {repository}");
    }
}

#[test]
fn namespaces_come_first_and_lists_are_flattened() {
    let both = format!(
        "{CRON}---\n# nothing here\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: a}}\n- apiVersion: v1\n  kind: Namespace\n  metadata: {{name: web}}\n"
    );
    assert_eq!(
        labels(&read(&both, None).unwrap()),
        ["Namespace/web", "ConfigMap/a", "CronJob/tidy"]
    );
}

#[test]
fn objects_without_a_namespace_get_one_and_their_manifest_stays() {
    let manifests = read(CRON, Some("web")).unwrap();
    let object = &manifests.objects()[0];
    assert_eq!(object.namespace(), Some("web"));
    assert_eq!(object.value.pointer("/metadata/namespace"), None);
}

#[test]
fn mistakes_name_the_file() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}";
    let twice = format!("{service}\n---\n{service}");
    let table = [
        (
            "kind: Service\nmetadata: {name: x}",
            None,
            "input `manifests`: an object in `app.yaml` has no `apiVersion`",
        ),
        (
            "just words",
            None,
            "input `manifests`: `app.yaml` has a document that is not an object",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: a}",
            Some("b"),
            "input `manifests`: `Service/x` in `app.yaml` is for the namespace `a`, but the input `namespace` is `b`",
        ),
        (
            &twice,
            None,
            "input `manifests`: `Service/x` is in `app.yaml` and in `app.yaml`",
        ),
    ];
    for (text, namespace, message) in table {
        assert_eq!(read(text, namespace).unwrap_err(), message);
    }
}

#[test]
fn invalid_yaml_is_reported_with_file_and_line() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: [x}\n";
    assert_eq!(
        read(text, None).unwrap_err(),
        "input `manifests`: invalid YAML in `app.yaml`: line 3 column 18: mismatched bracket '[' closed by '}'"
    );
}
