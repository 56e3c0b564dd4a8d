//! What all threads of a server have in common.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::clients::Clients;
use super::config::Config;
use super::executor::Queue;
use super::mailbox::{Mailbox, Message};
use super::memory::Memory;
use super::options::ServerOptions;
use super::pubsub::PubSub;
use super::session::REPLIES_PAUSE_BYTES;
use super::statistics::Statistics;
use super::sync::lock;
use super::tracking::{Invalidated, Tracking};
use super::watch::WatchRegistry;
use crate::store::KeyspaceHandle;

/// Beyond so many bytes of messages that event loops did not hand out, who makes more of them waits.
const MAIL_BYTES_MAX: usize = 64 << 20;

/// A server, as its threads see it.
#[derive(Debug)]
pub struct Shared {
    /// The keys.
    pub keyspace: KeyspaceHandle,
    /// What it was started with.
    pub options: ServerOptions,
    /// Where it listens.
    pub address: SocketAddr,
    /// Parameters.
    pub config: Config,
    /// Who is connected.
    pub clients: Clients,
    /// Channels.
    pub pubsub: Arc<PubSub>,
    /// Watched keys.
    pub watches: Arc<WatchRegistry>,
    /// Who is told of keys that change.
    pub tracking: Arc<Tracking>,
    /// Counters.
    pub statistics: Statistics,
    /// What the executor has to do.
    pub queue: Queue,
    /// A mailbox for each event loop.
    pub mailboxes: Vec<Mailbox>,
    /// Forty hexadecimal digits that name this run.
    pub run_id: String,
    /// Since when it runs.
    pub since: Instant,
    /// When it was started, microseconds since 1970.
    pub started_at: i64,
    /// Bytes that connections did not take yet, in all.
    pub output_bytes: Arc<AtomicUsize>,
    /// Bytes of memory that commands take, in all, which are not whole yet or wait for `EXEC`.
    pub input_bytes: Arc<AtomicUsize>,
    /// Bytes of messages that event loops did not hand out yet, in all.
    pub mail_bytes: Arc<AtomicUsize>,
    /// What the process takes.
    pub memory: Memory,
    /// How many connections there are, those included that are about to be.
    pub connections: AtomicUsize,
    last_client: AtomicU64,
    is_stopping: AtomicBool,
    is_paused: AtomicBool,
    cannot_evict: AtomicBool,
    pause: Mutex<Option<Pause>>,
}

/// Commands wait.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// Until then.
    pub until: Instant,
    /// Not all of them: those that write.
    pub only_writes: bool,
}

impl Shared {
    /// A server that listens at `address` and runs no thread yet.
    pub fn new(
        keyspace: KeyspaceHandle,
        options: ServerOptions,
        address: SocketAddr,
        mailboxes: Vec<Mailbox>,
        mail_bytes: Arc<AtomicUsize>,
    ) -> Shared {
        let started_at = keyspace.now().micros();
        Shared {
            config: Config::new(address, options.clients_max),
            run_id: run_id(started_at, address),
            keyspace,
            options,
            address,
            clients: Clients::default(),
            pubsub: Arc::default(),
            watches: Arc::default(),
            tracking: Arc::default(),
            statistics: Statistics::default(),
            queue: Queue::default(),
            mailboxes,
            since: Instant::now(),
            started_at,
            output_bytes: Arc::default(),
            input_bytes: Arc::default(),
            mail_bytes,
            memory: Memory::default(),
            connections: AtomicUsize::new(0),
            last_client: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
            cannot_evict: AtomicBool::new(false),
            pause: Mutex::new(None),
        }
    }

    /// A number for a new client.
    pub fn next_client(&self) -> u64 {
        self.last_client.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether all threads are to end.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// Has all threads end.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.mailboxes.iter().for_each(Mailbox::wake);
        self.queue.wake();
    }

    /// How long answers of a connection may become before they are sent: what one may leave lying, and no more than what all of them
    /// have left; always enough for a batch of short ones.
    pub fn reply_bytes_max(&self) -> usize {
        let lying = self.output_bytes.load(Ordering::Relaxed);
        let left = self.options.output_bytes_max_in_all.saturating_sub(lying);
        self.options.output_bytes_max.min(left).max(2 * REPLIES_PAUSE_BYTES)
    }

    /// Whether event loops have so many messages to hand out that no more are to be made for now.
    pub fn has_much_mail(&self) -> bool {
        let bytes = self.mail_bytes.load(Ordering::Relaxed);
        bytes > MAIL_BYTES_MAX.min(self.options.output_bytes_max_in_all)
    }

    /// Whether the process, or all keys where some of them may go, take more memory than `maxmemory` says.
    pub fn is_out_of_memory(&self) -> bool {
        let Some(most) = self.config.memory_bytes_max() else { return false };
        match self.config.evicted() {
            // Keys make room for others.
            Some(_) => self.cannot_evict.load(Ordering::Relaxed),
            None => self.memory.resident_bytes() > most,
        }
    }

    /// Says whether keys take more than they may and none of them may go.
    pub fn set_cannot_evict(&self, cannot: bool) {
        self.cannot_evict.store(cannot, Ordering::Relaxed);
    }

    /// Tells who tracks of keys that a client changed, or nobody did.
    pub fn tell_changed(&self, keys: &Invalidated, by: Option<u64>) {
        for (event_loop, client, keys) in self.tracking.told(keys, by) {
            self.mailboxes[event_loop].send([Message::Invalidated(keys, client)]);
        }
    }

    /// Has commands wait, or no more.
    pub fn set_pause(&self, pause: Option<Pause>) {
        let mut current = lock(&self.pause);
        // A later end of the pause stays, and the stricter of both kinds.
        *current = match (pause, *current) {
            (Some(new), Some(old)) if old.until > Instant::now() => {
                Some(Pause { until: new.until.max(old.until), only_writes: new.only_writes && old.only_writes })
            }
            (new, _) => new,
        };
        self.is_paused.store(current.is_some(), Ordering::Release);
    }

    /// How much longer a command waits, if it does.
    pub fn pause(&self, is_write: bool) -> Option<Duration> {
        if !self.is_paused.load(Ordering::Acquire) {
            return None;
        }
        let pause = (*lock(&self.pause))?;
        let left = pause.until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        if left.is_none() {
            self.set_pause(None);
        }
        left.filter(|_| is_write || !pause.only_writes)
    }
}

fn run_id(started_at: i64, address: SocketAddr) -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let mut digits = String::new();
    while digits.len() < 40 {
        digits.push_str(&format!("{:016x}", RandomState::new().hash_one((started_at, address, digits.len()))));
    }
    digits.truncate(40);
    digits
}
