//! A connection, as its event loop has it: a socket, a session, and what the peer did not take yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::clients::Client;
use super::entities::Entities;
use super::input::Spare;
use super::job::Job;
use super::output::Output;
use super::pubsub::Published;
use super::session::{BatchEnd, Session};
use super::shared::Shared;
use super::tracking::{self, Invalidated, invalidated_bytes};
use super::transport::{Received, Transport};

/// While so much was not taken, no further command is done: a slow reader slows itself down.
const OUTPUT_PAUSE_BYTES: usize = 1 << 20;
/// Who listens does not slow down who publishes: beyond so much not taken it is cut off.
const SUBSCRIBER_OUTPUT_BYTES_MAX: usize = 32 << 20;
/// Before it authenticated a connection may leave so much lying.
const UNAUTHENTICATED_OUTPUT_BYTES_MAX: usize = 16 << 10;
/// So many bytes of messages are gathered before they are sent.
const PUSHED_BYTES_MAX: usize = 64 << 10;
/// Buffers of answers longer than this are not kept for the next ones.
const REPLIES_KEPT_BYTES: usize = 16 << 10;

/// Why the next command has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The session is with who does its batch.
    Batch,
    /// The answers are none before the group of this ticket is durable; the batch ended so.
    Settled(u64, BatchEnd),
    /// A pause.
    Until(Instant),
}

/// What an event loop lends to the connection it looks after.
#[derive(Debug)]
pub struct Tools {
    /// Memory to read into.
    pub spare: Spare,
    /// Sessions whose batches are to be done together.
    pub jobs: Vec<Job>,
    /// Of those, the ones that write: the executor gets those of all connections at once.
    pub writing: Vec<Job>,
    /// Rows of views.
    pub entities: Entities,
}

impl Tools {
    /// Those of a loop.
    pub fn new(shared: &Shared) -> Tools {
        Tools {
            spare: Spare::default(),
            jobs: Vec::new(),
            writing: Vec::new(),
            entities: Entities::new(shared.keyspace.clone()),
        }
    }
}

/// Something for the peer that it did not ask for.
#[derive(Clone, Debug)]
pub enum Push {
    /// A message on a channel.
    Published(Arc<Published>),
    /// Keys that it is to forget.
    Invalidated(Invalidated),
    /// What others do.
    Monitored(Arc<[u8]>),
}

/// What became of a connection that was looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// It waits for its peer, or for its batch.
    Idle,
    /// There is more to be done at once, after the others had their turn.
    Again,
    /// Its answers wait for a group.
    Parked,
    /// It pauses until then.
    Sleeping(Instant),
    /// It is over.
    Close,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    /// `None`: with who does its batch.
    session: Option<Box<Session>>,
    waiting: Option<Waiting>,
    output: Output,
    /// What waits until the answers before it are out.
    pushes: Vec<Push>,
    pushes_bytes: usize,
    /// There may be something to read.
    is_readable: bool,
    /// The peer sends nothing more.
    is_hung_up: bool,
    /// There may be a whole command in the input.
    has_input: bool,
    /// It ends when the output is out.
    is_closing: bool,
    /// Since when it has to greet, where TLS is spoken, and to authenticate, while it does.
    unknown_since: Option<Instant>,
    is_listening: bool,
    /// Bytes of memory that its input takes between batches, and what waits for `EXEC`.
    input_bytes: usize,
    /// Those of all connections.
    input_bytes_in_all: Arc<AtomicUsize>,
}

impl Connection {
    /// Of a client that just came.
    pub fn new(shared: &Shared, transport: Transport, client: &Arc<Client>) -> Connection {
        let session = Session::new(shared, Arc::clone(client));
        let is_known = session.state.grant.is_some() && transport.is_ready();
        Connection {
            transport,
            unknown_since: (!is_known).then_some(client.since),
            input_bytes: 0,
            input_bytes_in_all: Arc::clone(&shared.input_bytes),
            session: Some(Box::new(session)),
            waiting: None,
            output: Output::new(Arc::clone(&shared.output_bytes)),
            pushes: Vec::new(),
            pushes_bytes: 0,
            is_readable: false,
            is_hung_up: false,
            has_input: false,
            is_closing: false,
            is_listening: false,
        }
    }

    /// The system says that there is something to read, or that the peer sends no more.
    pub fn note(&mut self, is_readable: bool, is_hung_up: bool) {
        self.is_readable |= is_readable || is_hung_up;
        self.is_hung_up |= is_hung_up;
    }

