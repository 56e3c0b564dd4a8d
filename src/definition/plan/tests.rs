//! What a plan says about every sort of change.

mod redis_keys;

use insta::assert_snapshot;

use super::*;
use crate::definition::{Definitions, FeatureView, Source};
use crate::value::DataType;

/// A registry that holds these definitions, applied to an empty store.
fn applied(definitions: &Definitions) -> Registered {
    definitions.check().unwrap();
    plan(&Registered::default(), definitions, false).outcome().unwrap().clone()
}

fn apply(current: &Registered, wanted: &Definitions) -> Registered {
    wanted.check().unwrap();
    plan(current, wanted, false).outcome().unwrap().clone()
}

const BASE: &str = r#"
project.name = "flights"
entities.airport.join_keys = { origin = "string" }
[views.weather]
entities = ["airport"]
ttl = "3h"
[views.weather.features]
temp = "float64"
visib = { dtype = "float64", min = 0 }
[services.model]
features = ["weather:temp"]
"#;

fn parse(text: &str) -> Definitions {
    Definitions::parse(text, "asof.toml").unwrap()
}

fn base() -> Definitions {
    parse(BASE)
}

/// The base with parts of its text replaced.
fn base_with(replacements: &[(&str, &str)]) -> Definitions {
    let mut text = BASE.to_owned();
    for (old, new) in replacements {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    parse(&text)
}

/// The plan from the base to the base with replacements.
fn change(replacements: &[(&str, &str)]) -> Plan {
    plan(&applied(&base()), &base_with(replacements), false)
}

#[test]
fn a_new_store_gets_everything() {
    let plan = plan(&Registered::default(), &base(), false);
    assert_snapshot!(plan, @r#"
    + entity airport (origin string)
    + view weather (2 features, ttl 3h)
    + service model (weather:temp)
    3 to add
    "#);
    assert!(!plan.is_empty() && !plan.is_refused());
    let after = plan.outcome().unwrap();
    assert_eq!((after.project.as_str(), after.next_view_id, after.views[0].revision), ("flights", 1, 1));
    assert_eq!(after.views[0].fields[1], ("visib".to_owned(), DataType::Float64));
}

#[test]
fn the_same_definitions_change_nothing() {
    let current = applied(&base());
    let plan = plan(&current, &base(), true);
    assert_snapshot!(plan, @r#"3 unchanged"#);
    assert!(plan.is_empty());
    assert_eq!(plan.outcome().unwrap(), &current);
}

#[test]
fn definitions_kept_as_json_compare_as_unchanged() {
    let mut current = applied(&base());
    current = serde_json::from_str(&serde_json::to_string(&current).unwrap()).unwrap();
    assert!(plan(&current, &base(), false).is_empty());
}

#[test]
fn compatible_changes_are_told_in_detail() {
    assert_snapshot!(change(&[
        ("ttl = \"3h\"", "ttl = \"6h\"\nretention = \"30d\"\nowner = \"ops\"\ndescription = \"x\"\ntags = { tier = \"gold\" }\nsource = { path = \"w.parquet\", event_timestamp = \"1970-01-01\" }"),
        ("temp = \"float64\"", "gust = \"float32\"\ntemp = { dtype = \"float64\", not_null = true }"),
        ("min = 0", "max = 10"),
        ("[\"weather:temp\"]", "[\"weather:visib\", { view = \"weather\", as = \"there\", join_keys = { origin = \"dest\" } }]"),
        ("entities.airport.join_keys", "entities.airport.description = \"IATA\"\nentities.airport.join_keys"),
    ]), @r#"
    ~ entity airport: description changed
    ~ view weather: ttl 3h -> 6h; retention none -> 30d; source path none -> w.parquet; event_timestamp event_timestamp -> 1970-01-01T00:00:00Z; owner none -> ops; description changed; tag tier = gold added; feature gust added (float32); feature temp: not_null false -> true; feature visib: min 0 -> none; feature visib: max none -> 10
    ~ service model: weather:visib added; weather:* as there on origin = dest added; weather:temp removed
    3 to change
    "#);
}

#[test]
fn an_added_feature_gets_the_next_ordinal_wherever_it_stands() {
    let plan = change(&[("temp = \"float64\"", "gust = \"float32\"\ntemp = \"float64\"")]);
    let weather = &plan.outcome().unwrap().views[0];
    let fields: Vec<&str> = weather.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(fields, ["temp", "visib", "gust"]);
    assert_eq!((weather.id, weather.revision), (0, 2));
    assert_eq!(weather.definition.features[0].name, "gust");
}

#[test]
fn features_in_another_order_are_a_revision() {
    let wanted = base_with(&[(
        "temp = \"float64\"\nvisib = { dtype = \"float64\", min = 0 }",
        "visib = { dtype = \"float64\", min = 0 }\ntemp = \"float64\"",
    )]);
    assert_snapshot!(plan(&applied(&base()), &wanted, false), @r#"
    ~ view weather: features in another order
    1 to change, 2 unchanged
    "#);
}

#[test]
fn a_removed_or_retyped_feature_is_refused_with_the_next_version() {
    let refused =
        change(&[("temp = \"float64\"", "temp = \"float32\""), ("visib = { dtype = \"float64\", min = 0 }", "")]);
    assert_snapshot!(refused, @r#"
    ! refused view weather: feature temp float64 -> float32; feature visib removed; write it as [views."weather@2"]
    2 unchanged, 1 refused
    "#);
    let error = refused.outcome().unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Refused);
    assert_snapshot!(error, @r#"apply: view weather: feature temp float64 -> float32; feature visib removed; write it as [views."weather@2"]"#);
}

#[test]
fn changes_of_kind_event_id_and_created_are_refused() {
    assert_snapshot!(change(&[("ttl = \"3h\"", "kind = \"event\"\nevent_id = [\"id\"]\nsource = { created_timestamp = \"seen\" }")]), @r#"
    ! refused view weather: kind state -> event; event_id none -> id string; created_timestamp seen declared; write it as [views."weather@2"]
    2 unchanged, 1 refused
    "#);
    let before = base_with(&[("ttl = \"3h\"", "source = { created_timestamp = \"seen\" }")]);
    assert_snapshot!(plan(&applied(&before), &base_with(&[("ttl = \"3h\"", "")]), false), @r#"
    ! refused view weather: created_timestamp seen removed; write it as [views."weather@2"]
    2 unchanged, 1 refused
    "#);
    let renamed = base_with(&[("ttl = \"3h\"", "source = { created_timestamp = \"noted\" }")]);
    assert_snapshot!(plan(&applied(&before), &renamed, false), @r#"
    ~ view weather: created_timestamp seen -> noted
    1 to change, 2 unchanged
    "#);
}

#[test]
fn changed_join_keys_are_refused_while_views_use_them() {
    let plan_changed = change(&[("origin = \"string\"", "origin = \"int32\"")]);
    assert_snapshot!(plan_changed, @r#"
    ! refused entity airport: join keys origin string -> origin int32 while views use it; keep airport as it is; declare a new entity and use it in a new version of the view
    ! refused view weather: join keys origin string -> origin int32; write it as [views."weather@2"]
    1 unchanged, 2 refused
    "#);
    let unused = |dtype| Definitions::new("flights").entity("plane", [("tailnum", dtype)]);
    let plan_unused = plan(&applied(&unused(DataType::String)), &unused(DataType::Int64), false);
    assert_snapshot!(plan_unused, @r#"
    ~ entity plane: join keys tailnum string -> tailnum int64
    1 to change
    "#);
}

#[test]
fn two_versions_live_side_by_side() {
    let second = format!("{BASE}\n[views.\"weather@2\"]\nentities = [\"airport\"]\nfeatures.temp = \"float32\"");
    let current = applied(&base());
    let plan_both = plan(&current, &parse(&second), false);
    assert_snapshot!(plan_both, @r#"
    + view weather@2 (1 feature)
    ~ service model: weather now means weather@2, which has no rows yet (write weather@1 to stay with that one); weather:temp float64 -> float32
    1 to add, 1 to change, 2 unchanged
    "#);
    let after = plan_both.outcome().unwrap();
    assert_eq!(after.views.iter().map(|view| view.id).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(after.find_view(&"weather".parse().unwrap()).unwrap().definition.version, 2);
    // The file may name only the new one, and skip numbers.
    let only_fifth = base_with(&[
        ("[views.weather]", "[views.\"weather@5\"]"),
        ("[views.weather.features]", "[views.\"weather@5\".features]"),
    ]);
    assert_snapshot!(plan(after, &only_fifth, false), @r#"
    + view weather@5 (2 features, ttl 3h)
      view weather: not in the file, kept (apply --prune drops it)
      view weather@2: not in the file, kept (apply --prune drops it)
    ~ service model: weather now means weather@5, which has no rows yet (write weather@2 to stay with that one); weather:temp float32 -> float64
    1 to add, 1 to change, 2 kept, 1 unchanged
    "#);
}

#[test]
fn a_version_below_the_registered_one_is_refused() {
    let second = base_with(&[
        ("[views.weather]", "[views.\"weather@2\"]"),
        ("[views.weather.features]", "[views.\"weather@2\".features]"),
    ]);
    assert_snapshot!(plan(&applied(&second), &base(), false), @r#"
    ! refused view weather: version 1 is new and 2 is registered; write [views."weather@2"] to edit that one, or [views."weather@3"] for a new one
      view weather@2: not in the file, kept (apply --prune drops it)
    1 kept, 2 unchanged, 1 refused
    "#);
}

#[test]
fn absence_keeps_and_prune_drops() {
    let current = applied(&base());
    let wanted = Definitions::new("flights");
    let kept = plan(&current, &wanted, false);
    assert_snapshot!(kept, @r#"
      entity airport: not in the file, kept (apply --prune drops it)
      view weather: not in the file, kept (apply --prune drops it)
      service model: not in the file, kept (apply --prune drops it)
    3 kept
    "#);
    assert!(kept.is_empty());
    assert_eq!(kept.outcome().unwrap(), &current);
    let pruned = plan(&current, &wanted, true);
    assert_snapshot!(pruned, @r#"
    - entity airport
    - view weather
    - service model
    3 to drop
    "#);
    let after = pruned.outcome().unwrap();
    assert!(after.views.is_empty() && after.services.is_empty() && after.entities.is_empty());
    assert_eq!(apply(after, &base()).views[0].id, 1, "the id of a dropped view is not given again");
}

#[test]
fn a_version_that_a_service_pins_is_not_dropped() {
    let second = "[views.\"weather@2\"]\nentities = [\"airport\"]\nfeatures.temp = \"float32\"";
    let current = applied(&parse(&format!("{}\n{second}", BASE.replace("weather:temp", "weather@1:temp"))));
    let wanted = parse(&format!("{WITHOUT_VIEWS}{second}\n{}", model(r#""weather@1:temp""#)));
    assert_snapshot!(plan(&current, &wanted, true), @r#"
    ! refused view weather: pinned by service model; keep [views.weather] in the file, or change what model selects
    3 unchanged, 1 refused
    "#);
}

const WITHOUT_VIEWS: &str = "project.name = \"flights\"\nentities.airport.join_keys = { origin = \"string\" }\n";

fn model(features: &str) -> String {
    format!("[services.model]\nfeatures = [{features}]\n")
}

/// The file alone was asked, and said that there was no such view.
#[test]
fn a_service_pins_a_version_that_the_registry_keeps() {
    let second = "[views.\"weather@2\"]\nentities = [\"airport\"]\nfeatures.temp = \"float32\"\n";
    let current = applied(&parse(&format!("{BASE}\n{second}")));
    let with_model = |views: &str, features: &str| {
        plan(&current, &parse(&format!("{WITHOUT_VIEWS}{views}{}", model(features))), false)
    };
    assert_snapshot!(with_model(second, r#""weather@1:visib""#), @r#"
      view weather: not in the file, kept (apply --prune drops it)
    ~ service model: weather@1:visib added; weather:temp removed
    1 to change, 1 kept, 2 unchanged
    "#);
    // The file may define nothing at all.
    assert!(!with_model("", r#""weather@1:visib", "weather@2:temp""#).is_refused());
    // What the registry has not either is refused, with what there is.
    assert_snapshot!(with_model(second, r#""weather@3:temp", "wether@1:temp", "plane@1:seats""#), @r#"
      view weather: not in the file, kept (apply --prune drops it)
    ~ service model: weather@3:temp added; wether@1:temp added; plane@1:seats added; weather:temp removed
    ! refused service model: it selects weather@3, which is not defined; weather has version 1, 2
    ! refused service model: it selects wether@1, which is not defined; did you mean weather@1?
    ! refused service model: it selects plane@1, which is not defined; define [views.plane]
    1 to change, 1 kept, 2 unchanged, 3 refused
    "#);
    assert_snapshot!(with_model(second, r#""weather@1:tmp""#), @r#"
      view weather: not in the file, kept (apply --prune drops it)
    ~ service model: weather@1:tmp added; weather:temp removed
    ! refused service model: it selects tmp of weather@1, which weather has not; change what [services.model] selects
    1 to change, 1 kept, 2 unchanged, 1 refused
    "#);
    // And so is what two views, of which the file has one, cannot both have.
    let text = format!(
        "{BASE}\n[views.by_number]\nentities = [\"number\"]\nfeatures.temp = \"float32\"\n\
        [entities.number]\njoin_keys = {{ origin = \"int64\" }}\n"
    );
    let wanted = parse(&text.replace("\"weather:temp\"", "\"weather@2:temp\", \"by_number:temp\""));
    assert_snapshot!(plan(&current, &wanted, false), @r#"
    + entity number (origin int64)
    + view by_number (1 feature)
      view weather@2: not in the file, kept (apply --prune drops it)
    ~ service model: weather@2:temp added; by_number:temp added; weather:temp removed
    ! refused service model: service model reads the join key origin as string for weather@2 and as int64 for by_number; join one of them through another column: join_keys = { origin = "..." }
    2 to add, 1 to change, 1 kept, 2 unchanged, 1 refused
    "#);
}

#[test]
fn a_service_that_means_another_version_from_now_on_is_told_of() {
    let pinned = "weather@1:temp\", { view = \"weather\", as = \"all\" }, \"weather:visib";
    let first = parse(&BASE.replace("weather:temp", pinned));
    let second =
        "[views.\"weather@2\"]\nentities = [\"airport\"]\nfeatures = { visib = \"int32\", gust = \"float32\" }";
    let both = parse(&format!("{}\n{second}", BASE.replace("weather:temp", pinned)));
    assert_snapshot!(plan(&applied(&first), &both, false), @r#"
    + view weather@2 (2 features)
    ~ service model: weather now means weather@2, which has no rows yet (write weather@1 to stay with that one); weather:visib float64 -> int32; weather:gust added (float32); weather:temp gone
    1 to add, 1 to change, 2 unchanged
    "#);
    // Told once: the next plan begins where this one ended.
    let after = apply(&applied(&first), &both);
    assert!(plan(&after, &both, false).is_empty());
    // And back, where the newest is dropped.
    let mut back = after.clone();
    back.services.clear();
    let unpinned = base_with(&[("weather:temp", "weather:visib")]);
    let with_service = apply(&back, &parse(&format!("{}\n{second}", BASE.replace("weather:temp", "weather:visib"))));
    assert_snapshot!(plan(&with_service, &unpinned, true), @r#"
    - view weather@2
    ~ service model: weather now means weather@1; weather:visib int32 -> float64
    1 to change, 1 to drop, 2 unchanged
    "#);
}

#[test]
fn a_new_version_must_have_what_unpinned_services_select() {
    // The file no longer names the service, which is kept and follows the newest version.
    let wanted = base_with(&[(
        "[services.model]\nfeatures = [\"weather:temp\"]",
        "[views.\"weather@2\"]\nentities = [\"airport\"]\nfeatures.visib = \"float64\"",
    )]);
    assert_snapshot!(plan(&applied(&base()), &wanted, false), @r#"
    + view weather@2 (1 feature)
      service model: not in the file, kept (apply --prune drops it); weather now means weather@2, which has no rows yet (write weather@1 to stay with that one)
    ! refused service model: it selects temp of weather, which weather@2 has not; pin the older version under [services.model]: weather@1:temp
    1 to add, 1 kept, 2 unchanged, 1 refused
    "#);
}

#[test]
fn another_project_is_refused() {
    assert_snapshot!(change(&[("\"flights\"", "\"trains\"")]), @r#"
    ! refused project trains: the store belongs to project flights; name the project flights, or give this one a store of its own under [store] path
    3 unchanged, 1 refused
    "#);
}

#[test]
fn a_changed_service_makes_a_revision() {
    let current = applied(&base());
    let after = apply(&current, &base_with(&[("weather:temp", "weather:visib")]));
    assert_eq!((current.services["model"].revision, after.services["model"].revision), (1, 2));
    assert_eq!(apply(&after, &base_with(&[("weather:temp", "weather:visib")])), after);
}

#[test]
fn a_plan_is_json_for_programs() {
    let wanted = base_with(&[("ttl = \"3h\"", "ttl = \"6h\""), ("visib = { dtype = \"float64\", min = 0 }", "")]);
    let json = serde_json::to_string_pretty(&plan(&applied(&base()), &wanted, false)).unwrap();
    assert_snapshot!(json, @r#"
    {
      "project": "flights",
      "items": [
        {
          "action": "unchanged",
          "subject": "entity",
          "name": "airport",
          "details": []
        },
        {
          "action": "refuse",
          "subject": "view",
          "name": "weather",
          "details": [
            "feature visib removed"
          ],
          "way_out": "write it as [views.\"weather@2\"]"
        },
        {
          "action": "unchanged",
          "subject": "service",
          "name": "model",
          "details": []
        }
      ]
    }
    "#);
}

#[test]
fn every_part_of_a_source_is_compared() {
    let view = |source: Source| {
        let view = FeatureView::new("v").feature("x", DataType::Bool).source(source);
        Definitions::new("p").view(view)
    };
    let current = applied(&view(Source::file("a.csv")));
    let sources = [
        Source::file("b.csv"),
        Source::file("a.csv").event_timestamp("t"),
        Source::file("a.csv").rename("c", "x"),
        Source { push: Some("p".into()), ..Source::file("a.csv") },
        Source { delimiter: Some('\t'), ..Source::file("a.csv") },
        Source { timestamp_format: Some("%Y".into()), ..Source::file("a.csv") },
    ];
    let lines: Vec<String> = (sources.into_iter())
        .map(|source| {
            plan(&current, &view(source), false).with_action(Action::Change).map(ToString::to_string).collect()
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    ~ view v: source path a.csv -> b.csv
    ~ view v: event_timestamp event_timestamp -> t
    ~ view v: rename c = x added
    ~ view v: push none -> p
    ~ view v: delimiter none -> '\t'
    ~ view v: timestamp_format none -> %Y
    "#);
}
