//! A connection's side of the protocol: what it sent, what it selected, what it is answered. A session runs on its event loop, or
//! on the executor while its batch writes; it is in one place at a time.

mod channels;
mod check;
mod client;
mod cluster;
mod config;
mod describe;
mod greeting;
mod help;
mod info;
mod monitor;
mod server;
mod transaction;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::check::{Checked, NotChecked};
use self::transaction::Transaction;
use super::clients::{Client, Details};
use super::command::{Arguments, Command, Event, EventClass, Flag, Reader, Refusal, Run, Writer};
use super::input::Input;
use super::outbox::Outbox;
use super::protocol::{ParseLimits, ReplyBuffer, Version};
use super::pubsub::Subscriptions;
use super::shared::Shared;
use super::sync::lock;
use super::watch::Watches;
use crate::keyspace::Keyspace;

/// A batch ends early once its answers are so long: the rest is done when the peer has taken them.
pub const REPLIES_PAUSE_BYTES: usize = 1 << 20;

/// The keys, as far as a batch has them.
#[derive(Debug)]
pub enum Keys<'a> {
    /// Not at all.
    None,
    /// To look at.
    Shared {
        /// All of them.
        keyspace: &'a Keyspace,
        /// The instant of the batch.
        now: i64,
        /// Groups up to this ticket are durable.
        settled: u64,
    },
    /// To change.
    Exclusive {
        /// All of them.
        keyspace: &'a mut Keyspace,
        /// The instant of the group.
        now: i64,
        /// Changes to tell of.
        events: &'a mut Vec<Event>,
    },
}

impl Keys<'_> {
    fn look(&self) -> Option<(&Keyspace, i64)> {
        match self {
            Keys::None => None,
            Keys::Shared { keyspace, now, .. } => Some((keyspace, *now)),
            Keys::Exclusive { keyspace, now, .. } => Some((keyspace, *now)),
        }
    }
}

/// Why a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEnd {
    /// There is no whole command left.
    Drained,
    /// The next command looks at keys.
    NeedsKeys,
    /// The next command changes keys.
    NeedsWriter,
    /// There are many answers to be taken first.
    Full,
    /// The next command is not to be done before that has passed.
    Wait(Duration),
    /// The connection ends when the answers are out.
    Close,
    /// The connection ends, and nothing is answered.
    Drop,
}

/// What a single command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    NeedsKeys,
    NeedsWriter,
    /// It is not done, and is tried again after that.
    HoldBack(Duration),
    /// It is done, and the next waits.
    Sleep(Duration),
    Close,
    Drop,
}

/// Whether a client wants answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyMode {
    On,
    Off,
    /// Not to this command, but to the next.
    Skip,
    /// Not to the next.
    SkipNext,
}

/// The ticket that stands for the group which is being made.
const THIS_GROUP: u64 = u64::MAX;

/// An answer that is none before a group is durable.
#[derive(Clone, Debug)]
struct Held {
    ticket: u64,
    bytes: Range<usize>,
}

/// A connection's state, and what it sent.
#[derive(Debug)]
pub struct Session {
    /// What it sent.
    pub input: Input,
    /// Everything else.
    pub state: State,
}

/// What a session selected, subscribed to and is answered.
#[derive(Debug)]
pub struct State {
    /// As others see it.
    pub client: Arc<Client>,
    /// Answers that are not on their way yet.
    pub replies: ReplyBuffer,
    /// What it listens to.
    pub subscriptions: Subscriptions,
    /// Whether it authenticated, or did not have to.
    pub is_authenticated: bool,
    /// For others, at the end of the batch.
    pub outbox: Outbox,
    /// Whether it sees what others do.
    pub is_monitor: bool,
    database: u8,
    transaction: Option<Transaction>,
    watches: Watches,
    reply_mode: ReplyMode,
    name: Box<[u8]>,
    library: [Box<[u8]>; 2],
    is_kept: bool,
    last: (&'static str, Option<&'static str>),
    commands: usize,
    errors: usize,
    held: Vec<Held>,
    /// Bytes that it sent and that are not done, and those that their buffer takes.
    input_bytes: (usize, usize),
    /// The greatest ticket of what the current command saw.
    seen: u64,
}

