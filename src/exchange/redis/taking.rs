//! Rows out of a Redis on their way into views: some at a time, the bad ones set aside where that is asked for.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::RedisLayout;
use super::import::RedisImportOptions;
use super::incoming::{Fields, Said};
use super::plain::{online_of, shown as is_shown};
use crate::definition::EventTime;
use crate::engine::entities::EntityView;
use crate::engine::online::OnlineHandle;
use crate::error::{Error, Result};
use crate::exchange::QuarantineWriter;
use crate::exchange::source_options::BadRow;
use crate::format::accept::BAD_ROW_WAY_OUT;
use crate::redis_key::shown;
use crate::request::{BadRows, BulkOptions};
use crate::store::{BulkWriter, ImportReport, Row, Store, batch_of};
use crate::text::to_bytes;
use crate::time::Timestamp;
use crate::value::Value;

/// Rows that are handed on at once.
const BATCH_ROWS: usize = 4_096;

/// A key or a hash that is no row.
pub(super) struct Bad<'a> {
    pub key: &'a [u8],
    pub reason: String,
    pub fields: &'a Fields,
}

/// The rows of all views that were asked for.
pub(super) struct Taking<'a> {
    store: &'a Store,
    options: &'a RedisImportOptions,
    source: String,
    /// What rows are of that say no time.
    now: Timestamp,
    views: Vec<Rows>,
}

/// The rows of one view.
struct Rows {
    view: EntityView,
    /// Made with the first row.
    writer: Option<BulkWriter>,
    /// Reads what the view says now, where rows say no time.
    online: Option<OnlineHandle>,
    /// Not handed on yet, each with its key in the Redis.
    rows: Vec<(String, Row)>,
    set_aside: Option<(QuarantineWriter, PathBuf)>,
    handed_on: u64,
    unread: u64,
    known: u64,
    ignored: Vec<String>,
}

impl<'a> Taking<'a> {
    /// Nothing is taken yet.
    pub fn new(
        store: &'a Store,
        views: impl Iterator<Item = EntityView>,
        source: String,
        options: &'a RedisImportOptions,
    ) -> Taking<'a> {
        let rows = |view| Rows {
            view,
            writer: None,
            online: None,
            rows: Vec::new(),
            set_aside: None,
            handed_on: 0,
            unread: 0,
            known: 0,
            ignored: Vec::new(),
        };
        Taking { store, options, source, now: store.now(), views: views.map(rows).collect() }
    }

    /// Takes what a hash says of an entity.
    ///
    /// # Errors
    /// A row cannot be stored, and is not to be set aside.
    pub fn take(&mut self, view: usize, key: &[u8], join_keys: &[Value], said: Said) -> Result<()> {
        let rows = &mut self.views[view];
        rows.begin(self.store, &self.source, self.options)?;
        for name in said.unknown {
            if !rows.ignored.contains(&name) {
                rows.ignored.push(name);
            }
        }
        if said.event_ts.is_none() && rows.says_already(self.store, join_keys, &said.values, self.now)? {
            rows.known += 1;
            return Ok(());
        }
        let definition = rows.view.definition();
        let mut row = Row::new();
        if let EventTime::Column(_) = definition.source.event_timestamp {
            row = row.at(said.event_ts.unwrap_or(self.now));
        }
        let names = definition.join_keys.iter().map(|(name, _)| name);
        for (name, value) in names.zip(join_keys) {
            row = row.set(name, value.clone());
        }
        for (feature, value) in definition.features.iter().zip(said.values) {
            row = row.set(&feature.name, value);
        }
        rows.rows.push((shown(key), row));
        if rows.rows.len() >= BATCH_ROWS { rows.hand_on(&self.source) } else { Ok(()) }
    }

    /// Sets aside what is no row.
    ///
    /// # Errors
    /// It is not to be set aside; the disk refuses.
    pub fn set_aside(&mut self, view: usize, bad: Bad<'_>) -> Result<()> {
        let reason = format!("key '{}': {}", shown(bad.key), bad.reason);
        let rows = &mut self.views[view];
        if self.options.bad_rows == BadRows::Fail {
            let place = format!("{}: view {}", self.source, rows.view.definition().reference());
            return Err(Error::invalid(reason).at(place).remedy(BAD_ROW_WAY_OUT));
        }
        rows.begin(self.store, &self.source, self.options)?;
        rows.unread += 1;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = bad.fields.iter().map(|(name, value)| (text(name), Json::from(text(value))));
        let values = Json::Object(fields.collect::<Map<_, _>>()).to_string();
        let row = BadRow { file: PathBuf::from(&self.source), row: rows.number(), reason, values };
        match &mut rows.set_aside {
            Some((writer, _)) => writer.add_unread(&row),
            None => Ok(()),
        }
    }

    /// Commits view by view; what became of each that rows were found for.
    ///
    /// # Errors
    /// A row cannot be stored, and is not to be set aside: nothing was committed. A commit fails: those before it stay.
    pub fn commit(mut self) -> Result<Vec<(String, ImportReport)>> {
        for rows in &mut self.views {
            rows.hand_on(&self.source)?;
        }
        let mut done = Vec::new();
        for rows in self.views {
            let name = rows.view.definition().reference_text();
            if let Some(report) = rows.commit()? {
                done.push((name, report));
            }
        }
        Ok(done)
    }
}

