//! Whether a registry refused for want of credentials, from messages of programs that have no codes for it.

/// How registries (github.com/opencontainers/distribution-spec, error codes), Docker and containerd word it.
const REFUSALS: &[&str] = &[
    "denied",
    "unauthorized",
    "forbidden",
    "authentication required",
    "authorization failed",
    "insufficient_scope",
    "no basic auth credentials",
];

/// Whether `message`, about a request to a registry, says that credentials are missing, invalid or not sufficient. The
/// permissions of files are something else.
pub fn is_denied(message: &str) -> bool {
    let message = message.to_lowercase().replace("permission denied", "");
    REFUSALS.iter().any(|refusal| message.contains(refusal))
}

/// What to do about a registry whose firewall does not let this machine in.
pub const FIREWALL_HINT: &str = "; the registry's firewall does not let this machine in: add its address (`az acr network-rule add`), or use a runner in a network that the registry allows";

/// Whether `message`, about a request to a registry of Azure, says that the address of this machine is not allowed: no role
/// changes that (learn.microsoft.com/azure/container-registry/container-registry-troubleshoot-access).
pub fn is_firewall(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("client with ip") && message.contains("not allowed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_rights_is_recognized() {
        let table = [
            ("denied: requested access to the resource is denied", true),
            ("denied: permission_denied: write_package", true),
            (
                "pull access denied for x, repository does not exist or may require 'docker login'",
                true,
            ),
            ("failed to authorize: no basic auth credentials", true),
            (
                "unexpected status code [manifests 1]: 401 Unauthorized",
                true,
            ),
            ("`ghcr.io` responded with 403 Forbidden", true),
            ("insufficient_scope: authorization failed", true),
            ("manifest unknown", false),
            ("dial tcp: connection refused", false),
            ("500 Internal Server Error", false),
            ("open /app/x: permission denied", false),
        ];
        for (message, denied) in table {
            assert_eq!(is_denied(message), denied, "{message}");
        }
    }

    #[test]
    fn a_firewall_is_recognized() {
        let message = "denied: client with IP '20.1.2.3' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
        assert!(is_firewall(message));
        assert!(!is_firewall(
            "denied: requested access to the resource is denied"
        ));
    }
}
