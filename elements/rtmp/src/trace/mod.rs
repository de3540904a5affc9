//! What goes over a connection, as events for people: the picture that texts about RTMP draw by hand.
//!
//! A [`Dissector`] is given the bytes of both ends and says what they are: each part of the handshake, each control message and command
//! with its fields in the words of the standard, data, and media in sums. It stands beside the connection and not inside the sessions, so that
//! it shows what was really on the wire, works for either end and for recordings, and costs nothing where nobody looks.
//!
//! Stream names, queries, users and passwords are left out, and are searched for in every text.

mod command;
mod handshake;
mod media;
mod message;
mod redact;
mod stream;

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use millstream_core::Time;
use millstream_core::trace::{Layer, Side, TraceEvent, TraceFields};
use millstream_flv::wire::TagKind;

use self::command::Commands;
use self::handshake::Part;
use self::media::{Kind, Sum};
use self::redact::Redactor;
use crate::chunk::ChunkReader;
use crate::handshake::PACKET_LEN;
use crate::message::{Aggregate, Message, MessageType};

pub(crate) use self::stream::{traced, traced_client};

/// Says what the bytes of a connection are.
///
/// ```
/// use millstream_core::Time;
/// use millstream_core::trace::Side;
/// use millstream_rtmp::trace::Dissector;
/// let mut dissector = Dissector::default();
/// dissector.take(Side::Client, vec![3].into(), Time::ZERO);
/// let event = dissector.next_event().expect("C0 is whole");
/// assert_eq!(event.to_string(), "client: C0 version=3");
/// ```
#[derive(Debug, Default)]
pub struct Dissector {
    client: Way,
    server: Way,
    commands: Commands,
    redactor: Redactor,
    events: VecDeque<TraceEvent>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    part: Part,
    first: Option<Box<[u8; PACKET_LEN]>>,
    reader: ChunkReader,
    sum: Option<Sum>,
    /// The last data that was told. Muxers send the same again and again.
    data: Option<(Cow<'static, str>, TraceFields)>,
    /// What comes is not understood any more, or has ended.
    over: bool,
}

impl Default for Way {
    fn default() -> Self {
        Self { part: Part::Version, first: None, reader: ChunkReader::default(), sum: None, data: None, over: false }
    }
}

impl Dissector {
    /// Something that must not appear, beside what is found to be secret on the way: a stream name, a user, a password.
    pub fn hide(&mut self, secret: &str) {
        self.redactor.learn(secret);
    }

    /// Takes bytes that `from` sent. [`Dissector::next_event`] says what they were.
    pub fn take(&mut self, from: Side, bytes: Bytes, now: Time) {
        if self.way(from).over {
            return;
        }
        let chunks = self.handshake(from, bytes, now);
        self.way(from).reader.push(chunks);
        self.messages(from, now);
        for side in [Side::Client, Side::Server] {
            if self.way(side).sum.is_some_and(|sum| sum.is_long(now)) {
                self.tell_sum(side);
            }
        }
    }

    /// `from` sends no more: tells the sum of media, and that it ends.
    pub fn close(&mut self, from: Side, now: Time) {
        self.flush();
        if !std::mem::replace(&mut self.way(from).over, true) {
            self.say(from, Layer::Connection, "closes", None, vec![], now);
        }
    }

    /// Tells sums of media that are still open.
    pub fn flush(&mut self) {
        self.tell_sum(Side::Client);
        self.tell_sum(Side::Server);
    }

    /// What was said next.
    pub fn next_event(&mut self) -> Option<TraceEvent> {
        self.events.pop_front()
    }

    fn way(&mut self, side: Side) -> &mut Way {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Takes what belongs to the handshake; the rest are chunks.
    fn handshake(&mut self, from: Side, mut bytes: Bytes, now: Time) -> Bytes {
        loop {
            let (own, other) = match from {
                Side::Client => (&mut self.client, &self.server),
                Side::Server => (&mut self.server, &self.client),
            };
            let mut rest = &bytes[..];
            let whole = handshake::take(&mut own.part, &mut rest, from, &mut own.first, other.first.as_deref());
            let taken = bytes.len() - rest.len();
            let is_foreign = matches!(own.part, Part::Foreign);
            bytes = bytes.split_off(taken);
            let Some((name, fields)) = whole else { break };
            self.say(from, Layer::Handshake, name, None, fields, now);
            if is_foreign {
                self.fail(from, "this is not RTMP", now);
            }
        }
        bytes
    }

    fn messages(&mut self, from: Side, now: Time) {
        // Each turn takes a message off the reader, or ends.
        while !self.way(from).over {
            match self.way(from).reader.next_message() {
                Ok(Some(message)) => self.message(from, message, now),
                Ok(None) => return,
                Err(error) => self.fail(from, &error.to_string(), now),
            }
        }
    }

    fn message(&mut self, from: Side, message: Message, now: Time) {
        match message.kind {
            MessageType::Audio => self.media(from, TagKind::Audio, &message, now),
            MessageType::Video => self.media(from, TagKind::Video, &message, now),
            MessageType::Aggregate => {
                let mut aggregate = Aggregate::new(message);
                while let Ok(Some(inner)) = aggregate.next_message() {
                    // An aggregate inside an aggregate is not followed.
                    if inner.kind != MessageType::Aggregate {
                        self.message(from, inner, now);
                    }
                }
            }
            _ => {
                self.commands.from = Some(from);
                let (layer, name, fields) = message::describe(&message, &mut self.commands, &mut self.redactor);
                if layer == Layer::Data && self.is_repeated(from, &name, &fields) {
                    return media::count_data(&mut self.way(from).sum, message.timestamp, now);
                }
                self.say(from, layer, name, Some(message.stream_id), fields, now);
            }
        }
    }

    fn media(&mut self, from: Side, kind: TagKind, message: &Message, now: Time) {
        let way = self.way(from);
        if let Kind::Header(name, fields) = media::count(&mut way.sum, kind, message.timestamp, &message.payload, now) {
            self.say(from, Layer::Media, name, Some(message.stream_id), fields, now);
        }
    }

    /// Whether this end has said the same data last.
    fn is_repeated(&mut self, from: Side, name: &str, fields: &TraceFields) -> bool {
        let last = &mut self.way(from).data;
        let is_repeated = last.as_ref().is_some_and(|(last, values)| last == name && values == fields);
        if !is_repeated {
            *last = Some((name.to_owned().into(), fields.clone()));
        }
        is_repeated
    }

    fn fail(&mut self, from: Side, why: &str, now: Time) {
        self.way(from).over = true;
        self.say(from, Layer::Connection, "not understood", None, vec![("reason".into(), why.into())], now);
    }

    /// Something other than frames: what was summed up before it comes first.
    fn say(
        &mut self,
        from: Side,
        layer: Layer,
        name: impl Into<Cow<'static, str>>,
        stream: Option<u32>,
        fields: TraceFields,
        at: Time,
    ) {
        self.flush();
        self.events.push_back(TraceEvent { at, from, layer, name: name.into(), stream, fields });
    }

    fn tell_sum(&mut self, from: Side) {
        if let Some(sum) = self.way(from).sum.take() {
            let (at, fields) = (sum.since(), sum.fields());
            let name = "media".into();
            self.events.push_back(TraceEvent { at, from, layer: Layer::Media, name, stream: None, fields });
        }
    }
}
