//! The rules on definitions built in code.

use crate::definition::{Definitions, Feature, FeatureService, FeatureView, Source};
use crate::time::Timestamp;
use crate::value::DataType;

fn weather() -> FeatureView {
    FeatureView::new("weather").entity("airport").feature("temp", DataType::Float64)
}

fn flights() -> Definitions {
    Definitions::new("flights").entity("airport", [("origin", DataType::String)])
}

fn refusal(definitions: &Definitions) -> String {
    definitions.check().unwrap_err().to_string()
}

#[test]
fn definitions_built_in_code_equal_those_of_the_file() {
    let text = "[project]\nname = \"flights\"\n[entities.airport]\njoin_keys = { origin = \"string\" }\n\
                [views.weather]\nentities = [\"airport\"]\nttl = \"3h\"\nfeatures.temp = { dtype = \"float64\", min = 0 }\n\
                [services.model]\nfeatures = [\"weather:temp\"]";
    let view = FeatureView::new("weather")
        .entity("airport")
        .ttl(std::time::Duration::from_secs(3 * 3_600))
        .with(Feature::new("temp", DataType::Float64).min("0"));
    // The view may come before its entity.
    let built = Definitions::new("flights")
        .view(view)
        .entity("airport", [("origin", DataType::String)])
        .service("model", FeatureService::new(["weather:temp"]).unwrap());
    built.check().unwrap();
    assert_eq!(built, Definitions::parse(text, "asof.toml").unwrap());
}

#[test]
fn mistakes_in_code_name_the_path() {
    let service = FeatureService::new(["weather:tmp"]).unwrap();
    let definitions = flights().view(weather().feature("_x", DataType::Bool)).service("model", service);
    assert_eq!(
        refusal(&definitions),
        "views.weather.features._x: '_x' is no feature name; names that begin with _ are reserved\n\
         services.model.features.0.tmp: view weather has no feature 'tmp'; did you mean temp?"
    );
}

#[test]
fn what_a_file_cannot_say_is_checked_too() {
    let twice = flights().view(weather()).view(weather());
    assert_eq!(refusal(&twice), "views.weather: view weather@1 is defined twice");
    let doubled = flights().view(weather().feature("temp", DataType::Bool));
    assert_eq!(refusal(&doubled), "views.weather.features.temp: feature temp is defined twice");
    let zero = flights().view(weather().version(0));
    assert!(refusal(&zero).contains("versions start at 1"), "{}", refusal(&zero));
    let mut foreign = flights().view(weather());
    foreign.views[0].join_keys.clear();
    assert!(refusal(&foreign).contains("join_keys are not those of the view's entities"));
    let mut negative = flights().view(weather());
    negative.views[0].ttl_us = -1;
    assert_eq!(refusal(&negative), "views.weather.ttl: ttl is negative");
}

#[test]
fn the_newest_version_answers_where_none_is_named() {
    let definitions = flights().view(weather().version(2)).view(weather());
    let version = |text: &str| definitions.find_view(&text.parse().unwrap()).map(|view| view.version);
    assert_eq!((version("weather"), version("weather@1"), version("weather@3")), (Some(2), Some(1), None));
}

/// A column has one name in an export, so what fills two roles must be one column for both, or the export does not come
/// back: some such definitions were once applied, and then refused every file or lost the created clock.
#[test]
fn a_clock_is_no_other_column_as_well() {
    let weather = |source: Source| weather().feature("obs", DataType::Timestamp).source(source);
    let source = Source::default;
    let constant = source().constant_event_time(Timestamp(0));
    let table = [
        (
            weather(source().event_timestamp("ts").rename("ts", "obs")),
            "source.rename.ts: ts is the source's event_timestamp; leave it out of rename",
        ),
        (
            weather(source().created_timestamp("ts").rename("ts", "obs")),
            "source.rename.ts: ts is the source's created_timestamp; leave it out of rename",
        ),
        (
            weather(source().event_timestamp("ts").rename("x", "ts")).event_id("ts", DataType::Timestamp),
            "source.rename.x: ts is the source's event_timestamp; leave it out of rename",
        ),
        (
            weather(constant.clone().created_timestamp("event_timestamp")),
            "source.created_timestamp: column event_timestamp is the event timestamp's; exports call",
        ),
        (
            weather(source().created_timestamp("origin")),
            "source.created_timestamp: column origin is a join key of the view; a row's times",
        ),
        (
            weather(source().event_timestamp("origin")),
            "source.event_timestamp: column origin is a join key of the view; a row's times",
        ),
        (
            weather(source().event_timestamp("ts")).event_id("ts", DataType::String),
            "source.event_timestamp: column ts is string in the view's event_id; make it timestamp",
        ),
        (
            weather(source().created_timestamp("ts")).event_id("ts", DataType::Date),
            "source.created_timestamp: column ts is date in the view's event_id; make it timestamp",
        ),
    ];
    for (view, mistake) in table {
        let text = refusal(&flights().view(view));
        assert!(text.starts_with(&format!("views.weather.{mistake}")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let sound = [
        weather(source().created_timestamp("event_timestamp").event_timestamp("ts")),
        weather(constant.created_timestamp("ts")).event_id("ts", DataType::Timestamp),
        weather(source().event_timestamp("ts").rename("x", "obs")).event_id("ts", DataType::Timestamp),
    ];
    for view in sound {
        flights().view(view).check().unwrap();
    }
}
