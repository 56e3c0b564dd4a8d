//! A command, from its name to its answer.

use super::answers::THIS_GROUP;
use super::check::{self, Checked, NotChecked};
use super::transaction::Transaction;
use super::{Keys, Refusal, Shared, State, Step};
use crate::server::resp::command::{Arguments, Command, EventClass, Flag, Outcome, Reader, Run, Writer};
use crate::server::resp::keys::check_flush_mode;
use crate::server::resp::protocol::{ReplyBuffer, Version};

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
        run: fn(&Reader<'_>, Arguments<'_>, &mut ReplyBuffer) -> Outcome,
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
            // One that is refused touches nothing.
            "flushall" | "flushdb" if check_flush_mode(arguments).is_err() => {}
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
}
