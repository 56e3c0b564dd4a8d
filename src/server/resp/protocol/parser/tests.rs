use super::*;

const LIMITS: ParseLimits = ParseLimits { arguments_max: 100, ..ParseLimits::AUTHENTICATED };

/// All commands of `input`, which arrives `step` bytes at a time; and the error that ended it.
fn commands(input: &[u8], step: usize, limits: &ParseLimits) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut found, mut parser) = (Vec::new(), Parser::default());
    let (mut start, mut end) = (0, 0);
    loop {
        match parser.parse(&input[start..end], limits) {
            Ok(Parsed::Command { bytes }) => {
                let command = &input[start..end];
                found.push(parser.arguments(command).from(0).map(<[u8]>::to_vec).collect());
                start += bytes;
            }
            Ok(Parsed::Incomplete) if end == input.len() => return (found, None),
            Ok(Parsed::Incomplete) => end = (end + step).min(input.len()),
            Err(error) => return (found, Some(error)),
        }
    }
}

/// As [`commands`], the same however the input is cut.
#[track_caller]
fn parsed(input: &[u8]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let whole = commands(input, input.len(), &LIMITS);
    for step in [1, 2, 3, 7] {
        assert_eq!(commands(input, step, &LIMITS), whole, "{} by {step}", input.escape_ascii());
    }
    whole
}

fn text(command: &[&str]) -> Vec<Vec<u8>> {
    command.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn commands_follow_each_other_however_they_arrive() {
    let input =
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\r\n\0\xff\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n";
    let (found, error) = parsed(input);
    let set = vec![b"SET".to_vec(), Vec::new(), b"\r\n\0\xff".to_vec()];
    assert_eq!(found, [text(&["GET", "k"]), set, text(&["PING"]), text(&["QUIT"])]);
    assert_eq!(error, None);
}

#[test]
fn empty_commands_have_no_arguments() {
    let (found, error) = parsed(b"\r\n\n*0\r\n*-1\r\nPING\n");
    assert_eq!(found, [text(&[]), text(&[]), text(&[]), text(&[]), text(&["PING"])]);
    assert_eq!(error, None);
}

#[test]
fn the_two_bytes_after_an_argument_are_not_looked_at() {
    // As Redis, which some clients rely on.
    assert_eq!(parsed(b"*1\r\n$4\r\nPINGxy*1\r\n$4\r\nQUIT\r\n").0, [text(&["PING"]), text(&["QUIT"])]);
}

#[test]
fn a_stream_out_of_step_is_told_as_redis_tells_it() {
    let cases: [(&[u8], &str); 10] = [
        (b"*abc\r\n", "invalid multibulk length"),
        (b"*2000\r\n", "invalid multibulk length"),
        (b"*1\r\n:5\r\n", "expected '$', got ':'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (b"SET \"a\r\n", "unbalanced quotes in request"),
        (b"*01\r\n", "invalid multibulk length"),
    ];
    for (input, expected) in cases {
        let (found, error) = parsed(input);
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(expected), "{}", input.escape_ascii());
        assert!(found.is_empty());
    }
}

#[test]
fn lines_that_do_not_end_are_refused() {
    let long = vec![b'1'; LINE_BYTES_MAX + 8];
    for (start, expected) in [
        (&b"*"[..], ProtocolError::ArrayLineTooLong),
        (b"*1\r\n$", ProtocolError::BulkLineTooLong),
        (b"P", ProtocolError::InlineTooLong),
    ] {
        let input = [start, &long].concat();
        assert_eq!(commands(&input, 4_096, &LIMITS), (Vec::new(), Some(expected)));
    }
}

#[test]
fn before_authentication_little_is_taken() {
    let limits = ParseLimits::UNAUTHENTICATED;
    let error = |input: &[u8]| commands(input, 16, &limits).1.map(|error| error.to_string());
    assert_eq!(error(b"*9\r\n").as_deref(), Some("unauthenticated multibulk length"));
    assert_eq!(error(b"*2\r\n$4\r\nAUTH\r\n$4097\r\n").as_deref(), Some("unauthenticated bulk length"));
    let half = format!("$2500\r\n{}\r\n", "x".repeat(2_500));
    assert_eq!(error(format!("*3\r\n$4\r\nAUTH\r\n{half}{half}").as_bytes()).as_deref(), Some("too big command"));
    let digits = "1".repeat(5_000);
    assert_eq!(error(format!("P{digits}").as_bytes()).as_deref(), Some("too big inline request"));
    assert_eq!(error(format!("*{digits}").as_bytes()).as_deref(), Some("too big mbulk count string"));
    assert_eq!(error(format!("*1\r\n${digits}").as_bytes()).as_deref(), Some("too big bulk count string"));
    assert_eq!(error(b"a b c d e f g h i\n").as_deref(), Some("invalid multibulk length"));
    assert_eq!(commands(b"AUTH secret\r\n", 3, &limits).0, [text(&["AUTH", "secret"])]);
}

#[test]
fn nothing_is_kept_for_a_declared_length() {
    let mut parser = Parser::default();
    let input = b"*100\r\n$536870912\r\nabc";
    assert_eq!(parser.parse(input, &LIMITS), Ok(Parsed::Incomplete));
    assert!(parser.arguments.capacity() == 0, "{}", parser.arguments.capacity());
    assert_eq!(parser.bytes_expected(input), 536_870_912 + 2 - 3);
}

#[test]
fn a_command_in_many_parts_is_looked_at_once() {
    // A pipeline's last command may be cut anywhere: were it read from its start at each part, a large one would take for ever.
    let mut input = b"*50\r\n".to_vec();
    (0..49).for_each(|_| input.extend_from_slice(b"$1\r\nx\r\n"));
    let mut parser = Parser::default();
    assert_eq!(parser.parse(&input, &LIMITS), Ok(Parsed::Incomplete));
    let (at, arguments) = (parser.at, parser.arguments.len());
    assert_eq!((at, arguments), (input.len(), 49));
    input.extend_from_slice(b"$1\r\ny\r\n");
    assert_eq!(parser.parse(&input, &LIMITS), Ok(Parsed::Command { bytes: input.len() }));
    assert_eq!(parser.arguments(&input).at(49), b"y");
}
