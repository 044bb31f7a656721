//! The frame reader and writer against tungstenite's, the slow twin.
//!
//! Owns:  claims about frames against slow twins.

use super::*;
use arrayvec::ArrayVec;
use proptest::prelude::*;
use std::io::{self, Cursor, Read, Write};
use tungstenite::Message as Slow;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

const MAX: usize = 100_000;

/// A server's frame, written by tungstenite.
fn server_frame(opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { is_final: fin, opcode, ..FrameHeader::default() };
    let mut out = Vec::new();
    header.format(payload.len() as u64, &mut out).unwrap();
    out.extend_from_slice(payload);
    out
}

/// What a complete header says by tungstenite's reading plus the checks it leaves to its caller;
/// `Err` if the header must be refused, `None` if it is incomplete.
fn slow_header(buf: &[u8], max: usize) -> Result<Option<(usize, bool, Kind, usize)>, ()> {
    let mut cursor = Cursor::new(buf);
    let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| ())? else { return Ok(None) };
    let kind = match header.opcode {
        OpCode::Data(Data::Text) => Kind::Text,
        OpCode::Data(Data::Binary) => Kind::Binary,
        OpCode::Data(Data::Continue) => Kind::Continuation,
        OpCode::Control(Control::Ping) => Kind::Ping,
        OpCode::Control(Control::Pong) => Kind::Pong,
        OpCode::Control(Control::Close) => Kind::Close,
        _ => return Err(()),
    };
    let control = matches!(kind, Kind::Ping | Kind::Pong | Kind::Close);
    let minimal = header.len(length) as u64 == cursor.position();
    let bad = header.rsv1
        || header.rsv2
        || header.rsv3
        || header.mask.is_some()
        || !minimal
        || length > max as u64
        || (control && (length > 125 || !header.is_final))
        || (kind == Kind::Close && length == 1);
    if bad { Err(()) } else { Ok(Some((cursor.position() as usize, header.is_final, kind, length as usize))) }
}

/// The reading of `buf` by our reader, checked against the twin's.
fn check(buf: &[u8], max: usize) {
    let ours = next(buf, max);
    match slow_header(buf, max) {
        Err(()) => assert!(ours.is_err(), "{ours:?} on {buf:x?}"),
        // Half a header may be wrong already (a mask bit, say); the whole one is checked elsewhere.
        Ok(None) => assert!(!matches!(ours, Ok(Some(_))), "{ours:?} on {buf:x?}"),
        Ok(Some((start, fin, kind, length))) => {
            let whole = buf.get(start..start + length);
            let expected = whole.map(|payload| Frame { used: start + length, fin, kind, payload });
            assert_eq!(ours, Ok(expected), "on {buf:x?}");
        }
    }
}

/// A socket that has these bytes and then nothing.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        Ok(from.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Told = Vec<(Kind, Vec<u8>)>;

/// All messages in `bytes` as tungstenite's client sees them, and whether it ended in an error.
fn slow_messages(bytes: &[u8], role: Role, max: usize) -> (Told, bool) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(max))
        .max_message_size(Some(max));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes.to_vec())), role, Some(config));
    let mut told = Vec::new();
    loop {
        match socket.read() {
            Ok(Slow::Text(text)) => told.push((Kind::Text, text.as_bytes().to_vec())),
            Ok(Slow::Binary(data)) => told.push((Kind::Binary, data.to_vec())),
            Ok(Slow::Ping(data)) => told.push((Kind::Ping, data.to_vec())),
            Ok(Slow::Pong(data)) => told.push((Kind::Pong, data.to_vec())),
            Ok(Slow::Close(frame)) => {
                let payload = frame.map_or_else(Vec::new, |f| {
                    [&u16::from(f.code).to_be_bytes()[..], f.reason.as_bytes()].concat()
                });
                told.push((Kind::Close, payload));
                return (told, false);
            }
            Ok(Slow::Frame(_)) => unreachable!("only written, never read"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (told, false);
            }
            Err(_) => return (told, true),
        }
    }
}

