//! The options of `helm upgrade --install`, which `azure-deploy` replaces. The release and the chart are its operands.

use crate::mapping::{Peer, keep, lost, same, together, unneeded};

const AWAITED: &str = "the rollout is always awaited, and so are Jobs";
const RESTORED: &str = "a failed rollout is always rolled back";
const NO_RECORD: &str = "there is no record of releases in the cluster";
const IN_A_FILE: &str = "write the value into a file of values";
const REPOSITORY: &str = "a chart is a directory, a `.tgz` file or `oci://`: run `helm pull --untar` in an earlier step, and name its directory";
const STORED: &str =
    "values of the last deployment are not stored: name all of them in `chart-values`";
const OWN_CLUSTER: &str = "the cluster of the job's sign-in is used";
const VERIFIED: &str = "certificates are always verified, by those of the system";

pub(crate) const HELM: Peer = Peer {
    name: "helm upgrade",
    version: "4.3.2",
    action: "azure-deploy",
    inputs: &[
        same("namespace"),
        same("create-namespace").unless(&["false"]),
        together(
            "values",
            &["chart-values"],
            "the files, one per line, before single values",
        ),
        together("set", &["chart-values"], "`NAME=value`, one per line"),
        together(
            "set-string",
            &["chart-values"],
            "as `set`: a number, `true` or `null` is text in a file of values only",
        ),
        lost("set-file", IN_A_FILE),
        lost("set-json", IN_A_FILE),
        lost("set-literal", IN_A_FILE),
        keep("timeout", "rollout-timeout"),
        together(
            "version",
            &["manifests"],
            "the end of the reference, `oci://HOST/CHART:VERSION`; a directory has its own",
        ),
        lost("repo", REPOSITORY),
        lost("devel", REPOSITORY),
        lost(
            "dependency-update",
            "run `helm dependency build` in an earlier step",
        )
        .unless(&["false"]),
        unneeded("install", "what does not exist is created"),
        unneeded("wait", AWAITED),
        unneeded("wait-for-jobs", AWAITED),
        unneeded("atomic", RESTORED),
        unneeded("rollback-on-failure", RESTORED),
        unneeded("cleanup-on-fail", RESTORED),
        lost(
            "force",
            "an object is replaced only if it is a Job whose template has changed",
        )
        .unless(&["false"]),
        lost(
            "force-replace",
            "an object is replaced only if it is a Job whose template has changed",
        )
        .unless(&["false"]),
        unneeded(
            "force-conflicts",
            "fields of the manifests are always taken over",
        ),
        unneeded("take-ownership", "objects of others are always taken over"),
        unneeded("server-side", "objects are always applied by the server"),
        unneeded("history-max", NO_RECORD),
        unneeded("description", NO_RECORD),
        unneeded("labels", NO_RECORD),
        unneeded(
            "reset-values",
            "values of the last deployment are not stored",
        ),
        lost("reuse-values", STORED).unless(&["false"]),
        lost("reset-then-reuse-values", STORED).unless(&["false"]),
        lost(
            "no-hooks",
            "hooks run with every deployment; switch them off in the values of the chart",
        )
        .unless(&["false"]),
        lost(
            "skip-crds",
            "definitions in `crds` are created where the cluster has none",
        )
        .unless(&["false"]),
        lost(
            "skip-schema-validation",
            "values are checked by the schema of the chart",
        )
        .unless(&["false"]),
        unneeded(
            "disable-openapi-validation",
            "the API server checks every object",
        ),
        lost(
            "post-renderer",
            "no program is run for a chart: run `helm template` in an earlier step, and name its files in `manifests`",
        ),
        lost(
            "verify",
            "a signature of a chart is not verified: run `helm verify` in an earlier step",
        )
        .unless(&["false"]),
        lost("kube-context", OWN_CLUSTER),
        lost("kubeconfig", OWN_CLUSTER),
        lost("ca-file", VERIFIED),
        lost("insecure-skip-tls-verify", VERIFIED).unless(&["false"]),
        lost("plain-http", VERIFIED).unless(&["false"]),
        unneeded("output", "the log has what changes"),
        unneeded("hide-notes", "the notes of a chart are not shown"),
        unneeded(
            "render-subchart-notes",
            "the notes of a chart are not shown",
        ),
        unneeded("debug", "debug logging is a switch of the run"),
        together(
            "dry-run",
            &["dry-run"],
            "by the API server, with a line for each field that would change",
        )
        .unless(&["false", "none"]),
    ],
    outputs: &[],
    environment: &[],
};
