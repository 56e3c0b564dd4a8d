//! How a spine is read, whatever its format.

use super::source_options::SourceOptions;
use crate::engine::get::GetOptions;
use crate::request::HistoricalRequest;
use crate::store::Store;
use crate::value::DataType;

/// How the spine of a join is read. Text files do not say what their columns are; the join keys do. Digits that are a string key stay one.
/// What the join does not ask for passes through as it is, so its types are inferred.
pub fn spine_options(store: &Store, request: &HistoricalRequest) -> SourceOptions {
    let options =
        GetOptions { at: None, known_at: request.known_at.clone(), definitions_current: request.definitions_current };
    let mut types = vec![(request.timestamp_column.clone(), DataType::Timestamp)];
    // What is unknown of them is told by the join, with all else that it does not find.
    for key in store.join_keys(&request.features, &options).unwrap_or_default() {
        if types.iter().all(|(name, _)| *name != key.column) {
            // A key that its view cannot have matches nothing, as in files that say their types.
            let dtype = match key.dtype {
                DataType::Int32 => DataType::Int64,
                DataType::Uuid => DataType::String,
                dtype => dtype,
            };
            types.push((key.column, dtype));
        }
    }
    SourceOptions { column_types: Some(types), ..SourceOptions::default() }
}
