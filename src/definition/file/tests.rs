//! What a definitions file says, and how its mistakes are shown.

mod mistakes;
mod mutations;
mod references;
mod shape;

use crate::definition::{Definitions, EventTime, FeatureView, ViewKind};
use crate::options::Durability;
use crate::time::MICROS_PER_SECOND;
use crate::value::DataType;

const EVERYTHING: &str = include_str!("tests/everything.toml");

/// The text shown for a file that must have mistakes.
fn mistakes_in(text: &str) -> String {
    Definitions::parse(text, "asof.toml").unwrap_err().to_string()
}

/// The mistakes of a view with these keys and features beside `entities` and a feature `temp`.
fn mistakes_in_view(keys: &str, features: &str) -> String {
    mistakes_in(&view_text(keys, features))
}

fn view_text(keys: &str, features: &str) -> String {
    format!(
        "project.name = \"p\"\nentities.airport.join_keys = {{ origin = \"string\" }}\n[views.weather]\nentities = [\"airport\"]\n{keys}\n\
         [views.weather.features]\ntemp = \"float64\"\n{features}\n"
    )
}

fn parse(text: &str) -> Definitions {
    Definitions::parse(text, "asof.toml").unwrap()
}

fn everything() -> Definitions {
    parse(EVERYTHING)
}

fn view(definitions: &Definitions, name: &str, version: u32) -> FeatureView {
    definitions.views.iter().find(|view| view.name == name && view.version == version).unwrap().clone()
}

#[test]
fn store_settings_are_read() {
    let store = everything().store;
    assert_eq!(store.path.unwrap().to_str(), Some("data/store"));
    assert_eq!(store.durability, Some(Durability::Interval(std::time::Duration::from_millis(100))));
    assert_eq!(store.max_future_skew_us, Some(60 * MICROS_PER_SECOND));
}

#[test]
fn join_keys_features_and_views_keep_the_order_of_the_file() {
    let definitions = everything();
    let keys: Vec<&str> = definitions.entities["flight"].join_keys.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(keys, ["number", "day", "carrier"]);
    let weather = view(&definitions, "weather", 1);
    let features: Vec<&str> = weather.features.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(features, ["visib", "temp", "seen", "sky", "fee"]);
    let views: Vec<String> = definitions.views.iter().map(FeatureView::reference_text).collect();
    assert_eq!(views, ["weather", "weather@2", "delay", "totals"]);
}

#[test]
fn a_view_says_everything_about_itself() {
    let definitions = everything();
    let weather = view(&definitions, "weather", 1);
    assert_eq!(weather.kind, ViewKind::State);
    assert_eq!(weather.ttl_us, 10_800 * MICROS_PER_SECOND);
    assert_eq!(weather.retention_us, 30 * 86_400 * MICROS_PER_SECOND);
    assert_eq!(weather.freshness_sla_us, 7_200 * MICROS_PER_SECOND);
    assert_eq!((weather.owner.as_str(), weather.description.as_str()), ("ops@example.com", "Hourly"));
    assert_eq!(weather.tags["tier"], "gold");
    let redis_keys = |view: &FeatureView| view.redis_keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(redis_keys(&weather), ["station:{origin}:now", "wx-{origin}"]);
    assert_eq!(redis_keys(&view(&definitions, "totals", 1)), ["flights:total"]);
    assert_eq!(weather.join_keys, [("origin".to_owned(), DataType::String)]);
    let source = weather.source;
    assert_eq!(source.path.unwrap().to_str(), Some("weather.csv"));
    assert_eq!(source.event_timestamp, EventTime::Column("hour".into()));
    assert_eq!(source.created_timestamp.as_deref(), Some("recorded"));
    assert_eq!(source.rename["temperature"], "temp");
    assert_eq!(source.push.as_deref(), Some("station"));
    assert_eq!(source.delimiter, Some('\t'));
    assert_eq!(source.timestamp_format.as_deref(), Some("%d/%m/%Y"));
}

