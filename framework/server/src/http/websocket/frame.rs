//! Frames of the WebSocket protocol (RFC 6455, 5.2), of either end.
//!
//! ```text
//! FIN RSV(3) opcode(4) | MASK length(7) | [length(16) or (64)] | [masking key(32)] | payload
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::super::body::Slices;

/// Longest payload of a frame that controls (5.5).
const MAX_CONTROL: usize = 125;

/// The bit beside the length.
const MASKED: u8 = 0x80;

/// What a frame is (RFC 6455, 11.8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Opcode {
    /// Goes on a message.
    Continuation = 0,
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// Nothing follows.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers.
    Pong = 10,
}

/// Why a connection is closed (RFC 6455, 7.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// All has been said.
    Normal = 1000,
    /// The other end broke the rules.
    Protocol = 1002,
    /// What it sent as text is no UTF-8.
    NoText = 1007,
    /// What it sent is too long.
    TooBig = 1009,
}

/// Which end of a connection: what a client sends is masked, what a server sends is not (RFC 6455, 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Asked for the connection.
    Client,
    /// Was asked.
    Server,
}

/// A frame that came.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    /// The message ends with it.
    pub(super) is_last: bool,
    pub(super) payload: Bytes,
}

/// A whole message, or what controls, as a frame of a server.
pub(super) fn plain(opcode: Opcode, payload: Slices) -> Slices {
    let mut frame = Slices::from(head(opcode, payload.len()));
    frame.append(payload);
    frame
}

/// The same of a client, with a key that nobody can guess (5.3).
pub(super) fn masked(opcode: Opcode, mut payload: Slices, key: [u8; 4]) -> Slices {
    let mut frame = BytesMut::from(&head(opcode, payload.len())[..]);
    if let Some(second) = frame.get_mut(1) {
        *second |= MASKED;
    }
    frame.extend_from_slice(&key);
    let start = frame.len();
    frame.put(&mut payload);
    apply(frame.get_mut(start..).unwrap_or_default(), key);
    Slices::from(frame.freeze())
}

/// Masks, or takes the mask off.
fn apply(payload: &mut [u8], key: [u8; 4]) {
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

/// What stands before a payload that is a message whole, and not masked.
fn head(opcode: Opcode, len: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(10);
    head.put_u8(0x80 | opcode as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short), _) if short < 126 => head.put_u8(short),
        (_, Ok(medium)) => {
            head.put_u8(126);
            head.put_u16(medium);
        }
        _ => {
            head.put_u8(127);
            head.put_u64(len as u64);
        }
    }
    head.freeze()
}

/// What the last frame says: a status code, and words for people of which what fits is sent (RFC 6455, 5.5.1).
pub(super) fn farewell(code: u16, words: &str) -> Bytes {
    let mut end = words.len().min(MAX_CONTROL - 2);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let words = words.get(..end).unwrap_or_default();
    let mut payload = BytesMut::with_capacity(MAX_CONTROL);
    payload.put_u16(code);
    payload.extend_from_slice(words.as_bytes());
    payload.freeze()
}

/// The next frame that has come whole from this end, without its mask, of at most `longest` bytes.
///
/// # Errors
/// The status with which the connection is to be closed.
pub(super) fn read(input: &mut BytesMut, longest: usize, from: End) -> Result<Option<Frame>, Status> {
    let (Some(first), Some(second)) = (input.first().copied(), input.get(1).copied()) else { return Ok(None) };
    let opcode = match first & 15 {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(Status::Protocol),
    };
    let is_control = first & 8 != 0;
    let (is_whole, reserved, is_masked) = (first & 0x80 != 0, first & 0x70, second & MASKED != 0);
    // No extension was agreed on; a client masks, a server does not; what controls is whole and short (5.1, 5.2, 5.5).
    if reserved != 0 || is_masked != (from == End::Client) || (is_control && (!is_whole || second & 127 > 125)) {
        return Err(Status::Protocol);
    }
    let (start, len) = match second & 127 {
        126 => match input.get(2..4) {
            Some(mut field) => (4, usize::from(field.get_u16())),
            None => return Ok(None),
        },
        127 => match input.get(2..10) {
            Some(mut field) => (10, usize::try_from(field.get_u64()).map_err(|_| Status::TooBig)?),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    if len > longest {
        return Err(Status::TooBig);
    }
    let key_len = if is_masked { 4 } else { 0 };
    if input.len() < start + key_len + len {
        return Ok(None);
    }
    input.advance(start);
    let key = input.split_to(key_len);
    let mut payload = input.split_to(len);
    if let Ok(key) = <[u8; 4]>::try_from(&key[..]) {
        apply(&mut payload, key);
    }
    Ok(Some(Frame { opcode, is_last: is_whole, payload: payload.freeze() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, 5.7.
    const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

    const LONGEST: usize = 4 << 10;

    #[test]
    fn frames_are_those_of_the_standard() {
        let hello = || Frame { opcode: Opcode::Text, is_last: true, payload: Bytes::from_static(b"Hello") };
        for split in 0..HELLO.len() {
            let mut input = BytesMut::from(&HELLO[..split]);
            assert_eq!(read(&mut input, LONGEST, End::Client), Ok(None), "{split}");
            input.extend_from_slice(&HELLO[split..]);
            assert_eq!(read(&mut input, LONGEST, End::Client), Ok(Some(hello())));
            assert!(input.is_empty());
        }
        assert_eq!(head(Opcode::Binary, 256)[..], [0x82, 0x7E, 0x01, 0x00]);
        assert_eq!(head(Opcode::Binary, 65_536)[..], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(
            (&head(Opcode::Binary, 125)[..], &head(Opcode::Pong, 126)[..]),
            (&[0x82, 125][..], &[0x8A, 126, 0, 126][..])
        );
        assert_eq!(farewell(Status::Normal as u16, "")[..], [0x03, 0xE8]);
        assert_eq!(farewell(4000, "ü".repeat(100).as_str()).len(), 2 + 122, "whole characters that fit");
    }

    #[test]
    fn a_client_masks_and_a_server_does_not() {
        // RFC 6455, 5.7, both ways.
        let mut input = BytesMut::from(&b"\x81\x05Hello"[..]);
        let hello = Frame { opcode: Opcode::Text, is_last: true, payload: Bytes::from_static(b"Hello") };
        assert_eq!(read(&mut input, LONGEST, End::Server), Ok(Some(hello)));
        assert_eq!(read(&mut BytesMut::from(HELLO), LONGEST, End::Server), Err(Status::Protocol));
        let mut sent = masked(Opcode::Text, Bytes::from_static(b"Hello").into(), [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(sent.copy_to_bytes(sent.len()), HELLO);
    }

    #[test]
    fn what_breaks_the_rules_is_refused() {
        for (bytes, status) in [
            (&[0x81, 0x05, b'H'][..], Status::Protocol),
            (&[0xC1, 0x85, 0, 0], Status::Protocol),
            (&[0x83, 0x80], Status::Protocol),
            (&[0x09, 0x80], Status::Protocol),
            (&[0x89, 0xFE, 0, 126], Status::Protocol),
            (&[0x82, 0xFE, 0x10, 0x01], Status::TooBig),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0], Status::TooBig),
            (&[0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], Status::TooBig),
        ] {
            assert_eq!(read(&mut BytesMut::from(bytes), LONGEST, End::Client), Err(status), "{bytes:x?}");
        }
    }
}
