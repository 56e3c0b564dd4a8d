//! Definitions across revisions and versions, as they were at a seq.

use super::super::records::{EntityRecord, FieldRecord, ServiceRecord, ViewRecord};
use super::*;
use crate::definition::{Entity, Feature, FeatureService, FeatureView, ViewRef};
use crate::value::DataType;

fn view(id: u32, name: &str, version: u32, revision: u32, seq: u64, features: &[&str]) -> ViewRecord {
    let features: Vec<Feature> = features
        .iter()
        .map(|name| Feature {
            name: (*name).to_owned(),
            dtype: DataType::Float64,
            description: String::new(),
            rules: crate::definition::Rules::default(),
            tags: std::collections::BTreeMap::new(),
        })
        .collect();
    let fields = features
        .iter()
        .map(|feature| FieldRecord { name: feature.name.clone(), dtype: feature.dtype.clone(), added_seq: seq })
        .collect();
    let definition: FeatureView = serde_json::from_value(serde_json::json!({
        "name": name, "version": version, "entities": ["airport"], "join_keys": [["origin", "string"]],
        "features": features,
    }))
    .unwrap();
    ViewRecord { id, revision, seq, applied_at_us: 0, first_seq: seq, dropped_seq: None, fields, definition }
}

fn service(name: &str, revision: u32, seq: u64, defined: bool) -> ServiceRecord {
    let definition =
        defined.then(|| FeatureService { description: format!("r{revision}"), ..FeatureService::default() });
    ServiceRecord { name: name.to_owned(), revision, seq, applied_at_us: 0, definition }
}

/// weather@1: applied at 10, a feature added at 20, dropped at 50; weather@2: applied at 30.
/// plane: applied at 40. Service departure: 10, changed at 30, dropped at 40, back at 60.
fn sample() -> Arc<RegistryState> {
    let (_, disk) = disk();
    let registry = created(&disk);
    registry
        .propose(|change| {
            change.put(&view(1, "weather", 1, 1, 10, &["temp"]))?;
            change.put(&view(1, "weather", 1, 2, 20, &["temp", "visib"]))?;
            let dropped = view(1, "weather", 1, 3, 50, &["temp", "visib"]);
            change.put(&ViewRecord { dropped_seq: Some(50), ..dropped })?;
            change.put(&view(2, "weather", 2, 1, 30, &["visib"]))?;
            change.put(&view(3, "plane", 1, 1, 40, &["seats"]))?;
            for (revision, seq, defined) in [(1, 10, true), (2, 30, true), (3, 40, false), (4, 60, true)] {
                change.put(&service("departure", revision, seq, defined))?;
            }
            let entity = EntityRecord {
                name: "airport".to_owned(),
                revision: 1,
                seq: 10,
                applied_at_us: 0,
                definition: Some(Entity::default()),
            };
            change.put(&entity)
        })
        .and_then(Proposed::commit)
        .unwrap();
    // Through the bytes, as another process gets them.
    let bytes = registry.state().to_manifest().encode().unwrap();
    Arc::new(RegistryState::from_manifest(Manifest::parse(&bytes, Path::new("MANIFEST")).unwrap()).unwrap())
}

fn at(seq: u64, view: &str) -> Result<(u32, u32)> {
    let definitions = sample().definitions_at(Some(seq));
    definitions.view(&view.parse::<ViewRef>().unwrap()).map(|view| (view.definition.version, view.revision))
}

#[test]
fn the_greatest_revision_up_to_the_seq_is_in_force() {
    for (seq, view, expected) in [
        (10, "weather", (1, 1)),
        (19, "weather", (1, 1)),
        (20, "weather", (1, 2)),
        (30, "weather", (2, 1)),
        (30, "weather@1", (1, 2)),
        (49, "weather@1", (1, 2)),
        (99, "weather", (2, 1)),
    ] {
        assert_eq!(at(seq, view).unwrap(), expected, "{view} at {seq}");
    }
    let now = sample().definitions_at(None);
    assert_eq!(now.view(&"weather".parse().unwrap()).unwrap().id, 2);
    assert_eq!(now.views().map(|view| view.dir_name()).collect::<Vec<_>>(), ["3-plane@1", "2-weather@2"]);
    assert_eq!(sample().definitions_at(Some(9)).views().count(), 0);
}

