//! Random definitions: what the views of a life are, and what names mean in them.

use std::collections::BTreeMap;

use asof::definition::{Definitions, Feature, FeatureService, FeatureView, Selection, Source, ViewRef};
use asof::time::Timestamp;
use asof::value::{DataType, Value};
use proptest::prelude::*;

use super::values::{feature_type, key_type, key_value};

/// A feature view from when it is defined until it is dropped; defined again, it is another.
#[derive(Clone, Debug)]
pub struct View {
    pub id: usize,
    pub definition: FeatureView,
}

/// All that is defined at one time.
#[derive(Clone, Debug, Default)]
pub struct Project {
    pub views: Vec<View>,
    pub service: Option<FeatureService>,
}

/// The name of the only service there is.
pub const SERVICE: &str = "model";
/// The event time of views whose source has none.
pub const CONSTANT_TIME: i64 = 5;
/// The column of event ids.
pub const EVENT_ID: &str = "event";

/// Columns that hold join keys, and what a service may join them through instead. A row's key and an entity that is asked
/// for have a number for each.
pub const COLUMNS: [&str; 6] = ["id", "site", "zone", "other_id", "other_site", "other_zone"];
/// So many of them are join keys.
pub const KEY_COLUMNS: usize = 3;

/// A number for each of [`COLUMNS`].
pub type Entity = [u8; COLUMNS.len()];

/// The types of the join keys of all views: views that are read together share columns.
#[derive(Clone, Debug)]
pub struct KeyTypes {
    id: DataType,
    site: DataType,
    zone: DataType,
}

impl KeyTypes {
    /// The type of a column of [`COLUMNS`].
    pub fn of(&self, column: &str) -> &DataType {
        match column.trim_start_matches("other_") {
            "id" => &self.id,
            "site" => &self.site,
            _ => &self.zone,
        }
    }

    pub fn value(&self, column: &str, entity: &Entity) -> Value {
        let at = COLUMNS.iter().position(|known| *known == column).unwrap();
        key_value(self.of(column), entity[at])
    }

    /// Definitions that hold the entities and nothing else.
    fn entities(&self) -> Definitions {
        let KeyTypes { id, site, zone } = self.clone();
        Definitions::new("model").entity("thing", [("id", id)]).entity("place", [("site", site), ("zone", zone)])
    }
}

#[derive(Clone, Debug)]
pub enum Kind {
    State,
    Event,
    /// Events are told apart by a column of this type, which may be a feature as well.
    EventWithId {
        dtype: DataType,
        is_feature: bool,
    },
}

#[derive(Clone, Debug)]
pub struct NewView {
    name: &'static str,
    entities: &'static [&'static str],
    kind: Kind,
    has_created: bool,
    has_constant_time: bool,
    ttl: i64,
    features: Vec<DataType>,
}

/// Features of a view, by numbers that mean something in whatever is defined.
#[derive(Clone, Debug)]
pub struct NewSelection {
    view: u8,
    pins_version: bool,
    has_alias: bool,
    renames_keys: bool,
    /// A bit for each; 0 is all of them, those that come later too.
    features: u8,
}

pub fn key_types() -> BoxedStrategy<KeyTypes> {
    (key_type(), key_type(), key_type()).prop_map(|(id, site, zone)| KeyTypes { id, site, zone }).boxed()
}

pub fn new_view() -> BoxedStrategy<NewView> {
    const ENTITIES: [&[&str]; 6] = [&["thing"], &["thing"], &["place"], &["thing", "place"], &["place", "thing"], &[]];
    let kind = prop_oneof![
        3 => Just(Kind::State),
        1 => Just(Kind::Event),
        2 => (key_type(), any::<bool>()).prop_map(|(dtype, is_feature)| Kind::EventWithId { dtype, is_feature }),
    ];
    let features = prop_oneof![
        prop::collection::vec(Just(DataType::Float64), 1..4),
        prop::collection::vec(feature_type(), 1..4),
        prop::collection::vec(feature_type(), 1..4),
    ];
    let ttl = prop_oneof![Just(0), 1..12_i64];
    (
        prop::sample::select(vec!["a", "b", "c"]),
        prop::sample::select(ENTITIES.to_vec()),
        kind,
        any::<bool>(),
        prop::bool::weighted(0.1),
        ttl,
        features,
    )
        .prop_map(|(name, entities, kind, has_created, has_constant_time, ttl, features)| NewView {
            name,
            entities,
            kind,
            has_created,
            has_constant_time,
            ttl,
            features,
        })
        .boxed()
}

pub fn new_selections() -> BoxedStrategy<Vec<NewSelection>> {
    let selection = (any::<u8>(), any::<bool>(), any::<bool>(), any::<bool>(), 0..8_u8).prop_map(
        |(view, pins_version, has_alias, renames_keys, features)| NewSelection {
            view,
            pins_version,
            has_alias,
            renames_keys,
            features,
        },
    );
    prop::collection::vec(selection, 1..4).boxed()
}

impl Project {
    pub fn definitions(&self, keys: &KeyTypes) -> Definitions {
        let mut definitions = keys.entities();
        for view in &self.views {
            definitions = definitions.view(view.definition.clone());
        }
        definitions.services = self.service.iter().map(|service| (SERVICE.to_owned(), service.clone())).collect();
        definitions
    }

