//! What the paths of guides take in a body.

use serde::Deserialize;

use crate::error::Result;
use crate::server::http::ask::{Ask, DefinitionsOf, KnownAtText, When};

/// Which features, of which entities. `Row` is how an entity is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeaturesRequest<Row> {
    pub entity_rows: Vec<Row>,
    #[serde(default)]
    feature_refs: Vec<String>,
    feature_service: Option<String>,
    #[serde(default)]
    full_feature_names: bool,
    known_at: Option<KnownAtText>,
    definitions: Option<DefinitionsOf>,
}

impl<Row> FeaturesRequest<Row> {
    /// What is asked for, of which entities.
    ///
    /// # Errors
    /// Those of [`Ask::new`].
    pub(super) fn split(self) -> Result<(Ask, Vec<Row>)> {
        let when = When { at: None, known_at: self.known_at.as_ref(), definitions: self.definitions };
        let ask = Ask::new(&self.feature_refs, self.feature_service, when, self.full_feature_names)?;
        Ok((ask, self.entity_rows))
    }
}
