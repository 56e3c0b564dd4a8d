//! The plain layout: a hash for each entity of a view, as asof's own server shows it.

use super::export::{Batch, Outgoing};
use crate::engine::entities::{EntityRow, EntityView};
use crate::engine::online::OnlineHandle;
use crate::error::Result;
use crate::redis_key::Router;
use crate::request::Features;
use crate::store::Store;
use crate::text::to_bytes;
use crate::time::Timestamp;
use crate::value::Value;

const MICROS_PER_MILLI: i64 = 1_000;

/// Views to be pushed so.
pub(super) struct Plain {
    /// Of all views: a name depends on those beside it.
    router: Router,
    views: Vec<Pushed>,
}

struct Pushed {
    /// Its place in the router.
    place: usize,
    view: EntityView,
    online: OnlineHandle,
}

impl Plain {
    /// Of the views at these places.
    ///
    /// # Errors
    /// A view was dropped meanwhile.
    pub fn new(store: &Store, views: &[EntityView], places: &[usize]) -> Result<Plain> {
        let pushed = places.iter().map(|&place| {
            let view = views[place].clone();
            let online = online_of(store, &view)?;
            Ok(Pushed { place, view, online })
        });
        let pushed = pushed.collect::<Result<_>>()?;
        Ok(Plain { router: Router::new(views.iter().map(EntityView::definition)), views: pushed })
    }
}

impl Outgoing for Plain {
    fn push(&mut self, view: usize, key: &[u8], now: Timestamp, batch: &mut Batch) -> Result<()> {
        let Pushed { place, view, online } = &mut self.views[view];
        let mut name = Vec::new();
        if !self.router.name_of(*place, key, &mut name) {
            batch.counts.keys_left_out += 1;
            return Ok(());
        }
        let encoded = online.encoded_key(key);
        let row = online.get(&encoded, now)?.to_entity_row();
        // What is in the way may be no hash, or hold fields that are no more.
        batch.command("DEL", |del| {
            del.arg(&name);
        });
        let features = || view.definition().features.iter();
        let row = row.filter(|row| row.fields.iter().any(|field| shown(field.value.as_ref()).is_some()));
        let Some(row) = row else {
            batch.counts.gone += 1;
            return Ok(());
        };
        let (mut fields, mut bytes) = (0, name.len());
        batch.command("HSET", |hset| {
            hset.arg(&name);
            for (feature, field) in features().zip(&row.fields) {
                let Some(value) = shown(field.value.as_ref()) else { continue };
                let text = to_bytes(&feature.dtype, value);
                fields += 1;
                bytes += feature.name.len() + text.len();
                hset.arg(feature.name.as_bytes()).arg(&*text);
            }
        });
        batch.pushed(1, fields, bytes);
        for (feature, field) in features().zip(&row.fields) {
            if let (Some(deadline), Some(_)) = (field.deadline, shown(field.value.as_ref())) {
                batch.expire_field(&name, feature.name.as_bytes(), deadline);
            }
        }
        if let Some(deadline) = deadline_of(view, &row) {
            batch.command("PEXPIREAT", |expire| {
                expire.arg(&name).arg(deadline.div_euclid(MICROS_PER_MILLI));
            });
        }
        Ok(())
    }
}

/// A value as the protocol shows it: neither null nor absent.
pub(super) fn shown(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

/// When a row is gone, microseconds since 1970: past its deadline, or too old; `None`: never.
pub(super) fn deadline_of(view: &EntityView, row: &EntityRow) -> Option<i64> {
    let ttl_us = view.definition().ttl_us;
    let outlived = (ttl_us > 0).then(|| row.event_ts.saturating_add(ttl_us));
    row.deadline.into_iter().chain(outlived).min()
}

/// Reads a view's rows of now.
///
/// # Errors
/// It was dropped meanwhile.
pub(super) fn online_of(store: &Store, view: &EntityView) -> Result<OnlineHandle> {
    store.online(&Features::list([format!("{}:*", view.definition().reference())])?)
}
