//! What keys name, against twins that are too simple to be wrong.

use proptest::prelude::*;

use super::*;
use crate::definition::{Definitions, FeatureView};
use crate::key::KeySchema;
use crate::value::{DataType, Value};

fn template(text: &str) -> KeyTemplate {
    text.parse().unwrap()
}

/// A view of these join keys, with an entity of its own.
fn with_view(definitions: Definitions, view: FeatureView, join_keys: &[(&str, DataType)]) -> Definitions {
    let entity = format!("{}_{}", view.name, view.version);
    let view = view.feature("x", DataType::Float64);
    match join_keys {
        [] => definitions.view(view),
        _ => definitions
            .entity(&entity, join_keys.iter().map(|(name, dtype)| ((*name).to_owned(), dtype.clone())))
            .view(view.entity(entity)),
    }
}

fn of_view(view: FeatureView, join_keys: &[(&str, DataType)]) -> Definitions {
    with_view(Definitions::new("p"), view, join_keys)
}

/// 0 `weather@1`: a string. 1 `weather@2`: a string and an integer. 2 `totals`: no entity. 3 `profile`: an integer, with a template.
/// 4 `raw`: bytes, and `user_` before them.
fn some_views() -> Definitions {
    let definitions = of_view(FeatureView::new("weather"), &[("origin", DataType::String)]);
    let later = [("origin", DataType::String), ("hour", DataType::Int64)];
    let definitions = with_view(definitions, FeatureView::new("weather").version(2), &later);
    let definitions = with_view(definitions, FeatureView::new("totals"), &[]);
    let profile = FeatureView::new("profile").redis_key(template("user:{user_id}:features"));
    let definitions = with_view(definitions, profile, &[("user_id", DataType::Int64)]);
    let raw = FeatureView::new("raw").redis_key(template("user_{id}:raw"));
    with_view(definitions, raw, &[("id", DataType::Bytes)])
}

#[test]
fn a_key_names_an_entity_of_a_view_or_is_the_keyspaces() {
    let definitions = some_views();
    let router = Router::new(&definitions.views);
    let int = |v: i64| v.to_le_bytes().to_vec();
    let named: &[(&[u8], usize, Vec<u8>)] = &[
        (b"weather@1:JFK", 0, b"JFK".to_vec()),
        (b"weather@1:a%3Ab%25", 0, b"a:b%".to_vec()),
        (b"weather@1:", 0, Vec::new()),
        (b"weather:JFK:7", 1, [b"\x03\0\0\0JFK".to_vec(), int(7)].concat()),
        (b"weather@2:JFK:%37", 1, [b"\x03\0\0\0JFK".to_vec(), int(7)].concat()),
        (b"totals", 2, Vec::new()),
        (b"totals:", 2, Vec::new()),
        (b"totals@1", 2, Vec::new()),
        (b"totals@1:", 2, Vec::new()),
        (b"profile:-12", 3, int(-12)),
        (b"user:12:features", 3, int(12)),
        (b"raw:\xff%00", 4, b"\xff\0".to_vec()),
        // What was there before asof has no escapes.
        (b"user_%00:raw", 4, b"%00".to_vec()),
    ];
    for (key, view, encoded) in named {
        let routed = router.route(key).unwrap();
        assert_eq!(routed, Some(Routed { view: *view, key: encoded.clone() }), "{}", key.escape_ascii());
    }
    let others: &[&[u8]] = &[
        b"",
        b":",
        b"@",
        b":weather",
        b"weathe",
        b"weathers",
        b"weathers:1",
        b"Weather:1",
        b"user",
        b"user:1",
        b"user::features",
        b"user:1:2:features",
        b"user:1:features:",
        b"user@1:1:features",
        b"x@2:3",
        b"user_:raw",
        b"user_1",
        b"\xffweather:JFK",
        &[b'w'; 5_000],
    ];
    for key in others {
        assert_eq!(router.route(key).unwrap(), None, "{}", key.escape_ascii());
    }
    assert!(!router.is_empty() && Router::default().is_empty());
    assert_eq!(Router::default().route(b"weather:JFK").unwrap(), None);
}

