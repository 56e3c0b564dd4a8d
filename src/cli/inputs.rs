//! What is typed, as what is meant: times, states of knowledge, features, entities.

use std::str::FromStr;

use super::args::{DefinitionsArg, EntityAt, Known, LayoutArg, OfRedis, Which};
use super::context::Project;
use super::failure::Failure;
use crate::definition::ViewRef;
use crate::engine::get::GetOptions;
use crate::error::{Error, Result};
use crate::exchange::{RedisLayout, RedisUrl};
use crate::request::{Features, KnownAt};
use crate::store::JoinKey;
use crate::text::parse_value;
use crate::time::Timestamp;
use crate::value::{DataType, Value};

/// A flag's value that must be well-formed whatever the store holds.
fn typed<T: FromStr<Err = Error>>(flag: &str, text: Option<&str>) -> Result<Option<T>, Failure> {
    text.map(|text| text.parse().map_err(|error: Error| Failure::Usage(error.at(flag)))).transpose()
}

/// An instant given with a flag.
pub(super) fn time(flag: &str, text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    typed(flag, text)
}

/// The Redis that is named.
pub(super) fn redis(args: &OfRedis) -> Result<Option<RedisUrl>, Failure> {
    typed("--redis", args.redis.as_deref())
}

/// The layout asked for. Feast calls the project as asof.toml does, unless another name is given.
pub(super) fn layout(args: &OfRedis, project: &Project) -> RedisLayout {
    match args.layout {
        LayoutArg::Plain => RedisLayout::Plain,
        LayoutArg::Feast => RedisLayout::Feast {
            project: args.feast_project.clone().unwrap_or_else(|| project.definitions.project.clone()),
        },
    }
}

/// The state of knowledge asked for.
pub(super) fn known_at(known: &Known) -> Result<Option<KnownAt>, Failure> {
    typed("--known-at", known.known_at.as_deref())
}

/// Whether today's definitions are asked for beside an earlier state of knowledge.
pub(super) fn definitions_current(known: &Known) -> bool {
    known.definitions == Some(DefinitionsArg::Current)
}

/// The features asked for.
pub(super) fn features(which: &Which) -> Result<Features, Failure> {
    match &which.service {
        Some(service) => Ok(Features::service(service)),
        None => Features::list(&which.features).map_err(Failure::Usage),
    }
}

/// A view's name, with its version where one is given.
pub(super) fn view(text: &str) -> Result<ViewRef, Failure> {
    text.parse().map_err(Failure::Usage)
}

/// `KEY=VALUE` arguments, cut at the first equals sign.
pub(super) fn pairs(arguments: &[String]) -> Result<Vec<(&str, &str)>, Failure> {
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let Some((name, value)) = argument.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let error =
                Error::invalid(format!("'{argument}' is no join key")).remedy("write KEY=VALUE, as in origin=JFK");
            return Err(Failure::Usage(error));
        };
        if pairs.iter().any(|(known, _)| *known == name) {
            return Err(Failure::Usage(Error::invalid(format!("the join key {name} is given twice"))));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The moment an entity is asked for at, and the state of knowledge.
pub(super) fn get_options(asked: &EntityAt) -> Result<GetOptions, Failure> {
    Ok(GetOptions {
        at: time("--at", asked.at.as_deref())?,
        known_at: known_at(&asked.known)?,
        definitions_current: definitions_current(&asked.known),
    })
}

/// Typed values for the join keys given. A name that is none of `keys` stays text; the store says that it is
/// not asked for.
///
/// # Errors
/// A value is not of its key's type.
pub(super) fn entity<'a>(pairs: &[(&'a str, &str)], keys: &[JoinKey]) -> Result<Vec<(&'a str, Value)>> {
    typed_pairs(pairs, keys, parse_value)
}

/// [`entity`], to be looked for: a number that is too large for its key's type matches nothing, as in the spine of a join.
///
/// # Errors
/// As [`entity`].
pub(super) fn entity_to_find<'a>(pairs: &[(&'a str, &str)], keys: &[JoinKey]) -> Result<Vec<(&'a str, Value)>> {
    typed_pairs(pairs, keys, |dtype, text| match dtype {
        DataType::Int32 => {
            parse_value(dtype, text).or_else(|error| parse_value(&DataType::Int64, text).map_err(|_| error))
        }
        _ => parse_value(dtype, text),
    })
}

fn typed_pairs<'a>(
    pairs: &[(&'a str, &str)],
    keys: &[JoinKey],
    parse: impl Fn(&DataType, &str) -> Result<Value>,
) -> Result<Vec<(&'a str, Value)>> {
    let typed = |&(name, text): &(&'a str, &str)| {
        let value = match keys.iter().find(|key| key.column == name) {
            Some(key) => parse(&key.dtype, text).map_err(|error| error.at(format!("join key {name}")))?,
            None => Value::String(text.to_owned()),
        };
        Ok((name, value))
    };
    pairs.iter().map(typed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_keys_take_the_type_of_their_column() {
        let keys = [
            JoinKey { column: "dest".into(), name: "origin".into(), dtype: DataType::String },
            JoinKey { column: "id".into(), name: "id".into(), dtype: DataType::Int64 },
        ];
        let given = entity(&[("dest", "7"), ("id", "7"), ("origin", "8"), ("other", "9")], &keys).unwrap();
        let text = |text: &str| Value::String(text.to_owned());
        assert_eq!(given, [("dest", text("7")), ("id", Value::Int64(7)), ("origin", text("8")), ("other", text("9"))]);
        let error = entity(&[("id", "x")], &keys).unwrap_err().to_string();
        assert!(error.contains("join key id") && error.contains("int64"), "{error}");
    }

    #[test]
    fn a_join_key_without_a_value_or_given_twice_is_wrong_usage() {
        for arguments in [&["origin"][..], &["=JFK"], &["origin=JFK", "origin=LGA"]] {
            let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(pairs(&arguments).unwrap_err().status(), 2, "{arguments:?}");
        }
        assert_eq!(pairs(&["a=b=c".to_owned()]).unwrap(), [("a", "b=c")]);
    }
}
