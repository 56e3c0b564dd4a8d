//! Building definitions in code: the same structures that `asof.toml` gives.
//!
//! ```
//! use std::time::Duration;
//!
//! use asof::definition::{Definitions, Feature, FeatureService, FeatureView};
//! use asof::value::DataType;
//!
//! let definitions = Definitions::new("flights")
//!     .entity("airport", [("origin", DataType::String)])
//!     .view(
//!         FeatureView::new("weather")
//!             .entity("airport")
//!             .ttl(Duration::from_secs(3 * 3_600))
//!             .feature("temp", DataType::Float64)
//!             .with(Feature::new("visib", DataType::Float64).min("0")),
//!     )
//!     .service("departure_delay", FeatureService::new(["weather:temp", "weather:visib"])?);
//! definitions.check()?;
//! # Ok::<(), asof::Error>(())
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Definitions, Entity, EventTime, Feature, FeatureRef, FeatureService, FeatureView, Rules, Selection, Source,
    ViewKind, selections_of,
};
use crate::error::Result;
use crate::redis_key::KeyTemplate;
use crate::time::Timestamp;
use crate::value::DataType;

impl Definitions {
    /// Definitions of a project that has nothing yet.
    pub fn new(project: impl Into<String>) -> Self {
        Definitions { project: project.into(), ..Definitions::default() }
    }

    /// Adds an entity and the columns that identify it, in key order.
    #[must_use]
    pub fn entity<N: Into<String>>(
        mut self,
        name: impl Into<String>,
        join_keys: impl IntoIterator<Item = (N, DataType)>,
    ) -> Self {
        let join_keys = join_keys.into_iter().map(|(column, dtype)| (column.into(), dtype)).collect();
        self.entities.insert(name.into(), Entity { join_keys, ..Entity::default() });
        self.resolve_join_keys();
        self
    }

    /// Adds a feature view. Its entities may be added before or after it.
    #[must_use]
    pub fn view(mut self, view: FeatureView) -> Self {
        self.views.push(view);
        self.resolve_join_keys();
        self
    }

    /// Adds a feature service.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>, service: FeatureService) -> Self {
        self.services.insert(name.into(), service);
        self
    }

    /// Gives every view the join keys of its entities, in order, each column once.
    pub(super) fn resolve_join_keys(&mut self) {
        for view in &mut self.views {
            view.join_keys = join_keys_of(&view.entities, &self.entities);
        }
    }
}

/// The join keys of entities in order; a column that two of them share stands once.
pub(super) fn join_keys_of(names: &[String], entities: &BTreeMap<String, Entity>) -> Vec<(String, DataType)> {
    let mut join_keys: Vec<(String, DataType)> = Vec::new();
    for (column, dtype) in names.iter().filter_map(|name| entities.get(name)).flat_map(|entity| &entity.join_keys) {
        if !join_keys.iter().any(|(known, _)| known == column) {
            join_keys.push((column.clone(), dtype.clone()));
        }
    }
    join_keys
}

impl FeatureView {
    /// Version 1 of a state view with no features yet, and one key for the whole store until
    /// entities are named.
    pub fn new(name: impl Into<String>) -> Self {
        FeatureView {
            name: name.into(),
            version: 1,
            kind: ViewKind::State,
            entities: Vec::new(),
            join_keys: Vec::new(),
            features: Vec::new(),
            ttl_us: 0,
            retention_us: 0,
            freshness_sla_us: 0,
            event_id: Vec::new(),
            redis_keys: Vec::new(),
            source: Source::default(),
            owner: String::new(),
            description: String::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Another version than 1.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Makes this an event view: every row counts.
    #[must_use]
    pub fn event(mut self) -> Self {
        self.kind = ViewKind::Event;
        self
    }

    /// Makes this an event view in which rows of equal key, time and this column replace each other.
    #[must_use]
    pub fn event_id(mut self, column: impl Into<String>, dtype: DataType) -> Self {
        self.kind = ViewKind::Event;
        self.event_id.push((column.into(), dtype));
        self
    }

    /// Describes features of this entity too; the order of calls is the key order.
    #[must_use]
    pub fn entity(mut self, name: impl Into<String>) -> Self {
        self.entities.push(name.into());
        self
    }

    /// Another name of its entities over the Redis protocol: `user:{user_id}:features`.
    ///
    /// ```
    /// # use asof::definition::FeatureView;
    /// let view = FeatureView::new("profile").entity("user").redis_key("user:{user_id}:features".parse()?);
    /// # Ok::<(), asof::Error>(())
    /// ```
    #[must_use]
    pub fn redis_key(mut self, template: KeyTemplate) -> Self {
        self.redis_keys.push(template);
        self
    }

    /// Lookback and serving age; zero means none.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl_us = micros(ttl);
        self
    }

    /// The age from which history may be dropped; zero means never.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention_us = micros(retention);
        self
    }

