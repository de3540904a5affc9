//! Which stream of a program goes out on which source pads.

use millstream_core::{BuildCx, PadId};
use smallvec::SmallVec;

use super::timeline::Position;
use crate::demuxer::{Program, ProgramStream};
use crate::packet::Pid;
use crate::psi::StreamClass;

/// The linked source pads and what each asks for.
#[derive(Debug)]
pub(super) struct Pads(Vec<(PadId, Wish)>);

/// What a pad's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// The stream of this number among those of its class, in the order of the PMT.
    Nth(StreamClass, usize),
    /// The stream on this PID.
    Pid(u16),
}

/// Pads of a stream: mostly one.
pub(super) type PadList = SmallVec<[PadId; 2]>;

/// A stream that some pad takes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) info: ProgramStream,
    pub(super) pads: PadList,
    pub(super) position: Position,
    /// The next buffer does not follow on the one before.
    pub(super) discont: bool,
}

impl Pads {
    /// The pads of an element.
    pub(super) fn of(cx: &BuildCx) -> Self {
        Self(cx.srcs.iter().filter_map(|pad| Some((pad.id, Wish::of(&pad.name)?))).collect())
    }

    /// The streams that are taken, in the order of the PMT.
    pub(super) fn assign(&self, program: &Program) -> Vec<Stream> {
        // How many of each class came before.
        let mut seen = [0; 3];
        let mut all = Vec::new();
        for info in &program.streams {
            let class = info.codec.class();
            let number = seen[class as usize];
            seen[class as usize] += 1;
            let fits = |wish: &Wish| match *wish {
                Wish::Nth(of, nth) => of == class && nth == number,
                Wish::Pid(pid) => pid == info.pid.get(),
            };
            let pads: PadList = self.0.iter().filter(|(_, wish)| fits(wish)).map(|(pad, _)| *pad).collect();
            if !pads.is_empty() {
                all.push(Stream { info: info.clone(), pads, position: Position::default(), discont: false });
            }
        }
        all
    }
}

impl Wish {
    fn of(name: &str) -> Option<Self> {
        let nth = |class, rest: &str| Some(Self::Nth(class, rest.parse().ok()?));
        match name.split_once('_') {
            None if name == "video" => Some(Self::Nth(StreamClass::Video, 0)),
            None if name == "audio" => Some(Self::Nth(StreamClass::Audio, 0)),
            Some(("video", rest)) => nth(StreamClass::Video, rest),
            Some(("audio", rest)) => nth(StreamClass::Audio, rest),
            Some(("private", rest)) => nth(StreamClass::Data, rest),
            Some(("pid", rest)) => Some(Self::Pid(rest.parse().ok()?)),
            _ => None,
        }
    }
}

impl Stream {
    /// Whether the other is the same stream, so that it goes on.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let key = |stream: &Self| (stream.info.pid, stream.info.codec);
        key(self) == key(other) && self.pads == other.pads
    }

    pub(super) const fn pid(&self) -> Pid {
        self.info.pid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pad_names() {
        assert_eq!(Wish::of("video"), Wish::of("video_0"));
        assert_eq!(Wish::of("audio_2"), Some(Wish::Nth(StreamClass::Audio, 2)));
        assert_eq!(Wish::of("private_0"), Some(Wish::Nth(StreamClass::Data, 0)));
        assert_eq!(Wish::of("pid_257"), Some(Wish::Pid(257)));
        assert_eq!(Wish::of("audio_x"), None);
        assert_eq!(Wish::of("sink"), None);
    }
}