    /// Whether it is to end: its key was revoked, it did not authenticate in time, takes nothing of what it is answered, or is idle
    /// for longer than connections may be.
    pub fn is_overdue(&mut self, shared: &Shared, timeout: Option<Duration>) -> bool {
        let options = &shared.options;
        // While its batch is done, the session looks itself.
        if self.session.as_mut().is_some_and(|session| !session.state.is_still_granted(shared)) {
            return true;
        }
        let is_idle = || {
            let limited = timeout.zip(self.session.as_ref());
            self.waiting.is_none()
                && !self.is_listening
                && limited.is_some_and(|(timeout, session)| session.state.client.idle_time() > timeout)
        };
        self.unknown_since.is_some_and(|since| since.elapsed() > options.authentication_time)
            || !self.is_all_sent() && self.output.stalled_since().elapsed() > options.stall_time
            || is_idle()
    }

    /// Whether the peer took everything.
    fn is_all_sent(&self) -> bool {
        self.output.is_empty() && !self.transport.has_unsent()
    }

    /// Reads what the peer sent, unless something is to be waited for. The session comes back with [`Connection::take_back`] once the
    /// commands are done that may be there.
    ///
    /// # Errors
    /// What became of the connection, of which there is no command.
    pub fn receive(&mut self, shared: &Shared, tools: &mut Tools) -> Result<Box<Session>, Care> {
        let Ok(sent) = self.output.flush(&mut self.transport) else { return Err(Care::Close) };
        shared.statistics.output_bytes.add(sent);
        if self.is_closing {
            return Err(if self.is_all_sent() { Care::Close } else { Care::Idle });
        }
        match self.waiting {
            Some(Waiting::Batch) => return Err(Care::Idle),
            Some(Waiting::Settled(ticket, _)) if shared.keyspace.settled() < ticket => return Err(Care::Parked),
            Some(Waiting::Settled(_, end)) => {
                self.waiting = None;
                if let Some(session) = &mut self.session {
                    session.state.settle(None);
                }
                return Err(self.answer(shared, end));
            }
            Some(Waiting::Until(until)) if until > Instant::now() => return Err(Care::Sleeping(until)),
            Some(Waiting::Until(_)) => self.waiting = None,
            None => {}
        }
        if self.output.len() > OUTPUT_PAUSE_BYTES {
            return Err(Care::Idle);
        }
        if !self.has_input {
            if !self.is_readable {
                return Err(Care::Idle);
            }
            match self.read(shared, tools) {
                Ok(true) => {}
                Ok(false) => return Err(if self.is_readable { Care::Again } else { Care::Idle }),
                Err(Errno::PIPE) if !self.is_all_sent() => {
                    self.is_closing = true;
                    return Err(Care::Idle);
                }
                Err(_) => return Err(Care::Close),
            }
        }
        let session = self.session.take().ok_or(Care::Idle)?;
        self.waiting = Some(Waiting::Batch);
        Ok(session)
    }

    /// Reads once. Whether something came; that the peer sends no more is a broken pipe.
    fn read(&mut self, shared: &Shared, tools: &mut Tools) -> Result<bool, Errno> {
        let Some(session) = &mut self.session else { return Ok(false) };
        let Received { bytes, is_drained } = self.transport.read(session.input.room(&mut tools.spare))?;
        if bytes == 0 {
            self.is_readable = !is_drained;
            session.input.release(&mut tools.spare);
            if session.state.grant.is_some() && self.transport.is_ready() {
                self.unknown_since = None;
            }
            return Ok(false);
        }
        shared.statistics.input_bytes.add(bytes);
        // Where nothing more can come, the end does.
        if is_drained && !self.is_hung_up {
            self.is_readable = false;
        }
        self.has_input = true;
        Ok(true)
    }

    /// The session's batch is done: its answers are sent, once the group is durable that they depend on.
    pub fn take_back(&mut self, shared: &Shared, tools: &mut Tools, Job { mut session, end }: Job) -> Care {
        session.input.release(&mut tools.spare);
        let ticket = session.state.waits_for();
        self.session = Some(session);
        if let Some(ticket) = ticket {
            self.waiting = Some(Waiting::Settled(ticket, end));
            return Care::Parked;
        }
        self.waiting = None;
        self.answer(shared, end)
    }

