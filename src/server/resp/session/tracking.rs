//! `CLIENT TRACKING`, `CLIENT CACHING`, `CLIENT TRACKINGINFO`, `CLIENT GETREDIR`.

use super::client::flag;
use super::{Keys, Shared, State};
use crate::keyspace::Changed;
use crate::server::resp::command::{Arguments, Event, EventClass, Refusal};
use crate::server::resp::number::parse_i64;
use crate::server::resp::tracking::TrackingOptions;

const SWITCHED_BROADCAST: Refusal = Refusal::fixed(
    "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different \
     mode.",
);
const SWITCHED_OPTIONS: Refusal = Refusal::fixed(
    "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different \
     mode.",
);
const NO_CACHING: Refusal = Refusal::fixed(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);

impl State {
    pub(super) fn tracking(&mut self, shared: &Shared, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let mut options = TrackingOptions::default();
        let mut event_loop = self.client.event_loop;
        let mut at = 3;
        while let Some(option) = arguments.get(at) {
            let value = arguments.get(at + 1);
            match (&*option.to_ascii_lowercase(), value) {
                (b"redirect", Some(_)) if options.redirect.is_some() => {
                    return Err(Refusal::fixed("ERR A client can only redirect to a single other client"));
                }
                (b"redirect", Some(id)) => {
                    let id = parse_i64(id).and_then(|id| u64::try_from(id).ok());
                    let other = id.and_then(|id| shared.clients.get(id));
                    let other = other.ok_or(Refusal::fixed("ERR The client ID you want redirect to does not exist"))?;
                    (options.redirect, event_loop) = (Some(other.id), other.event_loop);
                    at += 1;
                }
                (b"prefix", Some(prefix)) => {
                    options.prefixes.push(prefix.into());
                    at += 1;
                }
                (b"bcast", _) => options.is_broadcast = true,
                (b"optin", _) => options.opts_in = true,
                (b"optout", _) => options.opts_out = true,
                (b"noloop", _) => options.skips_own = true,
                _ => return Err(Refusal::SYNTAX),
            }
            at += 1;
        }
        match flag(arguments.at(2))? {
            true => {
                self.check_tracking(&mut options)?;
                self.tracked.start(options, event_loop);
            }
            false => self.tracked.stop(),
        }
        self.replies.ok();
        Ok(())
    }

    /// Refuses options that go with no others, or not with those before; adds the prefixes that were asked for before.
    fn check_tracking(&self, options: &mut TrackingOptions) -> Result<(), Refusal> {
        if !options.prefixes.is_empty() && !options.is_broadcast {
            return Err(Refusal::fixed("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        let before = self.tracked.options();
        if before.is_some_and(|before| before.is_broadcast != options.is_broadcast) {
            return Err(SWITCHED_BROADCAST);
        }
        if options.is_broadcast && (options.opts_in || options.opts_out) {
            return Err(Refusal::fixed("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if options.opts_in && options.opts_out {
            return Err(Refusal::fixed("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        let is_other =
            |before: &TrackingOptions| options.opts_in && before.opts_out || options.opts_out && before.opts_in;
        if before.is_some_and(is_other) {
            return Err(SWITCHED_OPTIONS);
        }
        let mut prefixes: Vec<Box<[u8]>> = before.map(|before| before.prefixes.clone()).unwrap_or_default();
        for prefix in std::mem::take(&mut options.prefixes) {
            let overlaps = |other: &[u8]| other.starts_with(&prefix) || prefix.starts_with(other);
            if let Some(other) = prefixes.iter().find(|other| overlaps(other)) {
                let [prefix, other] = [&prefix, other].map(|text| String::from_utf8_lossy(text));
                return Err(Refusal::new(format!(
                    "ERR Prefix '{prefix}' overlaps with an existing prefix '{other}'. Prefixes for a single client must not overlap."
                )));
            }
            prefixes.push(prefix);
        }
        options.prefixes = prefixes;
        Ok(())
    }

    /// All keys are told of that change: there is nothing to be remembered for the next command.
    pub(super) fn caching(&mut self, arguments: Arguments<'_>) -> Result<(), Refusal> {
        let options = self.tracked.options().filter(|options| options.opts_in || options.opts_out).ok_or(NO_CACHING)?;
        let wrong_mode = match (arguments.is_word(2, "yes"), arguments.is_word(2, "no")) {
            (true, _) if !options.opts_in => "YES is only valid when tracking is enabled in OPTIN mode.",
            (_, true) if !options.opts_out => "NO is only valid when tracking is enabled in OPTOUT mode.",
            (false, false) => return Err(Refusal::SYNTAX),
            _ => {
                self.replies.ok();
                return Ok(());
            }
        };
        Err(Refusal::new(format!("ERR CLIENT CACHING {wrong_mode}")))
    }

    pub(super) fn tracking_info(&mut self) {
        let options = self.tracked.options();
        let redirect = self.redirect();
        let flags: Vec<&str> = match options {
            None => vec!["off"],
            Some(options) => [
                (true, "on"),
                (options.is_broadcast, "bcast"),
                (options.opts_in, "optin"),
                (options.opts_out, "optout"),
                (options.skips_own, "noloop"),
            ]
            .into_iter()
            .filter_map(|(is_set, flag)| is_set.then_some(flag))
            .collect(),
        };
        let replies = &mut self.replies;
        replies.map(3);
        replies.bulk(b"flags");
        replies.set(flags.len());
        flags.iter().for_each(|flag| replies.bulk(flag.as_bytes()));
        replies.bulk(b"redirect");
        replies.integer(redirect);
        replies.bulk(b"prefixes");
        let prefixes = options.map_or(&[][..], |options| &options.prefixes);
        replies.array(prefixes.len());
        prefixes.iter().for_each(|prefix| replies.bulk(prefix));
    }

    /// Who is told of keys in place of this client: 0 for none, -1 where it does not track.
    pub(super) fn redirect(&self) -> i64 {
        let options = self.tracked.options();
        options.map_or(-1, |options| options.redirect.map_or(0, |id| i64::try_from(id).unwrap_or(i64::MAX)))
    }

    /// Notes, for who tracks, which keys a command changed: those of the group after `mark`, and those that went with their deadlines.
    pub(super) fn note_changed(&mut self, shared: &Shared, keys: &Keys<'_>, mark: usize, told: usize) {
        let Keys::Exclusive { keyspace, events, .. } = keys else { return };
        if shared.tracking.len() == 0 {
            return;
        }
        self.outbox.changed_by = self.client.id;
        let is_gone = |event: &&Event| event.class == EventClass::Expired || event.event == "hexpired";
        events[told..].iter().filter(is_gone).for_each(|event| self.outbox.note_changed(Some(&event.key)));
        for changed in keyspace.changed_since(mark) {
            match changed {
                Changed::Key((_, name)) => self.outbox.note_changed(Some(name)),
                Changed::Database(..) => self.outbox.note_changed(None),
            }
        }
    }
}
