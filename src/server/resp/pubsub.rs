//! Channels and patterns, and who listens to them.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use super::glob::Pattern;
use super::protocol::ReplyBuffer;
use super::sync::lock;

/// Who listens, by client number; the event loop of each.
type Listeners = HashMap<u64, usize>;

/// All subscriptions of a server.
#[derive(Debug, Default)]
pub struct PubSub(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    channels: HashMap<Box<[u8]>, Listeners>,
    patterns: HashMap<Box<[u8]>, (Pattern, Listeners)>,
}

/// Something that was published.
#[derive(Debug)]
pub struct Published {
    /// The pattern by which it reaches who subscribed to that.
    pub pattern: Option<Box<[u8]>>,
    /// Where it was published.
    pub channel: Arc<[u8]>,
    /// What.
    pub payload: Arc<[u8]>,
}

impl Published {
    /// Tells a client of it.
    pub fn push(&self, replies: &mut ReplyBuffer) {
        match &self.pattern {
            None => {
                replies.push(3);
                replies.bulk(b"message");
            }
            Some(pattern) => {
                replies.push(4);
                replies.bulk(b"pmessage");
                replies.bulk(pattern);
            }
        }
        replies.bulk(&self.channel);
        replies.bulk(&self.payload);
    }

    /// Bytes that it keeps, about.
    pub fn bytes(&self) -> usize {
        self.pattern.as_ref().map_or(0, |pattern| pattern.len()) + self.channel.len() + self.payload.len() + 64
    }
}

/// A message on its way: what, to which event loop, and to which clients of it.
pub type Delivery = (Arc<Published>, usize, Vec<u64>);

impl PubSub {
    /// Who a payload goes to that is published on a channel; and how many that are.
    pub fn publish(&self, channel: &[u8], payload: &[u8], deliveries: &mut Vec<Delivery>) -> usize {
        let tables = lock(&self.0);
        // Shared by all that it reaches, as they may be many.
        let bytes: OnceCell<[Arc<[u8]>; 2]> = OnceCell::new();
        let mut count = 0;
        let mut deliver = |pattern: Option<&[u8]>, listeners: &Listeners| {
            let [channel, payload] = bytes.get_or_init(|| [channel.into(), payload.into()]).clone();
            let published = Arc::new(Published { pattern: pattern.map(Box::from), channel, payload });
            count += listeners.len();
            let mut by_loop: HashMap<usize, Vec<u64>> = HashMap::new();
            listeners.iter().for_each(|(client, event_loop)| by_loop.entry(*event_loop).or_default().push(*client));
            deliveries.extend(by_loop.into_iter().map(|(to, clients)| (Arc::clone(&published), to, clients)));
        };
        if let Some(listeners) = tables.channels.get(channel) {
            deliver(None, listeners);
        }
        for (text, (pattern, listeners)) in &tables.patterns {
            if pattern.matches(channel) {
                deliver(Some(text), listeners);
            }
        }
        count
    }

    /// Channels that somebody listens to and whose name is what the pattern says.
    pub fn channels(&self, pattern: &Pattern) -> Vec<Box<[u8]>> {
        lock(&self.0).channels.keys().filter(|channel| pattern.matches(channel)).cloned().collect()
    }

    /// How many listen to a channel, patterns left out.
    pub fn listeners(&self, channel: &[u8]) -> usize {
        lock(&self.0).channels.get(channel).map_or(0, HashMap::len)
    }

    /// How many channels, and how many patterns, somebody listens to.
    pub fn counts(&self) -> (usize, usize) {
        let tables = lock(&self.0);
        (tables.channels.len(), tables.patterns.len())
    }
}

/// What one client subscribed to. It ends with the client.
#[derive(Debug)]
pub struct Subscriptions {
    registry: Arc<PubSub>,
    client: u64,
    event_loop: usize,
    channels: BTreeSet<Box<[u8]>>,
    patterns: BTreeSet<Box<[u8]>>,
}

impl Subscriptions {
    /// None yet.
    pub fn new(registry: Arc<PubSub>, client: u64, event_loop: usize) -> Subscriptions {
        Subscriptions { registry, client, event_loop, channels: BTreeSet::new(), patterns: BTreeSet::new() }
    }

    /// Channels and patterns together.
    pub fn len(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }

    /// Of each.
    pub fn counts(&self) -> (usize, usize) {
        (self.channels.len(), self.patterns.len())
    }

