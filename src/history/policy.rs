//! Which runs are merged, and when: tiers of like size.

/// A run and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSize {
    /// The run's number.
    pub run: u64,
    /// The bytes of its files.
    pub bytes: u64,
}

/// Runs below this size are all of the lowest tier.
const TIER_BYTES_MIN: u64 = 1 << 20;
/// More runs than this are merged even when no tier is full.
const RUNS_MAX: usize = 8;

/// The runs to merge next, by number; empty when nothing needs to be done.
///
/// A tier that holds `fanout` runs is merged, the lowest first; so each row is rewritten about once a
/// tier. Beyond eight runs, some of the smallest are merged whatever their tiers.
pub fn choose_merge(runs: &[RunSize], fanout: usize) -> Vec<u64> {
    let fanout = fanout.max(2);
    let base = u64::try_from(fanout).unwrap_or(2);
    let tier = |bytes: u64| (bytes / TIER_BYTES_MIN).max(1).ilog(base);
    let mut runs = runs.to_vec();
    runs.sort_by_key(|run| (run.bytes, run.run));
    for alike in runs.chunk_by(|left, right| tier(left.bytes) == tier(right.bytes)) {
        if alike.len() >= fanout {
            return alike.iter().map(|run| run.run).collect();
        }
    }
    if runs.len() <= RUNS_MAX {
        return Vec::new();
    }
    // The bytes rewritten per run that goes away are least for some number of the smallest ones.
    let mut bytes = 0;
    let costs = runs.iter().zip(0u64..).map(|(run, others)| {
        bytes += run.bytes;
        bytes.checked_div(others).unwrap_or(u64::MAX)
    });
    let count =
        costs.zip(1..).min_by_key(|&(cost, count)| (cost, std::cmp::Reverse(count))).map_or(2, |(_, count)| count);
    runs.iter().take(count).map(|run| run.run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_of_a_size_are_merged_and_never_many_runs_are_left() {
        let sized = |sizes: &[u64]| -> Vec<RunSize> {
            sizes.iter().zip(0..).map(|(&megabytes, run)| RunSize { run, bytes: megabytes << 20 }).collect()
        };
        assert_eq!(choose_merge(&sized(&[1, 400, 1, 1]), 4), Vec::<u64>::new());
        assert_eq!(choose_merge(&sized(&[1, 400, 1, 1, 1]), 4), [0, 2, 3, 4]);
        assert_eq!(choose_merge(&sized(&[1, 1, 5, 5, 20, 20, 70, 70, 300]), 4).first(), Some(&0));
        let mut runs: Vec<RunSize> = Vec::new();
        let (mut written, mut next) = (0, 0);
        for _ in 0..1_000 {
            runs.push(RunSize { run: next, bytes: 1 << 20 });
            next += 1;
            loop {
                let chosen = choose_merge(&runs, 4);
                if chosen.is_empty() {
                    break;
                }
                let bytes = runs.iter().filter(|run| chosen.contains(&run.run)).map(|run| run.bytes).sum();
                runs.retain(|run| !chosen.contains(&run.run));
                runs.push(RunSize { run: next, bytes });
                written += bytes;
                next += 1;
            }
            assert!(runs.len() <= 8, "{runs:?}");
        }
        assert!(written < (1_000 * 10) << 20, "each row was written {} times", written / (1_000 << 20));
    }
}
