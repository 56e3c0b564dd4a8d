//! Hashes on their way out.

use super::super::export::{Batch, Outgoing};
use super::super::plain::{deadline_of, online_of};
use super::group::{FeastView, groups};
use super::protobuf::timestamp;
use super::{key, value};
use crate::engine::entities::{EntityRow, EntityView};
use crate::engine::online::OnlineHandle;
use crate::error::Result;
use crate::key::KeySchema;
use crate::store::Store;
use crate::time::Timestamp;
use crate::value::Value;

const MICROS_PER_MILLI: i64 = 1_000;

/// Views to be pushed as Feast has them.
pub(in super::super) struct Feast {
    project: String,
    groups: Vec<Hashes>,
    /// By view: its group, and its place there.
    places: Vec<(usize, usize)>,
}

/// The views of one group.
struct Hashes {
    names: Vec<String>,
    views: Vec<Pushed>,
    /// No view of the store's lies in these hashes besides.
    is_whole: bool,
}

struct Pushed {
    laid_out: FeastView,
    keys: KeySchema,
    online: OnlineHandle,
}

impl Feast {
    /// Of the views at these places, for a project.
    ///
    /// # Errors
    /// Feast has no form for their join keys; a view was dropped meanwhile.
    pub fn new(store: &Store, views: &[EntityView], chosen: &[usize], project: &str) -> Result<Feast> {
        let found = groups(chosen.iter().map(|&place| &views[place]).enumerate())?;
        let mut places = vec![(0, 0); chosen.len()];
        let mut all = Vec::new();
        for (number, group) in found.into_iter().enumerate() {
            let pushed = group.views.into_iter().map(|laid_out| {
                let keys = laid_out.view.definition().key_schema();
                Ok(Pushed { keys, online: online_of(store, &laid_out.view)?, laid_out })
            });
            let pushed = pushed.collect::<Result<Vec<_>>>()?;
            for (at, view) in pushed.iter().enumerate() {
                places[view.laid_out.place] = (number, at);
            }
            let keys = |view: &EntityView| {
                let mut keys = view.definition().join_keys.clone();
                keys.sort_by(|one, other| one.0.cmp(&other.0));
                keys
            };
            let ours = pushed.first().map(|view| view.laid_out.sorted_keys()).unwrap_or_default();
            let beside = views.iter().filter(|view| view.is_newest && keys(view) == ours).count();
            all.push(Hashes { names: group.names, is_whole: beside == pushed.len(), views: pushed });
        }
        Ok(Feast { project: project.to_owned(), groups: all, places })
    }
}

impl Outgoing for Feast {
    fn push(&mut self, view: usize, encoded: &[u8], now: Timestamp, batch: &mut Batch) -> Result<()> {
        let (group, at) = self.places[view];
        let hashes = &mut self.groups[group];
        let Some(name) = hashes.name(at, encoded, &self.project) else {
            batch.counts.keys_left_out += 1;
            return Ok(());
        };
        let values = hashes.values(at, encoded);
        let rows = hashes.views.iter_mut().map(|view| view.row(&values, now)).collect::<Result<Vec<_>>>()?;
        hashes.push(at, &name, &rows, batch);
        Ok(())
    }
}

impl Hashes {
    /// The components of a view's key in the order of their names.
    fn values(&self, view: usize, encoded: &[u8]) -> Vec<Value> {
        let Pushed { keys, laid_out, .. } = &self.views[view];
        let values = keys.decode(encoded).unwrap_or_default();
        laid_out.order.iter().filter_map(|&key| values.get(key).cloned()).collect()
    }

    /// The key of an entity's hash; `None`: it has none.
    fn name(&self, view: usize, encoded: &[u8], project: &str) -> Option<Vec<u8>> {
        let mut values: Vec<key::KeyValue> =
            self.values(view, encoded).iter().map(value::of_join_key).collect::<Option<_>>()?;
        if self.views[view].laid_out.order.is_empty() {
            values = vec![value::of_join_key(&Value::String(String::new()))?];
        }
        (values.len() == self.names.len()).then(|| key::encode(&self.names, &values, project))
    }

