//! Commands: what each is called, takes and does. A command is a function of its arguments and of the keys it is shown; it answers
//! into a buffer. It knows no connection, no socket and no log: changes of keys are recorded where they are made, in
//! [`Keyspace`](crate::keyspace::Keyspace).

mod access;
mod arguments;
mod change;
mod deadline;
mod index;
mod refusal;
mod session_table;
mod table;
#[cfg(test)]
pub(in crate::server::resp) mod testing;
#[cfg(test)]
mod tests;

pub use access::{Event, EventClass, Reader, Writer};
pub use arguments::Arguments;
pub use deadline::{Terms, TimeForm, to_ms};
pub use index::{all, find};
pub use refusal::Refusal;
pub use session_table::{SESSION_COMMANDS, subcommands};
pub use table::COMMANDS;

use super::protocol::ReplyBuffer;

/// What a command came to: answered, or refused, in which case nothing of what it answered goes out.
pub type Outcome = Result<(), Refusal>;

/// A command, as `COMMAND` describes it.
#[derive(Debug)]
pub struct Command {
    /// Its name, in lower case; of a subcommand the last word.
    pub name: &'static str,
    /// How many arguments it takes, its name included; negative: at least so many.
    pub arity: i32,
    /// What it is like.
    pub flags: &'static [Flag],
    /// Where its keys stand.
    pub keys: KeyPositions,
    /// What it does.
    pub run: Run,
}

impl Command {
    /// Whether it takes so many arguments, its name included.
    pub fn takes(&self, arguments: usize) -> bool {
        let least = usize::try_from(self.arity.unsigned_abs()).unwrap_or(usize::MAX);
        if self.arity < 0 { arguments >= least } else { arguments == least }
    }
}

/// Properties of commands, by the names that `COMMAND` gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It may change keys.
    Write,
    /// It changes none.
    ReadOnly,
    /// It takes memory.
    DenyOom,
    /// It is for who runs the server.
    Admin,
    /// It is about channels.
    PubSub,
    /// It takes no more time the more keys there are.
    Fast,
    /// It may be sent before the connection authenticated.
    NoAuth,
    /// It is answered while data is loaded.
    Loading,
    /// It is answered by a replica without its master.
    Stale,
    /// It is not shown to `MONITOR`.
    SkipMonitor,
    /// Its keys are not all where its positions say.
    MovableKeys,
    /// It is answered while a script runs.
    AllowBusy,
    /// It is not for scripts.
    NoScript,
    /// It is not for transactions.
    NoMulti,
}

/// Positions of a command's keys among its arguments, the name being 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPositions {
    /// Of the first; 0 for none.
    pub first: i32,
    /// Of the last; negative counts from the end.
    pub last: i32,
    /// From one to the next.
    pub step: i32,
}

impl KeyPositions {
    /// It takes no keys.
    pub const NONE: KeyPositions = KeyPositions { first: 0, last: 0, step: 0 };
    /// Its first argument is one.
    pub const ONE: KeyPositions = KeyPositions { first: 1, last: 1, step: 1 };
    /// All its arguments are.
    pub const ALL: KeyPositions = KeyPositions { first: 1, last: -1, step: 1 };
    /// The one behind a subcommand is.
    pub const SECOND: KeyPositions = KeyPositions { first: 2, last: 2, step: 1 };
    /// The first two are.
    pub const TWO: KeyPositions = KeyPositions { first: 1, last: 2, step: 1 };
    /// Every other, of pairs.
    pub const PAIRS: KeyPositions = KeyPositions { first: 1, last: -1, step: 2 };

    /// The keys' positions in a command of so many arguments, its name included.
    pub fn among(self, arguments: usize) -> impl Iterator<Item = usize> {
        let first = usize::try_from(self.first).unwrap_or(0);
        let step = usize::try_from(self.step).unwrap_or(0).max(1);
        let end = match usize::try_from(self.last) {
            Ok(last) => arguments.min(last + 1),
            Err(_) => (arguments + 1).saturating_sub(usize::try_from(self.last.unsigned_abs()).unwrap_or(0)),
        };
        let end = if self.first == 0 { 0 } else { end };
        (first..end).step_by(step)
    }
}

impl KeyPositions {
    /// The keys among the arguments of a command.
    pub fn of(self, arguments: Arguments<'_>) -> impl Iterator<Item = &[u8]> {
        let len = i32::try_from(arguments.len()).unwrap_or(i32::MAX);
        let end = if self.last < 0 { len + self.last + 1 } else { len.min(self.last + 1) };
        let places = (self.first..if self.first > 0 { end } else { self.first }).step_by(self.step());
        places.filter_map(move |at| arguments.get(usize::try_from(at).ok()?))
    }

    fn step(self) -> usize {
        usize::try_from(self.step).unwrap_or(1).max(1)
    }

    /// The first of them, of a command that has one.
    pub fn name_in(self, arguments: Arguments<'_>) -> &[u8] {
        self.of(arguments).next().unwrap_or_default()
    }
}

/// What a command does, by what it needs for it.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// It looks at keys.
    Read(fn(&Reader<'_>, Arguments<'_>, &mut ReplyBuffer) -> Outcome),
    /// It may change keys.
    Write(fn(&mut Writer<'_>, Arguments<'_>, &mut ReplyBuffer) -> Outcome),
    /// It is about the connection or the server, which know it by its name.
    Session,
}
