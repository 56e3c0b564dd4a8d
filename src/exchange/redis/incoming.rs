//! What a Redis holds, as rows of views.

use std::collections::{BTreeSet, HashMap};

use super::RedisLayout;
use super::feast::{FeastView, decode_key, decode_value, groups, suffix_pattern, timestamp_of, to_join_key};
use crate::engine::entities::EntityView;
use crate::error::Result;
use crate::key::KeySchema;
use crate::redis_key::Router;
use crate::text::from_bytes;
use crate::time::Timestamp;
use crate::value::Value;

/// The fields of a hash.
pub(super) type Fields = HashMap<Vec<u8>, Vec<u8>>;

/// An entity that a key names.
#[derive(Debug)]
pub(super) struct Addressed {
    /// The view's place among those asked for.
    pub view: usize,
    /// Join keys, in the view's order.
    pub keys: Vec<Value>,
}

/// What a hash says of one view.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// When it was true, where the hash knows.
    pub event_ts: Option<Timestamp>,
    /// By feature.
    pub values: Vec<Value>,
    /// Fields that are no features.
    pub unknown: BTreeSet<String>,
}

/// A key or a hash of a view that is no row: the view's place among those asked for, and why.
pub(super) type Bad = (usize, String);

/// A layout on its way in.
pub(super) enum Incoming {
    Plain {
        router: Router,
        /// By the router's place: the place among those asked for.
        chosen: Vec<Option<usize>>,
        schemas: Vec<KeySchema>,
    },
    Feast {
        project: String,
        /// Join keys in order, and the views over them.
        groups: Vec<(Vec<String>, Vec<FeastView>)>,
    },
}

impl Incoming {
    /// For the views at these places.
    ///
    /// # Errors
    /// Feast has no form for their join keys.
    pub fn new(views: &[EntityView], places: &[usize], layout: &RedisLayout) -> Result<Incoming> {
        Ok(match layout {
            RedisLayout::Plain => Incoming::Plain {
                router: Router::new(views.iter().map(EntityView::definition)),
                chosen: (0..views.len()).map(|view| places.iter().position(|place| *place == view)).collect(),
                schemas: views.iter().map(|view| view.definition().key_schema()).collect(),
            },
            RedisLayout::Feast { project } => Incoming::Feast {
                project: project.clone(),
                groups: groups(places.iter().map(|&place| &views[place]).enumerate())?
                    .into_iter()
                    .map(|group| (group.names, group.views))
                    .collect(),
            },
        })
    }

    /// What `SCAN` is to look for.
    pub fn pattern(&self) -> Option<Vec<u8>> {
        match self {
            Incoming::Plain { .. } => None,
            Incoming::Feast { project, .. } => Some(suffix_pattern(project)),
        }
    }

    /// The entities that a key names, one for each view whose values its hash may hold; none: it is of no view.
    ///
    /// # Errors
    /// It begins as keys of a view and names no entity of it.
    pub fn route(&self, key: &[u8]) -> Result<Vec<Addressed>, Bad> {
        match self {
            Incoming::Plain { router, chosen, schemas } => match router.route(key) {
                Ok(None) => Ok(Vec::new()),
                Ok(Some(routed)) => {
                    let Some(view) = chosen[routed.view] else { return Ok(Vec::new()) };
                    let keys = schemas[routed.view].decode(&routed.key);
                    Ok(keys.into_iter().map(|keys| Addressed { view, keys }).collect())
                }
                Err(error) => match router.owner(key).and_then(|view| chosen[view]) {
                    Some(view) => Err((view, error.to_string())),
                    None => Ok(Vec::new()),
                },
            },
            Incoming::Feast { project, groups } => {
                let Some((names, values)) = decode_key(key, project) else { return Ok(Vec::new()) };
                let mut found = Vec::new();
                for view in groups.iter().filter(|(known, _)| *known == names).flat_map(|(_, views)| views) {
                    let types = &view.view.definition().join_keys;
                    let mut keys = vec![Value::Null; types.len()];
                    let mut is_of_types = true;
                    for (value, &key) in values.iter().zip(&view.order) {
                        match to_join_key(&types[key].1, value) {
                            Some(value) => keys[key] = value,
                            None => is_of_types = false,
                        }
                    }
                    if is_of_types {
                        found.push(Addressed { view: view.place, keys });
                    }
                }
                Ok(found)
            }
        }
    }

    /// What a hash says of a view; `None`: nothing.
    ///
    /// # Errors
    /// A field is not of its feature's type.
    pub fn read(&self, view: &EntityView, place: usize, fields: &Fields) -> Result<Option<Said>, String> {
        let features = &view.definition().features;
        match self {
            Incoming::Plain { .. } => {
                let is_feature = |name: &[u8]| features.iter().any(|feature| feature.name.as_bytes() == name);
                if !fields.keys().any(|name| is_feature(name)) {
                    // Somebody else's.
                    return Ok(None);
                }
                let mut said = Said::default();
                for feature in features {
                    let value = match fields.get(feature.name.as_bytes()) {
                        Some(text) => from_bytes(&feature.dtype, text)
                            .map_err(|error| format!("{}: {}", feature.name, error.what()))?,
                        None => Value::Null,
                    };
                    said.values.push(value);
                }
                let unknown = fields.keys().filter(|name| !is_feature(name));
                said.unknown = unknown.map(|name| name.escape_ascii().to_string()).collect();
                Ok(Some(said))
            }
            Incoming::Feast { groups, .. } => {
                let mut laid_out = groups.iter().flat_map(|(_, views)| views);
                let Some(laid_out) = laid_out.find(|view| view.place == place) else { return Ok(None) };
                let Some(event_ts) = fields.get(&laid_out.event_time) else { return Ok(None) };
                let event_ts = timestamp_of(event_ts).ok_or("the event time is no time")?;
                let mut said = Said { event_ts: Some(event_ts), ..Said::default() };
                for (feature, field) in features.iter().zip(&laid_out.fields) {
                    let value = match fields.get(field.as_slice()) {
                        Some(message) => decode_value(&feature.dtype, message)
                            .map_err(|reason| format!("{}: {reason}", feature.name))?,
                        None => Value::Null,
                    };
                    said.values.push(value);
                }
                Ok(Some(said))
            }
        }
    }
}
