//! What a client writes: chunks (RTMP 1.0, section 5.3) and AMF0 commands (section 7.2).

/// Types of messages (RTMP 1.0, sections 5.4 and 7.1).
pub(super) const SET_CHUNK_SIZE: u8 = 1;
pub(super) const ACKNOWLEDGEMENT: u8 = 3;
pub(super) const USER_CONTROL: u8 = 4;
pub(super) const WINDOW_SIZE: u8 = 5;
pub(super) const AUDIO: u8 = 8;
pub(super) const VIDEO: u8 = 9;
pub(super) const DATA: u8 = 18;
pub(super) const COMMAND: u8 = 20;

/// Chunk size before anybody sets another.
pub(super) const FIRST_CHUNK_SIZE: usize = 128;

/// Chunk streams: control messages, commands, sound, data, pictures.
pub(super) const CONTROL_CHUNKS: u8 = 2;
pub(super) const COMMAND_CHUNKS: u8 = 3;
pub(super) const AUDIO_CHUNKS: u8 = 4;
pub(super) const DATA_CHUNKS: u8 = 5;
pub(super) const VIDEO_CHUNKS: u8 = 6;

/// Bytes of the header of a message's first chunk, without an extended timestamp.
pub(super) const HEADER: usize = 12;
/// From here on timestamps are extended.
pub(super) const EXTENDED: u32 = 0xff_ffff;

/// Appends a message in chunks, the first with a header of format 0. The time must be below 2^24 - 1.
pub(super) fn message(out: &mut Vec<u8>, chunks: u8, kind: u8, stream: u32, time: u32, size: usize, body: &[u8]) {
    out.push(chunks);
    out.extend_from_slice(&time.min(EXTENDED - 1).to_be_bytes()[1..]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend_from_slice(&stream.to_le_bytes());
    for (n, part) in body.chunks(size).enumerate() {
        if n > 0 {
            out.push(0xc0 | chunks);
        }
        out.extend_from_slice(part);
    }
}

/// A body in AMF0.
#[derive(Default)]
pub(super) struct Amf(pub(super) Vec<u8>);

impl Amf {
    /// `name` and transaction id.
    pub(super) fn command(name: &str, id: f64) -> Self {
        Self::default().string(name).number(id)
    }

    pub(super) fn string(mut self, text: &str) -> Self {
        self.0.push(2);
        self.name(text)
    }

    pub(super) fn number(mut self, value: f64) -> Self {
        self.0.push(0);
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn null(mut self) -> Self {
        self.0.push(5);
        self
    }

    pub(super) fn object(mut self) -> Self {
        self.0.push(3);
        self
    }

    pub(super) fn name(mut self, text: &str) -> Self {
        self.0.extend_from_slice(&(text.len() as u16).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn end(mut self) -> Self {
        self.0.extend_from_slice(&[0, 0, 9]);
        self
    }
}

/// Name, transaction id and the rest of a command; `None` for what is none.
pub(super) fn read_command(body: &[u8]) -> Option<(&[u8], f64, &[u8])> {
    let (2, rest) = body.split_first().map(|(marker, rest)| (*marker, rest))? else { return None };
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (id, rest) = read_number(rest)?;
    Some((name, id, rest))
}

/// A number and what stands behind it.
pub(super) fn read_number(body: &[u8]) -> Option<(f64, &[u8])> {
    let (head, rest) = body.split_first_chunk::<9>()?;
    let (0, digits) = (head[0], head.last_chunk::<8>()?) else { return None };
    Some((f64::from_be_bytes(*digits), rest))
}

/// The `code` of an onStatus, wherever in the object it is.
pub(super) fn status_code(body: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"\x00\x04code\x02";
    let at = body.windows(KEY.len()).position(|window| window == KEY)?;
    let (length, rest) = body.get(at + KEY.len()..)?.split_first_chunk::<2>()?;
    let text = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_longer_than_a_chunk_goes_on_with_format_3() {
        let mut out = Vec::new();
        message(&mut out, VIDEO_CHUNKS, VIDEO, 1, 0x1234, 2, &[1, 2, 3]);
        assert_eq!(out, [6, 0, 0x12, 0x34, 0, 0, 3, 9, 1, 0, 0, 0, 1, 2, 0xc6, 3]);
    }

    #[test]
    fn what_is_written_is_read() {
        let body = Amf::command("onStatus", 4.0).object().name("code").string("A.B").end().0;
        let (name, id, rest) = read_command(&body).expect("a command");
        assert_eq!((name, id), (&b"onStatus"[..], 4.0));
        assert_eq!(status_code(rest).as_deref(), Some("A.B"));
        assert!(read_command(&body[..9]).is_none());
    }
}