#[test]
fn a_key_that_begins_as_a_view_and_names_none_of_its_entities_is_told_what_is_wanted() {
    let definitions = some_views();
    let router = Router::new(&definitions.views);
    let newest = "weather wants origin as string and hour as int64: weather:ORIGIN:HOUR, got";
    for (key, told) in [
        (&b"weather"[..], format!("{newest} 'weather'")),
        (b"weather:", format!("{newest} 'weather:'")),
        (b"weather:JFK:x", format!("{newest} 'weather:JFK:x'")),
        (b"weather:JFK:1:2", format!("{newest} 'weather:JFK:1:2'; a : in a value is written %3A")),
        (b"weather:J%F:1", format!("{newest} 'weather:J%F:1'; a % in a value is written %25")),
        (b"weather:J\r\nFK", format!("{newest} 'weather:J\\r\\nFK'")),
        (b"weather:\xff:1", format!("{newest} 'weather:\u{fffd}:1'")),
        (b"weather@1", "weather@1 wants origin as string: weather@1:ORIGIN, got 'weather@1'".into()),
        (b"weather@3:JFK", "weather has no version '3'; it has version 1, 2".into()),
        (b"weather@01:JFK", "weather has no version '01'; it has version 1, 2".into()),
        (b"weather@", "weather has no version ''; it has version 1, 2".into()),
        (b"totals:x", "totals wants no entity: totals:, got 'totals:x'".into()),
        (b"user:x:features", "profile wants user_id as int64: user:{user_id}:features, got 'user:x:features'".into()),
    ] {
        let mut out = b"kept".to_vec();
        let refusal = router.route_into(key, &mut out).unwrap_err();
        assert_eq!(refusal.to_string(), told);
        assert_eq!(out, b"kept", "{told}");
    }
    let long = [b"weather@1:".to_vec(), vec![b'x'; 4_097]].concat();
    let refusal = router.route(&long).unwrap_err().to_string();
    assert!(refusal.ends_with("; the entity key takes 4097 bytes, at most 4096 are stored"), "{refusal}");
}

#[test]
fn every_key_that_is_not_the_keyspaces_has_an_owner() {
    let definitions = some_views();
    let router = Router::new(&definitions.views);
    for (key, owner) in [
        (&b"weather@1:JFK"[..], Some(0)),
        (b"weather:JFK:7", Some(1)),
        (b"weather:JFK", Some(1)),
        (b"weather@9:JFK", Some(1)),
        (b"totals", Some(2)),
        (b"user:x:features", Some(3)),
        (b"user:x", None),
    ] {
        assert_eq!(router.owner(key), owner, "{}", key.escape_ascii());
    }
}

#[test]
fn of_versions_with_one_template_the_newest_has_its_keys() {
    let with_template = |version, text: &str| FeatureView::new("v").version(version).redis_key(template(text));
    let definitions = of_view(with_template(1, "user:{id}"), &[("id", DataType::Int64)]);
    let definitions = with_view(definitions, with_template(2, "user:{name}"), &[("name", DataType::String)]);
    assert_eq!(clashes(&definitions.views), []);
    let router = Router::new(&definitions.views);
    assert_eq!(router.route(b"user:Ada").unwrap(), Some(Routed { view: 1, key: b"Ada".to_vec() }));
    let mut name = Vec::new();
    assert!(router.name_of(0, &7_i64.to_le_bytes(), &mut name));
    assert_eq!(name, b"v@1:7");
    // One that has some of the other's keys only would leave the rest with the older version.
    let definitions = with_view(definitions, with_template(3, "user:a{name}"), &[("name", DataType::String)]);
    assert_eq!(clashes(&definitions.views).len(), 2);
}

#[test]
fn routers_are_equal_where_they_say_the_same() {
    let one = some_views();
    let mut other = one.clone();
    assert_eq!(Router::new(&one.views), Router::new(&other.views));
    other.views[3].redis_keys.push(template("u:{user_id}"));
    assert_ne!(Router::new(&one.views), Router::new(&other.views));
    other.views[3].redis_keys.clear();
    assert_ne!(Router::new(&one.views), Router::new(&other.views));
}

