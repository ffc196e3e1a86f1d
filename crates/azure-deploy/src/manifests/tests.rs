use super::*;

fn read(text: &str, namespace: Option<&str>) -> Result<Manifests, String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("app.yaml"), text).unwrap();
    let workspace = Workspace::new(directory.path());
    let paths = [workspace.path("manifests", ".").unwrap()];
    let namespace = Namespace {
        input: namespace.map(ToOwned::to_owned),
        context: Some("context".into()),
    };
    Manifests::read(&workspace, &paths, &[], &namespace).map_err(|e| e.to_string())
}

fn labels(manifests: &Manifests) -> Vec<String> {
    manifests.objects().iter().map(Object::label).collect()
}

const CRON: &str = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: tidy}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          initContainers: [{name: wait, image: 'seaworthy.azurecr.io/a:1'}]\n          containers: [{name: main, image: 'localhost:5077/b:1'}]\n";

#[test]
fn images_are_matched_in_every_kind_of_pod_by_their_repository() {
    let mut manifests = read(CRON, None).unwrap();
    assert!(!manifests.name(&ImageNames::of_test("localhost")));
    assert_eq!(
        manifests.with_image(&ImageNames::of_test("a"), "seaworthy.azurecr.io/a@sha256:0"),
        ["CronJob/tidy `wait`"]
    );
    assert_eq!(
        manifests.images(),
        ["localhost:5077/b:1", "seaworthy.azurecr.io/a@sha256:0"]
    );
}

#[test]
fn namespaces_come_first_and_lists_are_flattened() {
    let both = format!(
        "{CRON}---\n# nothing here\n---\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: v1, kind: ConfigMapList, items: [{{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}}}]}}\n- apiVersion: v1\n  kind: Namespace\n  metadata: {{name: web}}\n"
    );
    assert_eq!(
        labels(&read(&both, None).unwrap()),
        ["Namespace/web", "ConfigMap/a", "CronJob/tidy"]
    );
}

#[test]
fn kinds_of_two_groups_may_have_one_name() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: app}\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: app}\n";
    let manifests = read(text, None).unwrap();
    assert_eq!(labels(&manifests), ["Service/app", "Service/app"]);
    // Another version of a kind is the same object.
    let text = text.replace("apiVersion: v1", "apiVersion: serving.knative.dev/v1beta1");
    let error = read(&text, None).unwrap_err();
    assert!(error.contains("`Service/app` is in document 1"), "{error}");
}

#[test]
fn objects_without_a_namespace_get_one_and_their_manifest_stays() {
    let manifests = read(CRON, Some("web")).unwrap();
    let object = &manifests.objects()[0];
    assert_eq!(object.namespace(), Some("web"));
    assert_eq!(object.value.pointer("/metadata/namespace"), None);
    let manifests = read(CRON, None).unwrap();
    assert_eq!(manifests.objects()[0].namespace(), Some("context"));
}

#[test]
fn mistakes_name_the_file() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: x}";
    let twice = format!("{service}\n---\n{service}");
    let table = [
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Secret\nmetadata: {}",
            None,
            "input `manifests`: an object of the kind `Secret` in document 2 of `app.yaml` has no `metadata.name`",
        ),
        (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []",
            None,
            "input `manifests`: `app.yaml` is a kustomization; name its directory, which is rendered by kustomize",
        ),
        (
            "kind: Service\nmetadata: {name: x}",
            None,
            "input `manifests`: an object of the kind `Service` in `app.yaml` has no `apiVersion`",
        ),
        (
            "just words",
            None,
            "input `manifests`: `app.yaml` is not an object of Kubernetes",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: a}",
            Some("b"),
            "input `manifests`: `Service/x` in `app.yaml` is for the namespace `a`, but the input `namespace` is `b`",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: z, namespace: b}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: a}",
            Some("b"),
            "input `manifests`: `Service/x` in document 2 of `app.yaml` is for the namespace `a`, but the input `namespace` is `b`",
        ),
        (
            "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: x-}",
            None,
            "input `manifests`: an object of the kind `Job` in `app.yaml` has a `metadata.generateName`, which makes another object each time; give it a `metadata.name`",
        ),
        (
            &twice,
            None,
            "input `manifests`: `Service/x` is in document 1 of `app.yaml` and in document 2 of `app.yaml`",
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
    let text = "---\nkind: x\n---\nkind: Service\nspec: {}\nspec: {}\n";
    insta::assert_snapshot!(read(text, None).unwrap_err(), @"input `manifests`: invalid YAML in `app.yaml`, document 2: line 6 column 1: duplicate mapping key: spec");
    let text = "kind: x\n---\nkind: ConfigMap\ndata:\n  ~: x\n";
    let error = read(text, None).unwrap_err();
    let start = "input `manifests`: invalid YAML in `app.yaml`, document 2: line 5 column 3: a key is empty";
    assert!(error.starts_with(start), "{error}");
    let template = "kind: Service\nmetadata: {name: {{ .Release.Name }}}\n";
    let error = read(template, None).unwrap_err();
    let start = "input `manifests`: `app.yaml` is a template (`{{ … }}`), and not YAML; name its chart, the directory with `Chart.yaml`, or render it in an earlier step: line 2 column ";
    assert!(error.starts_with(start), "{error}");
}

