//! `SUBSCRIBE`, `PUBLISH` and what belongs to them.

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
        self.replies.push(3);
        self.replies.bulk(word.as_bytes());
        self.replies.bulk_or_null(name);
        self.replies.integer(count(self.subscriptions.len()));
    }

    pub(super) fn publish_message(&mut self, shared: &Shared, arguments: Arguments<'_>) {
        let reached = shared.pubsub.publish(arguments.at(1), arguments.at(2), &mut self.outbox.deliveries);
        self.replies.integer(count(reached));
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
