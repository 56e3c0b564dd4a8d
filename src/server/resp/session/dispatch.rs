//! Commands about the connection and the server, by name.

use super::answers::THIS_GROUP;
use super::{Keys, Refusal, Shared, State, Step};
use crate::server::resp::command::{Arguments, Command};

impl State {
    /// Commands about the connection and the server.
    pub(super) fn dispatch(
        &mut self,
        shared: &Shared,
        command: &'static Command,
        subcommand: Option<&'static Command>,
        arguments: Arguments<'_>,
        keys: &mut Keys<'_>,
    ) -> Result<Step, Refusal> {
        let name = command.name;
        if let Some(Command { name: "help", .. }) = subcommand {
            self.help(name);
            return Ok(Step::Done);
        }
        let subcommand = subcommand.map_or("", |subcommand| subcommand.name);
        match name {
            "ping" => self.ping(arguments)?,
            "echo" => self.replies.bulk(arguments.at(1)),
            "select" => self.select(arguments)?,
            "quit" => {
                self.replies.ok();
                return Ok(Step::Close);
            }
            "auth" => self.auth(shared, arguments)?,
            "hello" => self.hello(shared, arguments)?,
            "reset" => self.reset(shared),
            "multi" => self.multi()?,
            "discard" => self.discard()?,
            "asof" => {
                let (database, now, replies) = (self.database, keys.now(), &mut self.replies);
                match keys {
                    Keys::Exclusive { entities, rows, keyspace, .. } => {
                        self.seen = THIS_GROUP;
                        entities.as_of(command, database, arguments, Some((keyspace, rows)), now, replies)?;
                    }
                    Keys::None { entities, .. } | Keys::Shared { entities, .. } => {
                        entities.as_of(command, database, arguments, None, now, replies)?;
                    }
                }
            }
            "watch" => return self.watch(arguments, keys),
            "unwatch" => self.unwatch(),
            "exec" => return self.exec(shared, keys),
            "subscribe" => self.subscribe(arguments, false),
            "psubscribe" => self.subscribe(arguments, true),
            "unsubscribe" => self.unsubscribe(arguments, false),
            "punsubscribe" => self.unsubscribe(arguments, true),
            "publish" => self.publish_message(shared, arguments),
            "pubsub" => self.pubsub(shared, subcommand, arguments)?,
            "client" => return self.client_command(shared, subcommand, arguments),
            "command" => self.command_command(subcommand, arguments)?,
            "config" => self.config_command(shared, subcommand, arguments)?,
            "info" => {
                let Some((keyspace, _)) = keys.look() else { return Ok(Step::NeedsKeys) };
                self.info(shared, keyspace, arguments);
            }
            "cluster" => self.cluster(shared, subcommand, arguments),
            "monitor" => self.monitor(shared),
            _ => return self.server_command(shared, name, subcommand, arguments),
        }
        Ok(Step::Done)
    }
}