// By `kubectl create --dry-run=client --validate=false --output=json`, 1.34.
#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let table = [
        ("0400", json!(256)),
        ("0777", json!(511)),
        ("0o17", json!(15)),
        ("0O17", json!(15)),
        ("-0400", json!(-256)),
        ("08", json!(8)),
        ("09", json!(9)),
        ("00", json!(0)),
        ("0", json!(0)),
        ("0x1F", json!(31)),
        ("-0x1F", json!(-31)),
        ("0b11", json!(3)),
        ("1_000", json!(1000)),
        ("0_7", json!(7)),
        ("+12", json!(12)),
        ("1e3", json!(1000)),
        ("1E3", json!(1000)),
        ("01e3", json!(1000)),
        ("1.0", json!(1)),
        ("5.", json!(5)),
        ("+.5", json!(0.5)),
        ("010.5", json!(10.5)),
        ("1e-7", json!(1e-7)),
        ("yes", json!(true)),
        ("No", json!(false)),
        ("y", json!(true)),
        ("N", json!(false)),
        ("on", json!(true)),
        ("OFF", json!(false)),
        ("True", json!(true)),
        ("~", json!(null)),
        ("Null", json!(null)),
        ("", json!(null)),
        ("1:30", json!("1:30")),
        ("190:20:30", json!("190:20:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("inf", json!("inf")),
        ("NaN", json!("NaN")),
        ("_1", json!("_1")),
        ("0x", json!("0x")),
        ("0b2", json!("0b2")),
        ("1,000", json!("1,000")),
        ("'yes'", json!("yes")),
        ("\"0400\"", json!("0400")),
        ("|-\n  0400", json!("0400")),
        ("!!str 1", json!("1")),
        ("!!int \"7\"", json!(7)),
        ("!!binary aGk=", json!("hi")),
        ("&a 0400", json!(256)),
    ];
    let mut problems = Vec::new();
    for (scalar, expected) in table {
        let parsed = parse(&format!("kind: x\nv: {scalar}\n"));
        let value = parsed.as_ref().map(|documents| &documents[0].value["v"]);
        if value != Ok(&expected) {
            problems.push(format!("{scalar}: {value:?}, not {expected}"));
        }
    }
    assert_eq!(problems, Vec::<String>::new());
    assert!(parse("v: .inf").is_err() && parse("v: .nan").is_err());
}

#[test]
fn namespaces_that_are_used_are_added() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: x, namespace: shop}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {a: b}}\n";
    let mut manifests = read(text, None).unwrap();
    manifests.add_namespaces();
    let all = labels(&manifests);
    let (namespaces, others) = all.split_at(2);
    assert_eq!(others, ["Service/x", "Service/x"]);
    assert!(namespaces.contains(&"Namespace/context".to_owned()));
    let mut objects = manifests.objects().iter();
    let own = objects.find(|object| object.name() == "shop").unwrap();
    assert_eq!(own.value["metadata"]["labels"]["a"], "b");
}