    /// Sends the answers of a batch that ended so, and what had to wait for them.
    fn answer(&mut self, shared: &Shared, end: BatchEnd) -> Care {
        debug_assert!(!matches!(end, BatchEnd::NeedsKeys | BatchEnd::NeedsWriter), "a batch that goes on: {end:?}");
        if end == BatchEnd::Drop {
            return Care::Close;
        }
        let pushes = std::mem::take(&mut self.pushes);
        self.pushes_bytes = 0;
        if let Some(session) = &mut self.session {
            self.unknown_since = match session.state.grant {
                Some(_) => None,
                None => self.unknown_since.or_else(|| Some(Instant::now())),
            };
            let (before, now) = (self.input_bytes, session.kept_bytes());
            if before != now {
                self.input_bytes = now;
                let before_in_all = shared.input_bytes.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
                let in_all = before_in_all.wrapping_add(now).wrapping_sub(before);
                if now > before && in_all > shared.options.input_bytes_max_in_all {
                    return Care::Close;
                }
            }
            self.is_listening = session.state.subscriptions.len() > 0 || session.state.is_monitor;
            for push in pushes {
                encode(session, &push);
            }
        }
        if self.send_replies(shared) == Care::Close {
            return Care::Close;
        }
        self.has_input = matches!(end, BatchEnd::Full | BatchEnd::Wait(_));
        match end {
            BatchEnd::Close if self.is_all_sent() => Care::Close,
            BatchEnd::Close => {
                self.is_closing = true;
                Care::Idle
            }
            BatchEnd::Wait(time) => {
                let until = Instant::now() + time;
                self.waiting = Some(Waiting::Until(until));
                Care::Sleeping(until)
            }
            _ if self.has_input || self.is_readable => Care::Again,
            _ => Care::Idle,
        }
    }

    /// Something for the peer that it did not ask for. Sent with [`Connection::send_replies`], or after the answers that are not
    /// there yet; at once where it is much, so that who takes nothing is cut off before more is kept for it.
    pub fn push(&mut self, shared: &Shared, push: Push) -> Care {
        let is_behind_answers = matches!(self.waiting, Some(Waiting::Batch | Waiting::Settled(..)));
        if let Some(session) = &mut self.session
            && !is_behind_answers
        {
            encode(session, &push);
            let is_much = session.state.replies.bytes().len() > PUSHED_BYTES_MAX;
            return if is_much { self.send_replies(shared) } else { Care::Idle };
        }
        self.pushes_bytes += match &push {
            Push::Published(published) => published.bytes(),
            Push::Invalidated(keys) => invalidated_bytes(keys),
            Push::Monitored(lines) => lines.len(),
        };
        self.pushes.push(push);
        if self.pushes_bytes > PUSHED_BYTES_MAX { self.send_replies(shared) } else { Care::Idle }
    }

    /// Sends what was encoded.
    pub fn send_replies(&mut self, shared: &Shared) -> Care {
        if let Some(session) = &mut self.session
            && !matches!(self.waiting, Some(Waiting::Settled(..)))
        {
            let replies = &mut session.state.replies;
            let Ok(sent) = self.output.send(&mut self.transport, replies.bytes()) else { return Care::Close };
            session.state.replies_charge.set(0);
            shared.statistics.output_bytes.add(sent);
            if replies.bytes().len() > REPLIES_KEPT_BYTES {
                drop(replies.take());
            } else {
                replies.truncate(0);
            }
        }
        let bytes = self.output.len() + self.pushes_bytes;
        let bytes_max = match (self.unknown_since.is_none(), self.is_listening) {
            (false, _) => UNAUTHENTICATED_OUTPUT_BYTES_MAX,
            (true, true) => SUBSCRIBER_OUTPUT_BYTES_MAX.min(shared.options.output_bytes_max),
            (true, false) => shared.options.output_bytes_max,
        };
        let is_too_much_in_all =
            || shared.output_bytes.load(Ordering::Relaxed) > shared.options.output_bytes_max_in_all;
        if bytes > bytes_max || bytes > 0 && is_too_much_in_all() { Care::Close } else { Care::Idle }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.input_bytes_in_all.fetch_sub(self.input_bytes, Ordering::Relaxed);
    }
}

fn encode(session: &mut Session, push: &Push) {
    let state = &mut session.state;
    match push {
        Push::Published(published) if state.subscriptions.wants(published) => published.push(&mut state.replies),
        Push::Published(_) => {}
        Push::Invalidated(keys) => {
            let listens = state.subscriptions.listens(tracking::CHANNEL);
            tracking::push(&mut state.replies, keys, listens);
        }
        Push::Monitored(lines) if state.is_monitor => state.replies.append(lines),
        Push::Monitored(_) => {}
    }
}