/// The same by us, when the bytes arrive in pieces of the given sizes.
fn our_messages(bytes: &[u8], pieces: impl Iterator<Item = usize>, max: usize) -> (Told, bool) {
    let mut assembler = Assembler::new(max);
    let (mut from, mut until) = (0, 0);
    let mut told = Vec::new();
    for piece in pieces.chain([bytes.len()]) {
        until = (until + piece).min(bytes.len());
        loop {
            let frame = match next(&bytes[from..until], max) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return (told, true),
            };
            from += frame.used;
            match assembler.on(frame) {
                Ok(Some(message)) => {
                    told.push((message.kind, message.payload.to_vec()));
                    if message.kind == Kind::Close {
                        return (told, false);
                    }
                }
                Ok(None) => {}
                Err(_) => return (told, true),
            }
        }
    }
    (told, false)
}

fn data_kind() -> impl Strategy<Value = OpCode> {
    prop_oneof![
        4 => Just(OpCode::Data(Data::Text)),
        1 => Just(OpCode::Data(Data::Binary)),
        2 => Just(OpCode::Data(Data::Continue)),
        1 => Just(OpCode::Control(Control::Ping)),
        1 => Just(OpCode::Control(Control::Pong)),
    ]
}

/// ASCII payloads around every change of the length's form.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => 0usize..40,
        2 => 120usize..132,
        1 => Just(65_535usize),
        1 => Just(65_536usize),
    ]
    .prop_flat_map(|length| (Just(length), 0u8..64))
    .prop_map(|(length, salt)| (0..length).map(|i| b' ' + ((i as u8).wrapping_mul(31) ^ salt) % 90).collect())
}

#[test]
fn each_breach_has_its_error_before_the_payload_is_waited_for() {
    for (bytes, error) in [
        (&[0x88, 0x01][..], FrameError::CloseTooShort),
        (&[0x09, 0x00], FrameError::ControlFragmented),
        (&[0x89, 0x7e], FrameError::ControlTooLong),
        (&[0x81, 0x7e, 0x00, 0x7d], FrameError::LengthNotMinimal),
        (&[0x81, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], FrameError::LengthNotMinimal),
        (&[0x81, 0x80], FrameError::Masked),
        (&[0x83, 0x00], FrameError::Opcode(3)),
        (&[0x8b, 0x00], FrameError::Opcode(11)),
        (&[0x81, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::Oversize { bytes: 1 << 63, max: MAX }),
        (&[0xc1, 0x05], FrameError::ReservedBits),
    ] {
        assert_eq!(next(bytes, MAX), Err(error), "on {bytes:x?}");
    }
    assert_eq!(FrameError::Oversize { bytes: 9, max: 8 }.close_code(), 1009);
    assert_eq!(FrameError::Masked.close_code(), 1002);
}

#[test]
fn a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    let frame = server_frame(OpCode::Data(Data::Text), true, &[b'x'; 200]);
    assert!(matches!(next(&frame, 200), Ok(Some(f)) if f.payload.len() == 200));
    assert_eq!(next(&frame[..4], 199), Err(FrameError::Oversize { bytes: 200, max: 199 }));
    assert_eq!(
        next(&[0x82, 0x7f, 0xff, 255, 255, 255, 255, 255, 255, 255], usize::MAX),
        Ok(None),
        "no overflow"
    );
}

#[test]
fn every_two_byte_header_agrees_with_the_twin() {
    for first in 0..=255u8 {
        for second in 0..=255u8 {
            for filling in [0u8, 1, 0xff] {
                let mut buf = [filling; 140];
                (buf[0], buf[1]) = (first, second);
                for length in [2, 3, 4, 9, 10, 13, 14, 140] {
                    check(&buf[..length], MAX);
                    check(&buf[..length], 64);
                }
            }
        }
    }
}

#[test]
fn an_unfragmented_payload_is_not_copied() {
    let bytes = server_frame(OpCode::Data(Data::Text), true, b"quote");
    let mut assembler = Assembler::new(64);
    let message = assembler.on(next(&bytes, 64).unwrap().unwrap()).unwrap().unwrap();
    assert!(std::ptr::eq(message.payload, &bytes[2..]));
}