    /// The age at which monitoring complains; zero means never.
    #[must_use]
    pub fn freshness_sla(mut self, age: Duration) -> Self {
        self.freshness_sla_us = micros(age);
        self
    }

    /// Adds a feature.
    #[must_use]
    pub fn feature(self, name: impl Into<String>, dtype: DataType) -> Self {
        self.with(Feature::new(name, dtype))
    }

    /// Adds a feature that has rules or a description.
    #[must_use]
    pub fn with(mut self, feature: Feature) -> Self {
        self.features.push(feature);
        self
    }

    /// Where rows come from.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Who answers for it.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// A text for people.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// A tag for people and tools.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Feature {
    /// A feature without rules.
    pub fn new(name: impl Into<String>, dtype: DataType) -> Self {
        Feature { name: name.into(), dtype, description: String::new(), rules: Rules::default(), tags: BTreeMap::new() }
    }

    /// A text for people.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Refuses null.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.rules.not_null = true;
        self
    }

    /// The least value allowed, in the type's text form.
    #[must_use]
    pub fn min(mut self, min: impl Into<String>) -> Self {
        self.rules.min = Some(min.into());
        self
    }

    /// The greatest value allowed, in the type's text form.
    #[must_use]
    pub fn max(mut self, max: impl Into<String>) -> Self {
        self.rules.max = Some(max.into());
        self
    }

    /// The only values allowed, in the type's text form.
    #[must_use]
    pub fn one_of<V: Into<String>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.rules.one_of = values.into_iter().map(Into::into).collect();
        self
    }
}

impl Source {
    /// Rows come from a file, relative to the definitions file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Source { path: Some(path.into()), ..Source::default() }
    }

    /// The column that holds the event time.
    #[must_use]
    pub fn event_timestamp(mut self, column: impl Into<String>) -> Self {
        self.event_timestamp = EventTime::Column(column.into());
        self
    }

    /// Every row has been true since this instant. A delete may be of another time, in a column `event_timestamp`.
    #[must_use]
    pub fn constant_event_time(mut self, instant: Timestamp) -> Self {
        self.event_timestamp = EventTime::Constant(instant.micros());
        self
    }

    /// The column that says when the source system recorded the row.
    #[must_use]
    pub fn created_timestamp(mut self, column: impl Into<String>) -> Self {
        self.created_timestamp = Some(column.into());
        self
    }

    /// A source column and the feature or join key it fills.
    #[must_use]
    pub fn rename(mut self, column: impl Into<String>, name: impl Into<String>) -> Self {
        self.rename.insert(column.into(), name.into());
        self
    }
}

impl FeatureService {
    /// A service of feature references, as in `weather:temp` and `plane:*`.
    ///
    /// # Errors
    /// A text is no feature reference.
    pub fn new<R: AsRef<str>>(references: impl IntoIterator<Item = R>) -> Result<Self> {
        let references: Vec<FeatureRef> =
            references.into_iter().map(|text| text.as_ref().parse()).collect::<Result<_>>()?;
        Ok(FeatureService { features: selections_of(&references), ..FeatureService::default() })
    }

    /// Adds a selection under a name and spine columns of its own.
    #[must_use]
    pub fn select(mut self, selection: Selection) -> Self {
        self.features.push(selection);
        self
    }
}
