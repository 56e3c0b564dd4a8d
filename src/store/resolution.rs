//! What the names of a request stand for.

use super::Store;
use super::join_keys::{JoinKey, keys_of};
use crate::engine::get::GetOptions;
use crate::engine::resolve::{Resolved, resolve};
use crate::error::Result;
use crate::request::Features;
use crate::value::DataType;

/// Features that were found.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolution {
    /// Each by its view's version and its own name: what this gets stays the same, whatever a service or a name comes to mean.
    pub features: Features,
    /// The views that they are of, by name, each once.
    pub views: Vec<String>,
    /// The join keys that entities are named by, each once.
    pub join_keys: Vec<JoinKey>,
    /// What an answer holds, in order.
    pub columns: Vec<AnswerColumn>,
}

/// A feature of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerColumn {
    /// The view as it was asked for: its name, with the version where one was written, or its alias in a service.
    pub view: String,
    /// The view as lists call it: its name, with the version where that is not the first.
    pub view_reference: String,
    /// The feature's name.
    pub feature: String,
    /// Its type.
    pub dtype: DataType,
}

impl Store {
    /// Finds what a request names. Of the options, `known_at` and `definitions_current` decide which definitions say so.
    ///
    /// ```
    /// # use asof::definition::{Definitions, FeatureView};
    /// # use asof::value::DataType;
    /// # use asof::{ApplyOptions, Features, GetOptions, Store};
    /// # let store = Store::temporary()?;
    /// # let view = FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64);
    /// # let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(view);
    /// # store.apply(&definitions, ApplyOptions::default())?;
    /// let all = store.resolve(&Features::list(["weather:*"])?, &GetOptions::default())?;
    /// assert_eq!((all.columns[0].feature.as_str(), all.join_keys[0].column.as_str()), ("temp", "origin"));
    /// # Ok::<(), asof::Error>(())
    /// ```
    ///
    /// # Errors
    /// Views, features, services that are not there.
    pub fn resolve(&self, features: &Features, options: &GetOptions) -> Result<Resolution> {
        let resolved = self.resolved(features, options)?;
        let mut views: Vec<String> = resolved.iter().map(|one| one.view.definition.name.clone()).collect();
        views.sort_unstable();
        views.dedup();
        let columns = resolved.iter().flat_map(|one| one.fields.iter().map(move |field| (one, field)));
        let columns = columns.map(|(one, field)| AnswerColumn {
            view: one.label.clone(),
            view_reference: one.view.definition.reference_text(),
            feature: field.name.clone(),
            dtype: field.dtype.clone(),
        });
        Ok(Resolution {
            features: Features::List(resolved.iter().map(Resolved::pinned).collect()),
            views,
            join_keys: keys_of(&resolved),
            columns: columns.collect(),
        })
    }

    pub(super) fn resolved(&self, features: &Features, options: &GetOptions) -> Result<Vec<Resolved>> {
        let known_at = match &options.known_at {
            Some(known_at) if !options.definitions_current => Some(self.reads.resolve_known_at(known_at, self.now())?),
            _ => None,
        };
        resolve(features, &self.reads.sight()?.picture.state.definitions_at(known_at))
    }
}
