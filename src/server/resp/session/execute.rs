//! A command, from its name to its answer.

use std::time::Duration;

use super::answers::THIS_GROUP;
use super::check::{self, Checked, NotChecked};
use super::transaction::Transaction;
use super::{Keys, Refusal, Shared, State, Step};
use crate::keyspace::check_name;
use crate::server::resp::command::{Arguments, Command, Flag, Outcome, Reader, Run, Writer};
use crate::server::resp::protocol::{ReplyBuffer, Version};

/// Who makes messages faster than event loops hand them out waits so long.
const MAIL_PAUSE: Duration = Duration::from_millis(1);

/// A group whose records take so many bytes has enough: other commands are for the next.
const GROUP_BYTES: usize = if cfg!(test) { 4 << 20 } else { 64 << 20 };
/// A transaction is one group, and refused what would make it longer. The log takes a frame of 1 GiB.
const GROUP_BYTES_MAX: usize = if cfg!(test) { 24 << 20 } else { 768 << 20 };
/// Longest name of a field, in bytes: a record holds it whole.
const FIELD_BYTES_MAX: usize = 8 << 20;

/// Refuses names that no record can say, before anything is changed.
fn check_names(command: &Command, arguments: Arguments<'_>) -> Result<(), Refusal> {
    for name in command.keys.of(arguments) {
        check_name(name).map_err(|error| Refusal::new(format!("ERR {error}")))?;
    }
    let fields = match command.name {
        "hset" | "hmset" => arguments.len(),
        "hsetnx" | "hincrby" | "hincrbyfloat" => 3,
        _ => 0,
    };
    let is_long = |at: usize| arguments.at(at).len() > FIELD_BYTES_MAX;
    match (2..fields).step_by(2).any(is_long) {
        true => Err(Refusal::new(format!("ERR a field's name takes at most {FIELD_BYTES_MAX} bytes"))),
        false => Ok(()),
    }
}