#[test]
fn an_entity_is_called_by_its_template_where_that_can_say_it() {
    let definitions = some_views();
    let router = Router::new(&definitions.views);
    for (view, key, name) in [
        (0, b"a:b%"[..].to_vec(), &b"weather@1:a%3Ab%25"[..]),
        (1, b"\x03\0\0\0JFK\x07\0\0\0\0\0\0\0".to_vec(), b"weather:JFK:7"),
        (2, Vec::new(), b"totals:"),
        (3, 12_i64.to_le_bytes().to_vec(), b"user:12:features"),
        (4, b"\xff%".to_vec(), b"user_\xff%:raw"),
        (4, b"a:b".to_vec(), b"raw:a%3Ab"),
        (4, Vec::new(), b"raw:"),
    ] {
        let mut out = b">".to_vec();
        assert!(router.name_of(view, &key, &mut out));
        assert_eq!(out[1..].escape_ascii().to_string(), name.escape_ascii().to_string());
    }
    let mut out = b">".to_vec();
    assert!(!router.name_of(1, b"\x03\0\0\0JFK", &mut out) && out == b">", "it lacks the hour");
}

#[test]
fn a_template_says_what_is_wrong_with_it() {
    for (text, fault) in [
        ("", "a key template is empty"),
        ("user:{id", "'{' is not closed before the next ':'"),
        ("user:{a:b}", "'{' is not closed before the next ':'"),
        ("user:}", "'}' closes nothing"),
        ("}{id}", "'}' closes nothing"),
        ("{id}}", "'}' closes nothing"),
        ("{{id}}", "'{' stands within braces"),
        ("{}", "{} names no join key"),
        ("{a}{b}", "two placeholders stand between two colons"),
    ] {
        let error = text.parse::<KeyTemplate>().unwrap_err().to_string();
        assert!(error.contains(fault) && error.contains("user:{user_id}:features"), "{text}: {error}");
    }
    let keys = [("a".to_owned(), DataType::Int64), ("b".to_owned(), DataType::String)];
    assert_eq!(template("{b}:x:{a}").places(&keys).unwrap(), [2, 0]);
    for (text, fault) in [
        ("{a}", "'{a}' does not say where {b} stands; write each of its join keys once: {a}, {b}"),
        ("{a}:{b}:{a}", "'{a}:{b}:{a}' names {a} twice; write each"),
        ("{a}:{c}", "'{a}:{c}': the view has no join key 'c'; write each"),
    ] {
        let error = template(text).places(&keys).unwrap_err().to_string();
        assert!(error.starts_with(fault), "{error}");
    }
    assert!(template("global").places(&[]).unwrap().is_empty());
    let json = serde_json::to_string(&template("user:{id}")).unwrap();
    assert_eq!(json, "\"user:{id}\"");
    assert_eq!(serde_json::from_str::<KeyTemplate>(&json).unwrap(), template("user:{id}"));
    assert!(serde_json::from_str::<KeyTemplate>("\"{\"").is_err());
}

