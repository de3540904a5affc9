//! How an element of a plugin sends and receives.

use millstream_core::inbox::{PadState, Pick};
use millstream_core::{Caps, Error, PadId, PadSet, Request, Time};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{ALL_PADS, NONE, Str, output, status};

use crate::buffer::Buffer;
use crate::host::{Host, Message};
use crate::item::{self, Item};
use crate::own::time;

/// Where an element puts what it makes. Never waits: the host delivers everything, in order, after the call.
pub struct Output {
    raw: *mut abi::Output,
    host: *const Host,
}

impl Output {
    /// # Safety
    /// `raw` is the output of the call that is running, and stays as long as this; so does `host`.
    #[inline]
    pub(crate) unsafe fn new(raw: *mut abi::Output, host: *const Host) -> Self {
        Self { raw, host }
    }

    fn host(&self) -> &Host {
        // SAFETY: promised to `new`.
        unsafe { &*self.host }
    }

    fn abi(&self) -> &abi::Output {
        // SAFETY: promised to `new`.
        unsafe { &*self.raw }
    }

    /// Sends an item on a source pad.
    pub fn push(&mut self, pad: PadId, item: Item) {
        match item {
            Item::Buffer(buffer) => self.buffer(pad, buffer),
            event => self.event(pad.0.into(), &event),
        }
    }

    /// Sends a buffer on a source pad.
    #[inline]
    pub fn buffer(&mut self, pad: PadId, buffer: Buffer) {
        if let Some(push) = self.abi().push_buffer {
            // SAFETY: a function of the output, called with itself; it takes our reference. What it refuses the host counts as our failure.
            unsafe { push(self.raw, pad.0.into(), buffer.into_raw()) };
        }
    }

    fn event(&mut self, pad: u32, item: &Item) {
        let (push, raw) = (self.abi().push_event, self.raw);
        item.with_event(self.host(), |event| match push {
            // SAFETY: a function of the output, called with itself and an event that is there.
            Some(push) => unsafe { push(raw, pad, event) },
            None => status::UNSUPPORTED,
        });
    }

    /// Sends caps on a source pad.
    pub fn caps(&mut self, pad: PadId, caps: Caps) {
        self.push(pad, Item::Caps(caps));
    }

    /// Sends the same item on every linked source pad.
    pub fn forward(&mut self, item: Item) {
        match item {
            Item::Buffer(buffer) => {
                let pads = u16::try_from(self.abi().src_pads).unwrap_or(u16::MAX);
                (0..pads).for_each(|pad| self.buffer(PadId(pad), buffer.clone()));
            }
            event => self.event(ALL_PADS, &event),
        }
    }

    /// Linked source pads.
    pub fn src_pads(&self) -> u16 {
        u16::try_from(self.abi().src_pads).unwrap_or(u16::MAX)
    }

    /// Clock time when the batch began; for deadlines, not for timestamps.
    pub fn now(&self) -> Time {
        Time::from_nanos(self.abi().now)
    }

    /// Sends a request upstream on a sink pad.
    pub fn request(&mut self, pad: PadId, request: &Request) {
        self.request_on(pad.0.into(), request);
    }

    /// Sends a request upstream on every sink pad.
    pub fn request_all(&mut self, request: &Request) {
        self.request_on(ALL_PADS, request);
    }

    fn request_on(&mut self, pad: u32, request: &Request) {
        let abi = item::to_abi(request);
        self.pass_request(pad, &abi);
    }

    /// Sends on what this SDK does not know.
    pub(crate) fn pass_event(&mut self, event: *const abi::Event) {
        if let Some(push) = self.abi().push_event {
            // SAFETY: a function of the output, called with itself and an event that is there.
            unsafe { push(self.raw, ALL_PADS, event) };
        }
    }

    pub(crate) fn pass_request(&mut self, pad: u32, request: *const abi::Request) {
        if let Some(send) = self.abi().request {
            // SAFETY: a function of the output, called with itself and a request that is there.
            unsafe { send(self.raw, pad, request) };
        }
    }

    /// Posts on the bus.
    pub fn post(&mut self, message: &Message) {
        self.host().post(message);
    }

    /// Posts a warning: something is wrong, and the element goes on.
    pub fn warn(&mut self, error: &Error) {
        self.host().warn(error);
    }

    /// Counts input that is left out, by a short reason that stays the same.
    pub fn dropped(&mut self, reason: &str, bytes: u64, offset: Option<u64>) {
        let offset = offset.and_then(|at| i64::try_from(at).ok()).unwrap_or(NONE);
        if let Some(dropped) = self.abi().dropped {
            // SAFETY: a function of the output, called with itself and text.
            unsafe { dropped(self.raw, Str::new(reason), bytes, offset) };
        }
    }

    /// Asks for `wake` at a time; a later call replaces an earlier one.
    pub fn wake_at(&mut self, time: Time) {
        if let Some(wake) = self.abi().wake_at {
            // SAFETY: a function of the output, called with itself.
            unsafe { wake(self.raw, time.nanos()) };
        }
    }

    /// Asks for no further input before a time.
    pub fn hold_until(&mut self, time: Time) {
        if let Some(hold) = self.abi().hold_until {
            // SAFETY: a function of the output, called with itself.
            unsafe { hold(self.raw, time.nanos()) };
        }
    }

    /// Says that every stream that will come has started.
    pub fn streams_complete(&mut self) {
        if let Some(complete) = self.abi().streams_complete {
            // SAFETY: a function of the output, called with itself.
            unsafe { complete(self.raw) };
        }
    }
}

