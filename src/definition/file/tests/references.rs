//! Mistakes in what definitions say about each other: names, rules, references.

use insta::assert_snapshot;

use super::{mistakes_in, mistakes_in_view, view_text};

/// The mistakes of a service that selects these from `weather(temp)` and `plane(seats)`.
fn mistakes_in_service(selections: &str) -> String {
    let plane = "[views.plane]\nentities = []\nfeatures.seats = \"int32\"\n";
    mistakes_in(&view_text("", &format!("{plane}[services.model]\nfeatures = [{selections}]")))
}

#[test]
fn a_bound_is_of_the_features_type() {
    assert_snapshot!(mistakes_in_view("", r#"visib = { dtype = "int32", min = 1.5, max = "ten" }"#), @r#"
    asof.toml:8:34: wants int32, got '1.5'
      |
    8 | visib = { dtype = "int32", min = 1.5, max = "ten" }
      |                                  ^^^

    asof.toml:8:45: wants int32, got 'ten'
      |
    8 | visib = { dtype = "int32", min = 1.5, max = "ten" }
      |                                             ^^^^^

    2 mistakes in asof.toml
    "#);
}

#[test]
fn a_bound_of_another_toml_type_says_what_was_expected() {
    assert_snapshot!(mistakes_in_view("", r#"visib = { dtype = "date", min = 3 }"#), @r#"
    asof.toml:8:33: 'min' cannot be a whole number
      |
    8 | visib = { dtype = "date", min = 3 }
      |                                 ^ expected a value of the feature's type, date
    "#);
}

#[test]
fn min_above_max_lets_nothing_pass() {
    assert_snapshot!(mistakes_in_view("", r#"visib = { dtype = "float64", min = 10, max = 9.5 }"#), @r#"
    asof.toml:8:36: min 10 is above max 9.5
      |
    8 | visib = { dtype = "float64", min = 10, max = 9.5 }
      |                                    ^^ no value could pass
    "#);
}

#[test]
fn bounds_are_for_ordered_types() {
    assert_snapshot!(mistakes_in_view("", r#"name = { dtype = "string", min = "a" }"#), @r#"
    asof.toml:8:34: min does not apply to string
      |
    8 | name = { dtype = "string", min = "a" }
      |                                  ^^^ it is for numbers, decimals, timestamps and dates
    "#);
}

#[test]
fn one_of_lists_values_of_the_type() {
    assert_snapshot!(mistakes_in_view("", r#"name = { dtype = "int64", one_of = [1, "two"] }
doc = { dtype = "json", one_of = ["{}"] }
none = { dtype = "string", one_of = [] }"#), @r#"
    asof.toml:8:40: wants int64, got 'two'
      |
    8 | name = { dtype = "int64", one_of = [1, "two"] }
      |                                        ^^^^^

    asof.toml:9:34: one_of does not apply to json
      |
    9 | doc = { dtype = "json", one_of = ["{}"] }
      |                                  ^^^^^^ it is for scalar types

    asof.toml:10:37: one_of is empty
       |
    10 | none = { dtype = "string", one_of = [] }
       |                                     ^^ list the values allowed, or leave it out to allow all

    3 mistakes in asof.toml
    "#);
}

#[test]
fn one_of_within_min_and_max() {
    assert_snapshot!(mistakes_in_view("", r#"n = { dtype = "int64", max = 3, one_of = [1, 4] }"#), @r#"
    asof.toml:8:46: one_of lists 4, which min and max refuse
      |
    8 | n = { dtype = "int64", max = 3, one_of = [1, 4] }
      |                                              ^
    "#);
}

#[test]
fn names_with_an_underscore_are_reserved() {
    assert_snapshot!(mistakes_in_view("", r#"_temp = "float64""#), @r#"
    asof.toml:8:1: '_temp' is no feature name
      |
    8 | _temp = "float64"
      | ^^^^^ names that begin with _ are reserved
    "#);
}

#[test]
fn reserved_columns_are_no_features() {
    assert_snapshot!(mistakes_in_view("", r#"event_timestamp = "timestamp""#), @r#"
    asof.toml:8:1: 'event_timestamp' is a reserved column name
      |
    8 | event_timestamp = "timestamp"
      | ^^^^^^^^^^^^^^^ name the feature otherwise; source.rename maps columns to other names
    "#);
}

#[test]
fn a_name_has_letters_digits_and_underscores() {
    assert_snapshot!(mistakes_in_view("", r#""wind-dir" = "float64""#), @r#"
    asof.toml:8:1: 'wind-dir' is no feature name
      |
    8 | "wind-dir" = "float64"
      | ^^^^^^^^^^ a letter, then letters, digits or _, at most 128 in all
    "#);
}

#[test]
fn a_feature_is_no_join_key() {
    assert_snapshot!(mistakes_in_view("", r#"origin = "string""#), @r#"
    asof.toml:8:1: feature origin is a join key of the view as well
      |
    8 | origin = "string"
      | ^^^^^^ leave it out: join keys are in every answer
    "#);
}

#[test]
fn a_feature_is_no_timestamp_of_the_source() {
    assert_snapshot!(mistakes_in_view(r#"source = { event_timestamp = "hour" }"#, r#"hour = "timestamp""#), @r#"
    asof.toml:8:1: feature hour is the source's event timestamp as well
      |
    8 | hour = "timestamp"
      | ^^^^ leave it out: timestamps are kept beside the features
    "#);
}

#[test]
fn an_unknown_entity_names_the_nearest() {
    assert_snapshot!(mistakes_in(&view_text("", "").replace("[\"airport\"]", "[\"airprt\"]")), @r#"
    asof.toml:4:13: there is no entity 'airprt'
      |
    4 | entities = ["airprt"]
      |             ^^^^^^^^ did you mean airport?
    "#);
}

#[test]
fn entities_disagree_on_a_shared_column() {
    assert_snapshot!(mistakes_in(&view_text("", "").replace("[\"airport\"]", "[\"airport\", \"other\"]").replace("[views.weather]", "entities.other.join_keys = { origin = \"int32\" }\n[views.weather]")), @r#"
    asof.toml:5:24: join key origin is string in entity airport and int32 in entity other
      |
    5 | entities = ["airport", "other"]
      |                        ^^^^^^^ give them one type, or rename the column in one entity
    "#);
}

#[test]
fn a_view_at_one_name_and_version_twice() {
    assert_snapshot!(mistakes_in(&view_text("", "[views.\"weather@1\"]\nentities = []\nfeatures.x = \"int32\"")), @r#"
    asof.toml:8:8: version 1 of view weather is defined twice
      |
    8 | [views."weather@1"]
      |        ^^^^^^^^^^^ a view without a version is version 1; write weather@2 for the next
    "#);
}

#[test]
fn a_version_is_a_number_from_one() {
    assert_snapshot!(mistakes_in(&view_text("", "[views.\"weather@v2\"]\nentities = []")), @r#"
    asof.toml:8:8: 'weather@v2': a version is a whole number from 1, as in weather@2
      |
    8 | [views."weather@v2"]
      |        ^^^^^^^^^^^^
    "#);
}

#[test]
fn event_id_is_for_events() {
    assert_snapshot!(mistakes_in_view(r#"event_id = ["temp"]"#, ""), @r#"
    asof.toml:5:12: event_id is for views of kind event
      |
    5 | event_id = ["temp"]
      |            ^^^^^^^^ add kind = "event"; in a state view an equal key and time is a correction already

    asof.toml:5:13: event_id column temp cannot be float64
      |
    5 | event_id = ["temp"]
      |             ^^^^^^ use bool, int32, int64, string, bytes, uuid, date or timestamp

    2 mistakes in asof.toml
    "#);
}

#[test]
fn an_event_id_column_has_a_key_type_and_is_no_join_key() {
    assert_snapshot!(mistakes_in_view(r#"kind = "event"
event_id = ["temp", "origin"]"#, ""), @r#"
    asof.toml:6:13: event_id column temp cannot be float64
      |
    6 | event_id = ["temp", "origin"]
      |             ^^^^^^ use bool, int32, int64, string, bytes, uuid, date or timestamp

    asof.toml:6:21: event_id column origin is a join key already
      |
    6 | event_id = ["temp", "origin"]
      |                     ^^^^^^^^ leave it out: events are told apart within a key

    2 mistakes in asof.toml
    "#);
}

#[test]
fn a_rename_leads_to_a_known_name() {
    assert_snapshot!(mistakes_in_view(r#"source = { rename = { t = "tmp", a = "temp", b = "temp" } }"#, ""), @r#"
    asof.toml:5:27: the view has no feature or join key 'tmp'
      |
    5 | source = { rename = { t = "tmp", a = "temp", b = "temp" } }
      |                           ^^^^^ did you mean temp?

    asof.toml:5:50: columns a and b are both renamed to temp
      |
    5 | source = { rename = { t = "tmp", a = "temp", b = "temp" } }
      |                                                  ^^^^^^

    2 mistakes in asof.toml
    "#);
}

#[test]
fn an_unknown_view_names_the_nearest() {
    assert_snapshot!(mistakes_in_service(r#""wether:temp""#), @r#"
    asof.toml:12:13: there is no view 'wether'
       |
    12 | features = ["wether:temp"]
       |             ^^^^^^^^^^^^^ did you mean weather?
    "#);
}

#[test]
fn a_version_that_is_pinned_may_be_the_registrys_alone() {
    assert_snapshot!(mistakes_in_service(r#""weather@3:temp", "weather:tmp""#), @r#"
    asof.toml:12:31: view weather has no feature 'tmp'
       |
    12 | features = ["weather@3:temp", "weather:tmp"]
       |                               ^^^^^^^^^^^^^ did you mean temp?
    "#);
}

#[test]
fn an_unknown_feature_names_the_nearest() {
    assert_snapshot!(mistakes_in_service(r#""weather:temp", "weather:tmp""#), @r#"
    asof.toml:12:29: view weather has no feature 'tmp'
       |
    12 | features = ["weather:temp", "weather:tmp"]
       |                             ^^^^^^^^^^^^^ did you mean temp?
    "#);
}

#[test]
fn a_feature_twice_in_a_service_is_refused_at_the_second() {
    assert_snapshot!(mistakes_in_service(r#""weather:temp", "plane:*", "weather:temp""#), @r#"
    asof.toml:12:40: service model lists weather:temp twice
       |
    12 | features = ["weather:temp", "plane:*", "weather:temp"]
       |                                        ^^^^^^^^^^^^^^ leave one out, or give one another name: { view = "weather", as = "...", features = [..] }
    "#);
}

#[test]
fn a_feature_beside_all_features_is_twice() {
    assert_snapshot!(mistakes_in_service(r#""weather:*", "weather:temp""#), @r#"
    asof.toml:12:26: service model lists weather:temp twice
       |
    12 | features = ["weather:*", "weather:temp"]
       |                          ^^^^^^^^^^^^^^ leave one out, or give one another name: { view = "weather", as = "...", features = [..] }
    "#);
}

#[test]
fn no_selection_takes_the_name_of_another_view() {
    assert_snapshot!(mistakes_in_service(r#""weather:temp", { view = "weather@1", as = "weather", features = ["temp"] }"#), @r#"
    asof.toml:12:79: service model has weather:temp both from weather and from weather@1
       |
    12 | features = ["weather:temp", { view = "weather@1", as = "weather", features = ["temp"] }]
       |                                                                               ^^^^^^ tell them apart with { view = "...", as = "..." }
    "#);
}

#[test]
fn a_text_that_is_no_reference_shows_how_one_is_written() {
    assert_snapshot!(mistakes_in_service(r#""temp""#), @r#"
    asof.toml:12:13: 'temp' is no feature reference
       |
    12 | features = ["temp"]
       |             ^^^^^^ write view:feature, as in weather:temp
    "#);
}

#[test]
fn a_selection_has_known_keys_join_keys_and_features() {
    assert_snapshot!(mistakes_in_service(r#"{ view = "weather", alias = "x", join_keys = { orgin = "dest" }, features = ["tmp"] }"#), @r#"
    asof.toml:12:33: unknown key 'alias' in this selection
       |
    12 | features = [{ view = "weather", alias = "x", join_keys = { orgin = "dest" }, features = ["tmp"] }]
       |                                 ^^^^^ the keys are view, as, join_keys, features

    asof.toml:12:60: view weather has no join key 'orgin'
       |
    12 | features = [{ view = "weather", alias = "x", join_keys = { orgin = "dest" }, features = ["tmp"] }]
       |                                                            ^^^^^ did you mean origin?

    asof.toml:12:90: view weather has no feature 'tmp'
       |
    12 | features = [{ view = "weather", alias = "x", join_keys = { orgin = "dest" }, features = ["tmp"] }]
       |                                                                                          ^^^^^ did you mean temp?

    3 mistakes in asof.toml
    "#);
}

#[test]
fn a_selection_says_its_view() {
    assert_snapshot!(mistakes_in_service(r#"{ features = ["temp"] }"#), @r#"
    asof.toml:12:13: the selection does not say its view
       |
    12 | features = [{ features = ["temp"] }]
       |             ^^^^^^^^^^^^^^^^^^^^^^^ add view = "..."
    "#);
}

#[test]
fn a_selection_lists_features_or_takes_all() {
    assert_snapshot!(mistakes_in_service(r#"{ view = "weather", features = [] }"#), @r#"
    asof.toml:12:44: the selection lists no features
       |
    12 | features = [{ view = "weather", features = [] }]
       |                                            ^^ leave `features` out to select all of the view's
    "#);
}

#[test]
fn a_service_selects_something() {
    assert_snapshot!(mistakes_in_service(""), @r#"
    asof.toml:12:12: service model selects no features
       |
    12 | features = []
       |            ^^ as in features = ["weather:temp"]
    "#);
}

#[test]
fn a_mistake_in_a_view_is_not_repeated_by_what_refers_to_it() {
    assert_snapshot!(mistakes_in(&view_text("kind = \"aggregate\"", "_x = \"flot\"\n[services.s]\nfeatures = [\"weather:_x\", \"weather:temp\"]")), @r#"
    asof.toml:5:8: this release does not know views of kind aggregate yet
      |
    5 | kind = "aggregate"
      |        ^^^^^^^^^^^ the kinds are state, event

    asof.toml:8:6: 'flot' is no type
      |
    8 | _x = "flot"
      |      ^^^^^^ the types are bool, int32, int64, float32, float64, string, bytes, timestamp, date, decimal(p,s), uuid, json, list<T>, vector<n>

    asof.toml:10:13: '_x' is no feature name
       |
    10 | features = ["weather:_x", "weather:temp"]
       |             ^^^^^^^^^^^^ names that begin with _ are reserved

    3 mistakes in asof.toml
    "#);
}