#[test]
fn templates_that_overlap_and_templates_over_a_view_clash() {
    let told = |definitions: &Definitions| -> Vec<String> {
        clashes(&definitions.views).iter().map(ToString::to_string).collect()
    };
    assert_eq!(told(&some_views()), [""; 0]);
    let clash_of = |text: &str| {
        let view = FeatureView::new("other").redis_key(template(text));
        told(&with_view(some_views(), view, &[("id", DataType::String)]))
    };
    for (text, clash) in [
        (
            "user:{id}:features",
            "'user:{id}:features' overlaps 'user:{user_id}:features' of view profile: both have 'user:1:features'",
        ),
        (
            "user:{id}:{x}",
            "'user:{id}:{x}' overlaps 'user:{user_id}:features' of view profile: both have 'user:1:features'",
        ),
        ("u{id}:raw", "'u{id}:raw' overlaps 'user_{id}:raw' of view raw: both have 'user_1:raw'"),
        ("profile:{id}", "'profile:{id}' shadows view profile: both have 'profile:1'"),
        ("profile:", "'profile:' shadows view profile: both have 'profile:'"),
        ("weather:{id}:x", "'weather:{id}:x' shadows view weather@2: both have 'weather:1:x'"),
        ("weather@1:{id}", "'weather@1:{id}' shadows view weather: both have 'weather@1:1'"),
        ("w{id}r@2:a:b", "'w{id}r@2:a:b' shadows view weather@2: both have 'weather@2:a:b'"),
        ("totals", "'totals' shadows view totals: both have 'totals'"),
        ("{id}", "'{id}' shadows view totals: both have 'totals'"),
        ("totals:", "'totals:' shadows view totals: both have 'totals:'"),
        ("other:{id}", "'other:{id}' shadows view other: both have 'other:1'"),
    ] {
        assert_eq!(clash_of(text), [clash], "{text}");
    }
    // The keys of the newest version have two values, those of the older one begin otherwise.
    for free in ["weather:{id}", "weather:{id}:1:2", "weather@3:{id}", "profile:{id}:x", "totals:{id}", "other"] {
        assert_eq!(clash_of(free), [""; 0], "{free}");
    }
    let twice = FeatureView::new("v").redis_key(template("a:{id}")).redis_key(template("a:{id}"));
    assert_eq!(told(&of_view(twice, &[("id", DataType::String)])).len(), 1);
}

/// Whether a template has a key, tried at every place.
fn matches_naively(template: &str, key: &str) -> bool {
    match template.chars().next() {
        None => key.is_empty(),
        Some('{') => {
            let after = &template[template.find('}').unwrap() + 1..];
            let taken_max = key.find(':').unwrap_or(key.len());
            (1..=taken_max).any(|taken| matches_naively(after, &key[taken..]))
        }
        Some(c) => key.starts_with(c) && matches_naively(&template[1..], &key[1..]),
    }
}

/// Every key of at most so many letters `a`, `b` and `:`.
fn short_keys(len_max: usize) -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut from = 0;
    for _ in 0..len_max {
        let until = keys.len();
        for at in from..until {
            for letter in ["a", "b", ":"] {
                keys.push(format!("{}{letter}", keys[at]));
            }
        }
        from = until;
    }
    keys
}

fn any_template() -> impl Strategy<Value = String> {
    let segment = prop_oneof!["[ab]{0,2}", "[ab]{0,2}\\{k\\}[ab]{0,2}"];
    prop::collection::vec(segment, 1..3)
        .prop_map(|segments| segments.join(":"))
        .prop_filter("empty", |text| !text.is_empty())
}

fn any_join_key() -> impl Strategy<Value = DataType> {
    prop::sample::select(vec![
        DataType::Bool,
        DataType::Int32,
        DataType::Int64,
        DataType::String,
        DataType::Bytes,
        DataType::Uuid,
        DataType::Date,
        DataType::Timestamp,
    ])
}

fn any_value(dtype: &DataType) -> BoxedStrategy<Value> {
    // Within the years that a timestamp's text has four digits for.
    let year_9999_us = 253_402_300_799_999_999_i64;
    match dtype {
        DataType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        DataType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        DataType::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
        DataType::String => prop_oneof!["[:%a{}@ ]{0,4}", any::<String>()].prop_map(Value::String).boxed(),
        DataType::Bytes => {
            prop::collection::vec(prop_oneof![Just(b'%'), Just(b':'), any::<u8>()], 0..6).prop_map(Value::Bytes).boxed()
        }
        DataType::Uuid => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        DataType::Date => any::<i32>().prop_map(Value::Date).boxed(),
        _ => (-year_9999_us / 5..year_9999_us).prop_map(Value::Timestamp).boxed(),
    }
}

fn any_key() -> impl Strategy<Value = (Vec<DataType>, Vec<Value>)> {
    prop::collection::vec(any_join_key(), 0..4).prop_flat_map(|dtypes| {
        let values: Vec<_> = dtypes.iter().map(any_value).collect();
        (Just(dtypes), values)
    })
}

