//! Who may reach a server.

use std::net::SocketAddr;

use super::auth::Authenticator;
use crate::error::{Error, Result};

/// Refuses an address for other machines with neither a key that is asked for nor TLS.
///
/// # Errors
/// `Refused`: so it is.
pub(super) fn check_exposure(address: SocketAddr, authenticator: &Authenticator, has_tls: bool) -> Result<()> {
    let ip = address.ip();
    if ip.is_loopback() || authenticator.is_required() || has_tls {
        return Ok(());
    }
    Err(Error::refused(format!("{ip} can be reached from other machines, and nobody would be asked for a key"))
        .remedy("make a key (asof key create NAME), or speak TLS (--tls-cert, --tls-key), or listen on 127.0.0.1"))
}
