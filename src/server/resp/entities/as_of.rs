//! `ASOF`: a key as it was at a moment, an entity's or any other.

use super::key::to_key;
use super::write::moment;
use super::{DATABASE, Entities, Named, refusal_of};
use crate::engine::row_stage::RowStage;
use crate::keyspace::{Key, KeyValue, Keyspace, PackedLimits};
use crate::request::KnownAt;
use crate::server::resp::command::{Arguments, Command, Outcome, Refusal};
use crate::server::resp::protocol::ReplyBuffer;
use crate::time::Timestamp;

/// What `ASOF` was asked.
struct Question<'a> {
    at: i64,
    known_at: Option<KnownAt>,
    /// Where the arguments that name fields begin, where they do.
    fields: Option<usize>,
    arguments: Arguments<'a>,
}

impl Entities {
    /// `ASOF key moment [KNOWN known-at] [FIELDS field [field ...]]`: a string, all fields of a hash with their values, or the values of
    /// those that are named, as of the moment. The moment is RFC 3339, microseconds since 1970, or `NOW`; what is known at is a
    /// number, a time or a snapshot's name.
    pub fn as_of(
        &mut self,
        command: &Command,
        database: u8,
        arguments: Arguments<'_>,
        group: Option<(&Keyspace, &RowStage)>,
        now: i64,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let question = Question::read(arguments, now)?;
        // What the group has written is known now, and true from its instant on, or from when it says.
        let group = group.filter(|_| question.known_at.is_none());
        let (name, at, known_at) = (arguments.at(1), Timestamp(question.at), question.known_at.as_ref());
        let named = if database == DATABASE { self.named(command, arguments)? } else { Named::Keys };
        let key = match named {
            Named::Entity(view) => {
                let served = &self.views[view];
                let row = match group {
                    Some((_, rows)) => rows.row(&served.view, &self.key, at.micros()),
                    None => self.store.row_at(&served.view, &self.key, at, known_at),
                };
                let row = row.map_err(|error| refusal_of(&error))?;
                row.and_then(|row| to_key(served, name, &row, PackedLimits::default()))
            }
            Named::Keys | Named::Some => match group {
                Some((keyspace, rows)) if at.micros() >= rows.now => {
                    keyspace.get((database, name), at.micros()).cloned()
                }
                _ => self.store.key_at((database, name), at, known_at).map_err(|error| refusal_of(&error))?,
            },
        };
        question.answer(key.as_ref(), reply)
    }
}

impl<'a> Question<'a> {
    fn read(arguments: Arguments<'a>, now: i64) -> Result<Question<'a>, Refusal> {
        let at = if arguments.is_word(2, "NOW") { now } else { moment(arguments.at(2), "ASOF's moment")? };
        let (mut known_at, mut next) = (None, 3);
        if arguments.is_word(next, "KNOWN") {
            let text = arguments.get(next + 1).ok_or(Refusal::SYNTAX)?;
            let text = std::str::from_utf8(text).map_err(|_| Refusal::SYNTAX)?;
            known_at = Some(text.parse().map_err(|error| refusal_of(&error))?);
            next += 2;
        }
        let fields = arguments.is_word(next, "FIELDS").then_some(next + 1);
        let is_whole = fields.map_or(next == arguments.len(), |first| first < arguments.len());
        if is_whole { Ok(Question { at, known_at, fields, arguments }) } else { Err(Refusal::SYNTAX) }
    }

    fn answer(&self, key: Option<&Key>, reply: &mut ReplyBuffer) -> Outcome {
        let hash = match (key.map(|key| &key.value), self.fields) {
            (Some(KeyValue::String(string)), None) => {
                reply.bulk(&string.bytes);
                return Ok(());
            }
            (Some(KeyValue::String(_)), Some(_)) => return Err(Refusal::WRONG_TYPE),
            (Some(KeyValue::Hash(hash)), _) => Some(hash),
            (None, _) => None,
        };
        match (self.fields, hash) {
            (Some(first), hash) => {
                reply.array(self.arguments.len() - first);
                for field in self.arguments.from(first) {
                    reply.bulk_or_null(hash.and_then(|hash| hash.get(field, self.at)));
                }
            }
            (None, None) => reply.null(),
            (None, Some(hash)) => {
                reply.map(hash.len(self.at));
                for (field, value) in hash.iter(self.at) {
                    reply.bulk(field);
                    reply.bulk(value);
                }
            }
        }
        Ok(())
    }
}
