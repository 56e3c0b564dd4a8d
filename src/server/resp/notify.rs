//! Keyspace notifications: which changes are told of, and on which channels.

use super::command::{Event, EventClass};

/// What `notify-keyspace-events` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(u32);

/// The letters, in the order they are printed in; those of `A` first.
const LETTERS: &[u8] = b"g$lshzxetdnKEm";
/// How many of the letters `A` stands for: all up to `d`.
const IN_ALL: u32 = 10;
const ALL: u32 = (1 << IN_ALL) - 1;

impl NotifyFlags {
    /// Takes the letters; `None` if one is no letter of these.
    pub fn parse(text: &[u8]) -> Option<NotifyFlags> {
        text.iter().try_fold(NotifyFlags(0), |flags, &letter| match letter {
            b'A' => Some(NotifyFlags(flags.0 | ALL)),
            _ => Some(NotifyFlags(flags.0 | bit(letter)?)),
        })
    }

    /// From [`NotifyFlags::bits`].
    pub fn from_bits(bits: u32) -> NotifyFlags {
        NotifyFlags(bits)
    }

    /// As a number.
    pub fn bits(self) -> u32 {
        self.0
    }

    fn has(self, letter: u8) -> bool {
        bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The letters, as Redis orders them.
    pub fn text(self) -> String {
        let has_all = self.0 & ALL == ALL;
        let all = has_all.then_some('A');
        let rest = LETTERS.iter().enumerate().filter(|(at, letter)| {
            let stands_in_all = u32::try_from(*at).is_ok_and(|at| at < IN_ALL);
            // Redis leaves `n` out beside `A`.
            self.has(**letter) && !(has_all && (stands_in_all || **letter == b'n'))
        });
        all.into_iter().chain(rest.map(|(_, letter)| char::from(*letter))).collect()
    }

    /// Whether anything of this class is told of.
    pub fn wants(self, class: EventClass) -> bool {
        (self.has(b'K') || self.has(b'E')) && self.has(letter(class))
    }

    /// Gives `publish` the channels and payloads that tell of a change.
    pub fn tell(self, event: &Event, mut publish: impl FnMut(&[u8], &[u8])) {
        if !self.wants(event.class) {
            return;
        }
        if self.has(b'K') {
            let prefix = format!("__keyspace@{}__:", event.database);
            publish(&[prefix.as_bytes(), &event.key].concat(), event.event.as_bytes());
        }
        if self.has(b'E') {
            publish(format!("__keyevent@{}__:{}", event.database, event.event).as_bytes(), &event.key);
        }
    }
}

fn bit(letter: u8) -> Option<u32> {
    LETTERS.iter().position(|&other| other == letter).map(|at| 1 << at)
}

fn letter(class: EventClass) -> u8 {
    match class {
        EventClass::Generic => b'g',
        EventClass::String => b'$',
        EventClass::Hash => b'h',
        EventClass::Expired => b'x',
        EventClass::Evicted => b'e',
        EventClass::New => b'n',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_taken_and_given_back_in_redis_order() {
        let text = |letters: &[u8]| NotifyFlags::parse(letters).map(NotifyFlags::text);
        assert_eq!(text(b"").as_deref(), Some(""));
        assert_eq!(text(b"KEA").as_deref(), Some("AKE"));
        assert_eq!(text(b"$lshzxegtdKE").as_deref(), Some("AKE"));
        assert_eq!(text(b"Ex").as_deref(), Some("xE"));
        assert_eq!(text(b"q"), None);
    }

    #[test]
    fn a_change_is_told_on_the_channels_asked_for() {
        let event = Event { class: EventClass::String, event: "set", database: 3, key: (*b"k").into() };
        let told = |letters: &[u8]| {
            let mut told = Vec::new();
            let flags = NotifyFlags::parse(letters).unwrap();
            flags.tell(&event, |channel, payload| {
                told.push(format!("{} {}", channel.escape_ascii(), payload.escape_ascii()));
            });
            told
        };
        assert_eq!(told(b"KEA"), ["__keyspace@3__:k set", "__keyevent@3__:set k"]);
        assert_eq!(told(b"E$"), ["__keyevent@3__:set k"]);
        assert_eq!(told(b"KEg"), Vec::<String>::new());
        assert_eq!(told(b"A"), Vec::<String>::new(), "neither by key nor by event");
    }
}
