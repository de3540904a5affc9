//! What travels on a link, as a plugin sees it.

use std::slice::from_raw_parts;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::item::{Custom, Gap, SeekTo, SegmentFormat};
use millstream_core::{Caps, Request, Segment, StreamInfo, Tags, Time, TimeDelta};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::event::{self, kind, request};
use millstream_plugin_abi::{NONE, Str};

use crate::buffer::Buffer;
use crate::host::Host;
use crate::own::span;

/// Everything that goes downstream, in order: as `millstream_core::Item`, with a plugin's [`Buffer`].
#[derive(Clone, Debug)]
pub enum Item {
    /// Media.
    Buffer(Buffer),
    /// A new stream begins on this pad.
    StreamStart(Arc<StreamInfo>),
    /// The format of the buffers that follow.
    Caps(Caps),
    /// The timeline of the buffers that follow.
    Segment(Arc<Segment>),
    /// Nothing on this pad for a while.
    Gap(Box<Gap>),
    /// Descriptive metadata.
    Tags(Arc<Tags>),
    /// An event that only some elements understand.
    Custom(Arc<Custom>),
    /// What is under way is void.
    Flush(u64),
    /// This linked pad has no stream.
    Absent,
    /// No more items on this pad.
    Eos,
}

impl Item {
    /// True for what a late or restarted element hears first.
    pub fn is_sticky(&self) -> bool {
        matches!(self, Self::StreamStart(_) | Self::Caps(_) | Self::Segment(_) | Self::Tags(_))
    }

    /// Media bytes in the item.
    pub fn bytes(&self) -> usize {
        if let Self::Buffer(buffer) = self { buffer.len() } else { 0 }
    }

    /// The time that orders items of several streams.
    pub fn dts_or_pts(&self) -> Option<Time> {
        match self {
            Self::Buffer(buffer) => buffer.dts_or_pts(),
            Self::Gap(gap) => Some(gap.start),
            _ => None,
        }
    }

    /// The item of an event. `None`: of a kind that this SDK does not know.
    ///
    /// # Safety
    /// `event` is one as the ABI describes it, and stays during the call.
    pub(crate) unsafe fn of_event(event: *const abi::Event, host: &Host) -> Option<Self> {
        // SAFETY: promised by the caller.
        let abi = unsafe { &*event };
        // SAFETY: texts of an event are as the ABI says.
        let text = |text: Str| unsafe { text.get() }.unwrap_or_default().to_owned();
        Some(match abi.kind {
            kind::STREAM_START => {
                let language = text(abi.language);
                let language = (!language.is_empty()).then_some(language);
                Self::StreamStart(Arc::new(StreamInfo { id: text(abi.name), language }))
            }
            kind::CAPS => Self::Caps(host.read_caps(abi.caps)?),
            kind::SEGMENT => Self::Segment(Arc::new(Segment {
                format: if abi.format == event::FORMAT_BYTES { SegmentFormat::Bytes } else { SegmentFormat::Time },
                start: Time::from_nanos(abi.start),
                offset: abi.offset,
                base: Time::from_nanos(abi.base),
            })),
            kind::GAP => Self::Gap(Box::new(Gap { start: Time::from_nanos(abi.start), duration: span(abi.duration) })),
            kind::TAGS => {
                let pairs = match abi.pair_count {
                    0 => &[][..],
                    // SAFETY: the host gives that many.
                    count => unsafe { from_raw_parts(abi.pairs, count as usize) },
                };
                Self::Tags(Arc::new(Tags(pairs.iter().map(|pair| (text(pair.name), text(pair.value))).collect())))
            }
            kind::CUSTOM => {
                let data = match abi.data_len {
                    0 => Bytes::new(),
                    // SAFETY: the host gives that many.
                    len => Bytes::copy_from_slice(unsafe { from_raw_parts(abi.data, len as usize) }),
                };
                Self::Custom(Arc::new(Custom { name: text(abi.name), data }))
            }
            kind::FLUSH => Self::Flush(abi.epoch),
            kind::ABSENT => Self::Absent,
            kind::EOS => Self::Eos,
            _ => return None,
        })
    }

