//! A server, started and stopped.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::event_loop::EventLoop;
use super::executor;
use super::mailbox::Mailbox;
use super::options::ServerOptions;
use super::shared::Shared;
use crate::error::{Error, ErrorKind, Result};
use crate::server::descriptors;
use crate::store::KeyspaceHandle;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// A server of the Redis protocol.
#[derive(Debug)]
pub struct RedisServer;

impl RedisServer {
    /// Listens, and serves the keys from threads of its own until what this gives is stopped or dropped.
    ///
    /// # Errors
    /// The address is taken or not to be had, or the system has no descriptors or threads left. `Refused`: other machines could reach it,
    /// and it would ask nobody for a key and speak no TLS.
    pub fn start(keyspace: KeyspaceHandle, options: ServerOptions) -> Result<RunningServer> {
        options.check_exposure()?;
        let asked = options.address;
        Self::try_start(keyspace, options).map_err(|error| {
            Error::new(ErrorKind::Io, format!("the Redis protocol cannot be served: {error}"))
                .at(asked)
                .remedy("choose another address, or stop who listens there (ss -ltnp)")
        })
    }

    fn try_start(keyspace: KeyspaceHandle, options: ServerOptions) -> io::Result<RunningServer> {
        let options =
            ServerOptions { clients_max: descriptors::provide("maxclients is", options.clients_max), ..options };
        let event_loops = options.event_loops.unwrap_or_else(event_loops).get();
        let listener = TcpListener::bind(options.address)?;
        listener.set_nonblocking(true)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let mail_bytes = Arc::default();
        let mailboxes = (0..event_loops).map(|_| Mailbox::new(&mail_bytes)).collect::<io::Result<Vec<Mailbox>>>()?;
        let shared = Arc::new(Shared::new(keyspace, options, address, mailboxes, mail_bytes));
        // Dropped on the way out, it stops what was started.
        let mut running = RunningServer { shared: Arc::clone(&shared), threads: Vec::new() };
        let mut listener = Some(listener);
        for index in 0..event_loops {
            let event_loop = EventLoop::new(Arc::clone(&shared), index, listener.take())?;
            running.spawn(format!("asof-redis-{index}"), |_| event_loop.run())?;
        }
        running.spawn("asof-redis-write".to_owned(), executor::run)?;
        Ok(running)
    }
}

/// One for two cores. What an event loop waits for is the other side: the kernel's work for its sockets, programs on the same machine,
/// and the threads that write, sync and seal. A loop on each core took those their cores, and more time itself (DESIGN.md).
fn event_loops() -> NonZero<usize> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    NonZero::new(cores.div_ceil(2)).unwrap_or(NonZero::<usize>::MIN)
}

/// A server that runs. Dropped, it stops.
#[derive(Debug)]
pub struct RunningServer {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl RunningServer {
    fn spawn(&mut self, name: String, run: impl FnOnce(&Shared) + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name(name).spawn(move || {
            let _guard = StopAfterPanic(&shared);
            run(&shared);
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// What stops it from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// Waits until a client stops it with `SHUTDOWN`, or a [`Stopper`].
    pub fn wait(mut self) {
        self.join();
    }

    /// Stops it: connections end, and all threads. What was answered stays durable; what waits to be written is not answered.
    pub fn stop(self) {
        drop(self);
    }

    /// What its threads have in common, for tests that look for leftovers.
    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A thread that panicked said so where it did.
            let _ = thread.join();
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.shared.stop();
        self.join();
    }
}

/// Stops a server, whoever waits for it.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// As [`RunningServer::stop`], without waiting.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// A thread that panics takes the server with it: one that goes on without would leave its clients waiting.
struct StopAfterPanic<'a>(&'a Shared);

impl Drop for StopAfterPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
