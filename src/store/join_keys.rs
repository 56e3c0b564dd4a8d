//! Which join keys a request needs, and of which types: for callers that have them as text.

use super::Store;
use crate::engine::get::GetOptions;
use crate::engine::resolve::resolve;
use crate::error::Result;
use crate::request::Features;
use crate::value::DataType;

/// A join key of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinKey {
    /// How the caller names it: a service may join a view through another column than the view's own.
    pub column: String,
    /// How the view names it.
    pub name: String,
    /// Its type.
    pub dtype: DataType,
}

impl Store {
    /// The join keys that a read of `features` takes, each once, in the order they are asked for. Of the options,
    /// `known_at` and `definitions_current` decide which definitions say so.
    ///
    /// # Errors
    /// Views, features, services that are not there.
    pub fn join_keys(&self, features: &Features, options: &GetOptions) -> Result<Vec<JoinKey>> {
        let reads = &self.reads;
        let known_at = match &options.known_at {
            Some(known_at) if !options.definitions_current => Some(reads.resolve_known_at(known_at, self.now())?),
            _ => None,
        };
        let picture = reads.sight()?.picture;
        let mut keys: Vec<JoinKey> = Vec::new();
        for selected in resolve(features, &picture.state.definitions_at(known_at))? {
            for ((name, dtype), column) in selected.view.definition.join_keys.iter().zip(&selected.key_columns) {
                let key = JoinKey { column: column.clone(), name: name.clone(), dtype: dtype.clone() };
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }
}
