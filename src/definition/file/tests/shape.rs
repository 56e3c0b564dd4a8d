//! Files whose TOML is broken, doubled or of another shape than definitions have.

use insta::assert_snapshot;

use super::{mistakes_in, mistakes_in_view, view_text};

#[test]
fn a_wrong_toml_type_says_what_was_expected() {
    assert_snapshot!(mistakes_in_view(r#"ttl = 3
owner = ["me"]
tags = "gold""#, ""), @r#"
    asof.toml:5:7: 'ttl' cannot be a whole number
      |
    5 | ttl = 3
      |       ^ expected a duration, as in "3h"

    asof.toml:6:9: 'owner' cannot be a list
      |
    6 | owner = ["me"]
      |         ^^^^^^ expected a string, as in "ops@example.com"

    asof.toml:7:8: 'tags' cannot be a string
      |
    7 | tags = "gold"
      |        ^^^^^^ expected texts by name: { tier = "gold" }

    3 mistakes in asof.toml
    "#);
}

#[test]
fn a_doubled_key_is_refused_at_the_second() {
    assert_snapshot!(mistakes_in_view(r#"ttl = "3h"
ttl = "4h""#, ""), @r#"
    asof.toml:6:1: duplicate key
      |
    6 | ttl = "4h"
      | ^^^ it was given above already
    "#);
}

#[test]
fn a_doubled_feature_is_refused_at_the_second() {
    assert_snapshot!(mistakes_in_view("", r#"temp = "float32""#), @r#"
    asof.toml:8:1: duplicate key
      |
    8 | temp = "float32"
      | ^^^^ it was given above already
    "#);
}

#[test]
fn broken_syntax_is_shown_where_it_breaks() {
    assert_snapshot!(mistakes_in_view(r#"ttl = "3h"#, ""), @r#"
    asof.toml:5:10: invalid basic string, expected `"`
      |
    5 | ttl = "3h
      |          ^
    "#);
}

#[test]
fn entities_are_a_list() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[views.totals]\nentities = \"airport\"\nfeatures = { n = \"int64\" }"), @r#"
    asof.toml:3:12: 'entities' cannot be a string
      |
    3 | entities = "airport"
      |            ^^^^^^^^^ expected a list of strings, as in ["airport"]; [] is one key for the store
    "#);
}

#[test]
fn several_mistakes_come_in_file_order_with_a_count() {
    assert_snapshot!(mistakes_in_view(r#"tll = "3h"
ttl = "x"
entitys = []"#, r#"_x = "int32"
visib = "flot""#), @r#"
    asof.toml:5:1: unknown key 'tll' in [views.weather]
      |
    5 | tll = "3h"
      | ^^^ did you mean ttl?

    asof.toml:6:7: 'x' is no duration
      |
    6 | ttl = "x"
      |       ^^^ write a whole number with us, ms, s, m, h or d, such as 3h

    asof.toml:7:1: unknown key 'entitys' in [views.weather]
      |
    7 | entitys = []
      | ^^^^^^^ did you mean entities?

    asof.toml:10:1: '_x' is no feature name
       |
    10 | _x = "int32"
       | ^^ names that begin with _ are reserved

    asof.toml:11:9: 'flot' is no type
       |
    11 | visib = "flot"
       |         ^^^^^^ the types are bool, int32, int64, float32, float64, string, bytes, timestamp, date, decimal(p,s), uuid, json, list<T>, vector<n>

    5 mistakes in asof.toml
    "#);
}

#[test]
fn a_table_must_be_a_table_and_a_list_a_list() {
    assert_snapshot!(mistakes_in("store = \"x\"\nservices = []\nviews.v = 1\nproject = \"p\""), @r#"
    asof.toml:1:9: 'store' cannot be a string
      |
    1 | store = "x"
      |         ^^^ expected a table: [store]

    asof.toml:2:12: 'services' cannot be a list
      |
    2 | services = []
      |            ^^ expected tables such as [services.NAME]

    asof.toml:3:11: 'v' cannot be a whole number
      |
    3 | views.v = 1
      |           ^ expected a table with entities and features

    asof.toml:4:11: 'project' cannot be a string
      |
    4 | project = "p"
      |           ^^^ expected a table: [project]

    4 mistakes in asof.toml
    "#);
}

#[test]
fn a_doubled_table_is_refused_at_its_header_and_keys() {
    let second =
        "[views.weather]\nentities = []\nfeatures.x = \"int32\"\n[services.model]\nfeatures = [\"weather:temp\"]";
    assert_snapshot!(mistakes_in_view("", second), @r#"
    asof.toml:8:8: duplicate key
      |
    8 | [views.weather]
      |        ^^^^^^^ it was given above already

    asof.toml:9:1: duplicate key
      |
    9 | entities = []
      | ^^^^^^^^ it was given above already

    asof.toml:10:1: duplicate key
       |
    10 | features.x = "int32"
       | ^^^^^^^^ it was given above already

    3 mistakes in asof.toml
    "#);
}

#[test]
fn windows_line_ends_are_not_shown() {
    let text = view_text("tll = \"3h\"", "").replace('\n', "\r\n");
    assert_eq!(mistakes_in(&text), mistakes_in_view("tll = \"3h\"", ""));
}

#[test]
fn a_bracket_that_is_not_closed_is_one_mistake() {
    let text = "[project]\nname = \"p\"\n[entities]\ne.join_keys = { id = \"int64\" }\n[views.v]\nentities = [\"e\"\nttl = \"3h\"\n\
                [views.v.features]\na = \"int64\"\nb = \"int64\"\nc = \"int64\"\n";
    let mistakes = mistakes_in(text);
    assert!(mistakes.starts_with("asof.toml:6:") || mistakes.starts_with("asof.toml:7:"), "{mistakes}");
    assert_eq!(mistakes.matches("asof.toml:").count(), 1, "{mistakes}");
}

#[test]
fn a_file_in_another_encoding_is_refused_where_it_is() {
    let path = std::env::temp_dir().join(format!("asof-latin1-{}.toml", std::process::id()));
    std::fs::write(&path, b"[project]\nname = \"M\xfcnchen\"\n").unwrap();
    let error = crate::definition::Definitions::from_file(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(error.to_string(), format!("{}:2:10: byte 0xfc is no UTF-8; save the file as UTF-8", path.display()));
}

#[test]
fn rules_of_a_type_that_is_none_are_not_judged() {
    let mistakes = mistakes_in_view("", r#"b = { dtype = "flaot64", min = 0, one_of = [1] }"#);
    assert_eq!(mistakes.matches("asof.toml:").count(), 1, "{mistakes}");
}
