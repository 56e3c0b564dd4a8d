//! A test of code that reads features: a real store with nothing to start, a clock that the test owns, gone when
//! it is dropped. `cargo run --example in_a_test`, or copy the function into a `#[test]`.

use std::sync::Arc;
use std::time::Duration;

use asof::definition::{Definitions, FeatureView};
use asof::time::{ManualClock, Timestamp};
use asof::value::{DataType, Value};
use asof::{ApplyOptions, DeleteOptions, Features, GetOptions, Row, Status, Store};

/// The code under test: whether a flight out of this airport should take on more fuel.
fn wants_reserve(store: &Store, airport: &str) -> asof::Result<bool> {
    let features = Features::list(["weather:visib"])?;
    let answer = store.get(&features, &[("origin", airport.into())], &GetOptions::default())?;
    Ok(match (&answer[0].status, &answer[0].value) {
        (Status::Present, Value::Float64(miles)) => *miles < 3.0,
        // Nobody knows: better take it.
        _ => true,
    })
}

fn main() -> asof::Result<()> {
    let noon: Timestamp = "2026-03-01T12:00:00Z".parse()?;
    let clock = Arc::new(ManualClock::new(noon));
    let store = Store::builder().clock(clock.clone()).temporary()?;
    let definitions = Definitions::new("flights").entity("airport", [("origin", DataType::String)]).view(
        FeatureView::new("weather")
            .entity("airport")
            .ttl(Duration::from_secs(3 * 3_600))
            .feature("visib", DataType::Float64),
    );
    store.apply(&definitions, ApplyOptions::default())?;

    assert!(wants_reserve(&store, "JFK")?, "nothing is known");
    store.write_rows("weather", [Row::new().at(noon).set("origin", "JFK").set("visib", 10.0)])?;
    assert!(!wants_reserve(&store, "JFK")?, "the sky is clear");

    // A late row never moves the latest value backwards.
    let earlier = noon.saturating_sub(60_000_000);
    store.write_rows("weather", [Row::new().at(earlier).set("origin", "JFK").set("visib", 0.5)])?;
    assert!(!wants_reserve(&store, "JFK")?, "it was foggy a minute before");

    // Three hours on the observation is as old as the view lets one be, and then too old.
    clock.set("2026-03-01T15:00:00Z".parse()?);
    assert!(!wants_reserve(&store, "JFK")?, "just young enough");
    clock.set("2026-03-01T15:00:01Z".parse()?);
    assert!(wants_reserve(&store, "JFK")?, "too old to trust");
    let why = store.explain("weather:visib", &[("origin", "JFK".into())], &GetOptions::default())?;
    println!("{}: {}", why.status.name(), why.why);

    // A delete is a row too: what was known before stays known as of then.
    store.delete("weather", &[("origin", "JFK".into())], &DeleteOptions::default())?;
    let then = GetOptions { at: Some(noon), ..GetOptions::default() };
    let answer = store.get(&Features::list(["weather:visib"])?, &[("origin", "JFK".into())], &then)?;
    assert_eq!(answer[0].value, Value::Float64(10.0));
    println!("the test passes");
    Ok(())
}