    /// The channels, or the patterns.
    pub fn names(&self, of_patterns: bool) -> Vec<Box<[u8]>> {
        if of_patterns { &self.patterns } else { &self.channels }.iter().cloned().collect()
    }

    /// Whether a message is for this client still: it may have been on its way while the subscription ended.
    pub fn wants(&self, published: &Published) -> bool {
        match &published.pattern {
            Some(pattern) => self.patterns.contains(pattern),
            None => self.channels.contains(&*published.channel),
        }
    }

    /// Whether it listens to a channel by its name.
    pub fn listens(&self, channel: &[u8]) -> bool {
        self.channels.contains(channel)
    }

    /// Listens to a channel from here on.
    pub fn subscribe(&mut self, channel: &[u8]) {
        if self.channels.insert(channel.into()) {
            let mut tables = lock(&self.registry.0);
            tables.channels.entry(channel.into()).or_default().insert(self.client, self.event_loop);
        }
    }

    /// Listens to all channels of a pattern from here on.
    pub fn subscribe_pattern(&mut self, pattern: &[u8]) {
        if self.patterns.insert(pattern.into()) {
            let mut tables = lock(&self.registry.0);
            let (_, listeners) =
                tables.patterns.entry(pattern.into()).or_insert_with(|| (Pattern::new(pattern), Listeners::new()));
            listeners.insert(self.client, self.event_loop);
        }
    }

    /// Listens to a channel no more.
    pub fn unsubscribe(&mut self, channel: &[u8]) {
        if self.channels.remove(channel) {
            let channels = &mut lock(&self.registry.0).channels;
            let Some(listeners) = channels.get_mut(channel) else { return };
            listeners.remove(&self.client);
            if listeners.is_empty() {
                channels.remove(channel);
            }
        }
    }

    /// Listens to a pattern no more.
    pub fn unsubscribe_pattern(&mut self, pattern: &[u8]) {
        if self.patterns.remove(pattern) {
            let patterns = &mut lock(&self.registry.0).patterns;
            let Some((_, listeners)) = patterns.get_mut(pattern) else { return };
            listeners.remove(&self.client);
            if listeners.is_empty() {
                patterns.remove(pattern);
            }
        }
    }

    /// Listens to nothing.
    pub fn clear(&mut self) {
        self.names(false).iter().for_each(|channel| self.unsubscribe(channel));
        self.names(true).iter().for_each(|pattern| self.unsubscribe_pattern(pattern));
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pattern, an event loop, clients.
    type Found = (Option<String>, usize, Vec<u64>);

    fn published(registry: &PubSub, channel: &[u8]) -> (usize, Vec<Found>) {
        let mut deliveries = Vec::new();
        let count = registry.publish(channel, b"x", &mut deliveries);
        let text = |pattern: &[u8]| String::from_utf8_lossy(pattern).into_owned();
        let mut found: Vec<_> = deliveries
            .into_iter()
            .map(|(published, to, clients)| (published.pattern.as_deref().map(text), to, clients))
            .collect();
        found.sort();
        (count, found)
    }

    #[test]
    fn a_message_goes_once_to_each_loop_for_a_channel_and_once_for_each_pattern() {
        let registry = Arc::new(PubSub::default());
        let mut first = Subscriptions::new(Arc::clone(&registry), 1, 0);
        let mut second = Subscriptions::new(Arc::clone(&registry), 2, 1);
        first.subscribe(b"news");
        first.subscribe(b"news");
        first.subscribe_pattern(b"n*");
        second.subscribe(b"news");
        let (count, found) = published(&registry, b"news");
        assert_eq!(count, 3);
        assert_eq!(found, [(None, 0, vec![1]), (None, 1, vec![2]), (Some("n*".into()), 0, vec![1])]);
        assert_eq!(published(&registry, b"nil").0, 1);
        assert_eq!(published(&registry, b"other").0, 0);
    }

    #[test]
    fn a_client_that_goes_leaves_no_entry() {
        let registry = Arc::new(PubSub::default());
        let mut subscriptions = Subscriptions::new(Arc::clone(&registry), 1, 0);
        subscriptions.subscribe(b"a");
        subscriptions.subscribe_pattern(b"b*");
        assert_eq!(registry.counts(), (1, 1));
        drop(subscriptions);
        assert_eq!(registry.counts(), (0, 0));
    }
}
