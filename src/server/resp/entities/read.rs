//! Commands that look at entities.

use super::key::to_key;
use super::{DATABASE, EVENT_TIME_FIELD, Entities, Served, refusal_of};
use crate::engine::entities::EntityRow;
use crate::engine::online::OnlineRow;
use crate::engine::row_stage::RowStage;
use crate::join::pick::Status;
use crate::keyspace::PackedLimits;
use crate::server::resp::command::{Arguments, Command, Outcome, Reader, Refusal};
use crate::server::resp::protocol::ReplyBuffer;
use crate::text::{F64Text, to_bytes};
use crate::time::Timestamp;
use crate::value::DataType;

/// Where a command finds rows.
#[derive(Debug)]
pub enum Source<'a> {
    /// Those that are committed, as of this instant.
    Online(i64),
    /// Those that the group at hand finds and has written.
    Stage(&'a RowStage),
}

impl Source<'_> {
    /// The instant that rows are read as of.
    pub fn now(&self) -> i64 {
        match self {
            Source::Online(now) => *now,
            Source::Stage(rows) => rows.now,
        }
    }
}

type Run = fn(&Reader<'_>, Arguments<'_>, &mut ReplyBuffer) -> Outcome;

impl Entities {
    /// Does a command that looks at the entity whose key was found last, of the view at this place.
    pub fn read(
        &mut self,
        view: usize,
        (command, run): (&Command, Run),
        arguments: Arguments<'_>,
        source: &Source<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        match command.name {
            "hget" => self.answer_fields(view, arguments, source, reply),
            "hmget" => {
                reply.array(arguments.len() - 2);
                self.answer_fields(view, arguments, source, reply)
            }
            _ => self.read_as_hash(view, command.keys.name_in(arguments), run, arguments, source, reply),
        }
    }

    /// As any hash is read.
    fn read_as_hash(
        &mut self,
        view: usize,
        name: &[u8],
        run: Run,
        arguments: Arguments<'_>,
        source: &Source<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let row = self.row(view, source)?;
        if let Some(key) = row.and_then(|row| to_key(&self.views[view], name, &row, PackedLimits::default())) {
            self.scratch.place(DATABASE, key);
        }
        let outcome = run(&Reader::new(&self.scratch, DATABASE, source.now()), arguments, reply);
        self.scratch.take_out((DATABASE, name));
        outcome
    }

    /// The row of the entity whose key was found last, as a read at the source's instant answers it.
    pub(super) fn row(&mut self, view: usize, source: &Source<'_>) -> Result<Option<EntityRow>, Refusal> {
        if let Source::Stage(rows) = source {
            let view = &self.views[view].view;
            if rows.has_written(view, &self.key) {
                return rows.row(view, &self.key, rows.now).map_err(|error| refusal_of(&error));
            }
        }
        // Everything before a group is committed, and the latest table has it at hand.
        let online = self.views[view].online(&self.store)?;
        let key = online.encoded_key(&self.key);
        let row = online.get(&key, Timestamp(source.now())).map_err(|error| refusal_of(&error))?;
        Ok(row.to_entity_row())
    }

    /// Answers the fields that the arguments from the third on name.
    fn answer_fields(
        &mut self,
        view: usize,
        arguments: Arguments<'_>,
        source: &Source<'_>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        if let Source::Online(now) = source {
            let served = &mut self.views[view];
            served.online(&self.store)?;
            let Served { features, online: Some(online), .. } = served else { return Ok(()) };
            let key = online.encoded_key(&self.key);
            let row = online.get(&key, Timestamp(*now)).map_err(|error| refusal_of(&error))?;
            let mut next = 0;
            for name in arguments.from(2) {
                match features.find(name, next) {
                    Some(feature) => {
                        answer_online(&row, feature, reply);
                        next = feature + 1;
                    }
                    None if name == EVENT_TIME_FIELD => answer_time(row.event_time(), reply),
                    None => reply.null(),
                }
            }
            return Ok(());
        }
        let row = self.row(view, source)?;
        let served = &self.views[view];
        for (next, name) in arguments.from(2).enumerate() {
            let (Some(row), feature) = (&row, served.features.find(name, next)) else {
                reply.null();
                continue;
            };
            match feature {
                Some(feature) => {
                    let dtype = &served.view.definition().features[feature].dtype;
                    let value = row.fields[feature].value.as_ref().filter(|value| !value.is_null());
                    reply.bulk_or_null(value.map(|value| to_bytes(dtype, value)).as_deref());
                }
                None if name == EVENT_TIME_FIELD => answer_time(Some(Timestamp(row.event_ts)), reply),
                None => reply.null(),
            }
        }
        Ok(())
    }
}

fn answer_online(row: &OnlineRow<'_>, feature: usize, reply: &mut ReplyBuffer) {
    match row.dtype(feature) {
        DataType::Float64 => match row.f64(feature) {
            Some(value) => reply.bulk(F64Text::new(value).as_str().as_bytes()),
            None => reply.null(),
        },
        DataType::Int64 => match row.i64(feature) {
            Some(value) => reply.bulk_integer(value),
            None => reply.null(),
        },
        DataType::String => reply.bulk_or_null(row.str(feature).map(str::as_bytes)),
        dtype if row.status(feature).0 == Status::Present => reply.bulk(&to_bytes(dtype, &row.value(feature))),
        _ => reply.null(),
    }
}

fn answer_time(time: Option<Timestamp>, reply: &mut ReplyBuffer) {
    reply.bulk_or_null(time.map(|time| time.to_string().into_bytes()).as_deref());
}
