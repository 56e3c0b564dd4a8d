//! What the columns of a training set are called: the spine's, then the features' in the order they
//! were asked for.

use std::collections::HashMap;

use arrow_schema::{FieldRef, Schema};

use crate::error::{Error, Result};
use crate::value::DataType;

/// The features asked of one view, under one name.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'a> {
    /// Its alias, or the view's name.
    pub label: &'a str,
    /// Names and types, in request order.
    pub features: &'a [(&'a str, &'a DataType)],
}

/// The schema of a training set. With `full_names` features are called `label__feature`. What asof said of the spine, as an export
/// of its own, it does not say of what comes out.
///
/// # Errors
/// Two columns would bear one name; all such names are in the error, with who claims them.
pub fn output_columns(spine: &Schema, selections: &[Selected<'_>], full_names: bool) -> Result<Schema> {
    let collisions = collisions(spine, selections, full_names);
    if !collisions.is_empty() {
        let error = Error::invalid(format!("columns of one name: {}", collisions.join("; ")));
        let full_names_help = !full_names && self::collisions(spine, selections, true).is_empty();
        return Err(error.remedy(if full_names_help {
            "ask for full names (--full-names): features are then called view__feature"
        } else {
            "give the view another name with 'as' in a feature service, ask for each feature once, or rename the spine's column"
        }));
    }
    let mut fields: Vec<FieldRef> = spine.fields().iter().cloned().collect();
    for (name, _, data_type) in named(selections, full_names) {
        fields.push(data_type.to_field(&name).into());
    }
    let mut metadata = spine.metadata().clone();
    metadata.retain(|key, _| !key.starts_with("asof."));
    Ok(Schema::new_with_metadata(fields, metadata))
}

/// Column name, reference and type of every feature.
fn named<'a>(
    selections: &'a [Selected<'a>],
    full_names: bool,
) -> impl Iterator<Item = (String, String, &'a DataType)> + 'a {
    selections.iter().flat_map(move |selected| {
        selected.features.iter().map(move |(feature, data_type)| {
            let label = selected.label;
            let name = if full_names { format!("{label}__{feature}") } else { (*feature).to_owned() };
            (name, format!("{label}:{feature}"), *data_type)
        })
    })
}

/// Names that a feature shares with another column, each with its claimants.
fn collisions(spine: &Schema, selections: &[Selected<'_>], full_names: bool) -> Vec<String> {
    let mut order = Vec::new();
    let mut claims: HashMap<String, Vec<String>> = HashMap::new();
    for (name, reference, _) in named(selections, full_names) {
        let claimants = claims.entry(name.clone()).or_insert_with(|| {
            order.push(name.clone());
            let in_spine = spine.column_with_name(&name).is_some();
            if in_spine { vec!["the spine".to_owned()] } else { Vec::new() }
        });
        claimants.push(reference);
    }
    order.retain(|name| claims[name].len() > 1);
    order.iter().map(|name| format!("{name} ({})", claims[name].join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType as ArrowType, Field};

    use super::*;

    fn spine(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Field::new(*name, ArrowType::Int64, false)).collect::<Vec<_>>())
    }

    fn names(schema: &Schema) -> Vec<&str> {
        schema.fields().iter().map(|field| field.name().as_str()).collect()
    }

    const FLOAT: &DataType = &DataType::Float64;

    #[test]
    fn the_spine_comes_first_then_features_as_asked() {
        let selections = [
            Selected { label: "weather", features: &[("wind", FLOAT), ("temp", &DataType::String)] },
            Selected { label: "plane", features: &[("seats", &DataType::Int32)] },
        ];
        let spine = spine(&["origin", "event_timestamp"]);
        let plain = output_columns(&spine, &selections, false).unwrap();
        assert_eq!(names(&plain), ["origin", "event_timestamp", "wind", "temp", "seats"]);
        assert_eq!(plain.field(3).data_type(), &ArrowType::Utf8);
        assert!(plain.field(2).is_nullable(), "every feature can be missing");
        let full = output_columns(&spine, &selections, true).unwrap();
        assert_eq!(names(&full)[2..], ["weather__wind", "weather__temp", "plane__seats"]);
    }

    #[test]
    fn what_asof_says_of_an_export_it_does_not_say_of_what_is_made_from_it() {
        let metadata = [("asof.names", "view"), ("asof.view", "labels@1"), ("pandas", "{}")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let spine = spine(&["id"]).with_metadata(HashMap::from(metadata.clone()));
        let columns = output_columns(&spine, &[Selected { label: "v", features: &[("x", FLOAT)] }], false).unwrap();
        assert_eq!(columns.metadata, HashMap::from([metadata[2].clone()]));
    }

    #[test]
    fn every_collision_is_named_at_once_and_full_names_are_offered() {
        let selections = [
            Selected { label: "a", features: &[("x", FLOAT), ("label", FLOAT)] },
            Selected { label: "b", features: &[("x", FLOAT), ("y", FLOAT)] },
        ];
        let error = output_columns(&spine(&["label"]), &selections, false).unwrap_err().to_string();
        assert!(error.contains("x (a:x, b:x); label (the spine, a:label)"), "{error}");
        assert!(error.contains("--full-names") && !error.contains("b:y"), "{error}");
        assert!(output_columns(&spine(&["label"]), &selections, true).is_ok());
    }

    #[test]
    fn full_names_are_not_offered_where_they_do_not_help() {
        let twice = [Selected { label: "a", features: &[("x", FLOAT), ("x", FLOAT)] }];
        let error = output_columns(&spine(&[]), &twice, false).unwrap_err().to_string();
        assert!(!error.contains("--full-names"), "{error}");
        // One view twice needs two labels.
        let aliases = [
            Selected { label: "origin", features: &[("lat", FLOAT)] },
            Selected { label: "destination", features: &[("lat", FLOAT)] },
        ];
        assert!(output_columns(&spine(&[]), &aliases, true).is_ok());
        assert!(output_columns(&spine(&["origin__lat"]), &aliases, true).is_err());
    }

    #[test]
    fn similar_names_do_not_collide() {
        let selections = [Selected { label: "v", features: &[("label2", FLOAT), ("x_y", FLOAT)] }];
        let spine = spine(&["label", "x"]);
        assert_eq!(names(&output_columns(&spine, &selections, false).unwrap()), ["label", "x", "label2", "x_y"]);
    }
}