#[test]
fn a_message_in_pieces_is_put_together_around_a_ping_and_stays_bounded() {
    let frame = |kind, fin, payload| Frame { used: 0, fin, kind, payload };
    let mut assembler = Assembler::new(8);
    assert_eq!(assembler.on(frame(Kind::Text, false, b"abc")), Ok(None));
    assert_eq!(
        assembler.on(frame(Kind::Ping, true, b"p")),
        Ok(Some(Message { kind: Kind::Ping, payload: b"p" }))
    );
    assert_eq!(assembler.on(frame(Kind::Text, true, b"x")), Err(FrameError::OutOfOrder));
    assert_eq!(
        assembler.on(frame(Kind::Continuation, true, b"defgh")),
        Ok(Some(Message { kind: Kind::Text, payload: b"abcdefgh" }))
    );
    assert_eq!(assembler.on(frame(Kind::Continuation, true, b"")), Err(FrameError::OutOfOrder));
    assert_eq!(assembler.on(frame(Kind::Binary, false, b"12345678")), Ok(None));
    assert_eq!(
        assembler.on(frame(Kind::Continuation, false, b"9")),
        Err(FrameError::Oversize { bytes: 9, max: 8 })
    );
}

#[test]
fn a_close_frame_tells_code_and_reason() {
    assert_eq!(close_reason(b""), (1005, &b""[..]));
    assert_eq!(close_reason(b"\x03\xe8"), (1000, &b""[..]));
    assert_eq!(close_reason(b"\x03\xf0policy"), (1008, &b"policy"[..]));
}

#[test]
fn a_frame_that_may_not_be_sent_leaves_the_buffer_as_it_was() {
    let mut out = ArrayVec::<u8, 16>::new();
    assert_eq!(write_frame(&mut out, Kind::Text, &[0; 11], [0; 4]), Err(Unsent::Full(Full)));
    assert_eq!(write_frame(&mut out, Kind::Continuation, b"", [0; 4]), Err(Unsent::Illegal));
    assert_eq!(write_pong(&mut Vec::new(), &[0; 126], [0; 4]), Err(Unsent::Illegal));
    assert!(out.is_empty());
    assert_eq!(write_frame(&mut out, Kind::Text, &[0; 10], [0; 4]), Ok(()));
    assert!(out.is_full());
}

