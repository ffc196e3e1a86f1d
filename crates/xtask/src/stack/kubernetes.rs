//! One real Kubernetes node in its own network namespace.

pub(super) mod cgroups;
mod files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::{NODE, NODE_ADDRESS, host, process};
use crate::setup::base_images;
use crate::setup::command::{command, output, run, succeeds};
use crate::{paths, progress};

/// The processes of the node, in the order in which they are stopped.
const PARTS: &[&str] = &[
    "kubelet",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "containerd",
    "kube-apiserver",
    "etcd",
];

/// Where the logs of the pods are, in the directory of the node.
const POD_LOGS: &str = "pod-logs";
/// Where the kubelet makes a link for each of them, wherever they are (pkg/kubelet/kuberuntime/legacy.go).
const LOG_LINKS: &str = "/var/log/containers";

const READY_TIMEOUT: Duration = Duration::from_secs(90);

fn directory() -> PathBuf {
    paths::state().join("kubernetes")
}

/// The cluster's certificates.
pub fn pki() -> PathBuf {
    directory().join("pki")
}

/// The administrator's kubeconfig.
pub fn kubeconfig() -> PathBuf {
    directory().join("admin.kubeconfig")
}

fn kubectl(binaries: &Path, args: &[&str]) -> std::process::Command {
    let mut kubectl = command(
        &binaries.join("kubectl").to_string_lossy(),
        ["--kubeconfig"],
    );
    kubectl.arg(kubeconfig()).args(args);
    kubectl
}

/// Start the node and wait until it is Ready.
///
/// # Errors
/// With the part that failed and the end of its log.
pub(super) fn start(binaries: &Path, plugins: &Path) -> anyhow::Result<()> {
    let what = if PARTS.iter().all(|part| process::is_alive(part)) {
        "checking the Kubernetes node"
    } else {
        "starting the Kubernetes node"
    };
    progress::step(what, || {
        let directory = directory();
        files::write(&directory, &pki(), plugins).context("failed to write the cluster's files")?;
        control_plane(binaries, &directory)?;
        node(binaries, &directory)?;
        let ready = || {
            let mut get = kubectl(
                binaries,
                &[
                    "get",
                    "node",
                    NODE,
                    "--output=jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
                ],
            );
            output(&mut get).is_ok_and(|status| status == "True")
        };
        process::wait("kubelet", READY_TIMEOUT, ready)?;
        let rights = paths::root().join("tools/kubernetes/deployer.yaml");
        run(kubectl(binaries, &["apply", "--server-side", "--filename"]).arg(rights))
    })
}

fn control_plane(binaries: &Path, directory: &Path) -> anyhow::Result<()> {
    let pki = pki();
    let file = |name: &str| pki.join(name).to_string_lossy().into_owned();
    let binary = |name: &str| binaries.join(name).to_string_lossy().into_owned();
    let data = directory.join("etcd").to_string_lossy().into_owned();
    // The store is removed with the node: it need not survive a power loss.
    process::start(
        "etcd",
        &host::inside(
            "etcd",
            &[
                "--data-dir",
                &data,
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--unsafe-no-fsync",
            ],
        ),
    )?;
    process::start(
        "kube-apiserver",
        &host::inside(
            &binary("kube-apiserver"),
            &[
                "--etcd-servers=http://127.0.0.1:2379",
                "--secure-port=6443",
                &format!("--advertise-address={NODE_ADDRESS}"),
                "--service-cluster-ip-range=10.96.0.0/16",
                &format!("--tls-cert-file={}", file("apiserver.crt")),
                &format!("--tls-private-key-file={}", file("apiserver.key")),
                &format!("--client-ca-file={}", file("ca.crt")),
                "--service-account-issuer=https://kubernetes.default.svc",
                &format!("--service-account-key-file={}", file("accounts.pub")),
                &format!(
                    "--service-account-signing-key-file={}",
                    file("accounts.key")
                ),
                &format!(
                    "--kubelet-client-certificate={}",
                    file("kubelet-client.crt")
                ),
                &format!("--kubelet-client-key={}", file("kubelet-client.key")),
                "--kubelet-preferred-address-types=InternalIP",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                &format!("--token-auth-file={}", file("tokens.csv")),
            ],
        ),
    )?;
    let up = || succeeds(&mut kubectl(binaries, &["get", "--raw", "/readyz"]));
    process::wait("kube-apiserver", READY_TIMEOUT, up)?;
    let kubeconfig = kubeconfig();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    process::start(
        "kube-controller-manager",
        &host::inside(
            &binary("kube-controller-manager"),
            &[
                &kubeconfig,
                &format!(
                    "--service-account-private-key-file={}",
                    file("accounts.key")
                ),
                &format!("--root-ca-file={}", file("ca.crt")),
                "--use-service-account-credentials",
                "--allocate-node-cidrs=true",
                "--cluster-cidr=10.244.0.0/16",
                "--node-cidr-mask-size=24",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ],
        ),
    )?;
    process::start(
        "kube-scheduler",
        &host::inside(
            &binary("kube-scheduler"),
            &[
                &kubeconfig,
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
            ],
        ),
    )
}

