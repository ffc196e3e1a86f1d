//! The real registry (Debian's `docker-registry`), which takes the tokens that Azure's front signs.

use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "/usr/bin/docker-registry";

/// The program, while this is there.
pub(crate) struct DockerRegistry {
    program: Child,
    /// Its address, `http://…`.
    pub(crate) address: String,
}

impl DockerRegistry {
    /// Start it behind the front called `login_server`, whose tokens `token.crt` of `directory` verifies.
    pub(crate) fn start(directory: &Path, login_server: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\nauth:\n  token:\n    realm: https://{login_server}/oauth2/token\n    service: {login_server}\n    issuer: {login_server}\n    rootcertbundle: {}\n",
            directory.join("data").display(),
            directory.join("token.crt").display(),
        );
        let config = directory.join("config.yml");
        std::fs::write(&config, text).unwrap();
        let program = Command::new(PROGRAM)
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs the Debian package docker-registry");
        Self {
            program,
            address: format!("http://{address}"),
        }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
