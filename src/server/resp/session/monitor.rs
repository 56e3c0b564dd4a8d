//! `MONITOR`.

use super::{Shared, State};
use crate::server::resp::command::{Arguments, Command, Flag};

impl State {
    pub(super) fn monitor(&mut self, shared: &Shared) {
        self.is_monitor = true;
        shared.clients.set_monitor(self.client.id, Some(self.client.event_loop));
        self.replies.ok();
    }

    /// Writes a command down for who monitors, unless it is for who runs the server, or tells a secret.
    pub(super) fn show_to_monitors(
        &mut self,
        shared: &Shared,
        command: &Command,
        subcommand: Option<&Command>,
        arguments: Arguments<'_>,
    ) {
        let flags = subcommand.map_or(command.flags, |subcommand| subcommand.flags);
        if flags.contains(&Flag::Admin) || flags.contains(&Flag::SkipMonitor) {
            return;
        }
        let now = shared.keyspace.now().micros();
        let (seconds, micros) = (now.div_euclid(1_000_000), now.rem_euclid(1_000_000));
        let line = &mut self.outbox.monitored;
        let start = format!("+{seconds}.{micros:06} [{} {}]", self.database, self.client.address);
        line.extend_from_slice(start.as_bytes());
        for (at, argument) in arguments.from(0).enumerate() {
            line.push(b' ');
            let is_secret = at > 0 && matches!(command.name, "auth" | "hello");
            if is_secret && !(command.name == "hello" && at == 1) {
                line.extend_from_slice(b"\"(redacted)\"");
            } else {
                quote(argument, line);
            }
        }
        line.extend_from_slice(b"\r\n");
    }
}

/// An argument in quotes, with escapes for what is not printed.
fn quote(argument: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &byte in argument {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            other => line.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
        }
    }
    line.push(b'"');
}
