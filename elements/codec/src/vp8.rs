//! VP8: the frame tag (RFC 6386 9.1).

/// What the first bytes of a frame say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTag {
    /// Width and height in samples of a key frame; `None` for an interframe.
    pub key_frame: Option<(u16, u16)>,
    /// `show_frame`.
    pub show: bool,
}

/// Reads a frame's tag; `None` when it is cut off or a key frame lacks its start code.
#[must_use]
pub fn frame_tag(frame: &[u8]) -> Option<FrameTag> {
    let first = frame.first()?;
    let show = first & 0x10 != 0;
    if first & 1 == 1 {
        return Some(FrameTag { key_frame: None, show });
    }
    let rest = frame.get(3..10)?;
    let [0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *rest else { return None };
    let side = |low, high| u16::from_le_bytes([low, high]) & 0x3fff; // the top two bits scale
    Some(FrameTag { key_frame: Some((side(w0, w1), side(h0, h1))), show })
}

/// True for a key frame.
#[must_use]
pub fn is_key_frame(frame: &[u8]) -> bool {
    frame_tag(frame).is_some_and(|tag| tag.key_frame.is_some())
}
