//! Which join keys a request needs, and of which types: for callers that have them as text.

use super::Store;
use crate::engine::get::GetOptions;
use crate::engine::resolve::resolve;
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
        let reads = &self.reads;
        let known_at = match &options.known_at {
            Some(known_at) if !options.definitions_current => Some(reads.resolve_known_at(known_at, self.now())?),
            _ => None,
        };
        let picture = reads.sight()?.picture;
        let mut all: Vec<JoinKey> = Vec::new();
        for selected in resolve(features, &picture.state.definitions_at(known_at))? {
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
        Ok(keys)
    }
}
