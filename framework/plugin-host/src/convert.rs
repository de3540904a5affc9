//! Events, requests, errors and messages across the border. All of it is copied: these are rare.

use std::slice::from_raw_parts;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::item::{Custom, Gap, SeekTo, SegmentFormat};
use millstream_core::{
    Dropped, Error, ErrorKind, Item, MessageKind, Request, Segment, StreamInfo, Tags, Time, TimeDelta,
};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::event::{self, kind, request};
use millstream_plugin_abi::report::{error, message};
use millstream_plugin_abi::{NONE, Str};

use crate::caps;
use crate::intern::intern_name;
use crate::memory::{span, time};

/// Most fields of a message and tags of a stream. Nobody reads more.
const MAX_PAIRS: u64 = 1024;
/// Longest custom event, in bytes.
const MAX_DATA: u64 = 64 << 20;

/// An event as a plugin sees it, with all that it points to.
pub(crate) struct EventView {
    /// For the plugin, during a call.
    pub(crate) abi: abi::Event,
    _pairs: Vec<abi::Pair>,
    _item: Item,
}

impl EventView {
    /// A view of anything but a buffer.
    pub(crate) fn new(item: Item) -> Self {
        let mut abi = abi::Event::new(0);
        let mut pairs = Vec::new();
        match &item {
            Item::Buffer(_) => {}
            Item::StreamStart(info) => {
                abi.kind = kind::STREAM_START;
                abi.name = Str::new(&info.id);
                abi.language = info.language.as_deref().map_or(Str::EMPTY, Str::new);
            }
            Item::Caps(caps) => (abi.kind, abi.caps) = (kind::CAPS, caps::to_handle(caps)),
            Item::Segment(segment) => {
                abi.kind = kind::SEGMENT;
                abi.format = u32::from(segment.format == SegmentFormat::Bytes);
                (abi.start, abi.base, abi.offset) = (segment.start.nanos(), segment.base.nanos(), segment.offset);
            }
            Item::Gap(gap) => {
                (abi.kind, abi.start) = (kind::GAP, gap.start.nanos());
                abi.duration = gap.duration.map_or(NONE, TimeDelta::nanos);
            }
            Item::Tags(tags) => {
                abi.kind = kind::TAGS;
                pairs = tags.0.iter().map(|(k, v)| abi::Pair { name: Str::new(k), value: Str::new(v) }).collect();
            }
            Item::Custom(custom) => {
                (abi.kind, abi.name) = (kind::CUSTOM, Str::new(&custom.name));
                (abi.data, abi.data_len) = (custom.data.as_ptr(), custom.data.len() as u64);
            }
            Item::Flush(epoch) => (abi.kind, abi.epoch) = (kind::FLUSH, *epoch),
            Item::Absent => abi.kind = kind::ABSENT,
            Item::Eos => abi.kind = kind::EOS,
        }
        (abi.pairs, abi.pair_count) = (pairs.as_ptr(), pairs.len() as u64);
        Self { abi, _pairs: pairs, _item: item }
    }
}

impl Drop for EventView {
    fn drop(&mut self) {
        // SAFETY: null, or our own reference to a handle of ours.
        unsafe { caps::unref(self.abi.caps) };
    }
}

/// # Safety
/// `text` is as the ABI says.
unsafe fn owned(text: Str) -> Option<String> {
    // SAFETY: promised by the caller.
    unsafe { text.get() }.map(str::to_owned)
}

/// # Safety
/// `pairs` points to `count` pairs, or `count` is 0.
unsafe fn pairs(pairs: *const abi::Pair, count: u64) -> Option<Vec<(String, String)>> {
    if count == 0 {
        return Some(Vec::new());
    }
    if pairs.is_null() || count > MAX_PAIRS {
        return None;
    }
    // SAFETY: promised by the caller; not null, and not more than can be.
    let pairs = unsafe { from_raw_parts(pairs, count as usize) };
    // SAFETY: as above.
    pairs.iter().map(|pair| unsafe { Some((owned(pair.name)?, owned(pair.value)?)) }).collect()
}

