//! `CLIENT TRACKING`: who is told which keys were changed, so that it forgets what it keeps of them.
//!
//! Nobody notes which keys a client read. Whoever tracks is told of all that change, in every mode, as Redis does in its broadcasting
//! one: to be told of a key that one does not keep does no harm.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::protocol::{ReplyBuffer, Version};
use super::sync::lock;

/// Where a client of RESP2 that others redirect to listens.
pub const CHANNEL: &[u8] = b"__redis__:invalidate";

/// What a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackingOptions {
    /// Another client is told in its place.
    pub redirect: Option<u64>,
    /// `BCAST`.
    pub is_broadcast: bool,
    /// Only of keys that begin so; of all, where there are none.
    pub prefixes: Vec<Box<[u8]>>,
    /// `OPTIN`.
    pub opts_in: bool,
    /// `OPTOUT`.
    pub opts_out: bool,
    /// It is not told of what it changes itself.
    pub skips_own: bool,
}

/// All clients that track.
#[derive(Debug, Default)]
pub struct Tracking {
    trackers: Mutex<BTreeMap<u64, Tracker>>,
    len: AtomicUsize,
}

/// A client that does: who is told, by which event loop, and of what.
#[derive(Debug)]
struct Tracker {
    event_loop: usize,
    told: u64,
    prefixes: Vec<Box<[u8]>>,
    skips_own: bool,
}

/// Keys that are other than they were; `None`: all of them.
pub type Invalidated = Option<Arc<[Box<[u8]>]>>;

impl Tracking {
    /// How many clients track.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Who is to be told of keys that a client changed, or nobody did: by event loop and client.
    pub fn told(&self, keys: &Invalidated, by: Option<u64>) -> Vec<(usize, u64, Invalidated)> {
        let trackers = lock(&self.trackers);
        let wanted = trackers.iter().filter(|(client, tracker)| !(tracker.skips_own && by == Some(**client)));
        wanted.filter_map(|(_, tracker)| Some((tracker.event_loop, tracker.told, tracker.wants(keys)?))).collect()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, Tracker>)) {
        let mut trackers = lock(&self.trackers);
        change(&mut trackers);
        self.len.store(trackers.len(), Ordering::Release);
    }
}

impl Tracker {
    /// Those of the keys that it is to be told of, if one is.
    fn wants(&self, keys: &Invalidated) -> Option<Invalidated> {
        let Some(all) = keys.as_ref().filter(|_| !self.prefixes.is_empty()) else { return Some(keys.clone()) };
        let is_wanted = |key: &[u8]| self.prefixes.iter().any(|prefix| key.starts_with(prefix));
        let wanted: Vec<Box<[u8]>> = all.iter().filter(|key| is_wanted(key)).cloned().collect();
        (!wanted.is_empty()).then(|| Some(wanted.into()))
    }
}

/// One client's tracking. It ends with the client.
#[derive(Debug)]
pub struct Tracked {
    registry: Arc<Tracking>,
    client: u64,
    options: Option<TrackingOptions>,
}

impl Tracked {
    /// Not yet.
    pub fn new(registry: Arc<Tracking>, client: u64) -> Tracked {
        Tracked { registry, client, options: None }
    }

    /// What was asked for, while it tracks.
    pub fn options(&self) -> Option<&TrackingOptions> {
        self.options.as_ref()
    }

    /// Tracks from here on; who is told is served by this event loop.
    pub fn start(&mut self, options: TrackingOptions, event_loop: usize) {
        let tracker = Tracker {
            event_loop,
            told: options.redirect.unwrap_or(self.client),
            prefixes: options.prefixes.clone(),
            skips_own: options.skips_own,
        };
        self.registry.change(|trackers| drop(trackers.insert(self.client, tracker)));
        self.options = Some(options);
    }

    /// Tracks no more.
    pub fn stop(&mut self) {
        if self.options.take().is_some() {
            self.registry.change(|trackers| drop(trackers.remove(&self.client)));
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Bytes that they keep, about.
pub fn invalidated_bytes(keys: &Invalidated) -> usize {
    keys.iter().flat_map(|keys| keys.iter()).map(|key| key.len() + size_of::<Box<[u8]>>()).sum()
}

/// Tells a client of keys. One of RESP2 hears of them on a channel, if it listens there.
pub fn push(replies: &mut ReplyBuffer, keys: &Invalidated, listens: bool) {
    match (replies.version(), listens) {
        (Version::Resp3, _) => {
            replies.push(2);
            replies.bulk(b"invalidate");
        }
        (Version::Resp2, true) => {
            replies.push(3);
            replies.bulk(b"message");
            replies.bulk(CHANNEL);
        }
        (Version::Resp2, false) => return,
    }
    match keys {
        None => replies.null(),
        Some(keys) => {
            replies.array(keys.len());
            keys.iter().for_each(|key| replies.bulk(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tracks_is_told_of_its_prefixes_and_not_of_its_own_changes() {
        let registry = Arc::new(Tracking::default());
        let mut all = Tracked::new(Arc::clone(&registry), 1);
        let mut some = Tracked::new(Arc::clone(&registry), 2);
        all.start(TrackingOptions { skips_own: true, ..TrackingOptions::default() }, 0);
        let prefixes = vec![b"a:"[..].into(), b"b:"[..].into()];
        some.start(TrackingOptions { redirect: Some(9), prefixes, ..TrackingOptions::default() }, 1);
        let keys = |names: &[&[u8]]| -> Invalidated { Some(names.iter().map(|name| Box::from(*name)).collect()) };
        let changed = keys(&[b"a:1", b"c:1"]);
        let found = registry.told(&changed, None);
        assert_eq!(found, [(0, 1, changed.clone()), (1, 9, keys(&[b"a:1"]))]);
        assert_eq!(registry.told(&keys(&[b"c:1"]), Some(1)), []);
        assert_eq!(registry.told(&None, Some(2)), [(0, 1, None), (1, 9, None)]);
        drop((all, some));
        assert_eq!(registry.len(), 0);
    }
}