fn socket(directory: &Path) -> String {
    directory
        .join("containerd.sock")
        .to_string_lossy()
        .into_owned()
}

fn ctr(socket: &str, args: &[&str]) -> std::process::Command {
    let mut ctr = command("ctr", ["--address", socket, "--namespace", "k8s.io"]);
    ctr.args(args);
    ctr
}

fn node(binaries: &Path, directory: &Path) -> anyhow::Result<()> {
    let config = directory
        .join("containerd.toml")
        .to_string_lossy()
        .into_owned();
    process::start(
        "containerd",
        &host::inside("containerd", &["--config", &config]),
    )?;
    let socket = socket(directory);
    process::wait("containerd", READY_TIMEOUT, || {
        succeeds(&mut ctr(&socket, &["version"]))
    })?;
    let known = output(&mut ctr(&socket, &["images", "list", "--quiet"]))?;
    if !known.contains(base_images::PAUSE) {
        let archive = directory.join("pause.tar").to_string_lossy().into_owned();
        let save = ["save", "--output", &archive, base_images::PAUSE];
        run(&mut command("docker", save))?;
        run(&mut ctr(&socket, &["images", "import", &archive]))?;
    }
    cgroups::prepare()?;
    let binary = |name: &str| binaries.join(name).to_string_lossy().into_owned();
    process::start(
        "kubelet",
        &host::inside(
            &binary("kubelet"),
            &[
                &format!(
                    "--kubeconfig={}",
                    directory.join("node.kubeconfig").display()
                ),
                &format!("--config={}", directory.join("kubelet.yaml").display()),
                &format!("--root-dir={}", directory.join("kubelet").display()),
                &format!("--hostname-override={NODE}"),
                &format!("--node-ip={NODE_ADDRESS}"),
            ],
        ),
    )?;
    // The settings of the connection tracker are the whole machine's: they are left as they are.
    process::start(
        "kube-proxy",
        &host::inside(
            &binary("kube-proxy"),
            &[
                &format!("--kubeconfig={}", kubeconfig().display()),
                "--proxy-mode=nftables",
                "--cluster-cidr=10.244.0.0/16",
                &format!("--hostname-override={NODE}"),
                "--oom-score-adj=0",
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0",
                "--conntrack-tcp-timeout-close-wait=0",
            ],
        ),
    )
}

/// Stop the node and everything that ran on it.
pub(super) fn stop() {
    let directory = directory();
    let socket = socket(&directory);
    for part in PARTS {
        if *part == "containerd" && process::is_alive(part) {
            remove_pods(&socket);
        }
        process::stop(part);
    }
    cgroups::kill(&socket);
    unmount();
    cgroups::remove();
    remove_log_links(&directory.join(POD_LOGS));
}

// The kubelet removes the link of a pod that it removes. Only an empty directory can be removed.
fn remove_log_links(logs: &Path) {
    let links = std::fs::read_dir(LOG_LINKS).into_iter().flatten().flatten();
    for link in links {
        if std::fs::read_link(link.path()).is_ok_and(|target| target.starts_with(logs)) {
            let _ = std::fs::remove_file(link.path());
        }
    }
    let _ = std::fs::remove_dir(LOG_LINKS);
}

fn remove_pods(socket: &str) {
    let list =
        |what: &str| output(&mut ctr(socket, &[what, "list", "--quiet"])).unwrap_or_default();
    // A pod that has exited is gone.
    for task in list("tasks").split_whitespace() {
        let _ = run(&mut ctr(socket, &["tasks", "delete", "--force", task]));
    }
    for container in list("containers").split_whitespace() {
        let _ = run(&mut ctr(socket, &["containers", "delete", container]));
    }
}

/// What is still mounted in the node's directory.
pub(super) fn mounts() -> Vec<PathBuf> {
    let directory = directory();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut targets: Vec<_> = targets
        .map(PathBuf::from)
        .filter(|path| path.starts_with(&directory))
        .collect();
    // What is mounted on top of another comes first.
    targets.sort_unstable_by(|a, b| b.cmp(a));
    targets
}

fn unmount() {
    for target in mounts() {
        // `down` reports one that stays.
        let _ = run(command("umount", ["--lazy"]).arg(target));
    }
}