proptest! {
    #[test]
    fn a_template_has_the_keys_that_its_twin_has(text in any_template()) {
        let template = template(&text);
        for key in short_keys(5) {
            prop_assert_eq!(template.matches(key.as_bytes()), matches_naively(&text, &key), "{}", key);
        }
    }

    #[test]
    fn templates_overlap_where_a_key_is_of_both(one in any_template(), other in any_template()) {
        let example = template(&one).overlaps(&template(&other));
        match example {
            Some(key) => prop_assert!(matches_naively(&one, &key) && matches_naively(&other, &key), "{}", key),
            None => {
                let shared = short_keys(7).into_iter().find(|key| matches_naively(&one, key) && matches_naively(&other, key));
                prop_assert_eq!(shared, None);
            }
        }
    }

    #[test]
    fn what_an_entity_is_called_names_it((dtypes, values) in any_key(), is_older in any::<bool>(), has_template in any::<bool>()) {
        let names = ["a", "b", "c"];
        let join_keys: Vec<(&str, DataType)> = names.into_iter().zip(dtypes.clone()).collect();
        let mut view = FeatureView::new("view");
        if has_template {
            // Backwards, so that the order of the join keys shows.
            let mut segments: Vec<String> = join_keys.iter().rev().map(|(name, _)| format!("-{{{name}}}+")).collect();
            segments.insert(0, "other".to_owned());
            view = view.redis_key(template(&segments.join(":")));
        }
        let mut definitions = of_view(view, &join_keys);
        if is_older {
            definitions = with_view(definitions, FeatureView::new("view").version(2), &[]);
        }
        let router = Router::new(&definitions.views);
        let schema = KeySchema::new(join_keys.iter().map(|(name, dtype)| ((*name).to_owned(), dtype.clone())).collect());
        let (mut key, mut name) = (Vec::new(), Vec::new());
        schema.encode(&values, &mut key).unwrap();
        prop_assert!(router.name_of(0, &key, &mut name));
        let routed = router.route(&name).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(routed, Some(Routed { view: 0, key: key.clone() }), "{}", name.escape_ascii());
        prop_assert_eq!(name.starts_with(b"other"), has_template && is_said(&dtypes, &values), "{}", name.escape_ascii());

        // Every byte escaped names it too.
        let texts: Vec<String> = join_keys.iter().zip(&values).map(|((_, dtype), value)| match value {
            Value::Bytes(bytes) => bytes.iter().map(|byte| format!("%{byte:02X}")).collect(),
            value => crate::text::format_value(dtype, value).bytes().map(|byte| format!("%{byte:02x}")).collect::<String>(),
        }).collect();
        let escaped = format!("view@1:{}", texts.join(":"));
        prop_assert_eq!(router.route(escaped.as_bytes()).unwrap(), Some(Routed { view: 0, key }));
    }

    #[test]
    fn any_bytes_name_something_or_nothing(key in prop::collection::vec(
        prop::sample::select(b"weather@12:totalsuser_features%5\xff".to_vec()), 0..20,
    ), lead in prop::sample::select(vec!["", "weather", "weather@1:", "totals", "user:", "profile:", "user_"])) {
        let definitions = some_views();
        let router = Router::new(&definitions.views);
        let key = [lead.as_bytes(), &key].concat();
        if let Ok(Some(Routed { view, key: encoded })) = router.route(&key) {
            prop_assert!(definitions.views[view].key_schema().decode(&encoded).is_some());
            let mut name = Vec::new();
            prop_assert!(router.name_of(view, &encoded, &mut name));
            prop_assert_eq!(router.route(&name).unwrap(), Some(Routed { view, key: encoded }));
        }
    }
}

/// Whether placeholders can stand for all of these values.
fn is_said(dtypes: &[DataType], values: &[Value]) -> bool {
    dtypes.iter().zip(values).all(|(dtype, value)| match value {
        Value::Bytes(bytes) => !bytes.is_empty() && !bytes.contains(&b':'),
        value => {
            let text = crate::text::format_value(dtype, value);
            !text.is_empty() && !text.contains(':')
        }
    })
}
