//! Definitions of kinds, and objects of these kinds, in one deployment.

use crate::stack::{Stack, run};

fn with_definition(stack: &Stack, group: &str, size: &str) -> String {
    let (namespace, manifests) = (&stack.namespace, stack.manifests(80, "", ""));
    // The object comes before its definition.
    format!(
        "{manifests}---
apiVersion: {group}/v1
kind: Offer
metadata: {{name: best, namespace: {namespace}}}
spec: {{size: {size}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: offers.{group}}}
spec:
  group: {group}
  names: {{kind: Offer, plural: offers}}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{size: {{type: integer}}}}}}}}}}}}
"
    )
}

// A kind that exists gets a field in the same deployment as an object that has it.
async fn gets_a_field(stack: &Stack, image: &str, group: &str) {
    let step = async |manifests: &str| {
        let step = stack.step_without_azure(image).await;
        step.file("k8s/app.yaml", manifests)
            .input("expect-commit", "one")
    };
    let wider = with_definition(stack, group, "2")
        .replace(
            "size: {type: integer}",
            "size: {type: integer}, color: {type: string}",
        )
        .replace("spec: {size: 2}", "spec: {size: 2, color: red}");
    let planned = run(step(&wider).await.input("dry-run", "true")).await;
    assert_eq!(planned.code, 0, "{}", planned.log);
    let label = format!("CustomResourceDefinition/offers.{group}");
    let unknown =
        format!("Offer/best: unknown: the API server can check it only once {label} is applied");
    assert!(planned.log.contains(&unknown), "{}", planned.log);
    let ran = run(step(&wider).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let later = format!("Offer/best is checked once {label} is applied");
    assert!(ran.log.contains(&later), "{}", ran.log);
    assert_eq!(stack.spec(&format!("offers.{group}/best"))["color"], "red");
    // A field that the new schema does not have either is found before the workloads change, and the schema is rolled back.
    let wrong = wider
        .replace("color: {type: string}", "shape: {type: string}")
        .replace("color: red", "hue: red");
    let ran = run(step(&wrong).await).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (3, "true"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("hue"), "{}", ran.error());
    assert!(!ran.log.contains("applied Deployment/app"), "{}", ran.log);
    assert_eq!(stack.spec(&format!("offers.{group}/best"))["color"], "red");
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_kind_and_its_objects_are_deployed_together_and_go_together() {
    let stack = Stack::new("kinds").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "crash").await,
    ];
    let [one, two] = &images;
    let group = format!("shop-{}.example", std::process::id());
    let step = async |image: &str, manifests: &str| {
        let step = stack.step_without_azure(image).await;
        step.file("k8s/app.yaml", manifests)
            .input("expect-commit", "one")
    };
    let definition = format!("customresourcedefinition/offers.{group}");
    let exists = || {
        let args = ["get", &definition, "--output=name", "--ignore-not-found"];
        !stack.kubectl(&args).is_empty()
    };

    let plain = stack.manifests(80, "", "");
    let ran = run(step(one, &plain).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);

    // What the new kind rejects is found once it is served, before the workloads change.
    let ran = run(step(one, &with_definition(&stack, &group, "large")).await).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (3, "true"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("Offer/best"), "{}", ran.error());
    assert!(!ran.log.contains("applied Deployment/app"), "{}", ran.log);
    assert!(!exists());

    // A version that fails takes its kind with it.
    let ran = run(step(two, &with_definition(&stack, &group, "1")).await).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert!(!exists());

    let ran = run(step(one, &with_definition(&stack, &group, "1")).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let line = |text: &str| {
        ran.log
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", ran.log))
    };
    assert!(
        line("applied CustomResourceDefinition")
            < line("serves the kinds of CustomResourceDefinition")
    );
    assert!(line("serves the kinds of") < line("applied Offer/best"));
    assert_eq!(stack.spec(&format!("offers.{group}/best"))["size"], 1);
    let again = run(step(one, &with_definition(&stack, &group, "2")).await).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains("applied Offer/best (spec.size: 1 → 2)"),
        "{}",
        again.log
    );

    gets_a_field(&stack, one, &group).await;

    // A kind that nothing defines is a mistake in the manifests.
    let unknown = with_definition(&stack, &group, "1")
        .replace("kind: Offer\nmetadata", "kind: Offering\nmetadata");
    let ran = run(step(one, &unknown).await).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error(),
        format!(
            "azure-deploy: input `manifests`: the cluster does not know the kind of `Offering/best` in document 4 of `k8s/app.yaml` ({group}/v1 Offering); check its `apiVersion` and `kind`, or add its CustomResourceDefinition"
        )
    );

    // What the role RBAC Writer of Azure has no right to either, such as the objects of a kind, and roles.
    let offer = with_definition(&stack, &group, "3");
    let offer = offer.rsplit_once("---\n").unwrap().0.to_owned();
    let role = format!(
        "{plain}---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: reader, namespace: {}}}\nrules: []\n",
        stack.namespace
    );
    for (manifests, resource, group) in [
        (offer, "offers", group.as_str()),
        (role, "roles", "rbac.authorization.k8s.io"),
    ] {
        let ran = run(stack.step(one, &manifests)).await;
        assert_eq!(
            (ran.code, ran.output("result")),
            (2, "error"),
            "{}",
            ran.log
        );
        let cannot = format!("resource \"{resource}\" in API group \"{group}\"");
        assert!(ran.error().contains(&cannot), "{}", ran.error());
        let hint = "; give the identity a role in the cluster that allows it: a ClusterRole with its binding, or Azure Kubernetes Service RBAC Cluster Admin (RBAC Writer has no right to it)";
        assert!(ran.error().contains(hint), "{}", ran.error());
        assert!(!ran.log.contains("pushed"), "{}", ran.log);
    }
    stack.kubectl(&["delete", &definition]);
    stack.forget(&images.each_ref().map(String::as_str)).await;
}