#[test]
fn rules_are_kept_in_the_text_form_of_the_features_type() {
    let weather = view(&everything(), "weather", 1);
    let rules = |name: &str| weather.features[weather.feature_index(name).unwrap()].rules.clone();
    assert_eq!(rules("visib").min.as_deref(), Some("0"));
    assert_eq!(rules("visib").max.as_deref(), Some("10.5"));
    assert!(rules("visib").not_null);
    assert_eq!(rules("seen").min.as_deref(), Some("2013-01-01T00:00:00Z"));
    assert_eq!(rules("sky").one_of, ["clear", "cloudy"]);
    assert_eq!(rules("fee").max.as_deref(), Some("12.50"));
}

#[test]
fn an_event_id_takes_the_features_type_or_is_a_string_unless_it_says_one() {
    let text = |event_id: &str| view_text(&format!("kind = \"event\"\nevent_id = {event_id}"), "");
    let types = |event_id: &str| parse(&text(event_id)).views[0].event_id.clone();
    assert_eq!(view(&everything(), "delay", 1).event_id, [("leg".to_owned(), DataType::Int32)]);
    assert_eq!(types("[\"id\"]"), [("id".to_owned(), DataType::String)]);
    assert_eq!(types("{ id = \"uuid\", n = \"int64\" }")[1], ("n".to_owned(), DataType::Int64));
}

#[test]
fn an_event_time_is_a_column_or_one_instant() {
    let time = |text: &str| {
        let text = view_text(&format!("source = {{ event_timestamp = {text} }}"), "");
        parse(&text).views[0].source.event_timestamp.clone()
    };
    assert_eq!(time("\"hour\""), EventTime::Column("hour".into()));
    assert_eq!(time("\"1970-01-01T00:00:01Z\""), EventTime::Constant(1_000_000));
    assert_eq!(time("1970-01-01T00:00:01Z"), EventTime::Constant(1_000_000));
    assert_eq!(time("1970-01-02"), EventTime::Constant(86_400 * MICROS_PER_SECOND));
}

#[test]
fn a_view_without_entities_has_one_key_and_shared_join_keys_stand_once() {
    let definitions = everything();
    assert!(view(&definitions, "totals", 1).join_keys.is_empty());
    let delay = view(&definitions, "delay", 1);
    let keys: Vec<&str> = delay.join_keys.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(keys, ["number", "day", "carrier"]);
}

#[test]
fn a_service_groups_references_and_keeps_their_order() {
    let definitions = everything();
    let selections = &definitions.services["model"].features;
    let shown: Vec<String> = selections
        .iter()
        .map(|s| format!("{} {} {}", s.view, s.alias.as_deref().unwrap_or("-"), s.features.join(",")))
        .collect();
    assert_eq!(shown, ["weather@1 - temp,visib", "delay - ", "weather@1 there sky", "totals - flights"]);
    assert_eq!(selections[2].join_keys["origin"], "dest");
}

#[test]
fn every_mistake_has_its_place_as_data() {
    let error = Definitions::parse(&view_text("tll = \"3h\"\nttl = \"x\"", ""), "asof.toml").unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    let mistakes = source.downcast_ref::<crate::definition::Mistakes>().unwrap();
    let places: Vec<_> = mistakes.iter().map(|m| (m.path(), m.line(), m.column())).collect();
    assert_eq!(
        places,
        [("views.weather.tll".to_owned(), Some(5), Some(1)), ("views.weather.ttl".to_owned(), Some(6), Some(7))]
    );
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let error = Definitions::from_file(std::path::Path::new("nowhere/asof.toml")).unwrap_err();
    assert!(error.to_string().ends_with("`asof init DIR` writes a new project"), "{error}");
    assert!(error.is_missing_file());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_mistakes() {
    let text = format!("\u{feff}{}", EVERYTHING.replace('\n', "\r\n"));
    assert_eq!(parse(&text), everything());
}
