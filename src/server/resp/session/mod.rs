//! A connection's side of the protocol: what it sent, what it selected, what it is answered. A session runs on its event loop, or
//! on the executor while its batch writes; it is in one place at a time.

mod answers;
mod categories;
mod channels;
mod check;
mod client;
mod cluster;
mod config;
mod describe;
mod dispatch;
mod documents;
mod entity;
mod execute;
mod greeting;
mod help;
mod info;
mod key_specs;
mod listing;
mod monitor;
mod permission;
mod server;
mod tracking;
mod transaction;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::answers::{Held, ReplyMode};
use self::transaction::Transaction;
use super::charge::Charge;
use super::clients::Client;
use super::command::{Arguments, Event, Refusal, Run, find};
use super::entities::{DATABASE, Entities};
use super::input::{Asker, Input};
use super::outbox::Outbox;
use super::protocol::{ParseLimits, ReplyBuffer};
use super::pubsub::{Published, Subscriptions};
use super::shared::Shared;
use super::statistics::Statistics;
use super::sync::lock;
use super::tally::{Tallies, Tally};
use super::tracking::Tracked;
use super::watch::Watches;
use crate::engine::keyspace::GroupFate;
use crate::engine::row_stage::RowStage;
use crate::keyspace::Keyspace;
use crate::server::auth::Grant;

/// A batch ends early once its answers are so long: the rest is done when the peer has taken them.
pub const REPLIES_PAUSE_BYTES: usize = 1 << 20;

/// As above, before the connection authenticated.
pub const UNAUTHENTICATED_REPLIES_PAUSE_BYTES: usize = 4 << 10;
/// Answers of so few bytes are not counted among those of all connections before they are found not to be taken.
const CHARGED_BYTES_MIN: usize = 16 << 10;

/// The keys, as far as a batch has them.
#[derive(Debug)]
pub enum Keys<'a> {
    /// Those alone that are rows of views.
    None {
        /// These.
        entities: &'a mut Entities,
        /// The instant of the batch.
        now: i64,
    },
    /// To look at.
    Shared {
        /// Those that are rows of views.
        entities: &'a mut Entities,
        /// All of them.
        keyspace: &'a Keyspace,
        /// The instant of the batch.
        now: i64,
        /// Groups up to this ticket are durable, or were undone.
        settled: u64,
    },
    /// To change.
    Exclusive {
        /// Those that are rows of views.
        entities: &'a mut Entities,
        /// These rows.
        rows: &'a mut RowStage,
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
            Keys::None { .. } => None,
            Keys::Shared { keyspace, now, .. } => Some((keyspace, *now)),
            Keys::Exclusive { keyspace, now, .. } => Some((keyspace, *now)),
        }
    }

    /// Groups up to this ticket are known to be durable, or to be undone.
    fn settled(&self) -> u64 {
        if let Keys::Shared { settled, .. } = self { *settled } else { 0 }
    }

    /// Whether the group at hand has so many rows that others go into the next.
    fn is_group_full(&self) -> bool {
        matches!(self, Keys::Exclusive { rows, .. } if rows.is_full())
    }

    /// The instant of the batch.
    fn now(&self) -> i64 {
        match self {
            Keys::None { now, .. } | Keys::Shared { now, .. } | Keys::Exclusive { now, .. } => *now,
        }
    }

    /// Has memory bring up what commands that were found together look at, unless that was done.
    fn fetch(&mut self, database: u8, input: &mut Input) {
        if input.found_len() < 2 {
            return;
        }
        // Who changes rows looks at them on another thread, perhaps on another core.
        let is_here = |input: &Input| !matches!(self, Keys::None { .. }) || is_read(input.arguments());
        if database == DATABASE && !input.was_asked(Asker::Rows) && is_here(input) {
            self.entities().fetch(input.keys_found(Asker::Rows));
        }
        let (entities, keyspace): (&Entities, &Keyspace) = match self {
            Keys::None { .. } => return,
            Keys::Shared { entities, keyspace, .. } => (entities, keyspace),
            Keys::Exclusive { entities, keyspace, .. } => (entities, keyspace),
        };
        let names = input.keys_found(Asker::Keyspace);
        keyspace.fetch(database, names.filter(|name| entities.view_of(database, name).is_none()));
    }

    fn entities(&mut self) -> &mut Entities {
        match self {
            Keys::None { entities, .. } | Keys::Shared { entities, .. } | Keys::Exclusive { entities, .. } => entities,
        }
    }
}