#[test]
fn a_warm_vec_is_written_without_allocating() {
    let mut out = Vec::with_capacity(64);
    let before = out.as_ptr();
    write_frame(&mut out, Kind::Text, &[b'x'; 58], [1, 2, 3, 4]).unwrap();
    assert_eq!((out.as_ptr(), out.capacity()), (before, 64));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Random headers with a bias to valid ones, random limits.
    #[test]
    fn any_bytes_agree_with_the_twin(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..40),
        shape in 0u8..8,
        max in prop_oneof![Just(MAX), 0usize..300],
    ) {
        if shape < 6 && bytes.len() > 10 {
            bytes[0] &= 0x8b;
            bytes[1] &= 0x7f;
            if shape < 2 {
                bytes[1] = 126;
                bytes[2] = 0;
            } else if shape == 2 {
                bytes[1] = 127;
                bytes[2..7].fill(0);
            }
        }
        check(&bytes, max);
    }

    /// Cut anywhere, a valid frame is waited for: neither refused nor half read.
    #[test]
    fn a_frame_cut_at_any_byte_is_incomplete(opcode in data_kind(), payload in payload(), fin: bool, then: u8) {
        let control = matches!(opcode, OpCode::Control(_));
        let payload = if control { &payload[..payload.len().min(125)] } else { &payload[..] };
        let mut bytes = server_frame(opcode, fin || control, payload);
        let whole = bytes.len();
        let cuts = (0..whole.min(160)).chain(whole.saturating_sub(20)..whole);
        for cut in cuts {
            prop_assert_eq!(next(&bytes[..cut], MAX), Ok(None), "cut at {}", cut);
        }
        bytes.push(then);
        let frame = next(&bytes, MAX).unwrap().unwrap();
        prop_assert_eq!((frame.used, frame.payload), (whole, payload));
    }

    /// Whole conversations, in one piece and in many, say what tungstenite's client says of them.
    #[test]
    fn conversations_agree_with_the_twin(
        frames in proptest::collection::vec((data_kind(), payload(), any::<bool>()), 0..8),
        close in proptest::option::of("[a-z]{0,20}"),
        tidy: bool,
        pieces in proptest::collection::vec(1usize..400, 0..30),
    ) {
        let mut bytes = Vec::new();
        let mut open = false;
        for (opcode, payload, fin) in frames {
            if matches!(opcode, OpCode::Control(_)) {
                bytes.extend(server_frame(opcode, true, &payload[..payload.len().min(125)]));
                continue;
            }
            // Half of all conversations keep the order of fragments, half break it.
            let opcode = match opcode {
                OpCode::Data(_) if tidy && open => OpCode::Data(Data::Continue),
                OpCode::Data(Data::Continue) if tidy => OpCode::Data(Data::Text),
                as_drawn => as_drawn,
            };
            open = !fin;
            bytes.extend(server_frame(opcode, fin, &payload));
        }
        if let Some(reason) = close {
            let payload = [&1000u16.to_be_bytes()[..], reason.as_bytes()].concat();
            bytes.extend(server_frame(OpCode::Control(Control::Close), true, &payload));
        }
        let slow = slow_messages(&bytes, Role::Client, MAX);
        prop_assert_eq!(&our_messages(&bytes, std::iter::empty(), MAX), &slow);
        prop_assert_eq!(&our_messages(&bytes, pieces.into_iter(), MAX), &slow);
        if bytes.len() < 2_000 {
            prop_assert_eq!(&our_messages(&bytes, std::iter::repeat_n(1, bytes.len()), MAX), &slow);
        }
    }

    /// Bytes changed on the way never panic, and never make the reader leave the buffer.
    #[test]
    fn mutated_conversations_never_panic(
        frames in proptest::collection::vec((data_kind(), payload(), any::<bool>()), 1..5),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let mut bytes: Vec<u8> = frames.iter().flat_map(|(o, p, f)| server_frame(*o, *f, p)).collect();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at % length] = byte;
        }
        our_messages(&bytes, std::iter::empty(), MAX);
        check(&bytes, MAX);
    }

    /// What we write, tungstenite's server reads, and its own client writes the same bytes.
    #[test]
    fn our_frames_are_read_by_the_twin(opcode in data_kind(), payload in payload(), mask: [u8; 4]) {
        let (kind, opcode) = match opcode {
            OpCode::Control(Control::Ping) => (Kind::Ping, opcode),
            OpCode::Control(_) => (Kind::Pong, opcode),
            OpCode::Data(Data::Binary) => (Kind::Binary, opcode),
            _ => (Kind::Text, OpCode::Data(Data::Text)),
        };
        let control = matches!(opcode, OpCode::Control(_));
        let payload = if control { &payload[..payload.len().min(125)] } else { &payload[..] };
        let mut ours = b"before".to_vec();
        write_frame(&mut ours, kind, payload, mask).unwrap();

        let mut slow = b"before".to_vec();
        let header = FrameHeader { opcode, mask: Some(mask), ..FrameHeader::default() };
        header.format(payload.len() as u64, &mut slow).unwrap();
        slow.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        prop_assert_eq!(&ours, &slow);

        // Written around a payload that was put down first, it is the same frame; or none, where its length is another's.
        let mut around = b"before".to_vec();
        let start = begin_text(&mut around).unwrap();
        around.extend_from_slice(payload);
        let fits = (126..=65_535).contains(&payload.len());
        prop_assert_eq!(end_text(&mut around, start, mask).is_ok(), fits);
        if fits && kind == Kind::Text {
            prop_assert_eq!(&around, &slow);
        }

        let (told, broken) = slow_messages(&ours[6..], Role::Server, MAX);
        prop_assert_eq!((told, broken), (vec![(kind, payload.to_vec())], false));
    }

    /// A pong carries its ping's payload; a close its code.
    #[test]
    fn pongs_and_closes_are_read_by_the_twin(payload in proptest::collection::vec(any::<u8>(), 0..=125), mask: [u8; 4]) {
        let mut out = ArrayVec::<u8, 256>::new();
        write_pong(&mut out, &payload, mask).unwrap();
        write_close(&mut out, 1001, mask).unwrap();
        let (told, broken) = slow_messages(&out, Role::Server, MAX);
        prop_assert_eq!(told, vec![(Kind::Pong, payload), (Kind::Close, 1001u16.to_be_bytes().to_vec())]);
        prop_assert!(!broken);
    }
}