    /// What is to be done in a view's turn for an entity of which the views have these rows. Each view pushes its own fields: which of
    /// them has a row may change between their turns.
    fn push(&self, view: usize, name: &[u8], rows: &[Option<EntityRow>], batch: &mut Batch) {
        let (mut fields, mut bytes) = (0, name.len());
        let mut hset = Vec::new();
        let mut hdel: Vec<&[u8]> = Vec::new();
        let laid_out = &self.views[view].laid_out;
        if let Some(row) = &rows[view] {
            hset.push((laid_out.event_time.as_slice(), timestamp(row.event_ts)));
            let features = laid_out.view.definition().features.iter().zip(&laid_out.fields);
            for ((feature, field), held) in features.zip(&row.fields) {
                let Some(held) = &held.value else {
                    hdel.push(field);
                    continue;
                };
                let message = value::encode(&feature.dtype, held).unwrap_or_else(|| {
                    batch.counts.values_left_out += 1;
                    Vec::new()
                });
                fields += 1;
                hset.push((field, message));
            }
        } else {
            hdel.push(&laid_out.event_time);
            hdel.extend(laid_out.fields.iter().map(<[u8; 4]>::as_slice));
        }
        // Before fields are removed: a hash that loses its last one loses its deadline with it.
        if !hset.is_empty() {
            bytes += hset.iter().map(|(field, message)| field.len() + message.len()).sum::<usize>();
            batch.command("HSET", |command| {
                command.arg(name);
                for (field, message) in &hset {
                    command.arg(field).arg(message);
                }
            });
            let is_first = rows.iter().position(Option::is_some) == Some(view);
            batch.pushed(u64::from(is_first), fields, bytes);
        }
        if !hdel.is_empty() {
            batch.command("HDEL", |command| {
                command.arg(name).arg(hdel);
            });
        }
        if rows.iter().all(Option::is_none) {
            batch.counts.gone += 1;
        } else {
            self.push_deadlines(view, name, rows, batch);
        }
    }

    fn push_deadlines(&self, view: usize, name: &[u8], rows: &[Option<EntityRow>], batch: &mut Batch) {
        for (held, field) in rows[view].iter().flat_map(|row| &row.fields).zip(&self.views[view].laid_out.fields) {
            if let (Some(deadline), Some(_)) = (held.deadline, &held.value) {
                batch.expire_field(name, field, deadline);
            }
        }
        if !self.is_whole {
            // Values of other views lie there, which are not known to be gone by then.
            return;
        }
        let there = self.views.iter().zip(rows).filter_map(|(view, row)| Some((&view.laid_out.view, row.as_ref()?)));
        let deadlines: Option<Vec<i64>> = there.map(|(view, row)| deadline_of(view, row)).collect();
        match deadlines.and_then(|deadlines| deadlines.into_iter().max()) {
            Some(last) => batch.command("PEXPIREAT", |expire| {
                expire.arg(name).arg(last.div_euclid(MICROS_PER_MILLI));
            }),
            None => batch.command("PERSIST", |persist| {
                persist.arg(name);
            }),
        }
    }
}

impl Pushed {
    /// The row of now of the entity with these join keys, in the order of their names.
    fn row(&mut self, values: &[Value], now: Timestamp) -> Result<Option<EntityRow>> {
        let mut own = vec![Value::Null; values.len()];
        for (value, &key) in values.iter().zip(&self.laid_out.order) {
            own[key] = value.clone();
        }
        let mut encoded = Vec::new();
        self.keys.encode(&own, &mut encoded)?;
        let encoded = self.online.encoded_key(&encoded);
        Ok(self.online.get(&encoded, now)?.to_entity_row())
    }
}