impl Session {
    /// Of a client that just came.
    pub fn new(shared: &Shared, client: Arc<Client>) -> Session {
        let subscriptions = Subscriptions::new(Arc::clone(&shared.pubsub), client.id, client.event_loop);
        let watches = Watches::new(Arc::clone(&shared.watches), client.id);
        Session {
            input: Input::default(),
            state: State {
                client,
                replies: ReplyBuffer::default(),
                subscriptions,
                is_authenticated: !shared.options.authenticator.is_required(),
                outbox: Outbox::default(),
                is_monitor: false,
                database: 0,
                transaction: None,
                watches,
                reply_mode: ReplyMode::On,
                name: Box::default(),
                library: Default::default(),
                is_kept: false,
                last: ("NULL", None),
                commands: 0,
                errors: 0,
                held: Vec::new(),
                input_bytes: (0, 0),
                seen: 0,
            },
        }
    }

    /// Does the commands that are there, in order, until one needs what `keys` does not give.
    pub fn run(&mut self, shared: &Shared, mut keys: Keys<'_>) -> BatchEnd {
        let Session { input, state } = self;
        loop {
            if state.replies.bytes().len() >= REPLIES_PAUSE_BYTES {
                return BatchEnd::Full;
            }
            match input.find(&state.limits(shared)) {
                Ok(true) => {}
                Ok(false) => return BatchEnd::Drained,
                Err(error) => {
                    state.replies.error(format!("ERR Protocol error: {error}"));
                    return BatchEnd::Close;
                }
            }
            state.input_bytes = (input.len(), input.capacity());
            let arguments = input.arguments();
            let step = if arguments.is_empty() { Step::Done } else { state.command(shared, arguments, &mut keys) };
            match step {
                Step::Done => input.consume(),
                Step::NeedsKeys => return BatchEnd::NeedsKeys,
                Step::NeedsWriter => return BatchEnd::NeedsWriter,
                Step::HoldBack(time) => return BatchEnd::Wait(time),
                Step::Sleep(time) => {
                    input.consume();
                    return BatchEnd::Wait(time);
                }
                Step::Close => return BatchEnd::Close,
                Step::Drop => return BatchEnd::Drop,
            }
        }
    }

    /// Says to others what the session came to, and counts what it did.
    pub fn publish(&mut self, shared: &Shared) {
        self.state.input_bytes = (self.input.len(), self.input.capacity());
        self.state.publish();
        shared.statistics.commands.add(std::mem::take(&mut self.state.commands));
        shared.statistics.errors.add(std::mem::take(&mut self.state.errors));
    }
}

impl State {
    fn limits(&self, shared: &Shared) -> ParseLimits {
        match self.is_authenticated {
            true => {
                ParseLimits { argument_bytes_max: shared.config.argument_bytes_max(), ..ParseLimits::AUTHENTICATED }
            }
            false => ParseLimits::UNAUTHENTICATED,
        }
    }

    /// The greatest ticket that an answer waits for, if one does that was not taken in the executor's group.
    pub fn waits_for(&self) -> Option<u64> {
        self.held.iter().map(|held| held.ticket).filter(|ticket| *ticket != THIS_GROUP).max()
    }

    /// All groups that answers waited for are durable or undone. Answers that come of an undone one say so instead: `why` of the
    /// executor's own group, if that was.
    pub fn settle(&mut self, shared: &Shared, why: Option<&str>) {
        let held = std::mem::take(&mut self.held);
        let is_lost = |held: &Held| match held.ticket {
            THIS_GROUP => why.is_some(),
            ticket => shared.keyspace.failed(ticket),
        };
        if !held.iter().any(is_lost) {
            return;
        }
        let answered = self.replies.take();
        let why = why.unwrap_or("a group of writes was undone");
        let mut done = 0;
        for lost in held.iter().filter(|held| is_lost(held)) {
            self.replies.append(&answered[done..lost.bytes.start]);
            self.replies.error(format!("MISCONF Errors writing to the log: {why}"));
            done = lost.bytes.end;
        }
        self.replies.append(&answered[done..]);
    }

    fn publish(&self) {
        let (input, capacity) = self.input_bytes;
        *lock(&self.client.details) = Details {
            name: self.name.clone(),
            library: self.library.clone(),
            active: Instant::now(),
            database: self.database,
            subscriptions: self.subscriptions.counts(),
            transaction: self.transaction.as_ref().map(|transaction| (transaction.len(), transaction.bytes())),
            is_monitor: self.is_monitor,
            version: self.replies.version(),
            command: self.last.0,
            subcommand: self.last.1,
            input_bytes: (input, capacity.saturating_sub(input)),
            is_kept: self.is_kept,
        };
    }

