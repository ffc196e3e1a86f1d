//! A network namespace with nothing in it but what a test serves, and a record of everything that is contacted there.
//!
//! A test calls [`Namespace::enter`], which runs it again by `unshare`, as root. In the namespace every IPv4 and IPv6
//! address is this machine: nothing leaves, and a connection to any address is seen by the kernel's packet filter, also
//! one that is refused, and of every process. Names are resolved by a server that records them. Neither depends on what the program
//! under test does, so that it cannot pass unseen; `enter` itself checks that, with a name and an address that no test declares.

mod dns;
mod filter;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::endpoints::Endpoint;
use crate::pki::{CertificateAuthority, Leaf};
use crate::server::tls_config;
use dns::Dns;

/// Set in the namespace.
const INSIDE: &str = "SEAWORTHY_NAMESPACE";
/// A name and an address that nothing declares (RFC 2606, RFC 5737).
const UNDECLARED: (&str, &str) = ("undeclared.example", "192.0.2.1:443");

/// The namespace that the test runs in.
pub struct Namespace {
    directory: tempfile::TempDir,
    ca: CertificateAuthority,
    dns: Dns,
}

/// What was contacted in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contacted {
    /// The names.
    pub names: BTreeSet<String>,
    /// The connections, also those that were refused, by name where the address is one of a name.
    pub connections: BTreeSet<Endpoint>,
}

impl Contacted {
    /// Host and port of every connection.
    pub fn hosts(&self) -> Vec<String> {
        self.connections.iter().map(ToString::to_string).collect()
    }

    /// What is not in `declared`.
    pub fn undeclared(&self, declared: &[Endpoint]) -> Vec<String> {
        let is_declared = |host: &str, port: Option<u16>| {
            declared
                .iter()
                .any(|one| one.is_named(host) && port.is_none_or(|port| one.port == port))
        };
        let names = self.names.iter().filter(|name| !is_declared(name, None));
        let connections = self.connections.iter();
        let connections = connections.filter(|one| !is_declared(&one.host, Some(one.port)));
        names
            .map(|name| format!("name {name}"))
            .chain(connections.map(|one| format!("connection to {one}")))
            .collect()
    }
}

impl Namespace {
    /// `None` after the test `name` (with its module, as the list of tests has it) passed in a namespace: the caller then
    /// returns. `declared` are the hosts that have an address there.
    ///
    /// # Panics
    /// When the test failed there, did not run, or the namespace is not what is described above.
    pub fn enter(name: &str, declared: &[Endpoint]) -> Option<Self> {
        if std::env::var_os(INSIDE).is_none() {
            run_inside(name);
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        isolate(directory.path());
        filter::install();
        let dns = Dns::start(declared);
        let ca = CertificateAuthority::new("namespace").expect("a certificate authority");
        std::fs::write(directory.path().join("ca.crt"), ca.certificate()).expect("a file");
        let namespace = Self { directory, ca, dns };
        namespace.check();
        Some(namespace)
    }

    // What nothing declares is recorded: without that, a test would pass falsely.
    fn check(&self) {
        let (name, address) = UNDECLARED;
        assert!((name, 443).to_socket_addrs().is_err(), "{name} resolves");
        assert!(TcpStream::connect(address).is_err(), "{address} responds");
        let undeclared = self.contacted().undeclared(&[]);
        let expected = [format!("name {name}"), format!("connection to {address}")];
        assert_eq!(undeclared, expected, "the namespace does not record this");
        self.dns.forget();
        filter::forget();
    }

    /// Serve port 443 of `host` with TLS, and pass what comes to `port` on the loopback interface.
    ///
    /// # Panics
    /// When the host is not among the declared ones.
    pub async fn serve(&self, host: &str, port: u16) {
        let address = self.dns.address(host);
        let leaf = Leaf::server(host, &[host]);
        let issued = self.ca.issue(&leaf).expect("a certificate");
        issued.write(self.directory.path(), host).expect("a file");
        let config = tls_config(self.directory.path(), host).expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(SocketAddr::from((address, 443)));
        let listener = listener.await.expect("every address is this machine");
        // It ends with the test.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut outer = acceptor.accept(stream).await?;
                    let address = (Ipv4Addr::LOCALHOST, port);
                    let mut inner = tokio::net::TcpStream::connect(address).await?;
                    tokio::io::copy_bidirectional(&mut outer, &mut inner).await
                });
            }
        });
    }

    /// The CA certificate of all that is served: the value of `SSL_CERT_FILE`.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// What was contacted so far, without connections to the loopback interface.
    pub fn contacted(&self) -> Contacted {
        let connections = filter::seen().into_iter();
        let connections = connections.map(|(address, port)| Endpoint {
            host: self.dns.name(&address).unwrap_or(address),
            port,
        });
        Contacted {
            names: self.dns.asked(),
            connections: connections.collect(),
        }
    }
}

fn run_inside(name: &str) {
    let program = std::env::current_exe().expect("the path of this program");
    let done = Command::new("unshare")
        .args(["--net", "--mount", "--propagation=private", "--"])
        .arg(program)
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare starts");
    let output = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    // A name that is not the test's would run none.
    assert!(
        done.status.success() && output.contains("test result: ok. 1 passed"),
        "in the namespace: {}\n{output}\n{errors}",
        done.status
    );
}

// Everything is this machine, and names come from `Dns` alone: not from a service of the machine, through a socket.
fn isolate(directory: &std::path::Path) {
    let interfaces = std::fs::read_to_string("/proc/net/dev").expect("the list of interfaces");
    let others: Vec<_> = interfaces
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next())
        .map(str::trim)
        .filter(|name| *name != "lo")
        .collect();
    assert!(others.is_empty(), "the namespace has {others:?}");
    run("ip", &["link", "set", "lo", "up"]);
    run("ip", &["route", "add", "local", "0.0.0.0/0", "dev", "lo"]);
    run("ip", &["-6", "route", "add", "local", "::/0", "dev", "lo"]);
    let files = [
        ("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch .\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/etc/nsswitch.conf", "hosts: files dns\n"),
    ];
    for (path, text) in files {
        let own = directory.join(path.rsplit('/').next().unwrap_or_default());
        std::fs::write(&own, text).expect("a file");
        run("mount", &["--bind", &own.to_string_lossy(), path]);
    }
}

fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(args).output();
    let done = done.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        done.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}
