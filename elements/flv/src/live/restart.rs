//! Timestamps that begin at 0 again behind a break.

use millstream_core::{Buffer, BufferFlags};

use super::{Class, classify};
use crate::wire::Tag;

/// What tags' timestamps need taken from them.
#[derive(Debug, Default)]
pub(super) struct Restart {
    /// Whether they begin anew at all.
    pub(super) wanted: bool,
    base: Base,
}

#[derive(Debug, Clone, Copy)]
enum Base {
    /// The first frame that comes is at 0.
    Next,
    /// What is at this is at 0.
    At(u32),
}

impl Default for Base {
    /// The first publication keeps its times.
    fn default() -> Self {
        Self::At(0)
    }
}

impl Restart {
    /// This comes next.
    pub(super) fn buffer(&mut self, buffer: &Buffer) {
        if self.wanted && buffer.flags.contains(BufferFlags::DISCONT) {
            self.base = Base::Next;
        }
    }

    /// A tag in its place.
    pub(super) fn place(&mut self, tag: Tag) -> Tag {
        let base = match self.base {
            Base::At(0) => return tag,
            Base::At(base) => base,
            // What describes a stream may be as old as that.
            Base::Next if matches!(classify(tag.kind, &tag.body), Class::Head(_)) => {
                return Tag { timestamp: 0, ..tag };
            }
            Base::Next => tag.timestamp,
        };
        self.base = Base::At(base);
        let since = tag.timestamp.wrapping_sub(base);
        // Sound may lie a little before the first picture.
        Tag { timestamp: if since < 1 << 31 { since } else { 0 }, ..tag }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::TagKind;

    const HEADER: &[u8] = b"\x17\0\0\0\0\x01";
    const KEY: &[u8] = b"\x17\x01\0\0\0\x01";
    const SOUND: &[u8] = b"\xaf\x01\x21";

    fn placed(restart: &mut Restart, flags: BufferFlags, kind: TagKind, timestamp: u32, body: &'static [u8]) -> u32 {
        restart.buffer(&Buffer::new(Bytes::from_static(body)).with_flags(flags));
        restart.place(Tag { kind, timestamp, body: Bytes::from_static(body), offset: 0 }).timestamp
    }

    #[test]
    fn a_break_begins_at_0_again_where_that_is_wanted() {
        let none = BufferFlags::empty();
        for (wanted, expected) in [(true, [500, 0, 0, 0, 40, 0]), (false, [500, 600, 9000, 9000, 9040, 8990])] {
            let mut restart = Restart { wanted, ..Restart::default() };
            let times = [
                placed(&mut restart, none, TagKind::Video, 500, KEY),
                placed(&mut restart, BufferFlags::DISCONT, TagKind::Video, 600, HEADER),
                placed(&mut restart, none, TagKind::Video, 9000, HEADER),
                placed(&mut restart, none, TagKind::Video, 9000, KEY),
                placed(&mut restart, none, TagKind::Audio, 9040, SOUND),
                placed(&mut restart, none, TagKind::Audio, 8990, SOUND),
            ];
            assert_eq!(times, expected);
        }
    }

    #[test]
    fn rtmp_c5_timestamps_that_wrap_go_on_behind_a_break() {
        let mut restart = Restart { wanted: true, ..Restart::default() };
        assert_eq!(placed(&mut restart, BufferFlags::DISCONT, TagKind::Video, u32::MAX - 9, KEY), 0);
        assert_eq!(placed(&mut restart, BufferFlags::empty(), TagKind::Video, 10, KEY), 20);
    }
}
