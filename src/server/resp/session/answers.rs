//! Answers of a batch: those the client does not want, and those that are none before a group of writes is durable.

use std::ops::Range;

use super::{Refusal, Shared, State, Step};
use crate::engine::keyspace::GroupFate;
use crate::server::resp::command::find;

/// Whether a client wants answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyMode {
    On,
    Off,
    /// Not to this command, but to the next.
    Skip,
    /// Not to the next.
    SkipNext,
}

/// The ticket that stands for the group which is being made.
pub(super) const THIS_GROUP: u64 = u64::MAX;

/// An answer that is none before a group is durable.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Its ticket.
    ticket: u64,
    /// Where the answer lies.
    bytes: Range<usize>,
}

impl State {
    /// The greatest ticket that an answer waits for, if one does that was not taken in the executor's group.
    pub fn waits_for(&self) -> Option<u64> {
        self.held.iter().map(|held| held.ticket).filter(|ticket| *ticket != THIS_GROUP).max()
    }

    /// Where answers wait for a group, what will become of it: that is asked for under the lock that they were read under, so it is
    /// one group that all of them wait for.
    pub fn note_fate(&mut self, shared: &Shared) {
        if self.waits_for().is_some() {
            self.fate = Some(shared.keyspace.fate());
        }
    }

    /// All groups that answers waited for are durable or undone. Answers that come of an undone one say so instead: `why` of the
    /// executor's own group, if that was.
    pub fn settle(&mut self, why: Option<&str>) {
        let (held, fate) = (std::mem::take(&mut self.held), self.fate.take());
        let is_lost = |held: &Held| match held.ticket {
            THIS_GROUP => why.is_some(),
            _ => fate.as_ref().is_some_and(GroupFate::was_undone),
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

    /// Answers that the client does not want are forgotten; those that a group stands behind are noted.
    pub(super) fn answered(&mut self, start: usize, settled: u64, step: Step) -> Step {
        let seen = std::mem::take(&mut self.seen);
        match self.reply_mode {
            ReplyMode::On => {
                if seen > settled {
                    self.held.push(Held { ticket: seen, bytes: start..self.replies.bytes().len() });
                }
            }
            ReplyMode::Off => self.forget_answers(start),
            ReplyMode::SkipNext => {
                self.forget_answers(start);
                self.reply_mode = ReplyMode::Skip;
            }
            ReplyMode::Skip => {
                self.forget_answers(start);
                self.reply_mode = ReplyMode::On;
            }
        }
        self.pushed.clear();
        step
    }

    /// Forgets what was answered from `start` on, but for pushes, which are no answers.
    fn forget_answers(&mut self, start: usize) {
        let pushed: Vec<u8> =
            self.pushed.iter().flat_map(|bytes| &self.replies.bytes()[bytes.clone()]).copied().collect();
        self.replies.truncate(start);
        self.replies.append(&pushed);
    }

    /// An error before the command was begun: a transaction does not survive it, nor its own end.
    pub(super) fn reject(&mut self, name: &str, refusal: Refusal) -> Step {
        let start = self.replies.bytes().len();
        if name == "exec" {
            self.transaction = None;
            self.watch_nothing();
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
        self.tally.rejected(find(name.as_bytes()).map(|command| (command.name, None)), refusal.text());
        self.answered(start, 0, Step::Done)
    }
}
