//! A Redis for one test.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;

use crate::error::Result;
use crate::options::Durability;
use crate::server::resp::{RedisServer as Server, RunningServer, ServerOptions};
use crate::store::{Store, TemporaryStore};

/// A server of the Redis protocol in the process of the test, on a free port of the loopback interface. Dropped, it stops, and its
/// temporary store goes with it. Each is alone: tests that run side by side start one each.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
/// use asof::testing::RedisServer;
///
/// let redis = RedisServer::start()?;
/// // Any client of Redis does: redis::Client::open(redis.url()), for one.
/// let mut client = TcpStream::connect(redis.address())?;
/// client.write_all(b"SET greeting hello\r\nGET greeting\r\n")?;
/// let mut answers = [0; 16];
/// client.read_exact(&mut answers)?;
/// assert_eq!(&answers, b"+OK\r\n$5\r\nhello\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RedisServer {
    // Before the store: what serves it ends first.
    server: RunningServer,
    store: Held,
}

/// The store that is served.
enum Held {
    Temporary(TemporaryStore),
    Callers(Store),
}

impl RedisServer {
    /// A server over an empty store, which lives in a temporary folder and syncs nothing: a test has no power failures.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written to; the system has no ports, descriptors or threads left.
    pub fn start() -> Result<RedisServer> {
        let store = Store::builder().durability(Durability::Os).temporary()?;
        let server = serve(&store, true)?;
        Ok(RedisServer { server, store: Held::Temporary(store) })
    }

    /// A server over a store of the test's own: one that has a clock which the test sets, say, or views and rows. It stays open when
    /// the server stops.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    /// use asof::Store;
    /// use asof::testing::RedisServer;
    ///
    /// let store = Store::temporary()?;
    /// let redis = RedisServer::start_with((*store).clone())?;
    /// let mut client = TcpStream::connect(redis.address())?;
    /// client.write_all(b"SET greeting hello\r\n")?;
    /// client.read_exact(&mut [0; 5])?;
    ///
    /// // What a client writes, the store has at once.
    /// let keys = store.keyspace()?;
    /// assert!(keys.read().get((0, b"greeting"), keys.now().micros()).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `Refused`: the store was opened for reading, or another process holds it. As [`RedisServer::start`].
    pub fn start_with(store: Store) -> Result<RedisServer> {
        // It may sync: then one client's write is not to hold up the others.
        let server = serve(&store, false)?;
        Ok(RedisServer { server, store: Held::Callers(store) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The same as a URL that clients take: `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The store it serves, to apply definitions to, or to look into.
    pub fn store(&self) -> &Store {
        match &self.store {
            Held::Temporary(store) => store,
            Held::Callers(store) => store,
        }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Held::Temporary(_) => "a temporary store",
            Held::Callers(_) => "the caller's store",
        })
    }
}

fn serve(store: &Store, writes_on_event_loops: bool) -> Result<RunningServer> {
    let options = ServerOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        // A test has few clients, and there are many tests.
        event_loops: NonZero::new(1),
        writes_on_event_loops,
        ..ServerOptions::default()
    };
    Server::start(store.keyspace()?, options)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn ask(server: &RedisServer, request: &[u8], expected: &[u8]) {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.write_all(request).unwrap();
        let mut answer = vec![0; expected.len()];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn each_server_has_a_port_and_keys_of_its_own() {
        let (one, other) = (RedisServer::start().unwrap(), RedisServer::start().unwrap());
        assert!(one.address().ip().is_loopback());
        assert_ne!(one.address(), other.address());
        assert_eq!(one.url(), format!("redis://127.0.0.1:{}", one.address().port()));
        ask(&one, b"SET key 1\r\nINCR key\r\n", b"+OK\r\n:2\r\n");
        ask(&other, b"EXISTS key\r\n", b":0\r\n");
    }

    #[test]
    fn dropped_it_leaves_neither_a_listener_nor_a_folder() {
        let server = RedisServer::start().unwrap();
        let address = server.address();
        let Held::Temporary(store) = &server.store else { panic!("not a temporary store") };
        let path = store.path();
        assert!(path.exists());
        // A client that is still there does not keep it.
        let mut client = TcpStream::connect(address).unwrap();
        drop(server);
        assert!(TcpStream::connect(address).is_err());
        assert!(!path.exists());
        assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    }

    #[test]
    fn a_store_of_the_callers_own_outlives_its_server() {
        let store = Store::temporary().unwrap();
        let server = RedisServer::start_with((*store).clone()).unwrap();
        ask(&server, b"SET key value\r\n", b"+OK\r\n");
        drop(server);
        let again = RedisServer::start_with((*store).clone()).unwrap();
        ask(&again, b"GET key\r\n", b"$5\r\nvalue\r\n");
        assert!(again.store().keyspace().is_ok());
    }
}
