//! Commands that change entities: each that does writes a row.

use super::key::{to_key, to_row};
use super::read::Source;
use super::text::from_bytes;
use super::{DATABASE, EVENT_TIME_FIELD, Entities, Served, refusal_of};
use crate::engine::entities::{EntityField, EntityRow};
use crate::engine::row_stage::RowStage;
use crate::keyspace::PackedLimits;
use crate::server::resp::command::{Arguments, Command, Event, EventClass, Outcome, Refusal, Writer};
use crate::server::resp::number::parse_i64;
use crate::server::resp::protocol::ReplyBuffer;
use crate::value::{DataType, Value};

type Run = fn(&mut Writer<'_>, Arguments<'_>, &mut ReplyBuffer) -> Outcome;

impl Entities {
    /// Does a command that may change the entity whose key was found last, of the view at this place.
    pub fn write(
        &mut self,
        view: usize,
        (command, run): (&Command, Run),
        arguments: Arguments<'_>,
        rows: &mut RowStage,
        events: &mut Vec<Event>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        match command.name {
            "hset" | "hmset" => {
                let is_new = self.set(view, command, arguments, rows, reply)?;
                let mut tell = |class, event| {
                    let key = arguments.at(1).into();
                    events.push(Event { class, event, database: DATABASE, key });
                };
                if is_new {
                    tell(EventClass::New, "new");
                }
                tell(EventClass::Hash, "hset");
                Ok(())
            }
            _ => self.write_as_hash(view, (command, run), arguments, rows, events, reply),
        }
    }

    /// `HSET key field value [field value ...]`, perhaps with the event time among the fields. Whether the entity is new.
    fn set(
        &mut self,
        view: usize,
        command: &Command,
        arguments: Arguments<'_>,
        rows: &mut RowStage,
        reply: &mut ReplyBuffer,
    ) -> Result<bool, Refusal> {
        if arguments.len() % 2 == 1 {
            return Err(Refusal::arity(command.name));
        }
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        let event_ts = read_pairs(&self.views[view], arguments, &mut values);
        let done = event_ts.and_then(|event_ts| self.set_values(view, event_ts, &mut values, rows));
        self.values = values;
        let (is_new, added) = done?;
        if command.name == "hset" {
            reply.integer(added);
        } else {
            reply.ok();
        }
        Ok(is_new)
    }

    /// Writes the row with these values of features. Whether the entity is new, and how many of the features were not there.
    fn set_values(
        &mut self,
        view: usize,
        event_ts: Option<i64>,
        values: &mut Vec<(usize, Value)>,
        rows: &mut RowStage,
    ) -> Result<(bool, i64), Refusal> {
        let found = match event_ts {
            Some(at) => rows.row(&self.views[view].view, &self.key, at).map_err(|error| refusal_of(&error))?,
            None => self.row(view, &Source::Stage(rows))?,
        };
        let served = &self.views[view];
        // Another event is no change of the one before it.
        let before = found.filter(|found| !served.view.is_another_event(found, values));
        let is_new = before.is_none();
        let event_ts = match &before {
            Some(event) if served.is_of_events() => event_ts.unwrap_or(event.event_ts),
            _ => event_ts.unwrap_or(rows.now),
        };
        // Only rules ask what it was.
        let kept = if served.view.has_rules() { before.clone() } else { None };
        let mut row = before.unwrap_or_else(|| EntityRow::empty(served.view.definition().features.len()));
        row.event_ts = event_ts;
        let mut added = 0;
        for (feature, value) in values.drain(..) {
            let field = &mut row.fields[feature];
            added += i64::from(field.value.as_ref().is_none_or(Value::is_null));
            *field = EntityField { value: Some(value), deadline: None };
        }
        rows.put(&served.view, &self.key, &row, kept.as_ref()).map_err(|error| refusal_of(&error))?;
        Ok((is_new, added))
    }