#[test]
fn the_newest_version_not_dropped_is_meant_without_a_version() {
    let (_, disk) = disk();
    let registry = created(&disk);
    registry
        .propose(|change| {
            change.put(&view(1, "weather", 1, 1, 10, &["temp"]))?;
            change.put(&view(2, "weather", 2, 1, 20, &["temp"]))?;
            change.put(&ViewRecord { dropped_seq: Some(30), ..view(2, "weather", 2, 2, 30, &["temp"]) })
        })
        .and_then(Proposed::commit)
        .unwrap();
    let version = |seq| {
        let definitions = registry.state().definitions_at(Some(seq));
        definitions.view(&"weather".parse().unwrap()).unwrap().definition.version
    };
    assert_eq!([version(10), version(20), version(30)], [1, 2, 1]);
}

#[test]
fn a_view_that_came_later_is_an_error_naming_its_first_seq() {
    let error = at(9, "weather").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "feature view weather was first applied at seq 10, after seq 9; \
         ask with a known_at from seq 10 on, or with --definitions current"
    );
    let error = at(29, "weather@2").unwrap_err().to_string();
    assert!(error.contains("weather@2 was first applied at seq 30"), "{error}");
}

#[test]
fn a_dropped_version_says_since_when() {
    let error = at(50, "weather@1").unwrap_err().to_string();
    assert!(error.starts_with("feature view weather@1 was dropped at seq 50;"), "{error}");
}

#[test]
fn an_unknown_name_gets_the_nearest_and_an_unknown_version_the_known_ones() {
    let error = at(99, "wether").unwrap_err().to_string();
    assert_eq!(error, "there is no feature view wether; did you mean weather?");
    let error = at(99, "passengers").unwrap_err().to_string();
    assert_eq!(error, "there is no feature view passengers; there is plane, weather");
    let error = at(99, "weather@7").unwrap_err().to_string();
    assert_eq!(error, "there is no feature view weather@7; there is weather@1, weather@2");
}

#[test]
fn services_and_entities_follow_the_same_rule() {
    let revision = |seq| sample().definitions_at(Some(seq)).service("departure").map(|service| service.revision);
    assert_eq!(revision(10).unwrap(), 1);
    assert_eq!(revision(39).unwrap(), 2);
    assert!(revision(40).unwrap_err().to_string().contains("was dropped at seq 40"));
    assert_eq!(revision(60).unwrap(), 4);
    assert!(revision(9).unwrap_err().to_string().contains("first applied at seq 10"));
    let now = sample().definitions_at(None);
    assert_eq!(now.entity("airport").unwrap().seq, 10);
    let error = now.service("departures").unwrap_err().to_string();
    assert_eq!(error, "there is no feature service departures; did you mean departure?");
    let nothing = created(&disk().1).state().definitions_at(None);
    let error = nothing.service("x").unwrap_err().to_string();
    assert_eq!(error, "there is no feature service x; none is applied; see asof apply");
}

#[test]
fn ordinals_ids_and_names_come_from_the_newest_revision() {
    let state = sample();
    let weather = state.view(1).unwrap();
    assert_eq!((weather.revision, weather.is_dropped()), (3, true));
    assert_eq!(weather.ordinal("visib"), Some(1));
    assert_eq!(state.views().map(|view| (view.id, view.revision)).collect::<Vec<_>>(), [(1, 3), (2, 1), (3, 1)]);
    assert_eq!(state.service("departure").unwrap().revision, 4);
    assert_eq!(state.entity("airport").unwrap().revision, 1);
    assert_eq!(state.view_revisions(1).count(), 3);
}
