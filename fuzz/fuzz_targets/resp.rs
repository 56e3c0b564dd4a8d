//! A connection's input: the same commands however it arrives, and patterns and numbers out of it.
#![no_main]

use asof::server::resp::glob::Pattern;
use asof::server::resp::long_double::LongDouble;
use asof::server::resp::protocol::{ParseLimits, Parsed, Parser, ProtocolError};
use libfuzzer_sys::fuzz_target;

const LIMITS: ParseLimits = ParseLimits { arguments_max: 64, argument_bytes_max: 1 << 16, ..ParseLimits::AUTHENTICATED };

/// The commands of `input`, which arrives `step` bytes at a time, and the error that ends it.
fn commands(input: &[u8], step: usize, limits: &ParseLimits) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut found, mut parser) = (Vec::new(), Parser::default());
    let (mut start, mut end) = (0, 0);
    loop {
        match parser.parse(&input[start..end], limits) {
            Ok(Parsed::Command { bytes }) => {
                assert!(bytes > 0, "a command takes bytes");
                let command = &input[start..start + bytes];
                found.push(parser.arguments(command).from(0).map(<[u8]>::to_vec).collect());
                start += bytes;
            }
            Ok(Parsed::Incomplete) if end == input.len() => return (found, None),
            Ok(Parsed::Incomplete) => end = (end + step).min(input.len()),
            Err(error) => return (found, Some(error)),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    for limits in [LIMITS, ParseLimits::UNAUTHENTICATED] {
        let whole = commands(input, input.len().max(1), &limits);
        assert_eq!(commands(input, 1, &limits).0, whole.0);
        assert_eq!(commands(input, 3, &limits), commands(input, 1, &limits));
    }
    if let Some((pattern, name)) = input.split_first().and_then(|(at, rest)| rest.split_at_checked(usize::from(*at))) {
        let compiled = Pattern::new(pattern);
        compiled.matches(name);
        if let Some(exact) = compiled.exact() {
            assert!(compiled.matches(&exact));
        }
        if let (Some(left), Some(right)) = (LongDouble::parse(pattern), LongDouble::parse(name))
            && let Some(sum) = left.checked_add(right)
        {
            let again = LongDouble::parse(sum.to_string().as_bytes()).expect("a sum as printed is a number");
            assert_eq!(again.to_string(), sum.to_string());
        }
    }
});
