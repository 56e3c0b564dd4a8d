//! A service that holds its own feature store: one thread learns of orders as they happen, the others score requests
//! with what is known by now. `cargo run --example serve_features`

use std::time::{Duration, Instant};

use asof::definition::{Definitions, Feature, FeatureService, FeatureView};
use asof::value::DataType;
use asof::{ApplyOptions, Features, Row, Status, Store};

/// Requests that each thread answers.
const REQUESTS: i64 = 200_000;

fn main() -> asof::Result<()> {
    // A service would say Store::open("path/to/store"); this one leaves nothing behind.
    let store = Store::temporary()?;
    let definitions = Definitions::new("shop")
        .entity("user", [("user_id", DataType::Int64)])
        .view(
            FeatureView::new("orders")
                .entity("user")
                .ttl(Duration::from_secs(30 * 86_400))
                .feature("orders_30d", DataType::Int64)
                .with(Feature::new("spent_30d", DataType::Float64).min("0")),
        )
        .service("risk", FeatureService::new(["orders:orders_30d", "orders:spent_30d"])?);
    let plan = store.apply(&definitions, ApplyOptions::default())?;
    println!("{plan}");

    // What happens while the service runs. A row is durable when write_rows returns, and visible to the next read.
    let writer = store.clone();
    let learning = std::thread::spawn(move || -> asof::Result<u64> {
        let mut rows = 0;
        for order in 1..=200_i64 {
            let now = writer.now();
            let users = (0..50_i64).map(|user| {
                Row::new().at(now).set("user_id", user).set("orders_30d", order).set("spent_30d", order as f64 * 19.5)
            });
            rows += writer.write_rows("orders", users)?.rows;
        }
        Ok(rows)
    });

    // Each serving thread has a handle of its own: names are resolved once, a read is a hash and a checked copy.
    let mut serving = Vec::new();
    for thread in 0..2_i64 {
        let reader = store.clone();
        let mut online = store.online(&Features::service("risk"))?;
        serving.push(std::thread::spawn(move || -> asof::Result<(u64, Duration)> {
            let began = Instant::now();
            let mut answered = 0;
            for request in 0..REQUESTS {
                let key = online.key(&[("user_id", ((request + thread) % 60).into())])?;
                let answer = online.get(&key, reader.now())?;
                // A user without orders is not a user with none: the status says so.
                if answer.status(0).0 == Status::Present {
                    let (orders, spent) = (answer.i64(0).unwrap_or(0), answer.f64(1).unwrap_or(0.0));
                    assert_eq!(spent, orders as f64 * 19.5, "both features come from one row");
                    answered += 1;
                }
            }
            Ok((answered, began.elapsed()))
        }));
    }

    for thread in serving {
        let (answered, took) = thread.join().expect("a serving thread does not panic")?;
        println!(
            "{REQUESTS} requests, {answered} with features, {:.2} us each",
            took.as_secs_f64() * 1e6 / REQUESTS as f64
        );
    }
    let rows = learning.join().expect("the learning thread does not panic")?;
    println!("{rows} rows were learned meanwhile, each commit durable");
    for view in store.views()? {
        println!("{}: {} rows, the latest of {}", view.view, view.rows, view.event_max.unwrap_or_default());
    }
    store.close()
}
