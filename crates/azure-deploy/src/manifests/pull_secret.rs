//! The Secret that pods pull their images with.

use std::collections::BTreeSet;

use actions_toolkit::BadInput;
use base64::Engine as _;
use oci::{Credentials, is_docker_hub};
use serde_json::{Value, json};

use super::{ImageNames, Manifests};
use crate::action::Inputs;
use crate::kubernetes::{Object, containers, pod_specs_mut};

/// Where such a Secret comes from.
const ORIGIN: &str = "input `image-pull-secret`";
/// The key of its data.
const CONFIG: &str = ".dockerconfigjson";
/// The key of Docker Hub in the configuration of a client.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Whether `object` is the Secret with a login, and has one for each host that it had `before`. A rollback keeps it then: the
/// previous login may no longer be valid.
pub(crate) fn replaces_login(object: &Object, before: &Value) -> bool {
    let hosts = |value: &Value| -> Option<BTreeSet<String>> {
        let base64 = &base64::engine::general_purpose::STANDARD;
        let config = base64.decode(value["data"][CONFIG].as_str()?).ok()?;
        let config: Value = serde_json::from_slice(&config).ok()?;
        Some(config["auths"].as_object()?.keys().cloned().collect())
    };
    let (now, then) = (hosts(&object.value), hosts(before));
    object.file == ORIGIN && then.is_some_and(|then| now.is_some_and(|now| then.is_subset(&now)))
}

impl Manifests {
    /// Add the Secret `name` with the login of a registry, in each namespace in which pods run one of `images`, and have these
    /// pods use it, next to those that they have.
    ///
    /// # Errors
    /// When the manifests have such a Secret.
    pub(crate) fn add_pull_secret(
        &mut self,
        name: &str,
        (host, login): (&str, &Credentials),
        names: &[&ImageNames],
    ) -> Result<(), BadInput> {
        let runs = |value: &Value| {
            let containers = containers(value);
            let mut images = containers.iter().filter_map(|c| c["image"].as_str());
            images.any(|image| names.iter().any(|names| names.is_of(image)))
        };
        let mut namespaces = BTreeSet::new();
        for object in self.0.iter_mut().filter(|object| runs(&object.value)) {
            namespaces.insert(object.namespace_or_default().to_owned());
            for pod in pod_specs_mut(&mut object.value)
                .into_iter()
                .filter(|pod| runs(pod))
            {
                let entry = json!({"name": name});
                match pod["imagePullSecrets"].as_array_mut() {
                    Some(secrets) if secrets.contains(&entry) => {}
                    Some(secrets) => secrets.push(entry),
                    None => pod["imagePullSecrets"] = json!([entry]),
                }
            }
        }
        for namespace in namespaces {
            let secret = secret(name, &namespace, host, login);
            if let Some(own) = self.0.iter().find(|object| object.is_same(&secret)) {
                let problem = format!(
                    "`Secret/{name}` is in {} too; use another name",
                    own.place()
                );
                return Err(BadInput::new(Inputs::image_pull_secret, problem));
            }
            self.add(secret);
        }
        Ok(())
    }
}

// kubernetes.io/docs/concepts/configuration/secret, "Docker config Secrets".
fn secret(name: &str, namespace: &str, host: &str, login: &Credentials) -> Object {
    let base64 = &base64::engine::general_purpose::STANDARD;
    let key = if is_docker_hub(host) {
        DOCKER_HUB
    } else {
        host
    };
    let (username, password) = (&login.username, &login.password);
    let auth = base64.encode(format!("{username}:{password}"));
    let config =
        json!({"auths": {key: {"username": username, "password": password, "auth": auth}}});
    Object {
        file: ORIGIN.to_owned(),
        document: None,
        value: json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {CONFIG: base64.encode(config.to_string())},
        }),
        default_namespace: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RegistryTarget;

    fn object(namespace: &str, kind: &str, spec: &Value) -> Object {
        Object {
            file: "app.yaml".into(),
            document: None,
            value: json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": kind.to_lowercase()}, "spec": spec}),
            default_namespace: Some(namespace.into()),
        }
    }

    fn pod(image: &str, more: &Value) -> Value {
        let mut pod = json!({"containers": [{"name": "a", "image": image}]});
        if !more.is_null() {
            pod["imagePullSecrets"] = more.clone();
        }
        json!({"template": {"spec": pod}})
    }

    #[test]
    fn pods_of_the_image_get_the_secret_of_their_namespace() {
        let own = json!({"jobTemplate": {"spec": pod("web", &json!([{"name": "own"}]))}});
        let mut manifests = Manifests(vec![
            object(
                "web",
                "Deployment",
                &pod("ghcr.io/octo/web:1", &Value::Null),
            ),
            object("jobs", "CronJob", &own),
            object("other", "StatefulSet", &pod("redis:8", &Value::Null)),
        ]);
        let login = Credentials {
            username: "octo".into(),
            password: "token".into(),
        };
        let registry = RegistryTarget::Host {
            host: "ghcr.io".to_owned(),
            credentials: None,
        };
        let image = |name: &str| ImageNames::new(&name.parse().unwrap(), name, &registry);
        let (qualified, short) = (image("octo/web"), image("web"));
        let names = [&qualified, &short];
        manifests
            .add_pull_secret("pull", ("ghcr.io", &login), &names)
            .unwrap();
        let secrets: Vec<_> = manifests
            .objects()
            .iter()
            .filter(|o| o.kind() == "Secret")
            .collect();
        let namespaces: Vec<_> = secrets.iter().map(|s| s.namespace().unwrap()).collect();
        assert_eq!(namespaces, ["jobs", "web"]);
        let data = secrets[0].value["data"][".dockerconfigjson"]
            .as_str()
            .unwrap();
        let data = base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&data).unwrap(),
            json!({"auths": {"ghcr.io": {"username": "octo", "password": "token", "auth": "b2N0bzp0b2tlbg=="}}})
        );
        let used = |kind: &str, pointer: &str| {
            let object = manifests
                .objects()
                .iter()
                .find(|o| o.kind() == kind)
                .unwrap();
            object.value.pointer(pointer).cloned()
        };
        let pull = json!({"name": "pull"});
        let of_template = "/spec/template/spec/imagePullSecrets";
        assert_eq!(used("Deployment", of_template), Some(json!([pull])));
        assert_eq!(used("StatefulSet", of_template), None);
        let of_job = "/spec/jobTemplate/spec/template/spec/imagePullSecrets";
        assert_eq!(
            used("CronJob", of_job),
            Some(json!([{"name": "own"}, pull]))
        );

        let azure = secret("pull", "web", "a.azurecr.io", &login);
        assert!(replaces_login(secrets[1], &secrets[0].value));
        assert!(!replaces_login(secrets[1], &azure.value));
        assert!(!replaces_login(secrets[1], &json!({})));
        let again = manifests.add_pull_secret("pull", ("ghcr.io", &login), &names);
        assert_eq!(
            again.unwrap_err().to_string(),
            "input `image-pull-secret`: `Secret/pull` is in `input `image-pull-secret`` too; use another name"
        );
        let hub = secret("pull", "web", "docker.io", &login);
        let data = hub.value["data"][".dockerconfigjson"].as_str().unwrap();
        let data = base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap();
        assert!(
            String::from_utf8(data)
                .unwrap()
                .contains("\"https://index.docker.io/v1/\"")
        );
    }
}
