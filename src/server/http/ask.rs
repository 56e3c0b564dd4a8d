//! What a request asks for: which features, as of when, known by when.

use serde::Deserialize;

use crate::definition::{FeatureRef, Selection};
use crate::engine::get::GetOptions;
use crate::error::{Error, Result};
use crate::request::{Features, KnownAt};

/// Most references of a request, and most bytes of one. What is longer names nothing that can be.
const REFERENCES_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 512;

/// The part of a request that says which features, and as of when; in a body, or in the query of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub features: Features,
    pub options: GetOptions,
    pub full_names: bool,
}

/// As of when, by what was known when, as a request says it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct When<'a> {
    pub at: Option<&'a str>,
    pub known_at: Option<&'a KnownAtText>,
    pub definitions: Option<DefinitionsOf>,
}

impl Ask {
    /// Puts together what the fields of a request say.
    ///
    /// # Errors
    /// No feature is asked for, or too many; a reference, a time or a state of knowledge that is none.
    pub(super) fn new(references: &[String], service: Option<String>, when: When<'_>, full_names: bool) -> Result<Ask> {
        if when.definitions.is_some() && when.known_at.is_none() {
            return Err(Error::invalid("definitions are asked for, and known_at is not")
                .remedy("leave them out: without known_at they are the current ones"));
        }
        let options = GetOptions {
            at: when.at.map(|text| text.parse().map_err(|error: Error| error.at("at"))).transpose()?,
            known_at: when.known_at.map(KnownAtText::parse).transpose()?,
            definitions_current: when.definitions.is_some(),
        };
        let features = match service {
            Some(_) if !references.is_empty() => {
                return Err(Error::invalid("features and a service are both asked for").remedy("name one of them"));
            }
            Some(service) => {
                check_length("service", &service)?;
                Features::Service(service)
            }
            None => {
                check_references(references)?;
                Features::list(references)?
            }
        };
        Ok(Ask { features, options, full_names })
    }

    /// What tells a request for these features from every other.
    pub(super) fn kind(&self) -> String {
        match &self.features {
            // No name has a space in it.
            Features::Service(service) => ["service ", service].concat(),
            Features::List(selections) => selections.iter().map(kind_of).collect(),
        }
    }

    /// Whether it is about now.
    pub(super) fn is_of_now(&self) -> bool {
        self.options.at.is_none() && self.options.known_at.is_none()
    }
}

/// Refuses more references than a request may have, and those that are too long to be any.
pub(super) fn check_references(references: &[String]) -> Result<()> {
    if references.len() > REFERENCES_MAX {
        let what = format!("{} features are asked for", references.len());
        return Err(Error::invalid(what).remedy(format!("ask for {REFERENCES_MAX} at most, or for a service")));
    }
    references.iter().try_for_each(|reference| check_length("feature reference", reference))
}

/// Refuses a name that is too long to be any.
pub(super) fn check_length(what: &str, name: &str) -> Result<()> {
    if name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(format!("a {what} of {} bytes is none: {NAME_BYTES_MAX} are the most", name.len())))
}

/// What tells a selection from every other.
pub(super) fn kind_of(selection: &Selection) -> String {
    let keys: String = selection.join_keys.iter().map(|(key, column)| format!("{key}={column},")).collect();
    let alias = selection.alias.as_ref().map(|alias| format!(" {alias}")).unwrap_or_default();
    format!("{}{alias}:{}:{keys};", selection.view, selection.features.join(","))
}

/// References as one text in a query: `weather:temp,weather:visib`; `weather:temp,visib` is short for it.
pub(super) fn references(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut view = None;
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match &view {
            Some(view) if !part.contains(':') => all.push(format!("{view}:{part}")),
            _ => {
                view = part.parse::<FeatureRef>().ok().map(|reference| reference.view);
                all.push(part.to_owned());
            }
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
    fn parse(&self) -> Result<KnownAt> {
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

    #[test]
    fn requests_of_a_kind_mean_the_same() {
        let ask = |references: &[&str], service: Option<&str>| {
            let references: Vec<String> = references.iter().map(|text| (*text).to_owned()).collect();
            Ask::new(&references, service.map(str::to_owned), When::default(), false)
        };
        assert_eq!(ask(&["a:x", "a:y"], None).unwrap().kind(), ask(&[" a:x", "a:y "], None).unwrap().kind());
        let kinds = [
            ask(&["a:x", "a:y"], None).unwrap().kind(),
            ask(&["a:x", "b:y"], None).unwrap().kind(),
            ask(&["a@1:x", "a@1:y"], None).unwrap().kind(),
            ask(&["a:*"], None).unwrap().kind(),
            ask(&[], Some("a")).unwrap().kind(),
        ];
        let mut distinct = kinds.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), kinds.len(), "{kinds:?}");
        // As one text it is no reference, whatever was asked for before.
        assert!(ask(&["a:x,a:y"], None).is_err());
    }

    #[test]
    fn what_is_too_much_to_be_meant_is_refused_at_once() {
        let many = vec!["a:x".to_owned(); REFERENCES_MAX + 1];
        assert!(Ask::new(&many, None, When::default(), false).is_err());
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        assert!(Ask::new(&[format!("{long}:x")], None, When::default(), false).is_err());
        assert!(Ask::new(&[], Some(long), When::default(), false).is_err());
        let when = When { definitions: Some(DefinitionsOf::Current), ..When::default() };
        assert!(Ask::new(&many[..1], None, when, false).is_err(), "without known_at it says nothing");
    }
}
