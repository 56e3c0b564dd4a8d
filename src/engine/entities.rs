//! Feature views as those take them who read and write one entity field by field, as the Redis protocol does.

use std::sync::Arc;

use super::as_of::find_row;
use super::picture::Picture;
use super::reads::Reads;
use crate::definition::FeatureView;
use crate::error::{Error, Result};
use crate::format::accept::CompiledRules;
use crate::format::row::{RowLayout, RowRef};
use crate::join::pick::{AsOf, FieldView, Status, verdict};
use crate::key::{KeySchema, key_hash};
use crate::registry::records::ViewRecord;
use crate::time::Timestamp;
use crate::value::Value;

/// The views that take rows, at one revision of the definitions.
#[derive(Clone, Debug)]
pub struct EntityViews {
    /// The revision of the definitions, which every apply raises.
    pub revision: u64,
    /// All versions that were not dropped.
    pub views: Vec<EntityView>,
}

/// A view version.
#[derive(Clone, Debug)]
pub struct EntityView {
    record: Arc<ViewRecord>,
    /// Whether its name without a version means this one.
    pub is_newest: bool,
    layout: RowLayout,
    /// By feature: its position among all fields that the version ever had.
    ordinals: Vec<usize>,
    /// By that position: the feature, unless the definition no longer names it.
    features: Vec<Option<usize>>,
    /// By feature, where it has any.
    rules: Vec<Option<CompiledRules>>,
    /// What its event ids are made of, and which features that are; `None` where a row cannot have one.
    event_id: Option<(KeySchema, Vec<usize>)>,
}

/// An entity's row of one view, as a read at a moment answers it: nothing of it is past its deadline or too old.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityRow {
    /// When it was true, microseconds since 1970.
    pub event_ts: i64,
    /// From this instant on it is gone.
    pub deadline: Option<i64>,
    /// By feature, in the definition's order.
    pub fields: Vec<EntityField>,
}

/// A field of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityField {
    /// Its value, which may be null; `None`: the row does not speak of it.
    pub value: Option<Value>,
    /// From this instant on it is gone.
    pub deadline: Option<i64>,
}

impl EntityRow {
    /// A row that speaks of none of so many features.
    pub fn empty(features: usize) -> EntityRow {
        EntityRow { event_ts: i64::MIN, deadline: None, fields: vec![EntityField::default(); features] }
    }
}

impl EntityViews {
    pub(super) fn of(picture: &Picture) -> Result<EntityViews> {
        let definitions = picture.state.definitions_at(None);
        let newest = |name: &str| definitions.views().filter(|view| view.definition.name == name).map(version).max();
        let views = definitions.views().map(|record| {
            let is_newest = newest(&record.definition.name) == Some(version(record));
            EntityView::new(record, is_newest)
        });
        let views = views.collect::<Result<Vec<_>>>()?;
        Ok(EntityViews { revision: picture.state.meta().definitions_revision, views })
    }
}

fn version(record: &Arc<ViewRecord>) -> u32 {
    record.definition.version
}

impl EntityView {
    fn new(record: &Arc<ViewRecord>, is_newest: bool) -> Result<EntityView> {
        let definition = &record.definition;
        let unknown = |name: &str| {
            Error::refused(format!("the definitions of {} and its fields differ in {name}", definition.name))
        };
        let ordinals = definition
            .features
            .iter()
            .map(|feature| record.ordinal(&feature.name).ok_or_else(|| unknown(&feature.name)));
        let ordinals: Vec<usize> = ordinals.collect::<Result<_>>()?;
        let layout = RowLayout::new(record.field_types());
        let mut features = vec![None; layout.field_count()];
        for (feature, &ordinal) in ordinals.iter().enumerate() {
            features[ordinal] = Some(feature);
        }
        let rules = definition.features.iter().map(|feature| match feature.rules.is_empty() {
            true => Ok(None),
            false => CompiledRules::new(&feature.dtype, &feature.rules).map(Some),
        });
        let of_id: Option<Vec<usize>> =
            definition.event_id.iter().map(|(name, _)| definition.feature_index(name)).collect();
        Ok(EntityView {
            layout,
            ordinals,
            features,
            rules: rules.collect::<Result<_>>()?,
            event_id: of_id.map(|features| (KeySchema::new(definition.event_id.clone()), features)),
            record: Arc::clone(record),
            is_newest,
        })
    }

    /// What was applied.
    pub fn definition(&self) -> &FeatureView {
        &self.record.definition
    }

    pub(super) fn id(&self) -> u32 {
        self.record.id
    }

    pub(super) fn layout(&self) -> &RowLayout {
        &self.layout
    }

    /// By feature: its position among the fields of a row.
    pub(super) fn ordinals(&self) -> &[usize] {
        &self.ordinals
    }

    /// The fields by ordinal; one that the definition no longer names is absent.
    pub(super) fn by_ordinal<'a>(&'a self, row: &'a EntityRow) -> impl ExactSizeIterator<Item = &'a EntityField> {
        const ABSENT: &EntityField = &EntityField { value: None, deadline: None };
        self.features.iter().map(|feature| feature.map_or(ABSENT, |feature| &row.fields[feature]))
    }

