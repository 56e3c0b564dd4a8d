//! Which commands were done, how often, and with which errors: what `INFO commandstats` and `INFO errorstats` show.

use std::collections::BTreeMap;
use std::time::Duration;

/// A command, and its subcommand if it has one.
pub type CommandName = (&'static str, Option<&'static str>);

/// How often a command came, and what became of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// It was done.
    pub calls: u64,
    /// Of those, it was answered with an error.
    pub failed: u64,
    /// It was refused before it was begun.
    pub rejected: u64,
    /// Time that its calls took, as shares of the batches they were in.
    pub time: Duration,
}

/// What one session did since it told last.
#[derive(Debug, Default)]
pub struct Tally {
    commands: Vec<(CommandName, Counts)>,
    /// Codes of errors.
    errors: Vec<String>,
    time: Duration,
}

impl Tally {
    fn counts(&mut self, name: CommandName) -> &mut Counts {
        // Most often it is the one before.
        let at = self.commands.iter().rposition(|(other, _)| *other == name).unwrap_or_else(|| {
            self.commands.push((name, Counts::default()));
            self.commands.len() - 1
        });
        &mut self.commands[at].1
    }

    /// A command was done.
    #[inline]
    pub fn done(&mut self, name: CommandName) {
        self.counts(name).calls += 1;
    }

    /// A command that was done is answered with this error.
    pub fn failed(&mut self, name: CommandName, error: &str) {
        self.counts(name).failed += 1;
        self.error(error);
    }

    /// A command is refused with this error; without a name, there is none of it.
    pub fn rejected(&mut self, name: Option<CommandName>, error: &str) {
        if let Some(name) = name {
            self.counts(name).rejected += 1;
        }
        self.error(error);
    }

    fn error(&mut self, text: &str) {
        self.errors.push(text.split(' ').next().unwrap_or_default().to_owned());
    }

    /// Commands took so long.
    pub fn took(&mut self, time: Duration) {
        self.time += time;
    }
}

/// What all sessions did.
#[derive(Debug, Default)]
pub struct Tallies {
    /// By command.
    pub commands: BTreeMap<CommandName, Counts>,
    /// By code.
    pub errors: BTreeMap<String, u64>,
}

impl Tallies {
    /// Adds what a session did, which begins anew.
    pub fn take(&mut self, tally: &mut Tally) {
        let calls: u64 = tally.commands.iter().map(|(_, counts)| counts.calls).sum();
        let each = tally.time.checked_div(u32::try_from(calls).unwrap_or(u32::MAX)).unwrap_or_default();
        tally.time = Duration::ZERO;
        for (name, counts) in tally.commands.drain(..) {
            let all = self.commands.entry(name).or_default();
            all.calls += counts.calls;
            all.failed += counts.failed;
            all.rejected += counts.rejected;
            all.time += each.saturating_mul(u32::try_from(counts.calls).unwrap_or(u32::MAX));
        }
        for code in tally.errors.drain(..) {
            *self.errors.entry(code).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_added_up_by_command_and_by_code() {
        let (mut tallies, mut tally) = (Tallies::default(), Tally::default());
        for _ in 0..3 {
            tally.done(("get", None));
        }
        tally.done(("config", Some("get")));
        tally.failed(("get", None), "WRONGTYPE no");
        tally.rejected(Some(("set", None)), "ERR arity");
        tally.rejected(None, "ERR unknown");
        tally.took(Duration::from_micros(40));
        tallies.take(&mut tally);
        tally.done(("get", None));
        tallies.take(&mut tally);
        let of = |name: CommandName| {
            tallies.commands.get(&name).map(|of| (of.calls, of.failed, of.rejected, of.time.as_micros()))
        };
        assert_eq!(of(("get", None)), Some((4, 1, 0, 30)));
        assert_eq!(of(("config", Some("get"))), Some((1, 0, 0, 10)));
        assert_eq!(of(("set", None)), Some((0, 0, 1, 0)));
        assert_eq!(tallies.errors.get("ERR"), Some(&2));
        assert_eq!(tallies.errors.get("WRONGTYPE"), Some(&1));
    }
}
