//! Commands of keys that name entities of feature views.

use xxhash_rust::xxh3::xxh3_64;

use super::answers::THIS_GROUP;
use super::{Keys, Refusal, Shared, State, Step};
use crate::server::resp::command::{Arguments, Command, KeyPositions, Run};
use crate::server::resp::entities::{DATABASE, Named, Source, refuse_for_entities};

impl State {
    /// Does a command whose keys name entities; `Ok(None)`: they do not.
    pub(super) fn of_entity(
        &mut self,
        shared: &Shared,
        command: &Command,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Option<Step>, Refusal> {
        if command.keys == KeyPositions::NONE {
            return self.of_all(shared, command, arguments, keys);
        }
        if self.database != DATABASE || !keys.entities().may_name(command) {
            return Ok(None);
        }
        let view = match keys.entities().named(command, arguments)? {
            Named::Keys => return Ok(None),
            Named::Entity(view) => view,
            Named::Some => {
                refuse_for_entities(command, arguments)?;
                return self.of_each(shared, command, arguments, keys);
            }
        };
        refuse_for_entities(command, arguments)?;
        let replies = &mut self.replies;
        match (command.run, keys) {
            (Run::Session, _) => return Ok(None),
            (Run::Read(run), Keys::Exclusive { entities, rows, .. }) => {
                self.seen = THIS_GROUP;
                entities.read(view, (command, run), arguments, &Source::Stage(rows), replies)?;
            }
            (Run::Read(run), Keys::None { entities, now } | Keys::Shared { entities, now, .. }) => {
                entities.read(view, (command, run), arguments, &Source::Online(*now), replies)?;
            }
            (Run::Write(_), Keys::Exclusive { rows, .. }) if rows.is_full() && !self.is_executing => {
                return Ok(Some(Step::NextGroup));
            }
            (Run::Write(run), Keys::Exclusive { entities, rows, events, .. }) => {
                self.seen = THIS_GROUP;
                let told = events.len();
                entities.write(view, (command, run), arguments, rows, events, replies)?;
                if events.len() > told {
                    let key = command.keys.name_in(arguments);
                    shared.watches.raise(DATABASE, key);
                    if shared.tracking.len() > 0 {
                        self.outbox.changed_by = self.client.id;
                        self.outbox.note_changed(Some(key));
                    }
                }
                if shared.config.notify().bits() == 0 && shared.tracking.len() == 0 {
                    events.truncate(told);
                }
            }
            (Run::Write(_), Keys::None { .. } | Keys::Shared { .. }) => return Ok(Some(Step::NeedsWriter)),
        }
        Ok(Some(Step::Done))
    }

    /// Does a command of several keys for each of them: what it answers of all are the answers of each, or their sum.
    fn of_each(
        &mut self,
        shared: &Shared,
        command: &Command,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Option<Step>, Refusal> {
        match command.run {
            Run::Write(_) if !matches!(keys, Keys::Exclusive { .. }) => return Ok(Some(Step::NeedsWriter)),
            Run::Read(_) if keys.look().is_none() => return Ok(Some(Step::NeedsKeys)),
            _ => {}
        }
        let start = self.replies.bytes().len();
        let (mut answers, mut answered): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
        for key in command.keys.of(arguments) {
            let bytes = [arguments.at(0), key].concat();
            let ranges = [0..arguments.at(0).len(), arguments.at(0).len()..bytes.len()];
            let alone = Arguments::new(&bytes, &ranges);
            if self.of_entity(shared, command, alone, keys)?.is_none() {
                match command.run {
                    Run::Read(run) => self.read(shared, run, alone, keys)?,
                    Run::Write(_) => self.write(shared, command, alone, keys)?,
                    Run::Session => return Ok(None),
                };
            }
            answers.push(self.replies.bytes()[start..].to_vec());
            answered += self.replies.bytes().len() - start;
            self.replies.truncate(start);
            if answered > shared.reply_bytes_max() {
                return Err(Refusal::ANSWER_TOO_LONG);
            }
        }
        if command.name == "mget" {
            self.replies.array(answers.len());
            answers.iter().for_each(|answer| self.replies.append(answer.strip_prefix(b"*1\r\n").unwrap_or(answer)));
        } else {
            let is_one = |answer: &&Vec<u8>| answer.as_slice() == b":1\r\n";
            self.replies.integer(i64::try_from(answers.iter().filter(is_one).count()).unwrap_or(i64::MAX));
        }
        Ok(Some(Step::Done))
    }

    /// Whether an entity that is watched is not what it was: whoever wrote to it, over this protocol or past it.
    pub(super) fn have_watched_rows_changed(&self, keys: &mut Keys<'_>) -> Result<bool, Refusal> {
        for (key, before) in &self.watched_rows {
            if entity_digest(key, keys)? != Some(*before) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A digest of the entity that a key of database 0 names, whether it is there or not; `None`: the key names none.
pub(super) fn entity_digest(key: &[u8], keys: &mut Keys<'_>) -> Result<Option<u64>, Refusal> {
    let row = match keys {
        Keys::Exclusive { entities, rows, .. } => entities.find(key, &Source::Stage(rows)),
        Keys::None { entities, now } | Keys::Shared { entities, now, .. } => entities.find(key, &Source::Online(*now)),
    };
    // As text a value that is no number is equal to itself.
    Ok(row?.map(|row| xxh3_64(format!("{row:?}").as_bytes())))
}