    /// As any hash is changed.
    fn write_as_hash(
        &mut self,
        view: usize,
        (command, run): (&Command, Run),
        arguments: Arguments<'_>,
        rows: &mut RowStage,
        events: &mut Vec<Event>,
        reply: &mut ReplyBuffer,
    ) -> Outcome {
        let name = command.keys.name_in(arguments);
        let before = self.row(view, &Source::Stage(rows))?;
        let key = before.as_ref().and_then(|row| to_key(&self.views[view], name, row, PackedLimits::default()));
        if let Some(key) = key {
            self.scratch.place(DATABASE, key);
        }
        let told = events.len();
        self.scratch.begin(0, rows.now);
        let outcome = run(&mut Writer::new(&mut self.scratch, DATABASE, rows.now, events), arguments, reply);
        // A key that names an entity may be longer than one that the keyspace has: this one has no other name there.
        let changes = self.scratch.take_records().map(|(_, changes)| changes);
        self.scratch.keep();
        let after = self.scratch.take_out((DATABASE, name));
        let done = outcome.and_then(|()| {
            if changes.map_err(|error| refusal_of(&error))? == 0 {
                return Ok(());
            }
            let served = &self.views[view];
            if after.is_none() && takes_key_away(command) {
                return rows.delete(&served.view, &self.key, rows.now).map_err(|error| refusal_of(&error));
            }
            let mut row = to_row(served, after.as_ref(), before.as_ref(), rows.now)?;
            // With another deadline it is no younger; of an event there is no other row than that of its time.
            if let Some(before) = before.as_ref().filter(|_| changes_deadlines(command) || served.is_of_events()) {
                row.event_ts = before.event_ts;
            }
            rows.put(&served.view, &self.key, &row, before.as_ref()).map_err(|error| refusal_of(&error))
        });
        if done.is_err() {
            events.truncate(told);
        }
        done
    }
}

/// Takes the values of features out of a command's pairs, and the event time, where one says it.
fn read_pairs(
    served: &Served,
    arguments: Arguments<'_>,
    values: &mut Vec<(usize, Value)>,
) -> Result<Option<i64>, Refusal> {
    let mut event_ts = None;
    for at in (2..arguments.len()).step_by(2) {
        let (name, text) = (arguments.at(at), arguments.at(at + 1));
        if name == EVENT_TIME_FIELD {
            event_ts = Some(moment(text, &format!("{}:_ts", served.name))?);
            continue;
        }
        let feature = served.feature(name, values.len())?;
        let about = &served.view.definition().features[feature];
        values.push((feature, from_bytes(&about.dtype, text, || format!("{}:{}", served.name, about.name))?));
    }
    if values.is_empty() {
        return Err(Refusal::new(format!("ERR {} is to be given a feature beside _ts", served.name)));
    }
    Ok(event_ts)
}

/// Whether a command changes deadlines alone, of the entity or of features.
fn changes_deadlines(command: &Command) -> bool {
    command.name.trim_start_matches(['h', 'p']).starts_with("expire") || command.name.ends_with("persist")
}

/// Whether a command of which no key is left has deleted the entity, rather than every field that it had.
fn takes_key_away(command: &Command) -> bool {
    matches!(command.name, "del" | "unlink" | "expire" | "pexpire" | "expireat" | "pexpireat")
}

/// What RFC 3339 can say, in microseconds since 1970.
const MOMENTS: std::ops::RangeInclusive<i64> = -62_135_596_800_000_000..=253_402_300_799_999_999;

/// A moment that a client gives: RFC 3339, or microseconds since 1970. `what` names it in errors.
pub(super) fn moment(text: &[u8], what: &str) -> Result<i64, Refusal> {
    if let Some(micros) = parse_i64(text) {
        return match MOMENTS.contains(&micros) {
            true => Ok(micros),
            false => Err(Refusal::new(format!(
                "ERR {what}: {micros} microseconds since 1970 are in none of the years 1 to 9999"
            ))),
        };
    }
    match from_bytes(&DataType::Timestamp, text, || what.to_owned())? {
        Value::Timestamp(micros) => Ok(micros),
        _ => Err(Refusal::SYNTAX),
    }
}
