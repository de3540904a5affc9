//! `ms_inbox`: the inputs of an aggregate, during its call.

use millstream_core::inbox::PadState;
use millstream_core::{Inbox, Item, PadId};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::event::kind;
use millstream_plugin_abi::{NONE, output, status};

use crate::convert::EventView;
use crate::memory;

/// `ms_inbox` with what it belongs to. The ABI's struct comes first.
#[repr(C)]
pub(crate) struct Inlet {
    abi: abi::Inbox,
    /// The inbox of the call that is running; null between calls.
    inbox: *mut Inbox,
    /// What was taken last, as long as the plugin may look at it.
    event: Option<EventView>,
}

// SAFETY: its pointers are null, or into itself, between the calls of an element.
unsafe impl Send for Inlet {}

impl Inlet {
    pub(crate) fn new(pads: u32) -> Box<Self> {
        let abi = abi::Inbox {
            size: size_of::<abi::Inbox>() as u32,
            pads,
            host: std::ptr::null_mut(),
            pop: Some(pop),
            peek: Some(peek),
            state: Some(state),
            len: Some(len),
        };
        Box::new(Self { abi, inbox: std::ptr::null_mut(), event: None })
    }

    /// Runs a call of the plugin that may take from `inbox`.
    pub(crate) fn during<T>(&mut self, inbox: &mut Inbox, call: impl FnOnce(*mut abi::Inbox) -> T) -> T {
        self.inbox = inbox;
        let this: *mut Self = self;
        let given = call(this.cast());
        // SAFETY: it is ours, and the call is over.
        unsafe {
            (*this).inbox = std::ptr::null_mut();
            (*this).event = None;
        }
        given
    }
}

/// # Safety
/// `inbox` is null or one that [`Inlet::during`] gave, and its inlet is still there.
unsafe fn open<'a>(inbox: *mut abi::Inbox, pad: u32) -> Option<(&'a mut Inbox, PadId)> {
    // SAFETY: promised by the caller.
    let inlet = unsafe { inbox.cast::<Inlet>().as_ref() }?;
    let pad = u16::try_from(pad).ok().filter(|pad| u32::from(*pad) < inlet.abi.pads)?;
    // SAFETY: not null only while the call runs that was given it.
    unsafe { inlet.inbox.as_mut() }.map(|inbox| (inbox, PadId(pad)))
}

unsafe extern "C" fn pop(inbox: *mut abi::Inbox, pad: u32, into: *mut abi::Item) -> i32 {
    // SAFETY: called by the plugin with the inbox that it was given.
    let Some((from, pad)) = (unsafe { open(inbox, pad) }) else { return status::INVALID };
    // SAFETY: null or the plugin's to be written.
    let Some(into) = (unsafe { into.as_mut() }) else { return status::INVALID };
    (into.buffer, into.event) = (std::ptr::null_mut(), std::ptr::null());
    match from.pop(pad) {
        None => return status::EMPTY,
        Some(Item::Buffer(buffer)) => into.buffer = memory::give(buffer),
        Some(item) => {
            // SAFETY: `open` has looked at it.
            let inlet = unsafe { &mut *inbox.cast::<Inlet>() };
            into.event = &raw const inlet.event.insert(EventView::new(item)).abi;
        }
    }
    status::OK
}

unsafe extern "C" fn peek(inbox: *mut abi::Inbox, pad: u32, into: *mut abi::Peek) -> i32 {
    // SAFETY: called by the plugin with the inbox that it was given.
    let Some((from, pad)) = (unsafe { open(inbox, pad) }) else { return status::INVALID };
    // SAFETY: null or the plugin's to be written.
    let Some(into) = (unsafe { into.as_mut() }) else { return status::INVALID };
    let Some(item) = from.peek(pad) else { return status::EMPTY };
    into.kind = item_kind(item);
    into.time = item.dts_or_pts().map_or(NONE, |time| time.nanos());
    into.bytes = item.bytes() as u64;
    into.flags = if let Item::Buffer(buffer) = item { buffer.flags.bits().into() } else { 0 };
    status::OK
}

fn item_kind(item: &Item) -> u32 {
    match item {
        Item::Buffer(_) => 0,
        Item::StreamStart(_) => kind::STREAM_START,
        Item::Caps(_) => kind::CAPS,
        Item::Segment(_) => kind::SEGMENT,
        Item::Gap(_) => kind::GAP,
        Item::Tags(_) => kind::TAGS,
        Item::Custom(_) => kind::CUSTOM,
        Item::Flush(_) => kind::FLUSH,
        Item::Absent => kind::ABSENT,
        Item::Eos => kind::EOS,
    }
}

unsafe extern "C" fn state(inbox: *mut abi::Inbox, pad: u32) -> u32 {
    // SAFETY: called by the plugin with the inbox that it was given.
    match unsafe { open(inbox, pad) }.map(|(from, pad)| from.state(pad)) {
        Some(PadState::Open) => output::state::OPEN,
        Some(PadState::Absent) => output::state::ABSENT,
        Some(PadState::Eos) | None => output::state::EOS,
    }
}

unsafe extern "C" fn len(inbox: *mut abi::Inbox, pad: u32) -> u64 {
    // SAFETY: called by the plugin with the inbox that it was given.
    unsafe { open(inbox, pad) }.map_or(0, |(from, pad)| from.len(pad) as u64)
}
