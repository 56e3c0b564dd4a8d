//! Threads for work that can be shared, as many as the system gives: what it gives none for, the thread that asks does itself.

use std::panic::resume_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

/// Starts a thread. `None` where the system has none to give: `work` is dropped then.
pub(crate) fn start<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<ScopedJoinHandle<'scope, T>> {
    #[cfg(test)]
    if knob::THERE_IS_NO_THREAD.get() {
        return None;
    }
    Builder::new().spawn_scoped(scope, work).ok()
}

/// Does `work` on up to `count` threads at once, this one among them; whoever comes finds what the others have left of it.
pub(crate) fn share(count: usize, work: impl Fn() + Sync) {
    scope(|scope| {
        let others: Vec<_> = (1..count).map_while(|_| start(scope, &work)).collect();
        work();
        for other in others {
            if let Err(panic) = other.join() {
                resume_unwind(panic);
            }
        }
    });
}

/// Does `work` with every item, each on a thread of its own where there is one; what came of them, in their order.
pub(crate) fn each<T: Send, R: Send>(
    items: impl ExactSizeIterator<Item = T> + Send,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    over(items.len(), items, work)
}

/// Does `work` with every item, over up to `count` threads; what came of them, in their order.
pub(crate) fn over<T: Send, R: Send>(
    count: usize,
    items: impl ExactSizeIterator<Item = T> + Send,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let count = count.min(items.len());
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let items = Mutex::new(items.enumerate());
    let next = || lock(&items).next();
    share(count, || {
        while let Some((number, item)) = next() {
            let result = work(item);
            lock(&done).push((number, result));
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// No work is done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a test be on a system that has no thread to give.
#[cfg(test)]
pub(crate) mod knob {
    use std::cell::Cell;

    thread_local!(pub static THERE_IS_NO_THREAD: Cell<bool> = const { Cell::new(false) });

    /// This thread gets none meanwhile.
    pub fn without_threads<T>(work: impl FnOnce() -> T) -> T {
        THERE_IS_NO_THREAD.set(true);
        let done = work();
        THERE_IS_NO_THREAD.set(false);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::{Arc, Barrier};
    use std::thread;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchIterator, TimestampMicrosecondArray};

    use super::*;
    use crate::caught::message;
    use crate::definition::{Definitions, FeatureView};
    use crate::disk::MemDisk;
    use crate::options::Sizes;
    use crate::time::Timestamp;
    use crate::value::DataType;
    use crate::{ApplyOptions, BulkOptions, Features, HistoricalRequest, Store};

    #[test]
    fn each_item_has_a_thread_of_its_own_and_where_there_is_none_this_one() {
        // Nobody goes on before all have come.
        let barrier = Barrier::new(5);
        let together = each(0..5, |item| {
            barrier.wait();
            2 * item
        });
        assert_eq!(together, [0, 2, 4, 6, 8]);
        let here = thread::current().id();
        let done = knob::without_threads(|| each(0..5, |item| (2 * item, thread::current().id())));
        assert_eq!(done, [0, 2, 4, 6, 8].map(|item| (item, here)));
        assert!(each(0..0, |item: usize| item).is_empty());
    }

    #[test]
    fn a_panic_of_one_of_them_is_that_of_whoever_asked() {
        for number in 0..4 {
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                each(0..4, |item| {
                    if item == number {
                        // A panic, without the words that a test runner would print.
                        resume_unwind(Box::new("the hand of a test"));
                    }
                })
            }));
            assert_eq!(message(&*panicked.unwrap_err()), "the hand of a test");
        }
    }

    /// So many that a table is filled, and a spine joined, by several.
    const KEYS: i64 = 60_000;

    fn batch(x: i64) -> RecordBatch {
        let at = TimestampMicrosecondArray::from(vec![x; 60_000]);
        let x = Int64Array::from(vec![x; 60_000]);
        let ids = Arc::new((0..KEYS).collect::<Int64Array>()) as ArrayRef;
        RecordBatch::try_from_iter([("id", ids), ("event_timestamp", Arc::new(at)), ("x", Arc::new(x))]).unwrap()
    }

    #[test]
    fn a_store_goes_on_where_there_is_no_thread_to_be_had() {
        // A system at its limit of threads made a seal, a merge, the filling of a table and a join panic, and with the upkeep all
        // writing ended.
        let sizes =
            Sizes { table_reserve_bytes: 64 << 20, run_file_bytes: 200_000, merge_fanout: 2, ..Sizes::default() };
        let builder = Store::builder().sizes(sizes).background(false).disk(Arc::new(MemDisk::volatile()));
        let store = builder.open("/threads").unwrap();
        let view = FeatureView::new("v").entity("thing").feature("x", DataType::Int64);
        let definitions = Definitions::new("threads").entity("thing", [("id", DataType::Int64)]).view(view);
        store.apply(&definitions, ApplyOptions::default()).unwrap();
        let features = Features::list(["v:x"]).unwrap();
        knob::without_threads(|| {
            let mut bulk = store.bulk_writer("v", BulkOptions::default()).unwrap();
            bulk.write(&batch(1)).unwrap();
            bulk.commit().unwrap();
            store.write("v", &batch(2)).unwrap();
            store.seal().unwrap();
            store.write("v", &batch(3)).unwrap();
            store.compact().unwrap();
            assert_eq!(store.views().unwrap()[0].runs, 1, "they were merged");
            let mut online = store.online(&features).unwrap();
            for id in [0, 7, KEYS - 1] {
                let key = online.key(&[("id", id.into())]).unwrap();
                let row = online.get(&key, Timestamp(9)).unwrap();
                assert_eq!((row.i64(0), row.is_from_latest_table(0)), (Some(3), true), "key {id}");
            }
            let spine = batch(2).project(&[0, 1]).unwrap();
            let spine = RecordBatchIterator::new([Ok(spine.clone())], spine.schema());
            let request = HistoricalRequest { threads: 4, ..HistoricalRequest::new(features) };
            let joined = store.get_historical_features(spine, &request).unwrap();
            let joined: Vec<RecordBatch> = joined.collect::<Result<_, _>>().unwrap();
            let values = joined.iter().flat_map(|batch| batch["x"].as_primitive::<Int64Type>().values().to_vec());
            assert_eq!(values.collect::<Vec<_>>(), [2; 60_000]);
            store.write("v", &batch(4)).unwrap();
            store.close().unwrap();
        });
    }
}
