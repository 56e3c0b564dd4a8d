//! Where a Redis is.

use std::fmt;
use std::str::FromStr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

use crate::error::{Error, Result};

/// Where a Redis is, and how one is let in. Printed, it holds neither user nor password.
///
/// ```
/// use asof::RedisUrl;
///
/// let url: RedisUrl = "redis://app:secret@localhost:6380/2".parse()?;
/// assert_eq!(url.to_string(), "redis://localhost:6380/2");
/// assert!(!format!("{url:?}").contains("secret"));
/// # Ok::<(), asof::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl RedisUrl {
    pub(super) fn info(&self) -> &ConnectionInfo {
        &self.0
    }

    /// The same way in, at another node of its cluster.
    pub(super) fn of_node(&self, host: &str, port: u16) -> RedisUrl {
        let addr = match self.0.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        RedisUrl(self.0.clone().set_addr(addr))
    }

    /// Its host, where it has one.
    pub(super) fn host(&self) -> Option<&str> {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }
}

impl FromStr for RedisUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<RedisUrl> {
        // What is wrong is not shown: there may be a password in it.
        let wrong = || {
            Error::invalid("this is no address of a Redis")
                .remedy("write redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS")
        };
        if !["redis://", "rediss://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(wrong());
        }
        text.into_connection_info().map(RedisUrl).map_err(|_| wrong())
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if matches!(self.0.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}/{}", self.0.addr(), self.0.redis_settings().db())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}
