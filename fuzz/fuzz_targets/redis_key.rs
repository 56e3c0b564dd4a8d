//! Keys of the Redis protocol: what an entity is called names it, and whatever names an entity is one of its view.
#![no_main]

use std::sync::LazyLock;

use asof::definition::{Definitions, FeatureView};
use asof::redis_key::{Routed, Router};
use asof::value::{DataType, Value};
use asof_fuzz::all_types;
use libfuzzer_sys::fuzz_target;

/// From the year 1 to the year 9999, about.
const YEARS_US: std::ops::Range<i64> = -62_000_000_000_000_000..253_402_300_800_000_000;

struct Views {
    definitions: Definitions,
    router: Router,
}

/// Views without join keys, with one of each type, with two, in two versions, and with templates.
static VIEWS: LazyLock<Views> = LazyLock::new(|| {
    let view = |name: &str, entity: &str| FeatureView::new(name).entity(entity).feature("x", DataType::Int64);
    let mut definitions = Definitions::new("fuzz").view(FeatureView::new("none").feature("x", DataType::Int64));
    for data_type in all_types().into_iter().filter(DataType::is_join_key) {
        let name = format!("of_{data_type}");
        definitions = definitions.entity(name.clone(), [("k", data_type)]).view(view(&name, &name));
    }
    let pair = [("name", DataType::String), ("raw", DataType::Bytes)];
    definitions = definitions
        .entity("pair", pair)
        .entity("id", [("id", DataType::Int64)])
        .view(view("pair", "pair"))
        .view(view("pair", "pair").version(2))
        .view(view("user", "id").redis_key("u:{id}:x".parse().expect("a template")))
        .view(view("said", "pair").redis_key("p-{raw}:{name}+".parse().expect("a template")));
    let router = Router::new(&definitions.views);
    Views { definitions, router }
});

fuzz_target!(|bytes: &[u8]| {
    let Views { definitions, router } = &*VIEWS;
    // As a key that a client sends.
    match router.route(bytes) {
        Ok(Some(routed)) => comes_back(router, definitions, routed),
        Ok(None) => assert_eq!(router.owner(bytes), None, "a key of the keyspace is no view's"),
        Err(_) => assert!(router.owner(bytes).is_some(), "what is refused begins as a view's keys do"),
    }
    // And as the encoded key of an entity.
    let Some((view, key)) = bytes.split_first() else { return };
    let view = usize::from(*view) % definitions.views.len();
    let Some(values) = definitions.views[view].key_schema().decode(key) else { return };
    // An instant beyond the years of four digits has no text that is read.
    let is_near = |value: &Value| !matches!(value, Value::Timestamp(us) if !YEARS_US.contains(us));
    if values.iter().all(is_near) {
        comes_back(router, definitions, Routed { view, key: key.to_vec() });
    }
});

/// By the name that an entity is given it is found again.
fn comes_back(router: &Router, definitions: &Definitions, routed: Routed) {
    assert!(
        definitions.views[routed.view].key_schema().decode(&routed.key).is_some(),
        "{routed:?} is no key of its view"
    );
    let mut name = Vec::new();
    assert!(router.name_of(routed.view, &routed.key, &mut name), "{routed:?} has no name");
    let found = router.route(&name).unwrap_or_else(|error| panic!("{routed:?}: {error}"));
    assert_eq!(found, Some(routed), "'{}' names another", name.escape_ascii());
}