impl Rows {
    fn begin(&mut self, store: &Store, source: &str, options: &RedisImportOptions) -> Result<()> {
        if self.writer.is_some() {
            return Ok(());
        }
        let definition = self.view.definition();
        let reference = definition.reference().to_string();
        if let Some((name, _)) = definition.event_id.iter().find(|(name, _)| definition.feature_index(name).is_none()) {
            return Err(Error::refused(format!("its event id {name} is none of its features"))
                .at(format!("view {reference}"))
                .remedy("a Redis does not hold it: leave the view out"));
        }
        let bulk = BulkOptions {
            allow_future: options.allow_future,
            // The number of a row says nothing here: who knows its key tells of it.
            bad_rows: BadRows::Quarantine,
            append: false,
            source: Some(source.to_owned()),
        };
        let mut writer = store.bulk_writer(&reference, bulk)?;
        if options.bad_rows == BadRows::Quarantine {
            let path = writer.quarantine_file()?;
            self.set_aside = Some((QuarantineWriter::new(Arc::clone(store.disk()), &path), path));
        }
        if options.layout == RedisLayout::Plain {
            self.online = Some(online_of(store, &self.view)?);
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// The number of the row that comes next, from 1.
    fn number(&self) -> u64 {
        self.handed_on + self.rows.len() as u64 + self.unread + self.known
    }

    /// Whether the view's row of now shows these values: what is null shows nothing.
    fn says_already(&mut self, store: &Store, join_keys: &[Value], values: &[Value], now: Timestamp) -> Result<bool> {
        let Some(online) = &mut self.online else { return Ok(false) };
        let definition = self.view.definition();
        let mut encoded = Vec::new();
        definition.key_schema().encode(join_keys, &mut encoded)?;
        let encoded = online.encoded_key(&encoded);
        // The view may have been written to since the import began.
        let now = now.max(store.now());
        let Some(row) = online.get(&encoded, now)?.to_entity_row() else { return Ok(false) };
        let fields = definition.features.iter().zip(&row.fields).zip(values);
        let mut is_same = fields.map(|((feature, field), value)| {
            let text =
                |value: Option<&Value>| is_shown(value).map(|value| to_bytes(&feature.dtype, value).into_owned());
            text(field.value.as_ref()) == text(Some(value))
        });
        Ok(is_same.all(|is_same| is_same))
    }

    /// Gives the writer what was collected.
    fn hand_on(&mut self, source: &str) -> Result<()> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.rows.is_empty()) else { return Ok(()) };
        let (keys, rows): (Vec<String>, Vec<Row>) = std::mem::take(&mut self.rows).into_iter().unzip();
        let place = || format!("{source}: view {}", self.view.definition().reference());
        let batch = batch_of(writer.definition(), &rows).map_err(|error| error.at(place()))?;
        let refused = writer.write(&batch).map_err(|error| error.at(place()))?;
        let first = self.handed_on + self.unread + self.known + 1;
        self.handed_on += rows.len() as u64;
        for refusal in refused {
            let column = refusal.column.map(|column| format!(" column {column}:")).unwrap_or_default();
            let reason = format!("key '{}':{column} {}", keys[refusal.row], refusal.reason);
            let Some((set_aside, _)) = &mut self.set_aside else {
                return Err(Error::invalid(reason).at(place()).remedy(BAD_ROW_WAY_OUT));
            };
            set_aside.add(source, &batch, refusal.row, first + refusal.row as u64, &reason)?;
        }
        Ok(())
    }

    fn commit(self) -> Result<Option<ImportReport>> {
        let Some(writer) = self.writer else { return Ok(None) };
        let set_aside = match self.set_aside {
            // In place before the commit: a row is never in neither place.
            Some((writer, path)) => (writer.finish()? > 0).then_some(path),
            None => None,
        };
        let mut report = writer.commit()?;
        report.rows_read += self.known + self.unread;
        report.rows_skipped += self.known;
        report.rows_refused += self.unread;
        (report.ignored, report.quarantine) = (self.ignored, set_aside);
        Ok(Some(report))
    }
}
