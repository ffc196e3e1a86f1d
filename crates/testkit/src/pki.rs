//! Certificates for one stack; they are deleted with it.

use std::path::Path;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate to be issued.
#[derive(Debug, Clone)]
pub struct Leaf {
    name: String,
    organization: Option<String>,
    names: Vec<String>,
    purposes: Vec<ExtendedKeyUsagePurpose>,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    certificate: String,
    key: String,
}

impl Leaf {
    /// A server's certificate for `names` (DNS names and addresses).
    pub fn server(name: &str, names: &[&str]) -> Self {
        let leaf = Self {
            name: name.into(),
            organization: None,
            names: Vec::new(),
            purposes: vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        leaf.names(names)
    }

    /// A client's certificate; Kubernetes reads the user from `name` and the group from `organization`.
    pub fn client(name: &str, organization: &str) -> Self {
        Self {
            name: name.into(),
            organization: Some(organization.into()),
            names: Vec::new(),
            purposes: vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
    }

    /// A server's certificate for `names` as well.
    #[must_use]
    pub fn names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(ToString::to_string).collect();
        if !names.is_empty() && !self.purposes.contains(&ExtendedKeyUsagePurpose::ServerAuth) {
            self.purposes.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        self
    }
}

impl CertificateAuthority {
    /// A new certificate authority called `name`.
    ///
    /// # Errors
    /// When there is no random source.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("failed to generate a key")?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// The CA certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// Issue a certificate.
    ///
    /// # Errors
    /// When a name is malformed.
    pub fn issue(&self, leaf: &Leaf) -> anyhow::Result<Issued> {
        let key = KeyPair::generate().context("failed to generate a key")?;
        let mut params = CertificateParams::new(leaf.names.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, leaf.name.as_str());
        if let Some(organization) = &leaf.organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization.as_str());
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages.clone_from(&leaf.purposes);
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

impl Issued {
    /// Write `<name>.crt` and `<name>.key` into `directory`.
    ///
    /// # Errors
    /// When that can't be done.
    pub fn write(&self, directory: &Path, name: &str) -> anyhow::Result<()> {
        std::fs::write(directory.join(format!("{name}.crt")), &self.certificate)?;
        private(&directory.join(format!("{name}.key")), &self.key)
    }
}

/// Write a key pair as `<name>.key` and `<name>.pub` into `directory`.
///
/// # Errors
/// When that can't be done.
pub fn signing_key(directory: &Path, name: &str) -> anyhow::Result<()> {
    let key = KeyPair::generate().context("failed to generate a key")?;
    std::fs::write(directory.join(format!("{name}.pub")), key.public_key_pem())?;
    private(&directory.join(format!("{name}.key")), &key.serialize_pem())
}

fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
