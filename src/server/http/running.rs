//! A server that runs: its threads, its address and its end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::front::Front;
use super::options::HttpOptions;
use super::shared::Shared;
use super::{connections, spool};
use crate::error::{Error, ErrorKind, Result};
use crate::server::descriptors;
use crate::server::exposure::check_exposure;
use crate::store::Store;

/// So long work that was told to give up has for that.
const GIVING_UP: Duration = Duration::from_secs(2);

/// A server of the HTTP API.
#[derive(Debug)]
pub struct HttpServer;

impl HttpServer {
    /// Listens, and serves the store from threads of its own until what this gives is stopped or dropped.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    ///
    /// use asof::Store;
    /// use asof::server::http::{HttpOptions, HttpServer};
    ///
    /// let store = Store::temporary()?;
    /// let options = HttpOptions { address: ([127, 0, 0, 1], 0).into(), ..HttpOptions::default() };
    /// let server = HttpServer::start(store.clone(), options)?;
    /// let mut client = TcpStream::connect(server.address())?;
    /// client.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    /// let mut answer = String::new();
    /// client.read_to_string(&mut answer)?;
    /// assert!(answer.starts_with("HTTP/1.1 200"));
    /// server.stop();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The address is taken or not to be had, or the system has no descriptors or threads left. `Refused`: other machines could reach it,
    /// and it would ask nobody for a key and speak no TLS.
    pub fn start(store: Store, options: HttpOptions) -> Result<RunningHttp> {
        check_exposure(options.address, &options.authenticator, options.tls.is_some())?;
        let asked = options.address;
        Self::try_start(store, options).map_err(|error| {
            Error::new(ErrorKind::Io, format!("HTTP cannot be served: {error}"))
                .at(asked)
                .remedy("choose another address, or stop who listens there (ss -ltnp)")
        })
    }

    fn try_start(store: Store, mut options: HttpOptions) -> std::io::Result<RunningHttp> {
        let all = options.connections_max + options.connections_beside;
        options.connections_max = descriptors::provide("HTTP connections are", all).min(options.connections_max);
        spool::sweep(&options.spool_folder);
        let listener = TcpListener::bind(options.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread().enable_io().enable_time().thread_name("asof-http").build()?;
        let shared = Arc::new(Shared::new(store, options));
        let front = Arc::new(Front::new(Arc::clone(&shared)));
        let (stop, stopped) = watch::channel(false);
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let serving = runtime.spawn(connections::serve(listener, shared, front, stopped));
        Ok(RunningHttp { address, stop: Arc::new(stop), running: Some((runtime, serving)) })
    }
}

/// A server that runs. Dropped, it stops: requests that are under way end, and with them their connections.
#[derive(Debug)]
pub struct RunningHttp {
    address: SocketAddr,
    stop: Arc<watch::Sender<bool>>,
    running: Option<(Runtime, JoinHandle<()>)>,
}

impl RunningHttp {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it from another thread.
    pub fn stopper(&self) -> HttpStopper {
        HttpStopper(Arc::clone(&self.stop))
    }

    /// Waits until an [`HttpStopper`] stops it.
    pub fn wait(mut self) {
        self.join();
    }

    /// Stops it, and waits for requests that are under way.
    pub fn stop(self) {
        drop(self);
    }

    fn join(&mut self) {
        if let Some((runtime, serving)) = self.running.take() {
            // A task that panicked said so where it did.
            let _ = runtime.block_on(serving);
            // What goes on yet was given its time, and gives up.
            runtime.shutdown_timeout(GIVING_UP);
        }
    }
}

impl Drop for RunningHttp {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.join();
    }
}

/// Stops a server, whoever waits for it.
#[derive(Clone, Debug)]
pub struct HttpStopper(Arc<watch::Sender<bool>>);

impl HttpStopper {
    /// As [`RunningHttp::stop`], without waiting.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
