//! An event loop: a thread that serves its share of the connections.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use super::clients::{Client, Details};
use super::connection::{Care, Connection, Push, Tools};
use super::executor;
use super::job::Job;
use super::mailbox::Message;
use super::protocol::Version;
use super::round;
use super::session::BatchEnd;
use super::shared::Shared;
use super::transport::Transport;

/// What the mailbox is called among the connections.
const MAILBOX: u64 = u64::MAX;
/// What the listener is.
const LISTENER: u64 = u64::MAX - 1;
/// Events taken at a time.
const EVENTS_MAX: usize = 256;
/// Connections are looked over for time limits so often.
const TICK: Duration = Duration::from_millis(250);
/// Answers that wait for a group are looked at so often, should nobody tell.
const PARKED_TICK: Duration = Duration::from_millis(5);
/// So many connections are read, have their commands done and are answered together: each step of all of them before the next.
const TOGETHER_MAX: usize = 64;
/// Connections accepted at a time.
const ACCEPTED_MAX: usize = 256;

/// An event loop.
#[derive(Debug)]
pub struct EventLoop {
    shared: Arc<Shared>,
    index: usize,
    epoll: OwnedFd,
    /// The first loop has it, and hands connections out.
    listener: Option<TcpListener>,
    /// No connection can be taken, and none is asked for before the next tick.
    is_listener_resting: bool,
    connections: HashMap<u64, Connection>,
    tools: Tools,
    /// To be looked after in this turn.
    ready: Vec<u64>,
    parked: Vec<u64>,
    sleeping: Vec<(Instant, u64)>,
    next_tick: Instant,
}

