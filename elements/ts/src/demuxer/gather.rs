//! Gathers the payload of PES packets of one PID. This is the one copy of media bytes that reading a transport stream takes.

use bytes::Bytes;

use super::event::DropReason;
use crate::pes::{MAX_PES_HEADER, PesHeader};

/// Room for the first PES packet of a stream whose length is not known.
const FIRST_GUESS: usize = 8 * 1024;

/// A guess grows no further than this; longer packets grow by doubling.
const MAX_GUESS: usize = 4 * 1024 * 1024;

/// A PES packet whose payload is being gathered.
#[derive(Debug, Default)]
pub(super) struct Gather {
    state: State,
    header_bytes: Vec<u8>,
    data: Vec<u8>,
    /// Bytes that are missing until the stated length.
    left: Option<usize>,
    start: Start,
    corrupted: bool,
    stream_id: u8,
    pts: Option<u64>,
    dts: Option<u64>,
    data_alignment: bool,
    /// Payload sizes of the last packets without and with random access: key frames are larger.
    guess: [usize; 2],
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No packet is under way.
    #[default]
    Idle,
    /// Its header is not whole yet.
    Header,
    /// `left` and `data` count.
    Payload,
}

/// What is known when a PES packet begins.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Start {
    pub(super) offset: u64,
    pub(super) random_access: bool,
    pub(super) discontinuity: bool,
}

/// A gathered packet; its times are still as on the wire.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) start: Start,
    pub(super) stream_id: u8,
    pub(super) pts: Option<u64>,
    pub(super) dts: Option<u64>,
    pub(super) data_alignment: bool,
    pub(super) corrupted: bool,
    pub(super) data: Bytes,
}

/// Bytes that do not belong to the packet under way.
pub(super) type Refused = Option<(DropReason, usize)>;

impl Gather {
    /// Ends the packet under way and returns it. If its stated length was not reached, it is corrupted.
    pub(super) fn end(&mut self) -> (Option<Gathered>, Refused) {
        match std::mem::take(&mut self.state) {
            State::Idle => (None, None),
            State::Header => {
                let lost = std::mem::take(&mut self.header_bytes).len();
                (None, Some((DropReason::BadPes, lost)))
            }
            State::Payload => {
                self.corrupted |= self.left.is_some_and(|left| left > 0);
                (self.take(), None)
            }
        }
    }

    /// Begins a packet; the one before has been ended.
    pub(super) fn begin(&mut self, start: Start) {
        self.state = State::Header;
        self.header_bytes.clear();
        self.start = start;
        self.corrupted = false;
    }

    /// Packets were lost: what is under way has a hole. A header with a hole is of no use.
    pub(super) fn hole(&mut self) -> Refused {
        if self.state == State::Header {
            self.state = State::Idle;
            return Some((DropReason::BadPes, std::mem::take(&mut self.header_bytes).len()));
        }
        self.corrupted = true;
        None
    }

    /// Whether the last bytes gathered are the last of `payload`: the packet came before.
    pub(super) fn ends_with(&self, payload: &[u8]) -> bool {
        let have = if self.state == State::Header { &self.header_bytes } else { &self.data };
        let count = have.len().min(payload.len());
        have[have.len() - count..] == payload[payload.len() - count..]
    }

    /// Adds payload. Returns a packet that reached its stated length, and bytes that have no place.
    #[inline]
    pub(super) fn add(&mut self, payload: &[u8], limit: usize) -> (Option<Gathered>, Refused) {
        if self.state == State::Payload && self.left.is_none() && self.data.len() + payload.len() <= limit {
            self.data.extend_from_slice(payload);
            return (None, None);
        }
        self.add_slow(payload, limit)
    }

    fn add_slow(&mut self, payload: &[u8], limit: usize) -> (Option<Gathered>, Refused) {
        match self.state {
            State::Idle => (None, (!payload.is_empty()).then_some((DropReason::NoStart, payload.len()))),
            State::Header => self.add_header(payload, limit),
            State::Payload => {
                let room = self.left.unwrap_or(usize::MAX).min(payload.len());
                if self.data.len() + room > limit {
                    self.state = State::Idle;
                    self.corrupted = true;
                    return (self.take(), Some((DropReason::PesTooLong, payload.len())));
                }
                self.data.extend_from_slice(&payload[..room]);
                let Some(left) = &mut self.left else { return (None, None) };
                *left -= room;
                if *left > 0 {
                    return (None, None);
                }
                self.state = State::Idle;
                let excess = payload.len() - room;
                (self.take(), (excess > 0).then_some((DropReason::BehindPes, excess)))
            }
        }
    }