    /// Gives `send` the item as an event; a buffer is none.
    pub(crate) fn with_event<T>(&self, host: &Host, send: impl FnOnce(*const abi::Event) -> T) -> Option<T> {
        let mut abi = abi::Event::new(0);
        let mut pairs = Vec::new();
        match self {
            Self::Buffer(_) => return None,
            Self::StreamStart(info) => {
                (abi.kind, abi.name) = (kind::STREAM_START, Str::new(&info.id));
                abi.language = info.language.as_deref().map_or(Str::EMPTY, Str::new);
            }
            Self::Caps(caps) => (abi.kind, abi.caps) = (kind::CAPS, host.make_caps(caps)),
            Self::Segment(segment) => {
                abi.kind = kind::SEGMENT;
                abi.format = u32::from(segment.format == SegmentFormat::Bytes);
                (abi.start, abi.base, abi.offset) = (segment.start.nanos(), segment.base.nanos(), segment.offset);
            }
            Self::Gap(gap) => {
                (abi.kind, abi.start) = (kind::GAP, gap.start.nanos());
                abi.duration = gap.duration.map_or(NONE, TimeDelta::nanos);
            }
            Self::Tags(tags) => {
                abi.kind = kind::TAGS;
                pairs.extend(tags.0.iter().map(|(k, v)| abi::Pair { name: Str::new(k), value: Str::new(v) }));
            }
            Self::Custom(custom) => {
                (abi.kind, abi.name) = (kind::CUSTOM, Str::new(&custom.name));
                (abi.data, abi.data_len) = (custom.data.as_ptr(), custom.data.len() as u64);
            }
            Self::Flush(epoch) => (abi.kind, abi.epoch) = (kind::FLUSH, *epoch),
            Self::Absent => abi.kind = kind::ABSENT,
            Self::Eos => abi.kind = kind::EOS,
        }
        (abi.pairs, abi.pair_count) = (pairs.as_ptr(), pairs.len() as u64);
        let given = send(&raw const abi);
        host.drop_caps(abi.caps);
        Some(given)
    }
}

/// A request of the host's. `None`: of a kind that this SDK does not know.
///
/// # Safety
/// `request` is one as the ABI describes it.
pub(crate) unsafe fn request(request: *const abi::Request) -> Option<Request> {
    // SAFETY: promised by the caller.
    let abi = unsafe { &*request };
    Some(match abi.kind {
        request::KEY_FRAME => Request::KeyFrame,
        request::BITRATE => Request::Bitrate(abi.bitrate),
        request::SEEK => {
            let to = match abi.format {
                event::FORMAT_BYTES => SeekTo::Byte(u64::try_from(abi.to).unwrap_or_default()),
                _ => SeekTo::Time(Time::from_nanos(abi.to)),
            };
            Request::Seek { to, epoch: abi.epoch }
        }
        request::QUALITY => Request::Quality(TimeDelta::from_nanos(abi.lateness)),
        request::READ => Request::Read { offset: abi.offset, len: abi.len },
        _ => return None,
    })
}

/// A request for the host.
pub(crate) fn to_abi(request: &Request) -> abi::Request {
    let mut abi = abi::Request::new(0);
    match request {
        Request::KeyFrame => abi.kind = request::KEY_FRAME,
        Request::Bitrate(bits) => (abi.kind, abi.bitrate) = (request::BITRATE, *bits),
        Request::Seek { to, epoch } => {
            (abi.kind, abi.epoch) = (request::SEEK, *epoch);
            match to {
                SeekTo::Time(time) => abi.to = time.nanos(),
                SeekTo::Byte(at) => {
                    (abi.format, abi.to) = (event::FORMAT_BYTES, i64::try_from(*at).unwrap_or(i64::MAX))
                }
            }
        }
        Request::Quality(lateness) => (abi.kind, abi.lateness) = (request::QUALITY, lateness.nanos()),
        Request::Read { offset, len } => (abi.kind, abi.offset, abi.len) = (request::READ, *offset, *len),
    }
    abi
}
