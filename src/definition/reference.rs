//! Names, and what is written to mean a view or a feature.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Selection;
use crate::error::{Error, Result};

/// Longest name of anything, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// A view by name, with a version where one is pinned: `weather`, `weather@2`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ViewRef {
    /// The name.
    pub name: String,
    /// `None` means the newest version.
    pub version: Option<u32>,
}

impl fmt::Display for ViewRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for ViewRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        check_name("view", name)?;
        let version = match version {
            None => None,
            Some(digits) => match digits.parse::<u32>() {
                Ok(version) if version >= 1 => Some(version),
                _ => {
                    return Err(Error::invalid(format!(
                        "'{text}': a version is a whole number from 1, as in {name}@2"
                    )));
                }
            },
        };
        Ok(ViewRef { name: name.to_owned(), version })
    }
}

impl TryFrom<String> for ViewRef {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ViewRef> for String {
    fn from(view: ViewRef) -> String {
        view.to_string()
    }
}

/// One feature by reference: `weather:temp`, `weather@2:temp`; `weather:*` is every feature.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeatureRef {
    /// The view.
    pub view: ViewRef,
    /// The feature's name, or `*`.
    pub feature: String,
}

impl FromStr for FeatureRef {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((view, feature)) = text.split_once(':') else {
            return Err(Error::invalid(format!("'{text}' is no feature reference"))
                .remedy("write view:feature, as in weather:temp"));
        };
        if feature != "*" {
            check_name("feature", feature)?;
        }
        Ok(FeatureRef { view: view.parse()?, feature: feature.to_owned() })
    }
}

impl fmt::Display for FeatureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.view, self.feature)
    }
}

/// Groups feature references into selections, keeping their order; neighbours of one view share one.
pub fn selections_of(references: &[FeatureRef]) -> Vec<Selection> {
    let mut selections: Vec<Selection> = Vec::new();
    for reference in references {
        let names = if reference.feature == "*" { Vec::new() } else { vec![reference.feature.clone()] };
        match selections.last_mut() {
            Some(last) if last.view == reference.view && !last.features.is_empty() && !names.is_empty() => {
                last.features.extend(names);
            }
            _ => selections.push(Selection {
                view: reference.view.clone(),
                alias: None,
                join_keys: BTreeMap::new(),
                features: names,
            }),
        }
    }
    selections
}

/// Checks a name: `[A-Za-z][A-Za-z0-9_]{0,127}`. A leading `_` is asof's own.
///
/// # Errors
/// `what` and the name, and what a name must look like.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    if starts_well && name.len() <= NAME_BYTES_MAX && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    let error = Error::invalid(format!("'{name}' is no {what} name"));
    Err(if name.starts_with('_') {
        error.remedy("names that begin with _ are reserved")
    } else {
        error.remedy(format!("a letter, then letters, digits or _, at most {NAME_BYTES_MAX} in all"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_and_print() {
        for text in ["weather:temp", "weather@2:temp", "weather:*"] {
            assert_eq!(text.parse::<FeatureRef>().unwrap().to_string(), text);
        }
        for bad in ["weather", "weather@0:temp", "_w:temp", "w:1x", "w@x:y"] {
            assert!(bad.parse::<FeatureRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn neighbouring_references_of_a_view_make_one_selection() {
        let references: Vec<FeatureRef> =
            ["a:x", "a:y", "b:z", "a:w"].iter().map(|text| text.parse().unwrap()).collect();
        let selections = selections_of(&references);
        assert_eq!(selections.len(), 3);
        assert_eq!(selections[0].features, ["x", "y"]);
    }
}
