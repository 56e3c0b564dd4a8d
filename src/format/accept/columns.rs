//! Which column of a batch is what to a view, and what to say of those that are not there.

use std::collections::BTreeMap;

use arrow_schema::{DataType as ArrowType, Schema};

use super::batch::{DELETED_COLUMN, LINE_COLUMN, NAMES_KEY, VIEW_KEY, VIEW_NAMES};
use crate::definition::{EVENT_TIMESTAMP_COLUMN, EventTime, FeatureView};
use crate::error::{Error, Result, is_rewritten, is_slip};

/// An error names so many of the columns that there are: keys of JSON Lines may differ from row to row.
const FOUND_NAMED_MAX: usize = 500;
/// What stands between the names of a header.
const DELIMITERS: [char; 4] = [';', '\t', '|', ','];

/// Where a batch has a view's columns.
pub(super) struct Columns {
    pub keys: Vec<usize>,
    pub event_ts: Option<usize>,
    pub created: Option<(String, usize)>,
    pub event_ids: Vec<usize>,
    pub features: Vec<usize>,
    pub deleted: Option<usize>,
    /// The version that they are an export of, where it is one of this view.
    pub export_of: Option<String>,
    /// Columns that the view does not know.
    pub ignored: Vec<String>,
}

/// What a column is to its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    /// A join key.
    JoinKey,
    /// The event time.
    EventTimestamp,
    /// The created time.
    CreatedTimestamp,
    /// Part of the event id.
    EventId,
    /// A feature.
    Feature,
}

/// A column of a view that a batch does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingColumn {
    /// What it is.
    pub role: ColumnRole,
    /// What the view calls it.
    pub target: String,
    /// What its source calls it.
    pub name: String,
}

impl Columns {
    /// # Errors
    /// Columns are missing, or stand there twice.
    pub fn resolve(view: &FeatureView, schema: &Schema) -> Result<Columns> {
        let (columns, missing) = Columns::find(view, schema)?;
        if missing.is_empty() {
            return Ok(columns);
        }
        let error = missing_error(view, schema, &missing, true);
        if missing.iter().any(|column| column.role != ColumnRole::Feature) {
            return Err(error);
        }
        let way_out = error.way_out().unwrap_or_default().to_owned();
        let nulls = "where rows say nothing of a feature, give it a column of nulls (in CSV of empty fields)";
        Err(error.remedy(format!("{way_out}; {nulls}")))
    }

    /// The columns that there are, with a place of 0 for those that are missing.
    fn find(view: &FeatureView, schema: &Schema) -> Result<(Columns, Vec<MissingColumn>)> {
        let no_rename = BTreeMap::new();
        let rename = if goes_by_the_view(view, schema) { &no_rename } else { &view.source.rename };
        let index_of = |name: &str| schema.fields().iter().position(|field| field.name() == name);
        let mut used = vec![false; schema.fields().len()];
        let mut missing: Vec<MissingColumn> = Vec::new();
        let mut find = |target: &str| -> Option<usize> {
            let renamed = rename.iter().filter(|(_, to)| *to == target).find_map(|(from, _)| index_of(from));
            // A column that is renamed to something else is no longer called that.
            let plain = || index_of(target).filter(|_| rename.get(target).is_none_or(|to| to == target));
            let index = renamed.or_else(plain)?;
            used[index] = true;
            Some(index)
        };
        let mut require = |role: ColumnRole, target: &str| -> usize {
            find(target).unwrap_or_else(|| {
                let source = rename.iter().find(|(_, to)| *to == target).map_or(target, |(from, _)| from);
                if missing.iter().all(|column| column.name != source) {
                    missing.push(MissingColumn { role, target: target.to_owned(), name: source.to_owned() });
                }
                0
            })
        };
        let keys = view.join_keys.iter().map(|(name, _)| require(ColumnRole::JoinKey, name)).collect();
        let mut event_ts = match &view.source.event_timestamp {
            EventTime::Column(name) => Some(require(ColumnRole::EventTimestamp, name)),
            EventTime::Constant(_) => None,
        };
        let created = view.source.created_timestamp.as_ref();
        let created = created.map(|name| (name.clone(), require(ColumnRole::CreatedTimestamp, name)));
        let event_ids = view.event_id.iter().map(|(name, _)| require(ColumnRole::EventId, name)).collect();
        let features = view.features.iter().map(|feature| require(ColumnRole::Feature, &feature.name)).collect();
        let deleted = index_of(DELETED_COLUMN);
        if event_ts.is_none() && deleted.is_some() {
            // Of a view with a constant event time: its deletes may lie elsewhere in time.
            event_ts = find(EVENT_TIMESTAMP_COLUMN);
        }
        if let Some(twice) = (0..used.len()).find(|&index| {
            used[index] && schema.fields().iter().filter(|other| other.name() == schema.field(index).name()).count() > 1
        }) {
            return Err(Error::invalid(format!("there are two columns {}", schema.field(twice).name())));
        }
        let is_ours = |name: &str| name == LINE_COLUMN || name == DELETED_COLUMN;
        let ignored = schema.fields().iter().zip(&used).filter(|(field, used)| !**used && !is_ours(field.name()));
        let ignored = ignored.map(|(field, _)| field.name().clone()).collect();
        let export_of = schema.metadata().get(VIEW_KEY).filter(|_| goes_by_the_view(view, schema)).cloned();
        Ok((Columns { keys, event_ts, created, event_ids, features, deleted, export_of, ignored }, missing))
    }
}