impl State {
    /// A command, from its name to its answer.
    pub(super) fn command(&mut self, shared: &Shared, arguments: Arguments<'_>, keys: &mut Keys<'_>) -> Step {
        let checked = match check::check(arguments) {
            Ok(checked) => checked,
            Err(NotChecked::AnotherProtocol) => return Step::Drop,
            Err(NotChecked::Refused(name, refusal)) => return self.reject(name, refusal),
        };
        let Checked { command, subcommand } = checked;
        let is_control = matches!(command.run, Run::Session) && check::is_control(command.name);
        if self.grant.is_none() && !command.flags.contains(&Flag::NoAuth) {
            return self.reject(command.name, Refusal::fixed("NOAUTH Authentication required."));
        }
        if let Err(refusal) = self.check_permission(checked, arguments, keys.entities()) {
            return self.reject(command.name, refusal);
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
        if self.takes_memory(command) && shared.is_out_of_memory() {
            let refusal = Refusal::fixed("OOM command not allowed when used memory > 'maxmemory'.");
            return self.reject(command.name, refusal);
        }
        let may_write = self.may_write(command);
        if may_write && shared.config.wants_replicas() {
            return self.reject(command.name, Refusal::fixed("NOREPLICAS Not enough good replicas to write."));
        }
        if let Some(left) = shared.pause(may_write || command.name == "publish") {
            return Step::HoldBack(left);
        }
        if shared.has_much_mail() && self.makes_mail(shared, command) {
            return Step::HoldBack(MAIL_PAUSE);
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
            return self.answered(start, keys.settled(), Step::Done);
        }
        let step = self.execute(shared, checked, arguments, keys);
        if matches!(step, Step::NeedsKeys | Step::NeedsWriter | Step::NextGroup | Step::HoldBack(_)) {
            return step;
        }
        self.push_own_messages();
        self.answered(start, keys.settled(), step)
    }

    /// Whether a command may have messages for other connections.
    fn makes_mail(&self, shared: &Shared, command: &Command) -> bool {
        matches!(command.name, "publish" | "exec")
            || self.may_write(command) && (shared.config.notify().bits() != 0 || shared.tracking.len() > 0)
            || shared.clients.has_monitors()
    }

    /// Whether a command may change keys, or one that it executes may.
    fn may_write(&self, command: &Command) -> bool {
        matches!(command.run, Run::Write(_)) || self.executed(command).is_some_and(Transaction::has_writes)
    }

    /// Whether a command takes memory, or one that it executes does.
    fn takes_memory(&self, command: &Command) -> bool {
        command.flags.contains(&Flag::DenyOom) || self.executed(command).is_some_and(Transaction::takes_memory)
    }

    /// The transaction that a command executes.
    fn executed(&self, command: &Command) -> Option<&Transaction> {
        self.transaction.as_ref().filter(|_| command.name == "exec")
    }

    /// Does a command, alone or out of a transaction.
    pub(super) fn execute(
        &mut self,
        shared: &Shared,
        Checked { command, subcommand }: Checked,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Step {
        let start = self.replies.bytes().len();
        let before = self.last;
        self.last = (command.name, subcommand.map(|subcommand| subcommand.name));
        let outcome = match self.of_entity(shared, command, arguments, keys) {
            Ok(None) => match command.run {
                Run::Read(run) => self.read(shared, run, arguments, keys),
                Run::Write(_) => self.write(shared, command, arguments, keys),
                Run::Session => self.dispatch(shared, command, subcommand, arguments, keys),
            },
            Ok(Some(step)) => Ok(step),
            Err(refusal) => Err(refusal),
        };
        let step = outcome.unwrap_or_else(|refusal| {
            self.replies.truncate(start);
            self.replies.error(refusal.text());
            self.errors += 1;
            self.tally.failed(self.last, refusal.text());
            Step::Done
        });
        if matches!(step, Step::NeedsKeys | Step::NeedsWriter | Step::NextGroup | Step::HoldBack(_)) {
            self.last = before;
            return step;
        }
        self.commands += 1;
        self.tally.done((command.name, subcommand.map(|subcommand| subcommand.name)));
        if shared.clients.has_monitors() {
            self.show_to_monitors(shared, command, subcommand, arguments);
        }
        step
    }

    pub(super) fn read(
        &mut self,
        shared: &Shared,
        run: fn(&Reader<'_>, Arguments<'_>, &mut ReplyBuffer) -> Outcome,
        arguments: Arguments<'_>,
        keys: &Keys<'_>,
    ) -> Result<Step, Refusal> {
        let Some((keyspace, now)) = keys.look() else { return Ok(Step::NeedsKeys) };
        let mut reader = Reader::new(keyspace, self.database, now);
        if self.is_untouching {
            reader = reader.untouching();
        }
        self.replies.limit(shared.reply_bytes_max());
        let outcome = run(&reader, arguments, &mut self.replies);
        let outcome = if self.replies.lift_limit() { Err(Refusal::ANSWER_TOO_LONG) } else { outcome };
        let ticket = if matches!(keys, Keys::Exclusive { .. }) { THIS_GROUP } else { reader.depends_on() };
        self.seen = self.seen.max(ticket);
        outcome.map(|()| Step::Done)
    }

    pub(super) fn write(
        &mut self,
        shared: &Shared,
        command: &Command,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Step, Refusal> {
        let (Keys::Exclusive { keyspace, now, events, .. }, Run::Write(run)) = (&mut *keys, command.run) else {
            return Ok(Step::NeedsWriter);
        };
        check_names(command, arguments)?;
        if !self.is_executing && keyspace.recorded_bytes() >= GROUP_BYTES {
            return Ok(Step::NextGroup);
        }
        if keyspace.recorded_bytes() + arguments.bytes() > GROUP_BYTES_MAX {
            return Err(Refusal::fixed("ERR the transaction writes more than fits into one"));
        }
        // Before it is done: afterwards its answer is all that tells what was there.
        if self.replies.bytes().len() > shared.reply_bytes_max() {
            return Err(Refusal::ANSWER_TOO_LONG);
        }
        keyspace.packed_limits = shared.config.packed_limits();
        let (mark, told) = (keyspace.mark(), events.len());
        let mut writer = Writer::new(keyspace, self.database, *now, events);
        if shared.config.notify().bits() == 0 && shared.tracking.len() == 0 {
            writer = writer.silent();
        }
        let outcome = run(&mut writer, arguments, &mut self.replies);
        shared.watches.raise_changed(keyspace, mark, *now);
        self.note_changed(shared, keys, mark, told);
        self.seen = THIS_GROUP;
        outcome.map(|()| Step::Done)
    }
}
