//! How long one write can take while the latest table grows, syncs left out.

use std::path::Path;

use asof::options::Durability;
use asof::{Result, Store};

use crate::measure::{Rounds, timed};
use crate::rows::{batch_of, define};

/// Writes `count` rows one by one into a table that begins empty, then again into the same keys.
pub fn run(root: &Path, count: u64) -> Result<()> {
    let store = Store::builder().durability(Durability::Os).open(root.join("asof-grow"))?;
    define(&store)?;
    let mut maxima = [0.0; 2];
    for (pass, max) in maxima.iter_mut().enumerate() {
        let (mut all_cpu, mut all_wall) = (Rounds::default(), Rounds::default());
        for number in 0..count {
            let batch = batch_of(number..number + 1, pass as i64);
            let (cpu, wall) = timed(|| {
                store.write("rows", &batch).expect("a write");
            });
            all_cpu.push(cpu / 1e3);
            all_wall.push(wall / 1e3);
        }
        let what = if pass == 0 { "new keys, the table grows" } else { "the same keys again" };
        for (clock, rounds) in [("CPU", &all_cpu), ("wall", &all_wall)] {
            println!(
                "{what}: a write takes {:.1} us of {clock}; 99.9 in 100 at most {:.0}, the longest {:.0}",
                rounds.median(),
                rounds.quantile(0.999),
                rounds.quantile(1.0)
            );
        }
        *max = all_cpu.quantile(1.0);
    }
    println!("growth: the longest write takes {:.0} us more (target 5000)", maxima[0] - maxima[1]);
    store.close()
}