    /// Whether any value may be refused.
    pub fn has_rules(&self) -> bool {
        self.rules.iter().any(Option::is_some)
    }

    /// Whether it was made of this record.
    pub(super) fn is_of(&self, record: &ViewRecord) -> bool {
        (self.record.id, self.record.revision) == (record.id, record.revision) && !record.is_dropped()
    }

    /// Refuses a value that breaks a rule of its feature; what may not be null may not be absent either. Values that were there `before`
    /// stay: the rule may be younger.
    ///
    /// # Errors
    /// Which feature, and how.
    pub(super) fn check_rules(&self, row: &EntityRow, before: Option<&EntityRow>) -> Result<()> {
        let rules = self.definition().features.iter().zip(&self.rules);
        for (at, ((feature, rules), field)) in rules.zip(&row.fields).enumerate() {
            if before.is_some_and(|before| before.fields[at].value == field.value) {
                continue;
            }
            let value = field.value.as_ref().unwrap_or(&Value::Null);
            if let Some(reason) = rules.as_ref().and_then(|rules| rules.refuses(value)) {
                return Err(Error::invalid(reason).at(format!(
                    "{}:{}",
                    self.definition().reference_text(),
                    feature.name
                )));
            }
        }
        Ok(())
    }

    /// Whether a row with these values of features is of another event than `row`, by its event id.
    pub fn is_another_event(&self, row: &EntityRow, values: &[(usize, Value)]) -> bool {
        let Some((_, of_id)) = &self.event_id else { return false };
        values
            .iter()
            .any(|(feature, value)| of_id.contains(feature) && row.fields[*feature].value.as_ref() != Some(value))
    }

    /// The event id of a row, encoded; empty in views that have none.
    ///
    /// # Errors
    /// It is no feature, so that the row does not say it; the row leaves it out.
    pub(super) fn event_id(&self, row: &EntityRow) -> Result<Vec<u8>> {
        let mut id = Vec::new();
        let view = || self.definition().reference_text();
        let Some((schema, features)) = &self.event_id else {
            return Err(Error::invalid(format!("{}'s event id is none of its features", view()))
                .remedy("write its rows as a batch, or import them"));
        };
        if features.is_empty() {
            return Ok(id);
        }
        let values: Vec<Value> =
            features.iter().map(|&feature| row.fields[feature].value.clone().unwrap_or(Value::Null)).collect();
        if let Some(missing) = values.iter().position(Value::is_null) {
            let name = &schema.columns()[missing].0;
            return Err(
                Error::invalid(format!("{}:{name} is its event id, and is not set", view())).remedy("set it too")
            );
        }
        schema.encode(&values, &mut id)?;
        Ok(id)
    }
}

impl Reads {
    /// The views that take rows.
    ///
    /// # Errors
    /// As [`Reads::sight`].
    pub fn entity_views(&self) -> Result<EntityViews> {
        EntityViews::of(&self.sight()?.picture)
    }

    /// The revision of the definitions, which every apply raises.
    ///
    /// # Errors
    /// As [`Reads::sight`].
    pub fn definitions_revision(&self) -> Result<u64> {
        Ok(self.sight()?.picture.state.meta().definitions_revision)
    }

    /// An entity's row as of `at`, by what was known at `known_at`, or is now; `None`: it was not there, was deleted, or too old.
    ///
    /// # Errors
    /// A run that had to be read is damaged; `known_at` is none; as [`Reads::sight`].
    pub fn entity_row_at(
        &self,
        view: &EntityView,
        key: &[u8],
        at: Timestamp,
        known_at: Option<u64>,
    ) -> Result<Option<EntityRow>> {
        self.with_sight(|sight| {
            let known_at = known_at.map_or(sight.seq, |known_at| known_at.min(sight.seq));
            let question = AsOf { known_at, ..AsOf::new(at.micros()) };
            let picture = sight.picture.view(view.id());
            let hash = key_hash(self.hash_seed(), key);
            let found = find_row(picture, &sight.picture.tail, hash, key, question)?;
            Ok(found.and_then(|found| in_force(&found.row(), view, at.micros())))
        })
    }
}

/// What of a row a read at `at` answers.
pub(super) fn in_force(row: &RowRef<'_>, view: &EntityView, at: i64) -> Option<EntityRow> {
    let ttl_us = view.definition().ttl_us;
    let mut is_there = false;
    let fields = view.ordinals().iter().map(|&ordinal| {
        let status = verdict(Some(FieldView::of_row(row, ordinal)), at, ttl_us);
        let value = match status {
            Status::NotFound | Status::OutsideMaxAge => None,
            Status::NullValue => Some(Value::Null),
            Status::Present => Some(row.value(view.layout(), ordinal)),
        };
        is_there |= value.is_some();
        EntityField { deadline: row.field_deadline(ordinal).filter(|_| value.is_some()), value }
    });
    let fields = fields.collect();
    is_there.then_some(EntityRow { event_ts: row.head.event_ts, deadline: row.head.deadline, fields })
}