/// Whether a command is one that looks at keys.
fn is_read(arguments: Arguments<'_>) -> bool {
    arguments.get(0).and_then(find).is_some_and(|command| matches!(command.run, Run::Read(_)))
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
    /// It is not done: the group that it is to be part of has enough.
    NextGroup,
    /// It is not done, and is tried again after that.
    HoldBack(Duration),
    /// It is done, and the next waits.
    Sleep(Duration),
    Close,
    Drop,
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
    /// Their bytes, where they are many.
    pub replies_charge: Charge,
    /// What it listens to.
    pub subscriptions: Subscriptions,
    /// As whom it is served; `None`: it has to authenticate.
    pub grant: Option<Arc<Grant>>,
    /// For others, at the end of the batch.
    pub outbox: Outbox,
    /// Whether it sees what others do.
    pub is_monitor: bool,
    /// The revision of the authenticator that the grant is known to hold at.
    granted_at: u64,
    database: u8,
    transaction: Option<Transaction>,
    /// It does the commands of one, which is whole in one group.
    is_executing: bool,
    watches: Watches,
    /// Entities of database 0 that it watches, by name, and a digest of what they were.
    watched_rows: HashMap<Box<[u8]>, u64>,
    reply_mode: ReplyMode,
    name: Box<[u8]>,
    library: [Box<[u8]>; 2],
    is_kept: bool,
    is_untouching: bool,
    tracked: Tracked,
    last: (&'static str, Option<&'static str>),
    commands: usize,
    errors: usize,
    tally: Tally,
    held: Vec<Held>,
    /// Of the group that those wait for which were not answered in the executor's.
    fate: Option<GroupFate>,
    /// What it published to itself, until the command that did is answered.
    own_messages: Vec<Arc<Published>>,
    /// Where pushes lie that go out whether answers are wanted or not.
    pushed: Vec<Range<usize>>,
    /// Bytes that it sent and that are not done, and those that their buffer takes.
    input_bytes: (usize, usize),
    /// The greatest ticket of what the current command saw.
    seen: u64,
}

impl Session {
    /// Of a client that just came.
    pub fn new(shared: &Shared, client: Arc<Client>) -> Session {
        let subscriptions = Subscriptions::new(Arc::clone(&shared.pubsub), client.id, client.event_loop);
        let tracked = Tracked::new(Arc::clone(&shared.tracking), client.id);
        let watches = Watches::new(Arc::clone(&shared.watches), client.id);
        Session {
            input: Input::default(),
            state: State {
                client,
                replies: ReplyBuffer::default(),
                replies_charge: Charge::new(Arc::clone(&shared.output_bytes)),
                subscriptions,
                granted_at: shared.options.authenticator.revision(),
                grant: shared.options.authenticator.unasked(),
                outbox: Outbox::default(),
                is_monitor: false,
                database: 0,
                transaction: None,
                is_executing: false,
                watches,
                watched_rows: HashMap::new(),
                reply_mode: ReplyMode::On,
                name: Box::default(),
                library: Default::default(),
                is_kept: false,
                is_untouching: false,
                tracked,
                last: ("NULL", None),
                commands: 0,
                errors: 0,
                tally: Tally::default(),
                held: Vec::new(),
                fate: None,
                own_messages: Vec::new(),
                pushed: Vec::new(),
                input_bytes: (0, 0),
                seen: 0,
            },
        }
    }

    /// Finds the first commands that are there, before any of them is done.
    pub fn look_ahead(&mut self, shared: &Shared) {
        // Before it authenticated, what it may send is less than it may be after that.
        if self.state.grant.is_some() {
            self.input.look_ahead(&self.state.limits(shared));
        }
    }

    /// Whether the command that was found is one that looks at keys.
    pub fn begins_with_read(&self) -> bool {
        self.input.has_found() && is_read(self.input.arguments())
    }

    /// Whether the command that was found reads a key at a moment.
    pub fn looks_back(&self) -> bool {
        self.input.has_found() && self.input.arguments().is_word(0, "asof")
    }

