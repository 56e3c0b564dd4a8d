//! How a server is started.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::server::auth::Authenticator;
use crate::server::exposure::check_exposure;
use crate::server::tls::Tls;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// How many event loops there are; without a word, one for two cores.
    pub event_loops: Option<NonZero<usize>>,
    /// So many connections are all served by the first event loop; only where there are more, others take part.
    pub connections_together: usize,
    /// Event loops write themselves, without the executor. That is for stores that sync nothing before they answer: where a write
    /// waits for the disk, everybody on its loop would wait with it.
    pub writes_on_event_loops: bool,
    /// Who may connect.
    pub authenticator: Authenticator,
    /// The certificate of a server that speaks TLS, and nothing else.
    pub tls: Option<Arc<Tls>>,
    /// Most connections at a time, until `CONFIG SET maxclients` says another number; fewer where the system has no descriptors for
    /// so many.
    pub clients_max: usize,
    /// A connection that has to authenticate, or to greet where TLS is spoken, and did not is closed after that.
    pub authentication_time: Duration,
    /// A connection that takes nothing of what it was answered is closed after that.
    pub stall_time: Duration,
    /// Most bytes that one connection leaves lying, in messages it subscribed to or one answer; beyond, it is closed.
    pub output_bytes_max: usize,
    /// Most bytes that all connections together leave lying; the one that goes beyond is closed.
    pub output_bytes_max_in_all: usize,
    /// Most bytes that commands take in all which are not whole yet or wait for `EXEC`; the connection that goes beyond is closed.
    pub input_bytes_max_in_all: usize,
}

impl ServerOptions {
    /// Refuses to be there for other machines with neither a key that is asked for nor TLS.
    ///
    /// # Errors
    /// `Refused`: so it is.
    pub fn check_exposure(&self) -> Result<()> {
        check_exposure(self.address, &self.authenticator, self.tls.is_some())
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6379)),
            event_loops: None,
            connections_together: 16,
            writes_on_event_loops: false,
            authenticator: Authenticator::None,
            tls: None,
            clients_max: 10_000,
            authentication_time: Duration::from_secs(5),
            stall_time: Duration::from_secs(60),
            output_bytes_max: 1 << 30,
            output_bytes_max_in_all: 2 << 30,
            input_bytes_max_in_all: 2 << 30,
        }
    }
}
