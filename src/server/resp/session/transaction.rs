//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`, `UNWATCH`.

use std::ops::Range;

use super::check::Checked;
use super::entity::entity_digest;
use super::{Keys, Shared, State, Step};
use crate::server::resp::command::{Arguments, Flag, Refusal, Run};
use crate::server::resp::entities::DATABASE;
use crate::server::resp::input::Kept;

/// Most bytes of commands that a transaction keeps. Who sends more is cut off.
const TRANSACTION_BYTES_MAX: usize = 1 << 30;

/// Commands that wait for `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    commands: Vec<(Checked, Range<usize>)>,
    arguments: Kept,
    is_aborted: bool,
    has_reads: bool,
    has_writes: bool,
    takes_memory: bool,
}

impl Transaction {
    /// One more command. Whether it may be kept.
    pub(super) fn push(&mut self, checked: Checked, arguments: Arguments<'_>) -> bool {
        match checked.command.run {
            Run::Read(_) => self.has_reads = true,
            Run::Write(_) => self.has_writes = true,
            Run::Session => self.has_reads |= checked.command.name == "info",
        }
        self.takes_memory |= checked.command.flags.contains(&Flag::DenyOom);
        let range = self.arguments.push(arguments);
        self.commands.push((checked, range));
        self.bytes() <= TRANSACTION_BYTES_MAX
    }

    /// A command was refused: `EXEC` will be, too.
    pub(super) fn abort(&mut self) {
        self.is_aborted = true;
    }

    /// How many commands wait.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// Bytes that they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.arguments.len() + self.commands.len() * size_of::<(Checked, Range<usize>)>()
    }

    /// Whether one of them may change keys.
    pub(super) fn has_writes(&self) -> bool {
        self.has_writes
    }

    /// Whether one of them takes memory.
    pub(super) fn takes_memory(&self) -> bool {
        self.takes_memory
    }
}

impl State {
    pub(super) fn multi(&mut self) -> Result<(), Refusal> {
        if self.transaction.is_some() {
            return Err(Refusal::fixed("ERR MULTI calls can not be nested"));
        }
        self.transaction = Some(Transaction::default());
        self.replies.ok();
        Ok(())
    }

    pub(super) fn discard(&mut self) -> Result<(), Refusal> {
        self.transaction.take().ok_or(Refusal::fixed("ERR DISCARD without MULTI"))?;
        self.watch_nothing();
        self.replies.ok();
        Ok(())
    }

    pub(super) fn watch_nothing(&mut self) {
        self.watches.clear();
        self.watched_rows.clear();
    }

    pub(super) fn watch(&mut self, arguments: Arguments<'_>, keys: &mut Keys<'_>) -> Result<Step, Refusal> {
        if self.transaction.is_some() {
            return Err(Refusal::fixed("ERR WATCH inside MULTI is not allowed"));
        }
        if keys.look().is_none() {
            return Ok(Step::NeedsKeys);
        }
        for key in arguments.from(1) {
            // What was watched before stays as it was then.
            if self.database == DATABASE
                && !self.watched_rows.contains_key(key)
                && let Some(digest) = entity_digest(key, keys)?
            {
                self.watched_rows.insert(key.into(), digest);
            }
        }
        let Some((keyspace, now)) = keys.look() else { return Ok(Step::NeedsKeys) };
        arguments.from(1).for_each(|key| self.watches.watch(self.database, key, keyspace, now));
        self.replies.ok();
        Ok(Step::Done)
    }

    pub(super) fn unwatch(&mut self) {
        self.watch_nothing();
        self.replies.ok();
    }

    pub(super) fn exec(&mut self, shared: &Shared, keys: &mut Keys<'_>) -> Result<Step, Refusal> {
        let Some(transaction) = &self.transaction else { return Err(Refusal::fixed("ERR EXEC without MULTI")) };
        if transaction.is_aborted {
            self.transaction = None;
            self.watch_nothing();
            return Err(Refusal::fixed("EXECABORT Transaction discarded because of previous errors."));
        }
        // Rows of views are not held still by a look at the keys: what is committed meanwhile would show in some answers alone.
        let is_still = matches!(keys, Keys::Exclusive { .. }) || keys.entities().first_cursor().is_none();
        if transaction.has_reads && !is_still {
            return Ok(Step::NeedsWriter);
        }
        if keys.is_group_full() {
            return Ok(Step::NextGroup);
        }
        let has_changed_rows = keys.look().is_some() && self.have_watched_rows_changed(keys)?;
        let Some(transaction) = &self.transaction else { return Err(Refusal::SYNTAX) };
        // Flags are raised under the lock that `keys` holds: nothing is changed between this look and the last command.
        match keys.look() {
            None if transaction.has_writes => return Ok(Step::NeedsWriter),
            None if transaction.has_reads || !self.watches.is_empty() => return Ok(Step::NeedsKeys),
            Some((keyspace, now)) if has_changed_rows || self.watches.are_touched(keyspace, now) => {
                self.transaction = None;
                self.watch_nothing();
                self.replies.null_array();
                return Ok(Step::Done);
            }
            Some(_) if transaction.has_writes && !matches!(keys, Keys::Exclusive { .. }) => {
                return Ok(Step::NeedsWriter);
            }
            None | Some(_) => {}
        }
        let Transaction { commands, arguments, .. } = self.transaction.take().unwrap_or_default();
        self.watch_nothing();
        self.replies.array(commands.len());
        let mut closes = false;
        self.is_executing = true;
        for (checked, range) in commands {
            let arguments = arguments.get(&range);
            if self.replies.bytes().len() > shared.reply_bytes_max() {
                self.replies.error(Refusal::ANSWER_TOO_LONG.text());
                continue;
            }
            // Another key may have been shown since the command was queued, or among those before it.
            if let Err(refusal) = self.check_permission(checked, arguments, keys.entities()) {
                self.replies.error(format!(
                    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
                     command is no longer allowed for the following reason: {}",
                    refusal.text().strip_prefix("NOPERM ").unwrap_or_default()
                ));
                continue;
            }
            closes |= self.execute(shared, checked, arguments, keys) == Step::Close;
        }
        self.is_executing = false;
        self.last = ("exec", None);
        Ok(if closes { Step::Close } else { Step::Done })
    }
}
