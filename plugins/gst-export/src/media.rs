//! Caps, buffers and times of both sides.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::glib;
use millstream_core::caps::{field, media};
use millstream_core::item::{Gap, SegmentFormat};
use millstream_core::{Buffer, BufferFlags, Caps, Item, Segment, Time, TimeDelta, caps};

/// Pieces that a `GstBuffer` takes before it copies them together (`GST_BUFFER_MEM_MAX`).
const MAX_PIECES: usize = 16;

/// Flags that mean the same on both sides.
const SAME: [(BufferFlags, gst::BufferFlags); 3] = [
    (BufferFlags::DISCONT, gst::BufferFlags::DISCONT),
    (BufferFlags::CORRUPTED, gst::BufferFlags::CORRUPTED),
    (BufferFlags::DROPPABLE, gst::BufferFlags::DROPPABLE),
];

/// GStreamer's caps as ours. Fields of types that ours do not have are left out. `None` for caps that are not fixed.
pub(crate) fn caps_of(theirs: &gst::CapsRef) -> Option<Caps> {
    let structure = theirs.structure(0).filter(|_| theirs.is_fixed())?;
    let fields = structure.iter().filter_map(|(name, value)| Some((name, value_of(value)?)));
    let made = fields.fold(Caps::new(structure.name()), |caps, (name, value)| caps.with(name, value));
    // The head of an Opus stream is in its stream header there, and the decoder's configuration here.
    let head = match made.media() == media::OPUS && made.codec_data().is_none() {
        true => structure.get::<gst::Array>("streamheader").ok().and_then(|all| value_of(all.as_slice().first()?)),
        false => None,
    };
    Some(made.with_some(field::CODEC_DATA, head))
}

fn value_of(value: &glib::Value) -> Option<caps::Value> {
    if let Ok(number) = value.get::<i32>() {
        return Some(caps::Value::Int(number.into()));
    }
    if let Ok(flag) = value.get::<bool>() {
        return Some(caps::Value::Bool(flag));
    }
    if let Ok(fraction) = value.get::<gst::Fraction>() {
        return Some(caps::Value::fraction(fraction.numer().into(), fraction.denom().into()));
    }
    if let Ok(text) = value.get::<&str>() {
        return Some(caps::Value::from(text));
    }
    let buffer = value.get::<gst::Buffer>().ok()?;
    let bytes = buffer.map_readable().ok()?;
    Some(caps::Value::Bytes(Bytes::copy_from_slice(&bytes)))
}

/// Caps of either kind as GStreamer's, whose text form ours have too.
pub(crate) fn to_caps(ours: &impl std::fmt::Display) -> Option<gst::Caps> {
    ours.to_string().parse().ok()
}

/// GStreamer's buffer as an item of a stream whose segment begins at zero: a buffer around its bytes, which are not copied, or a gap.
/// `None` where its bytes cannot be read.
///
/// GStreamer's parsers flag pictures as headers that only carry some; here a header is no media, and none goes into a muxer.
pub(crate) fn item_of(theirs: gst::Buffer, segment: &gst::Segment) -> Option<Item> {
    let (pts, dts) = (running(segment, theirs.pts()), running(segment, theirs.dts()));
    let duration = theirs.duration().and_then(|span| i64::try_from(span.nseconds()).ok()).map(TimeDelta::from_nanos);
    let flags = theirs.flags();
    if theirs.size() == 0 && flags.contains(gst::BufferFlags::GAP) {
        return Some(Item::Gap(Gap { start: pts?, duration }.into()));
    }
    let mut made = Buffer { pts, dts, duration, ..Buffer::new(bytes_of(theirs)?) };
    SAME.iter().filter(|(_, flag)| flags.contains(*flag)).for_each(|(ours, _)| made.flags.set(*ours, true));
    made.flags.set(BufferFlags::KEYFRAME, !flags.contains(gst::BufferFlags::DELTA_UNIT));
    Some(Item::buffer(made))
}

/// Running time at which a buffer of GStreamer's is decoded.
pub(crate) fn running_of(theirs: &gst::BufferRef, segment: &gst::Segment) -> Option<Time> {
    running(segment, theirs.dts_or_pts())
}

/// The language that tags name, of ISO 639-2 as transport streams have it, where both know it. GStreamer's is of ISO 639-1 where that has one.
pub(crate) fn language_of(tags: &gst::TagListRef) -> Option<String> {
    let code = tags.get::<gst::tags::LanguageCode>()?;
    gstreamer_tag::language_codes::language_code_iso_639_2b(code.get()).map(|code| code.to_string())
}

/// The bytes of GStreamer's buffer, which they hold.
pub(crate) fn bytes_of(theirs: gst::Buffer) -> Option<Bytes> {
    Some(Bytes::from_owner(theirs.into_mapped_buffer_readable().ok()?))
}

/// Running time of a timestamp; ahead of the segment's start it is negative, as decoding times of the first pictures are.
fn running(segment: &gst::Segment, time: Option<gst::ClockTime>) -> Option<Time> {
    let time = time?;
    let running = match segment.downcast_ref::<gst::ClockTime>() {
        Some(segment) => segment.to_running_time_full(time)?,
        None => gst::Signed::Positive(time),
    };
    let nanos = i64::try_from(running.abs().nseconds()).ok()?;
    Some(Time::from_nanos(if running.is_negative() { -nanos } else { nanos }))
}

