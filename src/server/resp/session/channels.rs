//! `SUBSCRIBE`, `PUBLISH` and what belongs to them.

use std::sync::Arc;

use super::server::too_many;
use super::{Shared, State};
use crate::server::resp::command::{Arguments, Refusal};
use crate::server::resp::glob::Pattern;

impl State {
    pub(super) fn subscribe(&mut self, arguments: Arguments<'_>, is_pattern: bool) {
        for name in arguments.from(1) {
            match is_pattern {
                true => self.subscriptions.subscribe_pattern(name),
                false => self.subscriptions.subscribe(name),
            }
            self.confirm(if is_pattern { "psubscribe" } else { "subscribe" }, Some(name));
        }
    }

    pub(super) fn unsubscribe(&mut self, arguments: Arguments<'_>, is_pattern: bool) {
        let word = if is_pattern { "punsubscribe" } else { "unsubscribe" };
        let named: Vec<Box<[u8]>> = arguments.from(1).map(Box::from).collect();
        let names = if named.is_empty() { self.subscriptions.names(is_pattern) } else { named };
        if names.is_empty() {
            self.confirm(word, None);
        }
        for name in names {
            match is_pattern {
                true => self.subscriptions.unsubscribe_pattern(&name),
                false => self.subscriptions.unsubscribe(&name),
            }
            self.confirm(word, Some(&name));
        }
    }

    fn confirm(&mut self, word: &str, name: Option<&[u8]>) {
        let start = self.replies.bytes().len();
        self.replies.push(3);
        self.replies.bulk(word.as_bytes());
        self.replies.bulk_or_null(name);
        self.replies.integer(count(self.subscriptions.len()));
        self.pushed.push(start..self.replies.bytes().len());
    }

    pub(super) fn publish_message(&mut self, shared: &Shared, arguments: Arguments<'_>) {
        let first = self.outbox.deliveries.len();
        let reached = shared.pubsub.publish(arguments.at(1), arguments.at(2), &mut self.outbox.deliveries);
        for (published, event_loop, clients) in &mut self.outbox.deliveries[first..] {
            if *event_loop != self.client.event_loop {
                continue;
            }
            let before = clients.len();
            clients.retain(|client| *client != self.client.id);
            if clients.len() < before {
                self.own_messages.push(Arc::clone(published));
            }
        }
        self.replies.integer(count(reached));
    }

    /// What it published to itself comes behind the answer of the command that did, transactions being one, even if it listens no more.
    pub(super) fn push_own_messages(&mut self) {
        for published in std::mem::take(&mut self.own_messages) {
            let start = self.replies.bytes().len();
            published.push(&mut self.replies);
            self.pushed.push(start..self.replies.bytes().len());
        }
    }

    pub(super) fn pubsub(
        &mut self,
        shared: &Shared,
        subcommand: &str,
        arguments: Arguments<'_>,
    ) -> Result<(), Refusal> {
        match subcommand {
            "channels" => {
                if arguments.len() > 3 {
                    return Err(too_many(arguments, "PUBSUB"));
                }
                let channels = shared.pubsub.channels(&Pattern::new(arguments.get(2).unwrap_or(b"*")));
                self.replies.array(channels.len());
                channels.iter().for_each(|channel| self.replies.bulk(channel));
            }
            "numsub" => {
                self.replies.array((arguments.len() - 2) * 2);
                for channel in arguments.from(2) {
                    self.replies.bulk(channel);
                    self.replies.integer(count(shared.pubsub.listeners(channel)));
                }
            }
            _ => self.replies.integer(count(shared.pubsub.counts().1)),
        }
        Ok(())
    }
}

/// A count as an answer has it.
pub(super) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
