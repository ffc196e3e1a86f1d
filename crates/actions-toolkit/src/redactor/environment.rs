//! Which values of the environment are secrets.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::userinfo::userinfo;
use crate::Env;

/// The last words of the names of secrets.
const NAMES: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "credentials",
    "_pat",
];
/// What comes before the last word of the names of keys that are secret: a `CACHE_KEY` is not.
const KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "deploy",
    "encryption",
    "private",
    "secret",
    "signing",
    "ssh",
    "storage",
];
/// A shorter value of the environment is a setting.
const SHORTEST: usize = 8;

/// Values of variables that are named like a secret, and the passwords in URLs. `INPUT_*` is left out, since an action
/// declares which inputs are secret; URLs in them count.
pub(super) fn secrets(env: &Env) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, value) in env.iter() {
        let is_location = value.starts_with('/') || value.contains("://");
        let is_value = value.len() >= SHORTEST && !is_location && is_random(value);
        if is_value && is_named_like_a_secret(name) && !name.starts_with("INPUT_") {
            secrets.push(value.to_owned());
        }
        let is_proxy = name.to_ascii_lowercase().ends_with("_proxy");
        passwords(value, is_proxy, &mut secrets);
    }
    secrets
}

fn passwords(value: &str, is_proxy: bool, secrets: &mut Vec<String>) {
    let mut authorities: Vec<&str> = value.split("://").skip(1).collect();
    // A proxy may be written without a scheme.
    if is_proxy && authorities.is_empty() {
        authorities.push(value);
    }
    for (_, password) in authorities.into_iter().filter_map(userinfo) {
        let decoded = percent_decode_str(password).decode_utf8_lossy();
        secrets.extend([password.to_owned(), decoded.into_owned()]);
    }
}

/// The secrets in `text`, if it is a document with names for its fields: what else is in it, such as `apiVersion: v1`, is
/// in other texts too.
pub(super) fn secrets_of_document(text: &str) -> Option<Vec<String>> {
    if let Ok(json @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
        let mut secrets = Vec::new();
        secrets_of_json(&json, &mut secrets);
        return Some(secrets);
    }
    let is_kubernetes = text.lines().any(|line| line.starts_with("apiVersion:"));
    let secret = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().trim_matches(['"', '\'']);
        is_secret_field(name.trim()).then(|| value.to_owned())
    };
    is_kubernetes.then(|| text.lines().filter_map(secret).collect())
}

fn secrets_of_json(json: &Value, secrets: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if is_secret_field(name) => {
                        secrets.extend(text.lines().map(|line| line.trim().to_owned()));
                    }
                    _ => secrets_of_json(value, secrets),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secrets_of_json(item, secrets)),
        _ => {}
    }
}

// `client-key-data` too, as in a kubeconfig.
fn is_secret_field(name: &str) -> bool {
    is_named_like_a_secret(name) || name.ends_with("-data")
}

// By the last word: `ACTIONS_RUNTIME_TOKEN`, `clientSecret`, `private_key`.
fn is_named_like_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_key = |stem: &str| KEYS.iter().any(|kind| stem.ends_with(kind));
    let stem = name.strip_suffix("key");
    NAMES.iter().any(|word| name.ends_with(word))
        || stem.is_some_and(|stem| is_key(stem.trim_end_matches(['_', '-'])))
}

// A word such as `production` is in other texts too.
fn is_random(value: &str) -> bool {
    let has_digit = value.bytes().any(|b| b.is_ascii_digit());
    has_digit || value.len() >= 2 * SHORTEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_tells_its_secrets() {
        let env = Env::from_pairs([
            ("ACTIONS_RUNTIME_TOKEN", "runtime-t0ken"),
            ("CACHE_KEY", "v1-linux-deps-2"),
            ("API_KEY", "0123456789"),
            ("DEPLOY_SECRET", "production"),
            ("NPM_TOKEN", "short"),
            ("SSH_KEY", "/home/me/.ssh/id"),
            ("INPUT_SHOW-KEY", "not-a-secret"),
            ("INPUT_URL", "https://me:in-a-url@example.com/x"),
            ("https_proxy", "me:p%40ss@proxy:3128"),
            ("PATH", "/usr/bin"),
        ]);
        assert_eq!(
            secrets(&env),
            [
                "runtime-t0ken",
                "0123456789",
                "in-a-url",
                "in-a-url",
                "p%40ss",
                "p@ss"
            ]
        );
    }

    #[test]
    fn a_document_tells_its_secrets() {
        let json = serde_json::json!({
            "clientId": "an-id", "clientSecret": "s3cret", "keys": [{"private_key": "one\ntwo"}], "key": 7,
        });
        let kubeconfig = "apiVersion: v1\nkind: Config\nusers:\n- user:\n    token: \"t0ken\"\n    client-key-data: a2V5\n";
        let table = [
            (json.to_string(), Some(vec!["s3cret", "one", "two"])),
            (kubeconfig.to_owned(), Some(vec!["t0ken", "a2V5"])),
            ("[global]\nindex-url = hidden".to_owned(), None),
            ("\"a password\"".to_owned(), None),
        ];
        for (text, expected) in table {
            let found = secrets_of_document(&text);
            let expected = expected.map(|all| all.into_iter().map(ToOwned::to_owned).collect());
            assert_eq!(found, expected, "{text}");
        }
    }
}