    /// The one that a number stands for.
    pub fn pick(&self, number: u8) -> Option<&View> {
        self.views.get(usize::from(number).checked_rem(self.views.len())?)
    }

    /// What a name means; without a version, the newest.
    pub fn find(&self, wanted: &ViewRef) -> Option<&View> {
        let named = self.views.iter().filter(|view| view.definition.name == wanted.name);
        named
            .filter(|view| wanted.version.is_none_or(|version| view.definition.version == version))
            .max_by_key(|view| view.definition.version)
    }

    /// Adds a view: the version after the newest of its name, or the first.
    pub fn add(&mut self, new: &NewView, id: usize, keys: &KeyTypes) {
        let newest = self.find(&ViewRef { name: new.name.to_owned(), version: None });
        let mut view = FeatureView::new(new.name).version(newest.map_or(0, |newest| newest.definition.version) + 1);
        for entity in new.entities {
            view = view.entity(*entity);
        }
        for (number, dtype) in new.features.iter().enumerate() {
            view = view.feature(format!("{}{number}", new.name), dtype.clone());
        }
        view = match &new.kind {
            Kind::State => view,
            Kind::Event => view.event(),
            Kind::EventWithId { dtype, is_feature: true } => {
                view.event_id(EVENT_ID, dtype.clone()).feature(EVENT_ID, dtype.clone())
            }
            Kind::EventWithId { dtype, is_feature: false } => view.event_id(EVENT_ID, dtype.clone()),
        };
        view.ttl_us = new.ttl;
        let mut source = Source::default();
        if new.has_constant_time {
            source = source.constant_event_time(Timestamp(CONSTANT_TIME));
        }
        if new.has_created {
            source = source.created_timestamp("created");
        }
        // Definitions know the join keys of entities.
        let definition = keys.entities().view(view.source(source)).views.remove(0);
        self.views.push(View { id, definition });
    }

    /// Adds a feature to a view somewhere among its others.
    pub fn add_feature(&mut self, id: usize, dtype: &DataType, place: u8) {
        let view = self.views.iter_mut().find(|view| view.id == id).unwrap();
        let features = &mut view.definition.features;
        let name = format!("{}{}", view.definition.name, features.len());
        features.insert(usize::from(place) % (features.len() + 1), Feature::new(name, dtype.clone()));
    }

    /// Makes these the service's features, if there are any.
    pub fn serve(&mut self, features: Vec<Selection>) {
        self.service = (!features.is_empty()).then(|| FeatureService { features, ..FeatureService::default() });
    }

    /// Selections with labels that tell them apart.
    pub fn selections(&self, new: &[NewSelection]) -> Vec<Selection> {
        let mut selections: Vec<Selection> = Vec::new();
        for (number, new) in new.iter().enumerate() {
            let Some(View { definition, .. }) = self.pick(new.view) else { continue };
            let renamed = definition.join_keys.iter().filter(|_| new.renames_keys);
            let has_bit = |at: &usize| new.features >> at & 1 == 1;
            let features = definition.features.iter().enumerate().filter(|(at, _)| has_bit(at));
            let view = ViewRef { version: new.pins_version.then_some(definition.version), ..definition.reference() };
            let is_taken = selections.iter().any(|other| other.label() == view.to_string());
            selections.push(Selection {
                view,
                alias: (new.has_alias || is_taken).then(|| format!("alias{number}")),
                join_keys: renamed.map(|(name, _)| (name.clone(), format!("other_{name}"))).collect(),
                features: features.map(|(_, feature)| feature.name.clone()).collect(),
            });
        }
        selections
    }

    /// What selections come to; `None` where one names what is not defined.
    pub fn resolve(&self, selections: &[Selection]) -> Option<Vec<Resolved>> {
        selections.iter().map(|selection| self.resolve_one(selection)).collect()
    }

    fn resolve_one(&self, selection: &Selection) -> Option<Resolved> {
        let view = self.find(&selection.view)?;
        let all = view.definition.features.iter();
        let features = match selection.features.as_slice() {
            [] => all.map(|feature| (feature.name.clone(), feature.dtype.clone())).collect(),
            names => {
                let dtype =
                    |name: &String| Some(view.definition.features[view.definition.feature_index(name)?].dtype.clone());
                names.iter().map(|name| Some((name.clone(), dtype(name)?))).collect::<Option<Vec<_>>>()?
            }
        };
        let keys = view.definition.join_keys.iter();
        let columns = keys.map(|(name, _)| selection.join_keys.get(name).unwrap_or(name).clone()).collect();
        if selection.join_keys.keys().any(|key| view.definition.join_keys.iter().all(|(name, _)| name != key)) {
            return None;
        }
        Some(Resolved { view: view.clone(), label: selection.label(), columns, features })
    }
}

/// A selection whose names were found.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub view: View,
    pub label: String,
    /// For each join key the column that the caller gives it in.
    pub columns: Vec<String>,
    pub features: Vec<(String, DataType)>,
}

impl Resolved {
    /// The same for good, whatever is defined later.
    pub fn pinned(&self) -> Selection {
        let keys = self.view.definition.join_keys.iter().zip(&self.columns);
        Selection {
            view: self.view.definition.reference(),
            alias: Some(self.label.clone()),
            join_keys: keys.map(|((name, _), column)| (name.clone(), column.clone())).collect::<BTreeMap<_, _>>(),
            features: self.features.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}
