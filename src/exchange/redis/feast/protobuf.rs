//! As much of Protocol Buffers as Feast's messages need.

use crate::time::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i64 = 1_000;

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// What a field of a message holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

pub(super) fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a field.
pub(super) fn push_field(number: u32, payload: Payload<'_>, out: &mut Vec<u8>) {
    let tag = |kind: u64| u64::from(number) << 3 | kind;
    match payload {
        Payload::Varint(value) => {
            push_varint(tag(VARINT), out);
            push_varint(value, out);
        }
        Payload::Fixed64(bytes) => {
            push_varint(tag(FIXED_64), out);
            out.extend(bytes);
        }
        Payload::Fixed32(bytes) => {
            push_varint(tag(FIXED_32), out);
            out.extend(bytes);
        }
        Payload::Bytes(bytes) => {
            push_varint(tag(BYTES), out);
            push_varint(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
    }
}

/// The fields of a message, in order; `None`: it is none.
pub(super) fn fields(mut message: &[u8]) -> Option<Vec<(u64, Payload<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        let payload = match tag & 7 {
            VARINT => Payload::Varint(take_varint(&mut message)?),
            FIXED_64 => Payload::Fixed64(take_array(&mut message)?),
            FIXED_32 => Payload::Fixed32(take_array(&mut message)?),
            BYTES => {
                let len = usize::try_from(take_varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(len)?;
                message = rest;
                Payload::Bytes(bytes)
            }
            _ => return None,
        };
        fields.push((tag >> 3, payload));
    }
    Some(fields)
}

pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        // Of the tenth byte one bit counts.
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*array)
}

/// A `Timestamp` message of an instant, microseconds since 1970.
pub(super) fn timestamp(micros: i64) -> Vec<u8> {
    let mut message = Vec::new();
    let (seconds, rest) = (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
    for (number, value) in [(1, seconds), (2, rest * NANOS_PER_MICRO)] {
        if value != 0 {
            push_field(number, Payload::Varint(value.cast_unsigned()), &mut message);
        }
    }
    message
}

/// The instant of a `Timestamp` message; `None`: it is none, or beyond what asof stores. Nanoseconds become microseconds by floor.
pub(in super::super) fn timestamp_of(message: &[u8]) -> Option<Timestamp> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(message)? {
        match field {
            (1, Payload::Varint(value)) => seconds = value.cast_signed(),
            (2, Payload::Varint(value)) => nanos = value.cast_signed(),
            _ => {}
        }
    }
    let micros = seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(nanos.div_euclid(NANOS_PER_MICRO))?;
    Some(Timestamp(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_feast_writes_them_and_come_back() {
        for (text, hex) in [
            ("1970-01-01T00:00:00Z", ""),
            ("2026-05-01T11:00:00.123456Z", "08b08fd2cf06108094ef3a"),
            ("1965-01-01T00:00:00Z", "0880dae2b4ffffffffff01"),
        ] {
            let instant: Timestamp = text.parse().unwrap();
            let message = timestamp(instant.0);
            assert_eq!(message.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), hex);
            assert_eq!(timestamp_of(&message), Some(instant));
        }
        for micros in [-1, -1_000_001, 999_999] {
            assert_eq!(timestamp_of(&timestamp(micros)), Some(Timestamp(micros)));
        }
        let mut far = Vec::new();
        push_field(1, Payload::Varint(u64::MAX >> 1), &mut far);
        assert_eq!(timestamp_of(&far), None);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [
            &[0x80_u8][..],
            &[0x08],
            &[0x12, 5, 1],
            &[0x0b],
            &[0x29, 1, 2],
            &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ] {
            assert_eq!(fields(bytes), None, "{bytes:?}");
        }
        assert_eq!(fields(&[0x08, 0x96, 0x01]), Some(vec![(1, Payload::Varint(150))]));
    }
}
