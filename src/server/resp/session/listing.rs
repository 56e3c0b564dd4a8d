//! Commands of all keys of database 0, where feature views have some of them.

use super::answers::THIS_GROUP;
use super::{Keys, Refusal, Shared, State, Step};
use crate::server::resp::command::{Arguments, Command, Reader, Run};
use crate::server::resp::entities::{DATABASE, Entities, Source};
use crate::server::resp::glob::Pattern;
use crate::server::resp::keys::type_name;
use crate::server::resp::protocol::ReplyBuffer;
use crate::server::resp::random::below;
use crate::server::resp::scan::{ScanOptions, Scanned, answer_cursor, read_cursor};

impl State {
    /// Does a command of all keys; `Ok(None)`: it is none, or about the keyspace alone.
    pub(super) fn of_all(
        &mut self,
        shared: &Shared,
        command: &Command,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Option<Step>, Refusal> {
        let is_of_all = match command.name {
            "keys" | "scan" | "dbsize" | "randomkey" | "flushdb" => self.database == DATABASE,
            "flushall" => true,
            _ => false,
        };
        if !is_of_all || keys.entities().first_cursor().is_none() {
            return Ok(None);
        }
        if let Run::Write(_) = command.run {
            return self.flush(shared, command, arguments, keys);
        }
        let start = self.replies.bytes().len();
        self.replies.limit(shared.reply_bytes_max());
        let done = self.list_keys(command, arguments, keys);
        if self.replies.lift_limit() {
            self.replies.truncate(start);
            return Err(Refusal::ANSWER_TOO_LONG);
        }
        done.map(Some)
    }

    /// Every view is truncated, and the keyspace is emptied.
    fn flush(
        &mut self,
        shared: &Shared,
        command: &Command,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Option<Step>, Refusal> {
        let step = self.write(shared, command, arguments, keys)?;
        // Not if that is for the next group, and this with it.
        if let (Step::Done, Keys::Exclusive { entities, rows, .. }) = (step, keys) {
            entities.truncate_all(rows)?;
        }
        Ok(Some(step))
    }

    fn list_keys(&mut self, command: &Command, arguments: Arguments<'_>, keys: &mut Keys<'_>) -> Result<Step, Refusal> {
        let (keyspace, now, entities, source) = match keys {
            Keys::None { .. } => return Ok(Step::NeedsKeys),
            Keys::Shared { keyspace, now, entities, .. } => (*keyspace, *now, &mut **entities, Source::Online(*now)),
            Keys::Exclusive { keyspace, now, entities, rows, .. } => {
                self.seen = THIS_GROUP;
                (&**keyspace, *now, &mut **entities, Source::Stage(rows))
            }
        };
        let reader = Reader::new(keyspace, DATABASE, now);
        reader.depend_on(keyspace.counted(DATABASE));
        self.seen = self.seen.max(reader.depends_on());
        let replies = &mut self.replies;
        let mut names: Vec<Vec<u8>> = Vec::new();
        match command.name {
            "dbsize" => {
                let mut count = keyspace.len(DATABASE);
                entities.for_each(&source, |_| count += 1)?;
                replies.integer(i64::try_from(count).unwrap_or(i64::MAX));
                return Ok(Step::Done);
            }
            "randomkey" => {
                let of_keyspace = keyspace.random(DATABASE, now, below).map(|key| key.name.to_vec());
                let of_views = entities.random(&source)?;
                let name =
                    if of_views.is_none() || of_keyspace.is_some() && below(2) == 0 { of_keyspace } else { of_views };
                replies.bulk_or_null(name.as_deref());
                return Ok(Step::Done);
            }
            "keys" => {
                let pattern = Pattern::new(arguments.at(1));
                names.extend(
                    keyspace.iter(DATABASE, now).filter(|key| pattern.matches(&key.name)).map(|key| key.name.to_vec()),
                );
                entities.for_each(&source, |name| {
                    if pattern.matches(name) {
                        names.push(name.to_vec());
                    }
                })?;
            }
            _ => {
                let mut cursor = read_cursor(arguments.at(1))?;
                let options = ScanOptions::read(arguments, 2, Scanned::Keys)?;
                let is_of_type = |type_name: &str| {
                    options.type_name.is_none_or(|wanted| wanted.eq_ignore_ascii_case(type_name.as_bytes()))
                };
                if !Entities::has_cursor(cursor) {
                    let mut looked = 0;
                    cursor = keyspace.scan(DATABASE, cursor, options.count, now, |key| {
                        looked += 1;
                        if options.wants(&key.name) && is_of_type(type_name(&key.value)) {
                            names.push(key.name.to_vec());
                        }
                    });
                    if cursor == 0 {
                        cursor = entities.first_cursor().unwrap_or(0);
                    }
                    if looked >= options.count {
                        answer_cursor(replies, cursor);
                        answer(replies, &names);
                        return Ok(Step::Done);
                    }
                }
                if Entities::has_cursor(cursor) {
                    cursor = entities.scan(cursor, options.count, &source, |name| {
                        if options.wants(name) && is_of_type("hash") {
                            names.push(name.to_vec());
                        }
                    })?;
                }
                answer_cursor(replies, cursor);
            }
        }
        answer(replies, &names);
        Ok(Step::Done)
    }
}

fn answer(replies: &mut ReplyBuffer, names: &[Vec<u8>]) {
    replies.array(names.len());
    names.iter().for_each(|name| replies.bulk(name));
}