    /// A command, from its name to its answer.
    fn command(&mut self, shared: &Shared, arguments: Arguments<'_>, keys: &mut Keys<'_>) -> Step {
        let checked = match check::check(arguments) {
            Ok(checked) => checked,
            Err(NotChecked::AnotherProtocol) => return Step::Drop,
            Err(NotChecked::Refused(name, refusal)) => return self.reject(name, refusal),
        };
        let Checked { command, subcommand } = checked;
        let is_control = matches!(command.run, Run::Session) && check::is_control(command.name);
        if !self.is_authenticated && !command.flags.contains(&Flag::NoAuth) {
            return self.reject(command.name, Refusal::fixed("NOAUTH Authentication required."));
        }
        if self.subscriptions.len() > 0
            && self.replies.version() == Version::Resp2
            && !check::is_for_subscribers(command.name)
        {
            return self.reject(command.name, check::not_for_subscribers(command.name, subcommand));
        }
        if self.is_monitor && !matches!(command.run, Run::Session) {
            return self.reject(command.name, Refusal::fixed("ERR Replica can't interact with the keyspace"));
        }
        if command.flags.contains(&Flag::DenyOom) && shared.is_out_of_memory() {
            let refusal = Refusal::fixed("OOM command not allowed when used memory > 'maxmemory'.");
            return self.reject(command.name, refusal);
        }
        if let Some(left) = shared.pause(self.may_write(command)) {
            return Step::HoldBack(left);
        }
        let start = self.replies.bytes().len();
        if !is_control && let Some(transaction) = &mut self.transaction {
            if command.flags.contains(&Flag::NoMulti) {
                return self.reject(command.name, Refusal::fixed("ERR Command not allowed inside a transaction"));
            }
            if !transaction.push(checked, arguments) {
                return Step::Drop;
            }
            self.replies.simple("QUEUED");
            self.commands += 1;
            return self.answered(start, keys, Step::Done);
        }
        let step = self.execute(shared, checked, arguments, keys);
        if matches!(step, Step::NeedsKeys | Step::NeedsWriter | Step::HoldBack(_)) {
            return step;
        }
        self.answered(start, keys, step)
    }

    /// Answers that the client does not want are forgotten; those that a group stands behind are noted.
    fn answered(&mut self, start: usize, keys: &Keys<'_>, step: Step) -> Step {
        let seen = std::mem::take(&mut self.seen);
        match self.reply_mode {
            ReplyMode::On => {
                let settled = if let Keys::Shared { settled, .. } = keys { *settled } else { 0 };
                if seen > settled {
                    self.held.push(Held { ticket: seen, bytes: start..self.replies.bytes().len() });
                }
            }
            ReplyMode::Off => self.replies.truncate(start),
            ReplyMode::SkipNext => {
                self.replies.truncate(start);
                self.reply_mode = ReplyMode::Skip;
            }
            ReplyMode::Skip => {
                self.replies.truncate(start);
                self.reply_mode = ReplyMode::On;
            }
        }
        step
    }

    /// An error before the command was begun: a transaction does not survive it, nor its own end.
    fn reject(&mut self, name: &str, refusal: Refusal) -> Step {
        let start = self.replies.bytes().len();
        if name == "exec" {
            self.transaction = None;
            self.watches.clear();
            let why = refusal.text();
            let why = why.strip_prefix("ERR ").unwrap_or(why);
            self.replies.error(format!("EXECABORT Transaction discarded because of: {why}"));
        } else {
            if let Some(transaction) = &mut self.transaction {
                transaction.abort();
            }
            self.replies.error(refusal.text());
        }
        self.errors += 1;
        self.answered(start, &Keys::None, Step::Done)
    }

    fn may_write(&self, command: &Command) -> bool {
        match command.run {
            Run::Write(_) => true,
            Run::Read(_) => false,
            Run::Session => {
                let is_writing_exec =
                    || command.name == "exec" && self.transaction.as_ref().is_some_and(Transaction::has_writes);
                command.name == "publish" || is_writing_exec()
            }
        }
    }

