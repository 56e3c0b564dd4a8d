//! TLS for servers: a certificate and its key out of PEM files, which can be read again while connections go on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::error::{Error, ErrorKind, Result};

/// What to do about files that are no pair of a certificate and its key.
const WAY_OUT: &str =
    "give the certificate, with those between it and its root behind it, and its private key, both as PEM";

/// A certificate and its key, as of when they were read last.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads a certificate chain and its private key.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it is to be; the key is not the certificate's.
    pub fn load(certificate: &Path, key: &Path) -> Result<Tls> {
        let config = RwLock::new(read(certificate, key)?);
        Ok(Tls { certificate: certificate.to_path_buf(), key: key.to_path_buf(), config })
    }

    /// Reads both files again, for connections that come from now on.
    ///
    /// # Errors
    /// As [`Tls::load`]; what was read before stays.
    pub fn reload(&self) -> Result<()> {
        let config = read(&self.certificate, &self.key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// From now on the library refuses each connection, for what is asked of it.
    #[cfg(test)]
    pub fn spoil(&self) {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut *config).max_fragment_size = Some(1);
    }

    /// What connections are greeted with that begin now.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The server's side of a connection that begins.
    ///
    /// # Errors
    /// The library refuses; it says why.
    pub fn accept(&self) -> Result<ServerConnection> {
        ServerConnection::new(self.config()).map_err(|source| {
            Error::new(ErrorKind::Io, format!("TLS cannot be spoken: {source}")).at(self.certificate.display())
        })
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = text(certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|source| no_pem("certificate", certificate, &source))?;
    if chain.is_empty() {
        return Err(Error::invalid("there is no certificate in the file").at(certificate.display()).remedy(WAY_OUT));
    }
    let private = PrivateKeyDer::from_pem_slice(&text(key)?).map_err(|source| no_pem("private key", key, &source))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|source| {
            Error::invalid(format!("the certificate and the key in {} cannot be used: {source}", key.display()))
                .at(certificate.display())
                .remedy(WAY_OUT)
        })?;
    Ok(Arc::new(config))
}

fn text(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::io("read", path, source))
}

fn no_pem(what: &str, path: &Path, source: &rustls::pki_types::pem::Error) -> Error {
    Error::invalid(format!("the file is no {what}: {source}")).at(path.display()).remedy(WAY_OUT)
}