    /// Does the commands that are there, in order, until one needs what `keys` does not give. They took the time since `begun`, which is
    /// when they ended then.
    pub fn run(&mut self, shared: &Shared, keys: Keys<'_>, begun: &mut Instant) -> BatchEnd {
        let end = self.run_commands(shared, keys);
        let ended = Instant::now();
        self.state.tally.took(ended.saturating_duration_since(std::mem::replace(begun, ended)));
        let bytes = self.state.replies.bytes().len();
        self.state.replies_charge.set(if bytes > CHARGED_BYTES_MIN { bytes } else { 0 });
        end
    }

    fn run_commands(&mut self, shared: &Shared, mut keys: Keys<'_>) -> BatchEnd {
        let Session { input, state } = self;
        if !state.is_still_granted(shared) {
            return BatchEnd::Drop;
        }
        loop {
            let pause = if state.grant.is_some() { REPLIES_PAUSE_BYTES } else { UNAUTHENTICATED_REPLIES_PAUSE_BYTES };
            if state.replies.bytes().len() >= pause {
                return BatchEnd::Full;
            }
            // Before it authenticated, what it may send is less than it may be after that.
            match input.find(&state.limits(shared), state.grant.is_some()) {
                Ok(true) => keys.fetch(state.database, input),
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
                Step::NextGroup => return BatchEnd::Full,
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

    /// Bytes of memory that what it sent takes and is kept for: input, and commands that wait for `EXEC`.
    pub fn kept_bytes(&self) -> usize {
        self.input.capacity() + self.state.transaction.as_ref().map_or(0, Transaction::bytes)
    }

    /// Says to others what the session came to, and counts what it did.
    pub fn publish(&mut self, now: Instant, statistics: &Statistics, tallies: &mut Tallies) {
        self.state.input_bytes = (self.input.len(), self.input.capacity());
        self.state.publish(now);
        self.state.count(statistics, tallies);
    }
}

impl State {
    /// The database that it selected.
    pub fn database(&self) -> u8 {
        self.database
    }

    /// Whether that has feature views beside keys.
    pub fn has_views(&self) -> bool {
        self.database == DATABASE
    }

    fn limits(&self, shared: &Shared) -> ParseLimits {
        match self.grant {
            Some(_) => ParseLimits {
                argument_bytes_max: shared.config.argument_bytes_max(),
                command_bytes_max: shared.config.command_bytes_max(),
                ..ParseLimits::AUTHENTICATED
            },
            None => ParseLimits::UNAUTHENTICATED,
        }
    }

    /// Whether what was granted still is: keys may have been made or revoked meanwhile. It is looked at only then.
    pub fn is_still_granted(&mut self, shared: &Shared) -> bool {
        let authenticator = &shared.options.authenticator;
        let revision = authenticator.revision();
        if revision == self.granted_at {
            return true;
        }
        self.granted_at = revision;
        self.grant.as_ref().is_none_or(|grant| authenticator.still_grants(grant))
    }

    /// Adds what it did to what all did.
    fn publish_counts(&mut self, Shared { statistics, .. }: &Shared) {
        self.count(statistics, &mut lock(&statistics.tallies));
    }

    fn count(&mut self, statistics: &Statistics, tallies: &mut Tallies) {
        statistics.commands.add(std::mem::take(&mut self.commands));
        statistics.errors.add(std::mem::take(&mut self.errors));
        tallies.take(&mut self.tally);
    }

    fn publish(&self, now: Instant) {
        let (input, capacity) = self.input_bytes;
        let details = &mut *lock(&self.client.details);
        details.active = now;
        details.database = self.database;
        details.subscriptions = self.subscriptions.counts();
        details.transaction = self.transaction.as_ref().map(|transaction| (transaction.len(), transaction.bytes()));
        details.is_monitor = self.is_monitor;
        details.version = self.replies.version();
        (details.command, details.subcommand) = self.last;
        details.input_bytes = (input, capacity.saturating_sub(input));
        details.is_kept = self.is_kept;
        details.is_untouching = self.is_untouching;
        details.tracks = self.tracked.options().map_or((false, false), |options| (true, options.is_broadcast));
        details.redirect = self.redirect();
    }
}
