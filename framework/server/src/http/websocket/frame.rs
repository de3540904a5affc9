//! Frames of the WebSocket protocol (RFC 6455, 5.2), as a server writes and reads them.
//!
//! ```text
//! FIN RSV(3) opcode(4) | MASK length(7) | [length(16) or (64)] | [masking key(32)] | payload
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Longest payload of a frame that controls (5.5).
const MAX_CONTROL: usize = 125;

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

/// A frame of a client.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct ClientFrame {
    pub(super) opcode: Opcode,
    /// The message ends with it.
    pub(super) is_last: bool,
    pub(super) payload: Bytes,
}

/// What stands before a payload of the server, which is never masked and is a message whole.
pub(super) fn head(opcode: Opcode, len: usize) -> Bytes {
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

/// A whole frame that says why it is the last: a status code, and words for people of which what fits is sent (RFC 6455, 5.5.1).
pub(super) fn close(code: u16, words: &str) -> Bytes {
    let mut end = words.len().min(MAX_CONTROL - 2);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    let words = words.get(..end).unwrap_or_default();
    let mut frame = BytesMut::from(&head(Opcode::Close, 2 + words.len())[..]);
    frame.put_u16(code);
    frame.extend_from_slice(words.as_bytes());
    frame.freeze()
}

/// The next frame that has come whole, unmasked, of at most `longest` bytes.
///
/// # Errors
/// The status with which the connection is to be closed.
pub(super) fn read(input: &mut BytesMut, longest: usize) -> Result<Option<ClientFrame>, Status> {
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
    let (is_whole, reserved, is_masked) = (first & 0x80 != 0, first & 0x70, second & 0x80 != 0);
    // No extension was agreed on; a client masks; what controls is whole and short (5.2, 5.3, 5.5).
    if reserved != 0 || !is_masked || (is_control && (!is_whole || second & 127 > 125)) {
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
    if input.len() < start + 4 + len {
        return Ok(None);
    }
    input.advance(start);
    let mask = input.split_to(4);
    let mut payload = input.split_to(len);
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(Some(ClientFrame { opcode, is_last: is_whole, payload: payload.freeze() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, 5.7.
    const HELLO: &[u8] = &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

    const LONGEST: usize = 4 << 10;

    #[test]
    fn frames_are_those_of_the_standard() {
        let hello = || ClientFrame { opcode: Opcode::Text, is_last: true, payload: Bytes::from_static(b"Hello") };
        for split in 0..HELLO.len() {
            let mut input = BytesMut::from(&HELLO[..split]);
            assert_eq!(read(&mut input, LONGEST), Ok(None), "{split}");
            input.extend_from_slice(&HELLO[split..]);
            assert_eq!(read(&mut input, LONGEST), Ok(Some(hello())));
            assert!(input.is_empty());
        }
        assert_eq!(head(Opcode::Binary, 256)[..], [0x82, 0x7E, 0x01, 0x00]);
        assert_eq!(head(Opcode::Binary, 65_536)[..], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(
            (&head(Opcode::Binary, 125)[..], &head(Opcode::Pong, 126)[..]),
            (&[0x82, 125][..], &[0x8A, 126, 0, 126][..])
        );
        assert_eq!(close(Status::Normal as u16, "")[..], [0x88, 2, 0x03, 0xE8]);
        assert_eq!(close(4000, "ü".repeat(100).as_str()).len(), 2 + 2 + 122, "whole characters that fit");
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
            assert_eq!(read(&mut BytesMut::from(bytes), LONGEST), Err(status), "{bytes:x?}");
        }
    }
}
