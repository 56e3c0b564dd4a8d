//! Power loss, simulated: random lives of a store on a disk in memory, an image of that disk before every
//! operation, each opened and held against what was acknowledged. The fault model heads `src/disk/memory/crash.rs`.
//!
//! `ASOF_CRASH_IMAGES=2000000 cargo test --test crash campaign` runs longer; `ASOF_CRASH_SEED` begins at another life.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test that wants it")]

mod beside;
mod check_beside;
mod controls;
mod examine;
mod failing_disk;
mod faults;
mod group;
mod image;
mod keys;
mod life;
mod model;
mod old_head;
mod opening;
mod remembered;
#[cfg(feature = "parquet")]
mod set_aside;
mod truncates;
mod unwritable;
mod windows;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use life::Campaign;

const THREADS: u64 = 2;
const IMAGES: u64 = 100_000;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Panics that a check catches are told with the image; the hook would tell them without, and slowly.
fn quiet_panics_within_checks() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !image::IS_CHECKING.get() {
                loud(info);
            }
        }));
    });
}

#[test]
fn campaign() {
    quiet_panics_within_checks();
    let campaign = Arc::new(Campaign::new(from_environment("ASOF_CRASH_IMAGES", IMAGES)));
    let started = Instant::now();
    let next_seed = AtomicU64::new(from_environment("ASOF_CRASH_SEED", 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| campaign.run(std::iter::from_fn(|| Some(next_seed.fetch_add(1, Ordering::Relaxed)))));
        }
    });
    let violations = life::lock(&campaign.violations);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    let images = campaign.images.load(Ordering::Relaxed);
    let seconds = started.elapsed().as_secs_f64();
    let lives = campaign.lives.load(Ordering::Relaxed);
    let per_image_us = seconds * 1e6 * THREADS as f64 / images as f64;
    // Not print!, which the test runner keeps to itself when all is well.
    let mut out = std::io::stderr();
    writeln!(out, "{images} crash images of {lives} lives opened in {seconds:.1} s, {per_image_us:.0} us each")
        .unwrap();
}
