//! Mistakes in the tables themselves: keys, types, texts.

use insta::assert_snapshot;

use super::{mistakes_in, mistakes_in_view};

#[test]
fn an_unknown_key_names_the_nearest() {
    assert_snapshot!(mistakes_in_view(r#"tll = "3h""#, ""), @r#"
    asof.toml:5:1: unknown key 'tll' in [views.weather]
      |
    5 | tll = "3h"
      | ^^^ did you mean ttl?
    "#);
}

#[test]
fn an_unknown_key_near_nothing_lists_the_keys() {
    assert_snapshot!(mistakes_in_view(r#"materialize = true"#, ""), @r#"
    asof.toml:5:1: unknown key 'materialize' in [views.weather]
      |
    5 | materialize = true
      | ^^^^^^^^^^^ the keys are kind, entities, ttl, retention, freshness_sla, event_id, redis_keys, source, features, owner, description, tags
    "#);
}

#[test]
fn a_feature_beside_the_features_table_is_an_unknown_key() {
    assert_snapshot!(mistakes_in_view(r#"temp = "float64""#, ""), @r#"
    asof.toml:5:1: unknown key 'temp' in [views.weather]
      |
    5 | temp = "float64"
      | ^^^^ a feature goes under [views.weather.features]
    "#);
}

#[test]
fn an_unknown_table_names_the_nearest() {
    assert_snapshot!(mistakes_in("[projects]\nname = \"p\"\n[project]\nname = \"p\""), @r#"
    asof.toml:1:2: unknown key 'projects' in this file
      |
    1 | [projects]
      |  ^^^^^^^^ did you mean project?
    "#);
}

#[test]
fn a_file_without_a_project_is_refused() {
    assert_snapshot!(mistakes_in(""), @r#"asof.toml: project: the file names no project; add [project] with name = "...""#);
}

#[test]
fn a_project_without_a_name_is_refused() {
    assert_snapshot!(mistakes_in("[project]"), @r#"
    asof.toml:1:2: 'project' does not say its name
      |
    1 | [project]
      |  ^^^^^^^ add name = "..."
    "#);
}

#[test]
fn a_project_name_is_a_name() {
    assert_snapshot!(mistakes_in("[project]\nname = \"my project\""), @r#"
    asof.toml:2:8: 'my project' is no project name
      |
    2 | name = "my project"
      |        ^^^^^^^^^^^^ a letter, then letters, digits or _, at most 128 in all
    "#);
}

#[test]
fn a_bad_duration_shows_how_one_is_written() {
    assert_snapshot!(mistakes_in_view(r#"ttl = "3 hours"
retention = "-1d""#, ""), @r#"
    asof.toml:5:7: '3 hours' is no duration
      |
    5 | ttl = "3 hours"
      |       ^^^^^^^^^ write a whole number with us, ms, s, m, h or d, such as 3h

    asof.toml:6:13: '-1d' is no duration
      |
    6 | retention = "-1d"
      |             ^^^^^ write a whole number with us, ms, s, m, h or d, such as 3h

    2 mistakes in asof.toml
    "#);
}

#[test]
fn a_misspelt_type_suggests_the_nearest() {
    assert_snapshot!(mistakes_in_view("", r#"visib = "flot64""#), @r#"
    asof.toml:8:9: 'flot64' is no type
      |
    8 | visib = "flot64"
      |         ^^^^^^^^ did you mean float64?
    "#);
}

#[test]
fn a_type_that_is_none_lists_the_types() {
    assert_snapshot!(mistakes_in_view("", r#"visib = { dtype = "complex" }"#), @r#"
    asof.toml:8:19: 'complex' is no type
      |
    8 | visib = { dtype = "complex" }
      |                   ^^^^^^^^^ the types are bool, int32, int64, float32, float64, string, bytes, timestamp, date, decimal(p,s), uuid, json, list<T>, vector<n>
    "#);
}

#[test]
fn a_feature_without_a_type_is_refused() {
    assert_snapshot!(mistakes_in_view("", r#"visib = { description = "miles" }"#), @r#"
    asof.toml:8:1: 'visib' does not say its dtype
      |
    8 | visib = { description = "miles" }
      | ^^^^^ add dtype = "float64"
    "#);
}

#[test]
fn type_is_spelt_dtype() {
    assert_snapshot!(mistakes_in_view("", r#"visib = { type = "float64" }"#), @r#"
    asof.toml:8:11: unknown key 'type' in feature visib
      |
    8 | visib = { type = "float64" }
      |           ^^^^ did you mean dtype?
    "#);
}

#[test]
fn a_view_must_say_its_entities() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[views.totals.features]\nn = \"int64\""), @r#"
    asof.toml:2:8: 'totals' does not say its entities
      |
    2 | [views.totals.features]
      |        ^^^^^^ add entities = ["..."], or [] for one key for the store
    "#);
}

#[test]
fn a_view_without_features_is_refused() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[views.totals]\nentities = []"), @r#"
    asof.toml:2:8: view totals has no features
      |
    2 | [views.totals]
      |        ^^^^^^ add them under [views.totals.features]
    "#);
}

#[test]
fn an_entity_needs_join_keys() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[entities.a]\n[entities.b]\njoin_keys = {}"), @r#"
    asof.toml:2:11: 'a' does not say its join_keys
      |
    2 | [entities.a]
      |           ^ add join_keys = { id = "int64" }

    asof.toml:4:1: entity b has no join keys
      |
    4 | join_keys = {}
      | ^^^^^^^^^ name the columns that identify it, as in join_keys = { id = "int64" }

    2 mistakes in asof.toml
    "#);
}

#[test]
fn a_join_key_has_a_key_type() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[entities.a]\njoin_keys = { x = \"float64\" }"), @r#"
    asof.toml:3:19: join key x cannot be float64
      |
    3 | join_keys = { x = "float64" }
      |                   ^^^^^^^^^ use bool, int32, int64, string, bytes, uuid, date or timestamp
    "#);
}

#[test]
fn later_kinds_are_named_as_such() {
    assert_snapshot!(mistakes_in_view(r#"kind = "aggregate""#, "") + "\n\n" + &mistakes_in_view(r#"kind = "on_demand""#, ""), @r#"
    asof.toml:5:8: this release does not know views of kind aggregate yet
      |
    5 | kind = "aggregate"
      |        ^^^^^^^^^^^ the kinds are state, event

    asof.toml:5:8: this release does not know views of kind on_demand yet
      |
    5 | kind = "on_demand"
      |        ^^^^^^^^^^^ the kinds are state, event
    "#);
}

#[test]
fn an_unknown_kind_names_the_nearest() {
    assert_snapshot!(mistakes_in_view(r#"kind = "events""#, ""), @r#"
    asof.toml:5:8: 'events' is no kind of view
      |
    5 | kind = "events"
      |        ^^^^^^^^ did you mean event?
    "#);
}

#[test]
fn durability_is_one_of_three() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[store]\ndurability = \"always\"\nmax_future_skew = 5"), @r#"
    asof.toml:3:14: 'always' is no durability
      |
    3 | durability = "always"
      |              ^^^^^^^^ write fsync, os, or interval:100ms

    asof.toml:4:19: 'max_future_skew' cannot be a whole number
      |
    4 | max_future_skew = 5
      |                   ^ expected a duration, as in "3h"

    2 mistakes in asof.toml
    "#);
}

#[test]
fn a_delimiter_is_one_ascii_character() {
    assert_snapshot!(mistakes_in_view(r#"source = { delimiter = ";;" }"#, "") + "\n\n" + &mistakes_in_view(r#"source = { delimiter = "\u00e9" }"#, ""), @r#"
    asof.toml:5:24: ';;' cannot be a delimiter
      |
    5 | source = { delimiter = ";;" }
      |                        ^^^^ use one ASCII character, such as ";"

    asof.toml:5:24: '\u{e9}' cannot be a delimiter
      |
    5 | source = { delimiter = "\u00e9" }
      |                        ^^^^^^^^ use one ASCII character, such as ";" or "\t"
    "#);
}

#[test]
fn a_timestamp_format_is_one_of_strftime() {
    assert_snapshot!(mistakes_in_view(r#"source = { timestamp_format = "%Q" }"#, ""), @r#"
    asof.toml:5:31: '%Q' is no timestamp format
      |
    5 | source = { timestamp_format = "%Q" }
      |                               ^^^^ write it as in strftime, with the year and all that is below it: "%d/%m/%Y %H:%M", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %H:%M %z"
    "#);
}

#[test]
fn a_timestamp_format_says_which_instant_is_meant() {
    for (format, mistake) in [
        ("%Y-%m-%d %I:%M", "'%Y-%m-%d %I:%M' leaves open which instant '2026-03-01 01:00' is"),
        ("%H:%M", "'%H:%M' leaves open which instant '13:00' is"),
        ("%d/%m", "'%d/%m' leaves open which instant '01/03' is"),
    ] {
        let told = mistakes_in_view(&format!("source = {{ timestamp_format = \"{format}\" }}"), "");
        assert!(told.contains(mistake), "{format}: {told}");
    }
}

#[test]
fn an_instant_that_does_not_parse_is_no_column() {
    assert_snapshot!(mistakes_in_view(r#"source = { event_timestamp = "1970-13-01" }"#, ""), @r#"
    asof.toml:5:30: '1970-13-01' is neither a column nor an instant
      |
    5 | source = { event_timestamp = "1970-13-01" }
      |                              ^^^^^^^^^^^^ write an instant as "1970-01-01T00:00:00Z"
    "#);
}

#[test]
fn a_misspelt_required_key_is_one_mistake() {
    assert_snapshot!(mistakes_in("project.name = \"p\"\n[views.totals]\nentites = []\nfeatures.n = \"int64\""), @r#"
    asof.toml:3:1: unknown key 'entites' in [views.totals]
      |
    3 | entites = []
      | ^^^^^^^ did you mean entities?
    "#);
}

#[test]
fn a_view_whose_features_cannot_be_read_is_not_blamed_on_its_services() {
    let text = "project.name = \"p\"\n[views.v]\nentities = []\nfeatures = [\"n\"]\n[services.s]\nfeatures = [\"v:n\"]";
    assert_snapshot!(mistakes_in(text), @r#"
    asof.toml:4:12: 'features' cannot be a list
      |
    4 | features = ["n"]
      |            ^^^^^ expected a table of names and types: [views.NAME.features]
    "#);
}

#[test]
fn a_key_of_the_store_project_entity_and_service_is_known_or_refused() {
    let text = "project = { name = \"p\", nme = 1 }\n[store]\npth = \"x\"\n[entities.e]\njoin_keys = { id = \"int64\" }\ndescripton = \"\"\n\
                [services.s]\nfeature = [\"v:x\"]";
    assert_snapshot!(mistakes_in(text), @r#"
    asof.toml:1:25: unknown key 'nme' in [project]
      |
    1 | project = { name = "p", nme = 1 }
      |                         ^^^ did you mean name?

    asof.toml:3:1: unknown key 'pth' in [store]
      |
    3 | pth = "x"
      | ^^^ did you mean path?

    asof.toml:6:1: unknown key 'descripton' in [entities.e]
      |
    6 | descripton = ""
      | ^^^^^^^^^^ did you mean description?

    asof.toml:8:1: unknown key 'feature' in [services.s]
      |
    8 | feature = ["v:x"]
      | ^^^^^^^ did you mean features?

    4 mistakes in asof.toml
    "#);
}

#[test]
fn a_redis_key_that_is_no_template_is_shown_in_its_list() {
    assert_snapshot!(mistakes_in_view(r#"redis_keys = ["w:{origin}", "{origin"]"#, ""), @r#"
    asof.toml:5:29: '{origin' is no key template: '{' is not closed before the next ':'
      |
    5 | redis_keys = ["w:{origin}", "{origin"]
      |                             ^^^^^^^^^ braces stand around the name of a join key and mean nothing else, one pair between two colons: user:{user_id}:features
    "#);
    assert_snapshot!(mistakes_in_view("redis_keys = 7", ""), @r#"
    asof.toml:5:14: 'redis_keys' cannot be a whole number
      |
    5 | redis_keys = 7
      |              ^ expected a list of strings, as in ["user:{user_id}:features"]
    "#);
}

#[test]
fn a_redis_key_says_where_each_join_key_stands() {
    assert_snapshot!(mistakes_in_view(r#"redis_keys = "w:{dest}""#, ""), @r#"
    asof.toml:5:14: 'w:{dest}': the view has no join key 'dest'
      |
    5 | redis_keys = "w:{dest}"
      |              ^^^^^^^^^^ write each of its join keys once: {origin}
    "#);
}

#[test]
fn redis_keys_that_leave_it_open_what_a_key_names_are_refused() {
    assert_snapshot!(mistakes_in_view(r#"redis_keys = ["w:{origin}", "{origin}:x"]"#, ""), @r#"
    asof.toml:5:29: '{origin}:x' overlaps 'w:{origin}' of view weather: both have 'w:x'
      |
    5 | redis_keys = ["w:{origin}", "{origin}:x"]
      |                             ^^^^^^^^^^^^ a key names one entity of one view: change one of the two, or leave it out

    asof.toml:5:29: '{origin}:x' shadows view weather: both have 'weather:x'
      |
    5 | redis_keys = ["w:{origin}", "{origin}:x"]
      |                             ^^^^^^^^^^^^ a view's own keys need no template: write one that has none of them, or leave it out

    2 mistakes in asof.toml
    "#);
}