/// An event of a plugin as an item; `Err` says what is false about it.
///
/// # Safety
/// `event` is null or an event as the ABI describes it.
pub(crate) unsafe fn item(event: *const abi::Event) -> Result<Item, &'static str> {
    // SAFETY: promised by the caller.
    let Some(event) = (unsafe { event.as_ref() }) else { return Err("an event that is null") };
    if (event.size as usize) < size_of::<abi::Event>() {
        return Err("an event that is smaller than the struct of ABI 1.0");
    }
    let text = "an event with text that is no UTF-8";
    // SAFETY: the text of an event is as the ABI says.
    let owned = |text: Str| unsafe { owned(text) };
    Ok(match event.kind {
        kind::STREAM_START => {
            let language = owned(event.language).ok_or(text)?;
            let language = (!language.is_empty()).then_some(language);
            Item::StreamStart(Arc::new(StreamInfo { id: owned(event.name).ok_or(text)?, language }))
        }
        // SAFETY: the handle of an event is one of ours.
        kind::CAPS => Item::Caps(unsafe { caps::of_handle(event.caps) }.ok_or("a caps event without caps")?),
        kind::SEGMENT => Item::Segment(Arc::new(Segment {
            format: if event.format == event::FORMAT_BYTES { SegmentFormat::Bytes } else { SegmentFormat::Time },
            start: Time::from_nanos(event.start),
            offset: event.offset,
            base: Time::from_nanos(event.base),
        })),
        kind::GAP => Item::Gap(Box::new(Gap { start: Time::from_nanos(event.start), duration: span(event.duration) })),
        kind::TAGS => {
            // SAFETY: the pairs of an event are as the ABI says.
            let tags = unsafe { pairs(event.pairs, event.pair_count) };
            Item::Tags(Arc::new(Tags(tags.ok_or("tags that are too many or no text")?)))
        }
        kind::CUSTOM => {
            // SAFETY: the data of an event is as the ABI says.
            let data = unsafe { bytes(event.data, event.data_len) }.ok_or("a custom event of a size that cannot be")?;
            Item::Custom(Arc::new(Custom { name: owned(event.name).ok_or(text)?, data }))
        }
        kind::FLUSH => Item::Flush(event.epoch),
        kind::ABSENT => Item::Absent,
        kind::EOS => Item::Eos,
        _ => return Err("an event of a kind that does not exist"),
    })
}

/// # Safety
/// `data` points to `len` bytes, or `len` is 0.
unsafe fn bytes(data: *const u8, len: u64) -> Option<Bytes> {
    if len == 0 {
        return Some(Bytes::new());
    }
    if data.is_null() || len > MAX_DATA {
        return None;
    }
    // SAFETY: promised by the caller; not null, and not more than can be.
    Some(Bytes::copy_from_slice(unsafe { from_raw_parts(data, len as usize) }))
}

/// A request as a plugin sees it.
pub(crate) fn request_view(request: &Request) -> abi::Request {
    let mut abi = abi::Request::new(0);
    match request {
        Request::KeyFrame => abi.kind = request::KEY_FRAME,
        Request::Bitrate(bits) => (abi.kind, abi.bitrate) = (request::BITRATE, *bits),
        Request::Seek { to, epoch } => {
            (abi.kind, abi.epoch) = (request::SEEK, *epoch);
            (abi.format, abi.to) = match to {
                SeekTo::Time(time) => (event::FORMAT_TIME, time.nanos()),
                SeekTo::Byte(at) => (event::FORMAT_BYTES, i64::try_from(*at).unwrap_or(i64::MAX)),
            };
        }
        Request::Quality(lateness) => (abi.kind, abi.lateness) = (request::QUALITY, lateness.nanos()),
        Request::Read { offset, len } => (abi.kind, abi.offset, abi.len) = (request::READ, *offset, *len),
    }
    abi
}

/// A request of a plugin; `Err` says what is false about it.
///
/// # Safety
/// `request` is null or a request as the ABI describes it.
pub(crate) unsafe fn request(request: *const abi::Request) -> Result<Request, &'static str> {
    // SAFETY: promised by the caller.
    let Some(abi) = (unsafe { request.as_ref() }) else { return Err("a request that is null") };
    if (abi.size as usize) < size_of::<abi::Request>() {
        return Err("a request that is smaller than the struct of ABI 1.0");
    }
    let byte = || u64::try_from(abi.to).map_err(|_| "a seek to a byte before the first");
    Ok(match abi.kind {
        request::KEY_FRAME => Request::KeyFrame,
        request::BITRATE => Request::Bitrate(abi.bitrate),
        request::SEEK if abi.format == event::FORMAT_BYTES => {
            Request::Seek { to: SeekTo::Byte(byte()?), epoch: abi.epoch }
        }
        request::SEEK => Request::Seek { to: SeekTo::Time(Time::from_nanos(abi.to)), epoch: abi.epoch },
        request::QUALITY => Request::Quality(TimeDelta::from_nanos(abi.lateness)),
        request::READ => Request::Read { offset: abi.offset, len: abi.len },
        _ => return Err("a request of a kind that does not exist"),
    })
}