impl EventLoop {
    /// The loop of this number.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub fn new(shared: Arc<Shared>, index: usize, listener: Option<TcpListener>) -> io::Result<EventLoop> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = shared.mailboxes[index].wake_fd();
        epoll::add(&epoll, wake, epoll::EventData::new_u64(MAILBOX), epoll::EventFlags::IN)?;
        if let Some(listener) = &listener {
            listen(&epoll, listener)?;
        }
        Ok(EventLoop {
            tools: Tools::new(&shared),
            shared,
            index,
            epoll,
            listener,
            is_listener_resting: false,
            connections: HashMap::new(),
            ready: Vec::new(),
            parked: Vec::new(),
            sleeping: Vec::new(),
            next_tick: Instant::now() + TICK,
        })
    }

    /// Serves until the server stops.
    pub fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        while !self.shared.is_stopping() {
            events.clear();
            let timeout = self.timeout().map(|time| Timespec {
                tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(time.subsec_nanos()),
            });
            if epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()).is_err() {
                // Interrupted by a signal: nothing was reported.
                events.clear();
            }
            let mut has_mail = false;
            for event in &events {
                // The structure is packed: its fields are copied.
                let (flags, id) = (event.flags, event.data.u64());
                match id {
                    MAILBOX => has_mail = true,
                    LISTENER => self.accept(),
                    id => self.note(id, flags),
                }
            }
            if has_mail {
                self.take_mail();
            }
            self.care_for_ready();
            self.look_at_waiting();
            self.tick();
        }
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id));
    }

    /// How long to sleep at most.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let tick = (!self.connections.is_empty() || self.is_listener_resting)
            .then(|| self.next_tick.saturating_duration_since(now));
        let parked = (!self.parked.is_empty()).then_some(PARKED_TICK);
        let woken = self.sleeping.iter().map(|(until, _)| until.saturating_duration_since(now)).min();
        // Time is given in whole milliseconds to older systems, and less than one would not be waited for.
        let woken = woken.map(|time| time.max(Duration::from_millis(1)));
        [tick, parked, woken].into_iter().flatten().min()
    }

    fn note(&mut self, id: u64, flags: epoll::EventFlags) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            // Nobody is there to take an answer.
            self.close(id);
            return;
        }
        connection.note(flags.contains(epoll::EventFlags::IN), flags.contains(epoll::EventFlags::RDHUP));
        self.ready.push(id);
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTED_MAX {
            let Some(listener) = &self.listener else { return };
            let (stream, address) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    // No descriptor is left: others may close one. The connection that waits for it would be told of at once, again
                    // and again.
                    tracing::warn!(%error, "no connection can be taken for a while");
                    self.is_listener_resting = epoll::delete(&self.epoll, listener).is_ok();
                    return;
                }
            };
            self.shared.statistics.connections.add(1);
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let socket = OwnedFd::from(stream);
            if self.shared.connections.fetch_add(1, Ordering::AcqRel) >= self.shared.config.clients_max() {
                self.shared.connections.fetch_sub(1, Ordering::AcqRel);
                self.shared.statistics.rejected.add(1);
                // Whether it arrives or not, the connection ends here. Of one that is to be greeted in TLS, without a word.
                if self.shared.options.tls.is_none() {
                    let text = b"-ERR max number of clients reached\r\n";
                    let _ = rustix::net::send(&socket, text, rustix::net::SendFlags::NOSIGNAL);
                }
                continue;
            }
            let to = self.loop_for_next();
            self.shared.mailboxes[to].connections.fetch_add(1, Ordering::AcqRel);
            if to == self.index {
                self.serve(socket, address);
            } else {
                self.shared.mailboxes[to].send([Message::Accepted(socket, address)]);
            }
        }
    }

    /// The loop that a new connection goes to: this one while it has few, then the one that has fewest. Few connections are served by
    /// one thread, so that what one of them sends before another does is done before, as programs expect who know Redis.
    fn loop_for_next(&self) -> usize {
        let connections = |to: usize| self.shared.mailboxes[to].connections.load(Ordering::Acquire);
        if connections(self.index) < self.shared.options.connections_together {
            return self.index;
        }
        (0..self.shared.mailboxes.len()).min_by_key(|to| connections(*to)).unwrap_or(self.index)
    }

    fn serve(&mut self, socket: OwnedFd, address: SocketAddr) {
        let tls = match self.shared.options.tls.as_ref().map(|tls| tls.accept()).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::warn!(%error, "a connection is not taken");
                self.count_one_less();
                return;
            }
        };
        let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        let _ = rustix::net::sockopt::set_socket_keepalive(&socket, true);
        let local = rustix::net::getsockname(&socket).ok().and_then(|local| SocketAddr::try_from(local).ok());
        let id = self.shared.next_client();
        let now = Instant::now();
        let details = Details {
            name: Box::default(),
            user: "default".into(),
            library: Default::default(),
            active: now,
            database: 0,
            subscriptions: (0, 0),
            transaction: None,
            is_monitor: false,
            version: Version::Resp2,
            command: "NULL",
            subcommand: None,
            input_bytes: (0, 0),
            is_kept: false,
            is_untouching: false,
            tracks: (false, false),
            redirect: -1,
        };
        let client = Arc::new(Client {
            id,
            address,
            local: local.unwrap_or(self.shared.address),
            event_loop: self.index,
            fd: socket.as_fd().as_raw_fd(),
            since: now,
            details: Mutex::new(details),
        });
        // Told once for each change: a connection that waits for the executor makes no noise.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if epoll::add(&self.epoll, &socket, epoll::EventData::new_u64(id), flags).is_err() {
            self.count_one_less();
            return;
        }
        self.shared.clients.insert(Arc::clone(&client));
        let transport = Transport::new(socket, tls);
        self.connections.insert(id, Connection::new(&self.shared, transport, &client));
    }

    fn take_mail(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut pushed = Vec::new();
        for message in shared.mailboxes[self.index].take() {
            match message {
                Message::Accepted(socket, address) => self.serve(socket, address),
                Message::Kill(id) => self.close(id),
                Message::Done(job) => self.take_back(*job),
                Message::Published(published, clients) => {
                    self.push(clients, &Push::Published(published), &mut pushed);
                }
                Message::Invalidated(keys, client) => {
                    self.push(vec![client], &Push::Invalidated(keys), &mut pushed);
                }
                Message::Monitored(lines, clients) => self.push(clients, &Push::Monitored(lines), &mut pushed),
            }
        }
        pushed.sort_unstable();
        pushed.dedup();
        for id in pushed {
            if let Some(connection) = self.connections.get_mut(&id) {
                let care = connection.send_replies(&shared);
                self.follow(id, care);
            }
        }
    }

    /// A session's batch is done.
    fn take_back(&mut self, job: Job) {
        let id = job.session.state.client.id;
        match self.connections.get_mut(&id) {
            Some(connection) => {
                let care = connection.take_back(&self.shared, &mut self.tools, job);
                self.follow(id, care);
            }
            // The peer is gone. So is its session now, and what it may have asked for meanwhile.
            None => self.shared.clients.remove(id),
        }
    }

    fn push(&mut self, clients: Vec<u64>, push: &Push, pushed: &mut Vec<u64>) {
        for id in clients {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let care = connection.push(&self.shared, push.clone());
            self.follow(id, care);
            pushed.push(id);
        }
    }

    fn care_for_ready(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut ready = std::mem::take(&mut self.ready);
        ready.chunks(TOGETHER_MAX).for_each(|together| self.serve_together(&shared, together));
        ready.clear();
        if shared.options.writes_on_event_loops && !self.tools.writing.is_empty() {
            let mut jobs = std::mem::take(&mut self.tools.writing);
            executor::write(&shared, &mut self.tools.entities, &mut jobs);
            jobs.drain(..).for_each(|job| self.take_back(job));
            self.tools.writing = jobs;
        } else {
            shared.queue.push(&mut self.tools.writing);
        }
        if self.ready.is_empty() {
            // Its memory is for the next turn.
            self.ready = ready;
        }
    }

    /// Reads from all of them, then does what they sent, then answers: code and keys stay at hand meanwhile, keys are locked once, and a
    /// program that has several of these connections is woken up once.
    fn serve_together(&mut self, shared: &Shared, ids: &[u64]) {
        let mut jobs = std::mem::take(&mut self.tools.jobs);
        for &id in ids {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            match connection.receive(shared, &mut self.tools) {
                Ok(session) => jobs.push(Job::new(session)),
                Err(care) => self.follow(id, care),
            }
        }
        while !jobs.is_empty() {
            let done = round::read(shared, &mut self.tools.entities, &mut jobs);
            for job in jobs.drain(..done) {
                match job.end {
                    BatchEnd::NeedsWriter => self.tools.writing.push(job),
                    _ => self.take_back(job),
                }
            }
        }
        self.tools.jobs = jobs;
    }

    fn follow(&mut self, id: u64, care: Care) {
        match care {
            Care::Idle => {}
            Care::Again => self.ready.push(id),
            Care::Parked => self.parked.push(id),
            Care::Sleeping(until) => self.sleeping.push((until, id)),
            Care::Close => self.close(id),
        }
    }

    /// Looks after connections whose time came, or whose group settled.
    fn look_at_waiting(&mut self) {
        let has_parked = &self.shared.mailboxes[self.index].has_parked;
        if self.parked.is_empty() && self.sleeping.is_empty() {
            return;
        }
        // Said before the look: whoever settles a group after the look sees it.
        has_parked.store(!self.parked.is_empty(), Ordering::SeqCst);
        let now = Instant::now();
        let mut due = std::mem::take(&mut self.parked);
        self.sleeping.retain(|(until, id)| {
            let is_due = *until <= now;
            if is_due {
                due.push(*id);
            }
            !is_due
        });
        due.sort_unstable();
        due.dedup();
        let mut ready = std::mem::replace(&mut self.ready, due);
        self.care_for_ready();
        self.ready.append(&mut ready);
        self.shared.mailboxes[self.index].has_parked.store(!self.parked.is_empty(), Ordering::SeqCst);
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        if self.is_listener_resting
            && let Some(listener) = &self.listener
        {
            self.is_listener_resting = listen(&self.epoll, listener).is_err();
        }
        let timeout = self.shared.config.timeout();
        let mut overdue = Vec::new();
        for (id, connection) in &mut self.connections {
            if connection.is_overdue(&self.shared, timeout) {
                overdue.push(*id);
            }
        }
        overdue.into_iter().for_each(|id| self.close(id));
        if self.connections.capacity() > 1_024 && self.connections.len() < self.connections.capacity() / 8 {
            self.connections.shrink_to_fit();
        }
    }

    /// Ends a connection. Its session goes with it, and with that what it subscribed to and watched.
    fn close(&mut self, id: u64) {
        if self.connections.remove(&id).is_some() {
            self.shared.clients.remove(id);
            self.count_one_less();
        }
    }

    fn count_one_less(&self) {
        self.shared.connections.fetch_sub(1, Ordering::AcqRel);
        self.shared.mailboxes[self.index].connections.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Has connections that wait to be taken told of, as long as there are any.
fn listen(epoll: &OwnedFd, listener: &TcpListener) -> io::Result<()> {
    Ok(epoll::add(epoll, listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?)
}