    /// Adds bytes until the header is whole; what follows it is payload.
    fn add_header(&mut self, payload: &[u8], limit: usize) -> (Option<Gathered>, Refused) {
        let had = self.header_bytes.len();
        let room = MAX_PES_HEADER.saturating_sub(had).min(payload.len());
        self.header_bytes.extend_from_slice(&payload[..room]);
        let parsed = match PesHeader::size(&self.header_bytes) {
            Ok(Some(size)) if size <= self.header_bytes.len() => PesHeader::parse(&self.header_bytes),
            Ok(_) => return (None, None),
            Err(error) => Err(error),
        };
        let Ok((header, size)) = parsed else {
            self.state = State::Idle;
            let lost = had + payload.len();
            self.header_bytes.clear();
            return (None, Some((DropReason::BadPes, lost)));
        };
        self.open(&header);
        let Some(rest) = size.checked_sub(had).and_then(|from| payload.get(from..)) else { return (None, None) };
        self.add_slow(rest, limit)
    }

    fn open(&mut self, header: &PesHeader) {
        self.state = State::Payload;
        self.header_bytes.clear();
        (self.stream_id, self.pts, self.dts) = (header.stream_id, header.pts, header.dts);
        self.data_alignment = header.data_alignment;
        self.left = header.payload_len;
        let guess = self.guess[usize::from(self.start.random_access)];
        self.data = Vec::with_capacity(header.payload_len.unwrap_or(guess.max(FIRST_GUESS)));
    }

    /// The gathered packet, if it has any payload.
    fn take(&mut self) -> Option<Gathered> {
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return None;
        }
        if self.left.is_none() {
            let guess = &mut self.guess[usize::from(self.start.random_access)];
            // A quarter more than the last, so that a slow rise does not reallocate each time.
            *guess = (data.len() + data.len() / 4).min(MAX_GUESS);
        }
        if data.capacity() - data.len() > data.len() / 2 {
            data.shrink_to_fit();
        }
        Some(Gathered {
            start: self.start,
            stream_id: self.stream_id,
            pts: self.pts,
            dts: self.dts,
            data_alignment: self.data_alignment,
            corrupted: self.corrupted,
            data: data.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;

    fn pes(len: Option<usize>, payload: &[u8]) -> Vec<u8> {
        let header = PesHeader { stream_id: 0xC0, data_alignment: true, pts: Some(9), dts: None, payload_len: len };
        let (bytes, size) = header.write();
        [&bytes[..size], payload].concat()
    }

    #[test]
    fn ts_7_header_may_span_packets() {
        let bytes = pes(Some(5), b"hello");
        for cut in 0..bytes.len() {
            let mut gather = Gather::default();
            gather.begin(Start::default());
            let (none, refused) = gather.add(&bytes[..cut], LIMIT);
            assert!(none.is_none() && refused.is_none());
            let (whole, refused) = gather.add(&bytes[cut..], LIMIT);
            let whole = whole.unwrap();
            assert_eq!((&whole.data[..], whole.pts, whole.corrupted), (&b"hello"[..], Some(9), false));
            assert_eq!(refused, None);
        }
    }

    #[test]
    fn ts_7_bounded_ends_at_its_length_and_unbounded_at_the_next() {
        let mut gather = Gather::default();
        gather.begin(Start::default());
        let (whole, refused) = gather.add(&pes(Some(3), b"abcXY"), LIMIT);
        assert_eq!(&whole.unwrap().data[..], b"abc");
        assert_eq!(refused, Some((DropReason::BehindPes, 2)));
        gather.begin(Start::default());
        assert!(gather.add(&pes(None, b"abc"), LIMIT).0.is_none());
        assert!(gather.add(b"def", LIMIT).0.is_none());
        assert_eq!(&gather.end().0.unwrap().data[..], b"abcdef");
        assert_eq!(gather.add(b"x", LIMIT).1, Some((DropReason::NoStart, 1)));
    }

    #[test]
    fn limit_delivers_what_is_there_as_corrupted() {
        let mut gather = Gather::default();
        gather.begin(Start::default());
        gather.add(&pes(None, &[1; 90]), 100);
        let (cut, refused) = gather.add(&[2; 90], 100);
        assert_eq!(cut.map(|cut| (cut.data.len(), cut.corrupted)), Some((90, true)));
        assert_eq!(refused, Some((DropReason::PesTooLong, 90)));
        assert_eq!(gather.add(&[3; 5], 100).1, Some((DropReason::NoStart, 5)));
    }

    #[test]
    fn short_and_holed_packets_are_corrupted() {
        let mut gather = Gather::default();
        gather.begin(Start::default());
        gather.add(&pes(Some(10), b"abc"), LIMIT);
        assert!(gather.end().0.unwrap().corrupted);
        gather.begin(Start::default());
        gather.add(&pes(None, b"abc"), LIMIT);
        assert_eq!(gather.hole(), None);
        assert!(gather.end().0.unwrap().corrupted);
        gather.begin(Start::default());
        gather.add(&[0, 0, 1], LIMIT);
        assert_eq!(gather.hole(), Some((DropReason::BadPes, 3)));
    }
}
