//! Who is connected, as `CLIENT LIST` shows it to others.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::protocol::Version;
use super::sync::lock;

/// A connection.
#[derive(Debug)]
pub struct Client {
    /// Its number: no other connection of this server has it, or had it.
    pub id: u64,
    /// Where it comes from.
    pub address: SocketAddr,
    /// Where it came to.
    pub local: SocketAddr,
    /// The event loop that serves it.
    pub event_loop: usize,
    /// Its descriptor.
    pub fd: i32,
    /// Since when it is there.
    pub since: Instant,
    /// What it is about, as of its last batch; who it is, as of the last command that said so.
    pub details: Mutex<Details>,
}

/// What changes about a connection.
#[derive(Clone, Debug)]
pub struct Details {
    /// What `CLIENT SETNAME` called it.
    pub name: Box<[u8]>,
    /// As whom it is served.
    pub user: Arc<str>,
    /// What `CLIENT SETINFO` said of the library that it uses.
    pub library: [Box<[u8]>; 2],
    /// When it sent a command last.
    pub active: Instant,
    /// The database that it selected.
    pub database: u8,
    /// How many channels and patterns it subscribed to.
    pub subscriptions: (usize, usize),
    /// How many commands its transaction has, and bytes, while it has one.
    pub transaction: Option<(usize, usize)>,
    /// Whether it monitors.
    pub is_monitor: bool,
    /// The version of the protocol.
    pub version: Version,
    /// Its last command.
    pub command: &'static str,
    /// The subcommand of that.
    pub subcommand: Option<&'static str>,
    /// Bytes that it sent and that were not looked at, and that could come without more memory.
    pub input_bytes: (usize, usize),
    /// Whether it asked not to be evicted.
    pub is_kept: bool,
    /// Whether it asked that what it does counts as no use of keys.
    pub is_untouching: bool,
    /// Whether it tracks keys, and all of them.
    pub tracks: (bool, bool),
    /// Who is told of those: 0 for itself, -1 for nobody.
    pub redirect: i64,
}

impl Client {
    /// Whether it subscribed to anything.
    pub fn is_subscriber(&self) -> bool {
        lock(&self.details).subscriptions != (0, 0)
    }

    /// How long ago it sent a command last.
    pub fn idle_time(&self) -> Duration {
        lock(&self.details).active.elapsed()
    }

    /// The line of `CLIENT LIST`, without its end.
    pub fn line(&self) -> String {
        let details = lock(&self.details).clone();
        let mut flags = String::new();
        for (is_set, flag) in [
            (details.is_monitor, 'O'),
            (details.subscriptions != (0, 0), 'P'),
            (details.transaction.is_some(), 'x'),
            (details.tracks.0, 't'),
            (details.tracks.1, 'B'),
            (details.is_kept, 'e'),
            (details.is_untouching, 'T'),
        ] {
            if is_set {
                flags.push(flag);
            }
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let mut line = format!("id={} addr={} laddr={} fd={}", self.id, self.address, self.local, self.fd);
        let name = String::from_utf8_lossy(&details.name);
        let (channels, patterns) = details.subscriptions;
        let multi = details.transaction.map_or("-1".to_owned(), |(commands, _)| commands.to_string());
        let multi_bytes = details.transaction.map_or(0, |(_, bytes)| bytes);
        let (input, free) = details.input_bytes;
        let bytes = input + free + multi_bytes;
        let resp = if details.version == Version::Resp3 { 3 } else { 2 };
        // What is written of here cannot fail.
        let _ = write!(line, " name={name} age={}", self.since.elapsed().as_secs());
        let _ = write!(line, " idle={} flags={flags} db={}", details.active.elapsed().as_secs(), details.database);
        let _ = write!(line, " sub={channels} psub={patterns} ssub=0 multi={multi}");
        let _ = write!(line, " qbuf={input} qbuf-free={free} argv-mem=0 multi-mem={multi_bytes}");
        let _ = write!(line, " rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem={bytes} events=r cmd={}", details.command);
        if let Some(subcommand) = details.subcommand {
            let _ = write!(line, "|{subcommand}");
        }
        let [library, version] = details.library.each_ref().map(|text| String::from_utf8_lossy(text));
        let (user, redirect) = (&details.user, details.redirect);
        let _ = write!(line, " user={user} redir={redirect} resp={resp} lib-name={library} lib-ver={version}");
        line
    }
}

/// All connections of a server.
#[derive(Debug, Default)]
pub struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
    monitors: Mutex<BTreeMap<u64, usize>>,
    monitors_len: AtomicUsize,
}

impl Clients {
    /// One more.
    pub fn insert(&self, client: Arc<Client>) {
        lock(&self.by_id).insert(client.id, client);
    }

    /// One less.
    pub fn remove(&self, id: u64) {
        lock(&self.by_id).remove(&id);
        self.set_monitor(id, None);
    }

    /// The one of this number.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        lock(&self.by_id).get(&id).cloned()
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Arc<Client>> {
        lock(&self.by_id).values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.by_id).len()
    }

    /// Says by which event loop a client monitors, or that it does not.
    pub fn set_monitor(&self, id: u64, event_loop: Option<usize>) {
        let mut monitors = lock(&self.monitors);
        match event_loop {
            Some(event_loop) => drop(monitors.insert(id, event_loop)),
            None => drop(monitors.remove(&id)),
        }
        self.monitors_len.store(monitors.len(), Ordering::Release);
    }

    /// Whether anybody monitors.
    pub fn has_monitors(&self) -> bool {
        self.monitors_len.load(Ordering::Acquire) > 0
    }

    /// Who monitors, by event loop.
    pub fn monitors(&self) -> BTreeMap<usize, Vec<u64>> {
        let mut by_loop: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (client, event_loop) in &*lock(&self.monitors) {
            by_loop.entry(*event_loop).or_default().push(*client);
        }
        by_loop
    }
}