    /// Does a command, alone or out of a transaction.
    fn execute(
        &mut self,
        shared: &Shared,
        Checked { command, subcommand }: Checked,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Step {
        let start = self.replies.bytes().len();
        let before = self.last;
        self.last = (command.name, subcommand.map(|subcommand| subcommand.name));
        let outcome = match command.run {
            Run::Read(run) => self.read(run, arguments, keys),
            Run::Write(_) => self.write(shared, command, arguments, keys),
            Run::Session => self.dispatch(shared, command.name, subcommand, arguments, keys),
        };
        let step = outcome.unwrap_or_else(|refusal| {
            self.replies.truncate(start);
            self.replies.error(refusal.text());
            self.errors += 1;
            Step::Done
        });
        if matches!(step, Step::NeedsKeys | Step::NeedsWriter | Step::HoldBack(_)) {
            self.last = before;
            return step;
        }
        self.commands += 1;
        if shared.clients.has_monitors() {
            self.show_to_monitors(shared, command, subcommand, arguments);
        }
        step
    }

    fn read(
        &mut self,
        run: fn(&Reader<'_>, Arguments<'_>, &mut ReplyBuffer) -> super::command::Outcome,
        arguments: Arguments<'_>,
        keys: &Keys<'_>,
    ) -> Result<Step, Refusal> {
        let Some((keyspace, now)) = keys.look() else { return Ok(Step::NeedsKeys) };
        let reader = Reader::new(keyspace, self.database, now);
        let outcome = run(&reader, arguments, &mut self.replies);
        let ticket = if matches!(keys, Keys::Exclusive { .. }) { THIS_GROUP } else { reader.depends_on() };
        self.seen = self.seen.max(ticket);
        outcome.map(|()| Step::Done)
    }

    fn write(
        &mut self,
        shared: &Shared,
        command: &Command,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Step, Refusal> {
        let (Keys::Exclusive { keyspace, now, events }, Run::Write(run)) = (keys, command.run) else {
            return Ok(Step::NeedsWriter);
        };
        match command.name {
            "flushall" => shared.watches.raise_all(0..u8::MAX, keyspace, *now),
            "flushdb" => shared.watches.raise_all(self.database..self.database + 1, keyspace, *now),
            _ => {}
        }
        keyspace.packed_limits = shared.config.packed_limits();
        let told = events.len();
        let outcome = run(&mut Writer::new(keyspace, self.database, *now, events), arguments, &mut self.replies);
        // A key that went with its deadline was gone for who watches it before it was removed.
        let changes = events[told..].iter().filter(|event| event.class != EventClass::Expired);
        changes.for_each(|event| shared.watches.raise(event.database, &event.key));
        if shared.config.notify().bits() == 0 {
            events.truncate(told);
        }
        self.seen = THIS_GROUP;
        outcome.map(|()| Step::Done)
    }

    /// Commands about the connection and the server.
    fn dispatch(
        &mut self,
        shared: &Shared,
        name: &'static str,
        subcommand: Option<&'static Command>,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Step, Refusal> {
        if let Some(Command { name: "help", .. }) = subcommand {
            self.help(name);
            return Ok(Step::Done);
        }
        let subcommand = subcommand.map_or("", |subcommand| subcommand.name);
        match name {
            "ping" => self.ping(arguments)?,
            "echo" => self.replies.bulk(arguments.at(1)),
            "select" => self.select(arguments)?,
            "quit" => {
                self.replies.ok();
                return Ok(Step::Close);
            }
            "auth" => self.auth(shared, arguments)?,
            "hello" => self.hello(shared, arguments)?,
            "reset" => self.reset(shared),
            "multi" => self.multi()?,
            "discard" => self.discard()?,
            "watch" => return self.watch(arguments, keys),
            "unwatch" => self.unwatch(),
            "exec" => return self.exec(shared, keys),
            "subscribe" => self.subscribe(arguments, false),
            "psubscribe" => self.subscribe(arguments, true),
            "unsubscribe" => self.unsubscribe(arguments, false),
            "punsubscribe" => self.unsubscribe(arguments, true),
            "publish" => self.publish_message(shared, arguments),
            "pubsub" => self.pubsub(shared, subcommand, arguments)?,
            "client" => return self.client_command(shared, subcommand, arguments),
            "command" => self.command_command(subcommand, arguments)?,
            "config" => self.config_command(shared, subcommand, arguments)?,
            "info" => {
                let Some((keyspace, _)) = keys.look() else { return Ok(Step::NeedsKeys) };
                self.info(shared, keyspace, arguments);
            }
            "cluster" => self.cluster(shared, subcommand, arguments, keys)?,
            "monitor" => self.monitor(shared),
            _ => return self.server_command(shared, name, subcommand, arguments),
        }
        Ok(Step::Done)
    }
}
