//! What a request asks for: which features, as of when, known by when.

use serde::Deserialize;

use crate::definition::FeatureRef;
use crate::engine::get::GetOptions;
use crate::error::{Error, Result};
use crate::request::{Features, KnownAt};

/// The part of a request that says which features, and as of when; in a body, or in the query of a path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Ask {
    /// Feature references, unless a service is asked for.
    pub features: Vec<String>,
    pub service: Option<String>,
    pub options: GetOptions,
    pub full_names: bool,
}

impl Ask {
    /// Puts together what the fields of a request say.
    ///
    /// # Errors
    /// A time, or a state of knowledge, that is none.
    pub(super) fn new(
        features: Vec<String>,
        service: Option<String>,
        (at, known_at, definitions): (Option<&str>, Option<&KnownAtText>, Option<DefinitionsOf>),
        full_names: bool,
    ) -> Result<Ask> {
        let options = GetOptions {
            at: at.map(|text| text.parse().map_err(|error: Error| error.at("at"))).transpose()?,
            known_at: known_at.map(KnownAtText::parse).transpose()?,
            definitions_current: definitions.is_some(),
        };
        if service.is_some() && !features.is_empty() {
            return Err(Error::invalid("features and a service are both asked for").remedy("name one of them"));
        }
        Ok(Ask { features, service, options, full_names })
    }

    /// The features.
    ///
    /// # Errors
    /// A reference is malformed, or there is none.
    pub(super) fn features(&self) -> Result<Features> {
        match &self.service {
            Some(service) => Ok(Features::service(service)),
            None => Features::list(&self.features),
        }
    }

    /// What tells a request for these features from every other.
    pub(super) fn kind(&self) -> String {
        match &self.service {
            Some(service) => format!("service {service}"),
            None => self.features.join(","),
        }
    }

    /// Whether it is about now.
    pub(super) fn is_of_now(&self) -> bool {
        self.options.at.is_none() && self.options.known_at.is_none()
    }
}

/// References as one text in a query: `weather:temp,weather:visib`; `weather:temp,visib` is short for it.
pub(super) fn references(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let view = all.last().and_then(|before| before.parse::<FeatureRef>().ok()).map(|before| before.view);
        match view {
            Some(view) if !part.contains(':') => all.push(format!("{view}:{part}")),
            _ => all.push(part.to_owned()),
        }
    }
    all
}

/// A seq, a time or a snapshot's name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum KnownAtText {
    Seq(u64),
    Text(String),
}

impl KnownAtText {
    pub(super) fn parse(&self) -> Result<KnownAt> {
        match self {
            KnownAtText::Seq(seq) => Ok(KnownAt::Seq(*seq)),
            KnownAtText::Text(text) => text.parse().map_err(|error: Error| error.at("known_at")),
        }
    }
}

/// With `known_at`: whose definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DefinitionsOf {
    /// Today's, instead of those of then.
    Current,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_a_query_may_leave_out_the_view_of_the_one_before() {
        assert_eq!(references("a:x, y,b@2:z,w"), ["a:x", "a:y", "b@2:z", "b@2:w"]);
        assert_eq!(references("x,,a:y"), ["x", "a:y"]);
        assert!(references(" , ").is_empty());
    }
}