fn error_kind(kind: u32) -> ErrorKind {
    match kind {
        error::MALFORMED => ErrorKind::Malformed,
        error::DISCONTINUITY => ErrorKind::Discontinuity,
        error::LIMIT => ErrorKind::Limit,
        error::UNSUPPORTED => ErrorKind::Unsupported,
        error::PEER => ErrorKind::Peer,
        error::IO => ErrorKind::Io,
        error::SETTINGS => ErrorKind::Settings,
        _ => ErrorKind::Bug,
    }
}

/// An error record as an error. Whatever is false about it makes it a bug of the plugin.
///
/// # Safety
/// `record` is null or a record as the ABI describes it.
pub(crate) unsafe fn error(record: *const abi::ErrorRecord) -> Error {
    // SAFETY: promised by the caller.
    let Some(record) = (unsafe { record.as_ref() }) else { return Error::bug("the plugin told no error") };
    if (record.size as usize) < size_of::<abi::ErrorRecord>() {
        return Error::bug("the plugin told an error in a record that is too small");
    }
    // SAFETY: the texts of a record are as the ABI says.
    let text = |text: Str| unsafe { text.get() }.unwrap_or("(no UTF-8)");
    let mut error = Error::new(error_kind(record.kind), text(record.message));
    if record.hint.len > 0 {
        error = error.hint(text(record.hint));
    }
    if record.property.len > 0 {
        error = error.on_property(intern_name(text(record.property)));
    }
    if record.cause.len > 0 {
        error = error.caused_by(text(record.cause).to_owned());
    }
    match u64::try_from(record.offset) {
        Ok(offset) => error.at(offset),
        Err(_) => error,
    }
}

/// A message of a plugin; `Err` says what is false about it. Lateness comes as a message of the element.
///
/// # Safety
/// `message` is null or a message as the ABI describes it.
pub(crate) unsafe fn message(message: *const abi::Message) -> Result<MessageKind, &'static str> {
    // SAFETY: promised by the caller.
    let Some(abi) = (unsafe { message.as_ref() }) else { return Err("a message that is null") };
    if (abi.size as usize) < size_of::<abi::Message>() {
        return Err("a message that is smaller than the struct of ABI 1.0");
    }
    // SAFETY: the name of a message is as the ABI says.
    let name = || unsafe { abi.name.get() }.map(intern_name).ok_or("a message whose name is no UTF-8");
    let duration = span(abi.duration).unwrap_or_default();
    Ok(match abi.kind {
        // SAFETY: the error of a message is as the ABI says.
        message::WARNING => MessageKind::Warning(Arc::new(unsafe { error(abi.error) })),
        message::ELEMENT => {
            // SAFETY: the pairs of a message are as the ABI says.
            let pairs = unsafe { pairs(abi.pairs, abi.pair_count) }.ok_or("fields that are too many or no text")?;
            let fields = pairs.into_iter().map(|(name, value)| (intern_name(&name), value)).collect();
            MessageKind::Element { name: name()?, fields }
        }
        message::PROGRESS => {
            MessageKind::Progress { position: time(abi.time).unwrap_or_default(), duration: span(abi.duration) }
        }
        message::STALLED => MessageKind::Stalled { idle: duration },
        message::RECOVERED => MessageKind::Recovered { after: duration },
        message::DROPPED => {
            let offset = u64::try_from(abi.offset).ok();
            MessageKind::Dropped(Dropped { reason: name()?, bytes: abi.bytes, offset })
        }
        message::LATENCY => MessageKind::Latency(duration),
        message::LATE => MessageKind::Element { name: "late", fields: vec![("ns", duration.nanos().to_string())] },
        _ => return Err("a message of a kind that does not exist"),
    })
}
