//! Which join keys a request needs, and of which types: for callers that have them as text.

use super::Store;
use crate::engine::get::GetOptions;
use crate::engine::resolve::Resolved;
use crate::error::Result;
use crate::key::common_type;
use crate::request::Features;
use crate::value::DataType;

/// A join key of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinKey {
    /// How the caller names it: a service may join a view through another column than the view's own.
    pub column: String,
    /// How the view names it.
    pub name: String,
    /// Its type: of views that call keys of several types by one column, the type that has the values of all of them.
    pub dtype: DataType,
}

impl Store {
    /// The join keys that a read of `features` takes, each once, in the order they are asked for. Of the options,
    /// `known_at` and `definitions_current` decide which definitions say so.
    ///
    /// # Errors
    /// Views, features, services that are not there.
    pub fn join_keys(&self, features: &Features, options: &GetOptions) -> Result<Vec<JoinKey>> {
        Ok(keys_of(&self.resolved(features, options)?))
    }
}

/// The join keys of selections.
pub(super) fn keys_of(selections: &[Resolved]) -> Vec<JoinKey> {
    let mut all: Vec<JoinKey> = Vec::new();
    for selected in selections {
        for ((name, dtype), column) in selected.view.definition.join_keys.iter().zip(&selected.key_columns) {
            all.push(JoinKey { column: column.clone(), name: name.clone(), dtype: dtype.clone() });
        }
    }
    let mut keys: Vec<JoinKey> = Vec::new();
    for key in &all {
        let alike = all.iter().filter(|other| other.column == key.column).map(|other| &other.dtype);
        let dtype = alike.fold(&key.dtype, |known, other| common_type(known, other).unwrap_or(known)).clone();
        let key = JoinKey { dtype, ..key.clone() };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchIterator, TimestampMicrosecondArray};

    use super::*;
    use crate::definition::{Definitions, FeatureView};
    use crate::format::columns::array_from_values;
    use crate::key::KEY_BYTES_MAX;
    use crate::time::Timestamp;
    use crate::value::Value;
    use crate::{ApplyOptions, DeleteOptions, HistoricalRequest, Row, Status};

    #[test]
    fn a_value_that_no_stored_key_can_have_finds_nothing_by_any_way() {
        let store = Store::temporary().unwrap();
        let mut definitions = Definitions::new("keys");
        for (name, dtype) in [("small", DataType::Int32), ("large", DataType::Int64), ("token", DataType::Uuid)] {
            let view = FeatureView::new(name).entity(name).feature("x", DataType::Int64);
            definitions = definitions.entity(name, [(name, dtype)]).view(view);
        }
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let token = Value::Uuid(crate::text::parse_uuid(uuid).unwrap());
        for (view, key) in [("small", Value::Int32(7)), ("large", Value::Int64(7)), ("token", token.clone())] {
            store.write_rows(view, [Row::new().at(store.now()).set(view, key).set("x", 1_i64)]).unwrap();
        }
        let string = |text: &str| Value::String(text.to_owned());
        for (view, key, wanted) in [
            ("small", Value::Int64(7), Some(Status::Present)),
            ("small", Value::Int64(7 + (1 << 32)), Some(Status::NotFound)),
            ("small", string("7"), None),
            ("large", Value::Int32(7), Some(Status::Present)),
            ("large", Value::Int32(-7), Some(Status::NotFound)),
            ("token", string(&uuid.to_uppercase()), Some(Status::Present)),
            ("token", string("7"), Some(Status::NotFound)),
            ("token", Value::Null, None),
        ] {
            let features = Features::list([format!("{view}:x")]).unwrap();
            let entity = [(view, key.clone())];
            let then = GetOptions { at: Some(store.now()), ..GetOptions::default() };
            let status = store.get(&features, &entity, &then).ok().map(|answers| answers[0].status);
            assert_eq!(status, wanted, "{view} {key:?} as of now");
            let mut online = store.online(&features).unwrap();
            let Ok(key) = online.key(&entity) else {
                assert_eq!(wanted, None, "{view} {key:?}");
                continue;
            };
            let mut statuses = vec![online.get(&key, store.now()).unwrap().status(0).0];
            online.get_batch(&[key.clone(), key], store.now(), |_, row| statuses.push(row.status(0).0)).unwrap();
            assert_eq!(statuses, [wanted.unwrap(); 3], "{view} {entity:?} now");
            // What is answered can be explained; a delete of what cannot be there is a mistake.
            let explained = store.explain(&format!("{view}:x"), &entity, &then).ok().map(|told| told.status);
            assert_eq!(explained, wanted.filter(|status| *status == Status::Present || view == "large"), "{entity:?}");
        }
    }

    #[test]
    fn a_value_that_no_stored_key_can_have_hides_no_mistake_in_another() {
        let store = Store::temporary().unwrap();
        let view = FeatureView::new("v").entity("pair").feature("x", DataType::Int64);
        let keys = [("a", DataType::Int32), ("b", DataType::Int64)];
        store.apply(&Definitions::new("keys").entity("pair", keys).view(view), ApplyOptions::default()).unwrap();
        let features = Features::list(["v:x"]).unwrap();
        for (b, is_good) in [(Value::Int64(1), true), (Value::String("x".into()), false), (Value::Null, false)] {
            let entity = [("a", Value::Int64(1 << 40)), ("b", b.clone())];
            assert_eq!(store.get(&features, &entity, &GetOptions::default()).is_ok(), is_good, "{b:?}");
            assert_eq!(store.online(&features).unwrap().key(&entity).is_ok(), is_good, "{b:?}");
        }
    }

    /// They were named one at a time, each after the one before it was given.
    #[test]
    fn all_join_keys_that_are_left_out_or_unknown_are_named_at_once() {
        let store = Store::temporary().unwrap();
        let mut definitions = Definitions::new("keys");
        for (name, keys) in [("weather", &["origin"][..]), ("plane", &["carrier", "tail"])] {
            let view = FeatureView::new(name).entity(name).feature("x", DataType::Int64);
            let keys: Vec<_> = keys.iter().map(|key| (*key, DataType::String)).collect();
            definitions = definitions.entity(name, keys).view(view);
        }
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let features = Features::list(["weather:x", "plane:x"]).unwrap();
        for (given, wrong) in [
            (
                &[][..],
                &["weather needs the join key origin", "plane needs the join key carrier", "give it as tail=VALUE"][..],
            ),
            (&["origin"], &["plane needs the join key carrier", "plane needs the join key tail"]),
            (&["orign", "tial"], &["did you mean origin?", "did you mean tail?", "needs the join key carrier"]),
            (&["origin", "carrier", "tail"], &[]),
        ] {
            let entity: Vec<(&str, Value)> = given.iter().map(|key| (*key, "x".into())).collect();
            let then = GetOptions { at: Some(store.now()), ..GetOptions::default() };
            for answer in [
                store.get(&features, &entity, &then).map(drop),
                store.get(&features, &entity, &GetOptions::default()).map(drop),
                store.online(&features).unwrap().key(&entity).map(drop),
            ] {
                let error = answer.err().map(|error| error.to_string());
                assert_eq!(error.is_some(), !wrong.is_empty(), "{given:?}");
                let error = error.unwrap_or_default();
                assert!(wrong.iter().all(|part| error.contains(part)), "{given:?}: {error}");
            }
        }
    }

    /// An online read refused it, over which a join went on.
    #[test]
    fn a_key_longer_than_any_stored_finds_nothing_by_any_way() {
        let store = Store::temporary().unwrap();
        let (string, bytes) = (("s", DataType::String), ("b", DataType::Bytes));
        let views = [
            ("text", vec![string.clone()]),
            ("raw", vec![bytes.clone()]),
            ("pair", vec![string.clone(), bytes.clone()]),
            ("mixed", vec![("n", DataType::Int64), string, bytes]),
        ];
        let mut definitions = Definitions::new("keys");
        for (name, keys) in &views {
            let view = FeatureView::new(*name).entity(*name).feature("x", DataType::Int64);
            definitions = definitions.entity(*name, keys.clone()).view(view);
        }
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        for is_sealed in [false, true] {
            for (view, keys) in &views {
                let varying = keys.iter().filter(|(_, dtype)| dtype.is_variable()).count();
                // Of the last, which has no length before it.
                let fixed = 4 * (varying - 1) + 8 * (keys.len() - varying);
                for (bytes, wanted) in [
                    (0, Status::Present),
                    (KEY_BYTES_MAX - fixed, Status::Present),
                    (KEY_BYTES_MAX - fixed + 1, Status::NotFound),
                    (100_000, Status::NotFound),
                ] {
                    let mut last = Some("x".repeat(bytes));
                    let entity = keys.iter().rev().map(|(name, dtype)| {
                        let value = match dtype {
                            DataType::String => Value::String(last.take().unwrap_or_default()),
                            DataType::Bytes => Value::Bytes(last.take().unwrap_or_default().into_bytes()),
                            _ => Value::Int64(7),
                        };
                        (*name, value)
                    });
                    let entity: Vec<(&str, Value)> = entity.collect();
                    let place = format!("{view}, sealed: {is_sealed}, {bytes} bytes");
                    let row = || entity.iter().fold(Row::new().at(store.now()), |row, (k, v)| row.set(*k, v.clone()));
                    let written = store.write_rows(view, [row().set("x", 1_i64)]);
                    let deleted =
                        store.delete(view, &entity, &DeleteOptions { at: Some(Timestamp(0)), ..Default::default() });
                    assert_eq!([written.is_ok(), deleted.is_ok()], [wanted == Status::Present; 2], "{place}");
                    if is_sealed {
                        store.seal().unwrap();
                    }
                    let features = Features::list([format!("{view}:x")]).unwrap();
                    let then = GetOptions { at: Some(store.now()), ..GetOptions::default() };
                    let mut statuses: Vec<Status> = [then, GetOptions::default()]
                        .map(|options| store.get(&features, &entity, &options).expect(&place)[0].status)
                        .into();
                    let mut online = store.online(&features).unwrap();
                    let key = online.key(&entity).expect(&place);
                    statuses.push(online.get(&key, store.now()).unwrap().status(0).0);
                    online
                        .get_batch(&[key.clone(), key], store.now(), |_, row| statuses.push(row.status(0).0))
                        .unwrap();
                    assert_eq!(statuses, [wanted; 5], "{place}");

                    let column = |(name, value): &(&str, Value)| {
                        let (_, dtype) = keys.iter().find(|(known, _)| known == name).unwrap();
                        ((*name).to_owned(), array_from_values(dtype, std::slice::from_ref(value)).unwrap())
                    };
                    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![store.now().0]));
                    let columns = entity.iter().map(column).chain([("event_timestamp".to_owned(), at)]);
                    let spine = RecordBatch::try_from_iter(columns).unwrap();
                    let spine = RecordBatchIterator::new([Ok(spine.clone())], spine.schema());
                    let request = HistoricalRequest::new(features);
                    let joined = store.get_historical_features(spine, &request).unwrap().next().unwrap().expect(&place);
                    assert_eq!(joined.columns().last().unwrap().is_valid(0), wanted == Status::Present, "{place}");
                }
            }
        }
    }
}
