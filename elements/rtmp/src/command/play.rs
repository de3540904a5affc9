//! `play` and `play2` (RTMP 1.0, 7.2.2.1 and 7.2.2.2).
//!
//! The standard counts start and duration in seconds. On the wire they are milliseconds: players send -2000 and -1000 where it
//! says -2 and -1. Both are understood; from 0 on the number is milliseconds.

use millstream_amf::{Properties, Value};

use super::Invoke;
use crate::Secret;

/// What to play, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum PlayStart {
    /// -2: the live stream; without one, the recording of the same name; without one, wait for a live stream.
    #[default]
    LiveOrRecorded,
    /// -1: only a live stream.
    Live,
    /// 0 and more: the recording, from this many milliseconds on.
    Recorded(f64),
}

impl PlayStart {
    fn from_number(number: Option<f64>) -> Self {
        match number {
            Some(-1.0 | -1000.0) => Self::Live,
            Some(start) if start >= 0.0 => Self::Recorded(start),
            _ => Self::LiveOrRecorded,
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::LiveOrRecorded => -2000.0,
            Self::Live => -1000.0,
            Self::Recorded(start) => start,
        }
    }
}

/// The command that makes a message stream carry media to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// Name of the stream, perhaps with a query.
    pub name: Secret,
    /// What to play.
    pub start: PlayStart,
    /// Milliseconds to play; 0 is a single frame; none is to the end.
    pub duration: Option<f64>,
    /// Forget what is on the playlist. False puts this behind it.
    pub reset: bool,
    /// Further arguments.
    pub extra: Vec<Value>,
}

impl Play {
    /// A stream from where it is, to its end.
    pub fn new(name: impl Into<Secret>) -> Self {
        Self { name: name.into(), start: PlayStart::default(), duration: None, reset: true, extra: Vec::new() }
    }

    pub(super) fn from_invoke(invoke: &Invoke) -> Self {
        Self {
            name: invoke.secret(0),
            start: PlayStart::from_number(invoke.number(1)),
            duration: invoke.number(2).filter(|duration| *duration >= 0.0),
            reset: invoke.boolean(3).unwrap_or(true),
            extra: invoke.arguments.get(4..).unwrap_or_default().to_vec(),
        }
    }

    /// Arguments at the end that say what goes without saying are left out, as players do.
    pub(super) fn to_arguments(&self) -> Vec<Value> {
        let mut arguments = vec![self.name.reveal().into(), self.start.number().into()];
        let more = !self.reset || !self.extra.is_empty();
        if more || self.duration.is_some() {
            arguments.push(self.duration.unwrap_or(-1.0).into());
        }
        if more {
            arguments.push(self.reset.into());
        }
        arguments.extend(self.extra.iter().cloned());
        arguments
    }
}

/// The command that switches to another rate of what is played: properties of `NetStreamPlayOptions`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Play2 {
    /// `streamName`: what to play from now on.
    pub name: Secret,
    /// `oldStreamName`: what it takes the place of; empty for whatever is played.
    pub old_name: Secret,
    /// `transition`: `switch`, `swap`, `stop`, `append`, `reset`, `resetStart` ...
    pub transition: String,
    /// `start`, as of `play`.
    pub start: PlayStart,
    /// `len`: milliseconds to play; none is to the end.
    pub duration: Option<f64>,
    /// `offset`: milliseconds at which to join the new stream.
    pub offset: Option<f64>,
    /// Further properties. Not shown by `Debug`.
    pub extra: Extra,
}

/// Properties that are kept but not understood.
#[derive(Clone, PartialEq, Default)]
pub struct Extra(pub Properties);

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} properties", self.0.len())
    }
}

impl Play2 {
    pub(super) fn from_invoke(invoke: &Invoke) -> Self {
        let options = invoke.argument(0);
        let text = |name| options.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name| options.get(name).and_then(Value::as_f64);
        let own = ["streamName", "oldStreamName", "transition", "start", "len", "offset"];
        let others = options.properties().into_iter().flatten().filter(|(name, _)| !own.contains(&&**name));
        Self {
            name: text("streamName").into(),
            old_name: text("oldStreamName").into(),
            transition: text("transition").to_owned(),
            start: PlayStart::from_number(number("start")),
            duration: number("len").filter(|len| *len >= 0.0),
            offset: number("offset").filter(|offset| *offset >= 0.0),
            extra: Extra(others.cloned().collect()),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let own = [
            ("streamName", self.name.reveal().into()),
            ("oldStreamName", self.old_name.reveal().into()),
            ("transition", Value::from(&*self.transition)),
            ("start", self.start.number().into()),
            ("len", self.duration.unwrap_or(-1.0).into()),
            ("offset", self.offset.unwrap_or(-1.0).into()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        Value::object(own.chain(self.extra.0.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(arguments: Vec<Value>) -> Play {
        Play::from_invoke(&Invoke::new("play", 0.0, Value::Null, arguments))
    }

    #[test]
    fn rtmp_m6_start_duration_and_reset() {
        let start = |number: f64| play(vec!["s".into(), number.into()]).start;
        assert_eq!([start(-2.0), start(-2000.0)], [PlayStart::LiveOrRecorded; 2]);
        assert_eq!([start(-1.0), start(-1000.0)], [PlayStart::Live; 2]);
        assert_eq!([start(0.0), start(90.5)], [PlayStart::Recorded(0.0), PlayStart::Recorded(90.5)]);
        assert_eq!(start(f64::NAN), PlayStart::LiveOrRecorded);
        let duration = |number: f64| play(vec!["s".into(), Value::Null, number.into()]).duration;
        assert_eq!([duration(-1.0), duration(-7.0), duration(0.0)], [None, None, Some(0.0)]);
        let reset = |value: Value| play(vec!["s".into(), 0.0.into(), 0.0.into(), value]).reset;
        assert!(!reset(false.into()) && !reset(0.0.into()) && reset(1.0.into()) && reset(Value::Null));
    }

    #[test]
    fn rtmp_m3_players_are_read_and_written_as_they_are() {
        // What ffmpeg and rtmpdump sent.
        for arguments in [vec!["pub".into(), (-2000.0).into()], vec!["pub".into(), (-1000.0).into(), 3000.0.into()]] {
            assert_eq!(play(arguments.clone()).to_arguments(), arguments);
        }
        let behind = Play { reset: false, ..Play::new("s") };
        assert_eq!(play(behind.to_arguments()), behind);
    }

    #[test]
    fn rtmp_m6_play2_switches_by_options() {
        let play2 = Play2 {
            name: "high".into(),
            old_name: "low".into(),
            transition: "switch".into(),
            start: PlayStart::Live,
            offset: Some(1200.0),
            extra: Extra(vec![("bufferTime".into(), 2.0.into())]),
            ..Play2::default()
        };
        let invoke = Invoke::new("play2", 0.0, Value::Null, vec![play2.to_value()]);
        assert_eq!(Play2::from_invoke(&invoke), play2);
    }
}