/// What waits at the head of a pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// True for a buffer.
    pub is_buffer: bool,
    /// True for a buffer or a gap: what has a place on the timeline.
    pub is_media: bool,
    /// The time that orders items of several streams.
    pub time: Option<Time>,
    /// Bytes of media.
    pub bytes: u64,
}

/// The inputs of an aggregate: a queue for each sink pad.
pub struct Inbox {
    raw: *mut abi::Inbox,
    host: *const Host,
}

impl Inbox {
    /// # Safety
    /// `raw` is the inbox of the call that is running, and stays as long as this; so does `host`.
    pub(crate) unsafe fn new(raw: *mut abi::Inbox, host: *const Host) -> Self {
        Self { raw, host }
    }

    fn abi(&self) -> &abi::Inbox {
        // SAFETY: promised to `new`.
        unsafe { &*self.raw }
    }

    /// Number of linked sink pads.
    pub fn pads(&self) -> usize {
        self.abi().pads as usize
    }

    fn ids(&self) -> impl Iterator<Item = PadId> + use<> {
        (0..u16::try_from(self.abi().pads).unwrap_or(u16::MAX)).map(PadId)
    }

    /// What waits at the head of a pad.
    pub fn peek(&self, pad: PadId) -> Option<Peek> {
        let mut peek =
            abi::Peek { size: size_of::<abi::Peek>() as u32, kind: 0, time: NONE, bytes: 0, flags: 0, reserved: 0 };
        // SAFETY: a function of the inbox, called with itself and a struct of the size that it says.
        let status = unsafe { self.abi().peek?(self.raw, pad.0.into(), &raw mut peek) };
        let is_buffer = peek.kind == 0;
        let is_media = is_buffer || peek.kind == abi::event::kind::GAP;
        (status == status::OK).then_some(Peek { is_buffer, is_media, time: time(peek.time), bytes: peek.bytes })
    }

    /// Takes the item at the head of a pad. Kinds that this SDK does not know are left out.
    pub fn pop(&mut self, pad: PadId) -> Option<Item> {
        loop {
            if let Some(item) = self.pop_any(pad)? {
                return Some(item);
            }
        }
    }

    /// `Some(None)`: something of an unknown kind.
    fn pop_any(&mut self, pad: PadId) -> Option<Option<Item>> {
        let mut item = abi::Item {
            size: size_of::<abi::Item>() as u32,
            reserved: 0,
            buffer: std::ptr::null_mut(),
            event: std::ptr::null(),
        };
        // SAFETY: a function of the inbox, called with itself and a struct of the size that it says.
        let status = unsafe { self.abi().pop?(self.raw, pad.0.into(), &raw mut item) };
        if status != status::OK {
            return None;
        }
        // SAFETY: the inbox gives a buffer with its reference, or an event that is there until the next call.
        unsafe {
            match Buffer::from_raw(item.buffer) {
                Some(buffer) => Some(Some(Item::Buffer(buffer))),
                None if item.event.is_null() => None,
                None => Some(Item::of_event(item.event, &*self.host)),
            }
        }
    }

    /// What can still come on a pad, behind what waits.
    pub fn state(&self, pad: PadId) -> PadState {
        // SAFETY: a function of the inbox, called with itself.
        match self.abi().state.map(|state| unsafe { state(self.raw, pad.0.into()) }) {
            Some(output::state::OPEN) => PadState::Open,
            Some(output::state::ABSENT) => PadState::Absent,
            _ => PadState::Eos,
        }
    }

    /// Items waiting on a pad.
    pub fn len(&self, pad: PadId) -> usize {
        // SAFETY: a function of the inbox, called with itself.
        self.abi().len.map_or(0, |len| unsafe { len(self.raw, pad.0.into()) } as usize)
    }

    /// True when nothing waits on a pad.
    pub fn is_empty(&self, pad: PadId) -> bool {
        self.len(pad) == 0
    }

    /// True when the pad is empty and has ended or is absent.
    pub fn is_over(&self, pad: PadId) -> bool {
        self.is_empty(pad) && self.state(pad) != PadState::Open
    }

    /// True when no pad has or will have anything, and at least one has ended.
    pub fn is_done(&self) -> bool {
        self.ids().all(|pad| self.is_over(pad))
            && (self.pads() == 0 || self.ids().any(|pad| self.state(pad) == PadState::Eos))
    }

    /// The pads that are open and empty.
    pub fn starving(&self) -> PadSet {
        self.ids().filter(|pad| self.is_empty(*pad) && self.state(*pad) == PadState::Open).collect()
    }

    /// The pads on which something can still come.
    pub fn open(&self) -> PadSet {
        self.ids().filter(|pad| self.state(*pad) == PadState::Open).collect()
    }

    /// Chooses the pad to serve next when streams are interleaved by decoding time: first any head that is not media, then the earliest.
    pub fn pick(&self) -> Pick {
        let mut best: Option<(Option<Time>, PadId)> = None;
        for pad in self.ids() {
            match self.peek(pad) {
                Some(head) if !head.is_media => return Pick::Next(pad),
                Some(head) if best.is_none_or(|(earliest, _)| head.time < earliest) => best = Some((head.time, pad)),
                _ => {}
            }
        }
        let starving = self.starving();
        match best {
            _ if !starving.is_empty() => Pick::Need(starving),
            Some((_, pad)) => Pick::Next(pad),
            None => Pick::Done,
        }
    }
}