/// Our buffer as GStreamer's, around the same bytes.
pub(crate) fn to_buffer(ours: &Buffer, format: SegmentFormat) -> gst::Buffer {
    let mut made = gst::Buffer::new();
    let fill = made.make_mut();
    match ours.payload.slices() {
        slices if slices.len() <= MAX_PIECES => {
            slices.iter().for_each(|slice| fill.append_memory(gst::Memory::from_slice(slice.clone())));
        }
        _ => fill.append_memory(gst::Memory::from_slice(ours.payload.contiguous())),
    }
    let mut flags = gst::BufferFlags::empty();
    SAME.iter().filter(|(ours_flag, _)| ours.flags.contains(*ours_flag)).for_each(|(_, flag)| flags |= *flag);
    flags.set(gst::BufferFlags::HEADER, ours.flags.contains(BufferFlags::HEADER));
    flags.set(gst::BufferFlags::DELTA_UNIT, !ours.is_keyframe() && !ours.flags.contains(BufferFlags::HEADER));
    fill.set_flags(flags);
    if format == SegmentFormat::Time {
        fill.set_pts(ours.pts.and_then(clock_time));
        fill.set_dts(ours.dts.and_then(clock_time));
        fill.set_duration(
            ours.duration.and_then(|span| u64::try_from(span.nanos()).ok()).map(gst::ClockTime::from_nseconds),
        );
    }
    made
}

/// For GStreamer; `None` ahead of zero.
pub(crate) fn clock_time(time: Time) -> Option<gst::ClockTime> {
    u64::try_from(time.nanos()).ok().map(gst::ClockTime::from_nseconds)
}

/// Our segment as GStreamer's.
pub(crate) fn to_segment(ours: &Segment) -> gst::Segment {
    match ours.format {
        SegmentFormat::Bytes => {
            let mut made = gst::FormattedSegment::<gst::format::Bytes>::new();
            made.set_start(gst::format::Bytes::from_u64(ours.offset));
            // Where it stands in the stream says where a sink writes.
            made.set_time(gst::format::Bytes::from_u64(ours.offset));
            made.upcast()
        }
        SegmentFormat::Time => {
            let mut made = gst::FormattedSegment::<gst::ClockTime>::new();
            made.set_start(clock_time(ours.start).unwrap_or_default());
            made.set_base(clock_time(ours.base).unwrap_or_default());
            made.upcast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start_ms: u64) -> gst::Segment {
        gst::init().expect("GStreamer is there");
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_mseconds(start_ms));
        segment.upcast()
    }

    #[test]
    fn decoding_times_ahead_of_the_segment_are_negative() {
        let segment = segment(3_600_000_000);
        // x264enc begins its segment at 1000 hours, so that no decoding time is negative.
        let mut theirs = gst::Buffer::from_slice(vec![1, 2, 3]);
        theirs.make_mut().set_pts(gst::ClockTime::from_mseconds(3_600_000_000));
        theirs.make_mut().set_dts(gst::ClockTime::from_mseconds(3_599_999_960));
        let Some(Item::Buffer(ours)) = item_of(theirs, &segment) else { panic!("a buffer") };
        assert_eq!((ours.pts, ours.dts), (Some(Time::ZERO), Some(Time::from_millis(-40))));
        assert!(ours.is_keyframe());
        assert_eq!(ours.payload.contiguous(), Bytes::from_static(&[1, 2, 3]));
    }

    #[test]
    fn bytes_are_held_and_not_copied() {
        gst::init().expect("GStreamer is there");
        let theirs = gst::Buffer::from_slice(vec![7_u8; 1000]);
        let (address, kept) = (theirs.map_readable().expect("mapped").as_ptr(), theirs.clone());
        let bytes = bytes_of(theirs).expect("mapped");
        assert_eq!(bytes.as_ptr(), address);
        let back = to_buffer(&Buffer::new(bytes), SegmentFormat::Time);
        assert_eq!(back.map_readable().expect("mapped").as_ptr(), address);
        drop((back, kept));
    }

    #[test]
    fn caps_keep_what_muxers_look_at() {
        gst::init().expect("GStreamer is there");
        let text = "video/x-h264, codec_data=(buffer)01640028, framerate=(fraction)30000/1001, height=(int)1080, \
                    parsed=(boolean)true, stream-format=(string)avc, odd=(double)0.5";
        let caps: gst::Caps = text.parse().expect("caps");
        let ours = caps_of(&caps).expect("fixed");
        let expected = "video/x-h264, codec_data=(buffer)01640028, framerate=30000/1001, height=1080, parsed=true, stream-format=avc";
        assert_eq!(ours.to_string(), expected);
        assert_eq!(caps_of(&"video/x-h264, width=[1,2]".parse::<gst::Caps>().expect("caps")), None);
    }

    #[test]
    fn a_rewrite_goes_to_its_offset() {
        gst::init().expect("GStreamer is there");
        let made = to_segment(&Segment::bytes(13));
        let made = made.downcast_ref::<gst::format::Bytes>().expect("bytes");
        assert_eq!(made.start(), Some(gst::format::Bytes::from_u64(13)));
    }
}
