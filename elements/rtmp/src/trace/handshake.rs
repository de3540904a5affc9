//! The parts of a handshake, as they go by.

use millstream_core::trace::{Side, TraceFields, TraceValue};

use crate::handshake::{Answer, Gather, Layout, PACKET_LEN, answer, layout};

/// From this version on it is text of another protocol (RTMP 1.0, 5.2.2).
const FIRST_TEXT_VERSION: u8 = 32;

/// What one end has said of the handshake.
#[derive(Debug)]
pub(super) enum Part {
    /// C0 or S0 is next.
    Version,
    /// C1 or S1.
    First(Gather),
    /// C2 or S2.
    Second(Gather),
    /// Chunks follow.
    Done,
    /// It is no RTMP.
    Foreign,
}

/// A part that is whole: its name and fields.
pub(super) type Whole = (&'static str, TraceFields);

/// Takes what it needs from the beginning of `rest`, and gives the next part if that made one whole. `own` keeps the first packet of this
/// end, `other` is that of the other.
pub(super) fn take(
    part: &mut Part,
    rest: &mut &[u8],
    from: Side,
    own: &mut Option<Box<[u8; PACKET_LEN]>>,
    other: Option<&[u8; PACKET_LEN]>,
) -> Option<Whole> {
    match part {
        Part::Version => {
            let (version, tail) = rest.split_first()?;
            *rest = tail;
            *part = if *version < FIRST_TEXT_VERSION { Part::First(Gather::new()) } else { Part::Foreign };
            Some((name(from, "C0", "S0"), vec![("version".into(), u32::from(*version).into())]))
        }
        Part::First(gather) => {
            let packet = *gather.take(rest)?;
            *part = Part::Second(Gather::new());
            let fields = first(&packet, from);
            *own = Some(Box::new(packet));
            Some((name(from, "C1", "S1"), fields))
        }
        Part::Second(gather) => {
            let packet = *gather.take(rest)?;
            *part = Part::Done;
            Some((name(from, "C2", "S2"), second(&packet, from, other)))
        }
        Part::Done | Part::Foreign => None,
    }
}

fn name(from: Side, client: &'static str, server: &'static str) -> &'static str {
    if from == Side::Client { client } else { server }
}

/// Time, version and form of C1 or S1.
fn first(packet: &[u8; PACKET_LEN], from: Side) -> TraceFields {
    let [a, b, c, d] = version(packet);
    let form = match layout(packet, from) {
        None => "simple",
        Some(Layout::DigestFirst) => "digest, then key",
        Some(Layout::KeyFirst) => "key, then digest",
    };
    let mut fields: TraceFields = vec![("time".into(), number(packet, 0).into())];
    match [a, b, c, d] {
        [0, 0, 0, 0] => fields.push(("zero".into(), 0_u32.into())),
        _ => fields.push(("version".into(), format!("{a}.{b}.{c}.{d}").into())),
    }
    fields.push(("form".into(), form.into()));
    fields
}

/// Times and form of C2 or S2.
fn second(packet: &[u8; PACKET_LEN], from: Side, other: Option<&[u8; PACKET_LEN]>) -> TraceFields {
    let form = match other.map(|first| answer(packet, from, first)) {
        Some(Answer::Signed) => return vec![("form".into(), "signed".into())],
        Some(Answer::Echo) => TraceValue::from(if from == Side::Client { "echo of S1" } else { "echo of C1" }),
        Some(Answer::Other) | None => "neither echo nor signed".into(),
    };
    vec![("time".into(), number(packet, 0).into()), ("time2".into(), number(packet, 4).into()), ("form".into(), form)]
}

fn version(packet: &[u8; PACKET_LEN]) -> [u8; 4] {
    number(packet, 4).to_be_bytes()
}

fn number(packet: &[u8; PACKET_LEN], at: usize) -> u32 {
    packet.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_be_bytes(*bytes))
}