/// Whether the columns go by the view's own names, whatever its source calls them. An export of another view goes by those of that one.
fn goes_by_the_view(view: &FeatureView, schema: &Schema) -> bool {
    let is_of_another = |of: &String| of.split('@').next() != Some(view.name.as_str());
    let metadata = schema.metadata();
    metadata.get(NAMES_KEY).is_some_and(|names| names == VIEW_NAMES)
        && !metadata.get(VIEW_KEY).is_some_and(is_of_another)
}

/// What `view` takes and columns of this schema are not, and which of these it does not know.
///
/// # Errors
/// A column stands there twice.
pub fn missing_columns(view: &FeatureView, schema: &Schema) -> Result<(Vec<MissingColumn>, Vec<String>)> {
    Columns::find(view, schema).map(|(columns, missing)| (missing, columns.ignored))
}

/// The error that names these columns, and how the view's source says that they go by other names, where some are alike, or that
/// something else stands between them, where the source `may_be_delimited`.
pub fn missing_error(view: &FeatureView, schema: &Schema, missing: &[MissingColumn], may_be_delimited: bool) -> Error {
    let found: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let names: Vec<&str> = missing.iter().map(|column| column.name.as_str()).collect();
    let plural = if missing.len() == 1 { "column" } else { "columns" };
    let error = Error::invalid(format!("missing {plural}: {}", names.join(", ")));
    let is_missing = |role: ColumnRole| missing.iter().any(|column| column.role == role);
    let more = match found.len().saturating_sub(FOUND_NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = &found[..found.len().min(FOUND_NAMED_MAX)];
    let there_are = format!("the columns there are: {}{more}", named.join(", "));
    error.remedy(match mapping(view, schema, missing, may_be_delimited) {
        Some(mapping) => format!("did you mean {mapping} in the view? {there_are}"),
        None if !goes_by_the_view(view, schema) && is_missing(ColumnRole::EventTimestamp) => {
            format!("source = {{ event_timestamp = \"...\" }} in the view says which column is the time; {there_are}")
        }
        None => there_are,
    })
}

/// `source = { .. }` as it would have to be, where what is missing is there by names that are like its own, or like a time's, or all in one
/// column.
fn mapping(view: &FeatureView, schema: &Schema, missing: &[MissingColumn], may_be_delimited: bool) -> Option<String> {
    if goes_by_the_view(view, schema) {
        return None;
    }
    if let Some(delimiter) = other_delimiter(schema, missing).filter(|_| may_be_delimited) {
        return Some(format!("source = {{ delimiter = {:?} }}", delimiter.to_string()));
    }
    let (columns, _) = Columns::find(view, schema).ok()?;
    let mut unknown = columns.ignored;
    // What holds the name of one is several columns, and none of them.
    unknown.retain(|name| DELIMITERS.iter().all(|delimiter| wanted_within(name, *delimiter, missing) == 0));
    let mut found: Vec<(&MissingColumn, String)> = Vec::new();
    let mut look = |column, near: &dyn Fn(&[String]) -> Option<String>| {
        if found.iter().all(|(known, _)| *known != column)
            && let Some(name) = near(&unknown)
        {
            unknown.retain(|other| *other != name);
            found.push((column, name));
        }
    };
    // The surest first: a column that is one of these in another way of writing is not another's slip, and neither is a time.
    for is_alike in [is_rewritten, is_slip] {
        for column in missing {
            look(column, &|names| only(names.iter().filter(|name| is_alike(name, &column.name))));
        }
    }
    for column in missing.iter().filter(|column| column.role == ColumnRole::EventTimestamp) {
        look(column, &|names| only_time(schema, names));
    }
    let (mut said, mut renamed) = (Vec::new(), Vec::new());
    for column in missing {
        let Some((_, near)) = found.iter().find(|(known, _)| *known == column) else { continue };
        match column.role {
            ColumnRole::EventTimestamp => said.insert(0, format!("event_timestamp = {near:?}")),
            ColumnRole::CreatedTimestamp => said.push(format!("created_timestamp = {near:?}")),
            ColumnRole::JoinKey | ColumnRole::EventId | ColumnRole::Feature => {
                renamed.push(format!("{} = {:?}", toml_key(near), column.target));
            }
        }
    }
    if !renamed.is_empty() {
        said.push(format!("rename = {{ {} }}", renamed.join(", ")));
    }
    (!said.is_empty()).then(|| format!("source = {{ {} }}", said.join(", ")))
}

/// What else than was read with stands between names in one column, some of which are missing. Beside other columns a single one
/// may stand there by chance.
fn other_delimiter(schema: &Schema, missing: &[MissingColumn]) -> Option<char> {
    let count_min = if schema.fields().len() == 1 { 1 } else { 2 };
    DELIMITERS.into_iter().find(|delimiter| {
        schema.fields().iter().any(|field| wanted_within(field.name(), *delimiter, missing) >= count_min)
    })
}

/// How many of the missing columns are named within a name, between delimiters.
fn wanted_within(name: &str, delimiter: char, missing: &[MissingColumn]) -> usize {
    let is_wanted = |part: &&str| missing.iter().any(|column| is_rewritten(part, &column.name));
    if name.contains(delimiter) { name.split(delimiter).filter(is_wanted).count() } else { 0 }
}

/// The only one of these columns that holds times, by its type or else by its name.
fn only_time(schema: &Schema, names: &[String]) -> Option<String> {
    let is_time = |name: &&String| {
        let field = schema.field_with_name(name);
        field.is_ok_and(|field| matches!(field.data_type(), ArrowType::Timestamp(..) | ArrowType::Date32))
    };
    let is_called_so = |name: &&String| {
        let name = name.to_ascii_lowercase();
        ["ts", "t", "time", "date", "when"].contains(&name.as_str())
            || name.contains("timestamp")
            || name.contains("datetime")
            || ["_ts", "_at", "_time", "_date"].iter().any(|end| name.ends_with(end))
    };
    if names.iter().any(|name| is_time(&name)) {
        return only(names.iter().filter(is_time));
    }
    only(names.iter().filter(is_called_so))
}

/// The name, where there is one and no other.
fn only<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<String> {
    let first = names.next()?;
    names.next().is_none().then(|| first.clone())
}

/// A key as TOML has it: in quotes where it needs them.
fn toml_key(name: &str) -> String {
    let is_bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare && !name.is_empty() { name.to_owned() } else { format!("{name:?}") }
}
