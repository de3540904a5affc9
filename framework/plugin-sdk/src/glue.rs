//! The functions of the ABI over the traits of this SDK. A panic becomes the element's error.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_core::{Error, Flow, PadId, Produce, Result, Time};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::element::{need, produced, shape};
use millstream_plugin_abi::{ALL_PADS, Str, status};

use crate::buffer::Buffer;
use crate::element::{CancelToken, Element, Need};
use crate::host::Host;
use crate::io::{Inbox, Output};
use crate::item::{self, Item};

/// An element of ours. The ABI's struct comes first, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct Instance {
    abi: abi::Element,
    element: Element,
    host: Host,
    cancel: CancelToken,
}

/// Hands an element over to the host.
pub(crate) fn give(element: Element, host: Host, cancel: CancelToken) -> *mut abi::Element {
    let abi = abi::Element {
        size: size_of::<abi::Element>() as u32,
        shape: match element {
            Element::Transform(_) => shape::TRANSFORM,
            Element::Aggregate(_) => shape::AGGREGATE,
            Element::BlockingSource(_) => shape::SOURCE,
            Element::BlockingSink(_) => shape::SINK,
        },
        data: std::ptr::null_mut(),
        start: Some(start),
        buffer: Some(buffer),
        event: Some(event),
        resume: Some(resume),
        step: Some(step),
        produce: Some(produce),
        request: Some(request),
        wake: Some(wake),
        flush: Some(flush),
        drain: Some(drain),
        interrupt: Some(interrupt),
        stop: Some(stop),
        destroy: Some(destroy),
        get_extension: Some(get_extension),
    };
    Box::into_raw(Box::new(Instance { abi, element, host, cancel })).cast()
}

/// What a call works with.
struct Call<'a> {
    element: &'a mut Element,
    host: &'a Host,
}

/// Runs the body of a call; tells its error to the host.
///
/// # Safety
/// `this` is an element that [`give`] gave, in a call of the class `[element]`.
#[inline]
unsafe fn run(this: *mut abi::Element, body: impl FnOnce(Call<'_>) -> Result<i32>) -> i32 {
    let this: *mut Instance = this.cast();
    // Only these fields: `interrupt` looks at another one meanwhile.
    // SAFETY: promised by the caller; calls of this class do not overlap.
    let (element, host) = unsafe { (&mut (*this).element, &(*this).host) };
    match catch_unwind(AssertUnwindSafe(|| body(Call { element, host }))) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            host.fail(&error);
            status::ERROR
        }
        Err(panic) => {
            host.fail(&Error::bug(format!("panicked: {}", panic_text(&*panic))));
            status::PANIC
        }
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

impl Call<'_> {
    /// # Safety
    /// `out` is the output of the call.
    unsafe fn out(&self, out: *mut abi::Output) -> Output {
        // SAFETY: promised by the caller.
        unsafe { Output::new(out, self.host) }
    }
}

fn flow(flow: Flow) -> i32 {
    match flow {
        Flow::Done => status::OK,
        Flow::More => status::MORE,
    }
}

fn pad_id(pad: u32) -> PadId {
    PadId(u16::try_from(pad).unwrap_or(u16::MAX))
}

unsafe extern "C" fn start(this: *mut abi::Element, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            match call.element {
                Element::Transform(e) => e.start(&mut out),
                Element::Aggregate(e) => e.start(&mut out),
                Element::BlockingSource(e) => e.start(&mut out),
                Element::BlockingSink(e) => e.start(&mut out),
            }
            .map(|()| status::OK)
        })
    }
}

impl Call<'_> {
    #[inline]
    fn item(self, pad: u32, item: Item, mut out: Output) -> Result<i32> {
        match self.element {
            Element::Transform(e) => e.handle(pad_id(pad), item, &mut out).map(flow),
            Element::BlockingSink(e) => e.handle(pad_id(pad), item, &mut out).map(|()| status::OK),
            Element::Aggregate(_) | Element::BlockingSource(_) => Ok(status::UNSUPPORTED),
        }
    }
}

unsafe extern "C" fn buffer(this: *mut abi::Element, pad: u32, buffer: *mut abi::Buffer, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says, with a buffer and its reference.
    unsafe {
        run(this, |call| match Buffer::from_raw(buffer) {
            Some(buffer) => {
                let out = call.out(out);
                call.item(pad, Item::Buffer(buffer), out)
            }
            None => Ok(status::INVALID),
        })
    }
}

unsafe extern "C" fn event(this: *mut abi::Element, pad: u32, event: *const abi::Event, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            match Item::of_event(event, call.host) {
                Some(item) => call.item(pad, item, out),
                None => {
                    out.pass_event(event);
                    Ok(status::OK)
                }
            }
        })
    }
}

unsafe extern "C" fn resume(this: *mut abi::Element, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            match call.element {
                Element::Transform(e) => e.resume(&mut out).map(flow),
                _ => Ok(status::OK),
            }
        })
    }
}

unsafe extern "C" fn step(
    this: *mut abi::Element,
    inbox: *mut abi::Inbox,
    wanted: *mut abi::Need,
    out: *mut abi::Output,
) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let (mut inbox, mut out) = (Inbox::new(inbox, call.host), call.out(out));
            let Element::Aggregate(aggregate) = call.element else { return Ok(status::UNSUPPORTED) };
            let now = out.now();
            let need = aggregate.step(&mut inbox, now, &mut out)?;
            let bits = |pads: millstream_core::PadSet| pads.iter().fold(0_u64, |bits, pad| bits | 1 << pad.0);
            let wanted = &mut *wanted;
            (wanted.kind, wanted.pads, wanted.until) = match need {
                Need::Pads(pads) => (need::PADS, bits(pads), 0),
                Need::PadsUntil(pads, at) => (need::UNTIL, bits(pads), at.nanos()),
                Need::Again => (need::AGAIN, 0, 0),
                Need::Wake(pads) => (need::WAKE, bits(pads), 0),
                Need::Done => (need::DONE, 0, 0),
            };
            Ok(status::OK)
        })
    }
}

unsafe extern "C" fn produce(this: *mut abi::Element, made: *mut abi::Produced, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            let Element::BlockingSource(source) = call.element else { return Ok(status::UNSUPPORTED) };
            let made = &mut *made;
            (made.kind, made.at) = match source.produce(&mut out)? {
                Produce::More => (produced::MORE, 0),
                Produce::At(at) => (produced::AT, at.nanos()),
                Produce::Idle => (produced::IDLE, 0),
                Produce::Eos => (produced::EOS, 0),
            };
            Ok(status::OK)
        })
    }
}

unsafe extern "C" fn request(
    this: *mut abi::Element,
    pad: u32,
    request: *const abi::Request,
    out: *mut abi::Output,
) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            let Some(known) = item::request(request) else {
                out.pass_request(ALL_PADS, request);
                return Ok(status::OK);
            };
            match call.element {
                Element::Transform(e) => e.request(pad_id(pad), known, &mut out),
                Element::Aggregate(e) => e.request(pad_id(pad), known, &mut out),
                Element::BlockingSource(e) => e.request(pad_id(pad), known, &mut out),
                Element::BlockingSink(_) => Ok(()),
            }
            .map(|()| status::OK)
        })
    }
}

unsafe extern "C" fn wake(this: *mut abi::Element, now: i64, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let (mut out, now) = (call.out(out), Time::from_nanos(now));
            match call.element {
                Element::Transform(e) => e.wake(now, &mut out),
                Element::BlockingSink(e) => e.wake(now, &mut out),
                Element::Aggregate(_) | Element::BlockingSource(_) => Ok(()),
            }
            .map(|()| status::OK)
        })
    }
}

unsafe extern "C" fn flush(this: *mut abi::Element, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            match call.element {
                Element::Aggregate(e) => e.flush(&mut out).map(|()| status::OK),
                _ => Ok(status::OK),
            }
        })
    }
}

unsafe extern "C" fn drain(this: *mut abi::Element, out: *mut abi::Output) -> i32 {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            let mut out = call.out(out);
            match call.element {
                Element::BlockingSource(e) => e.drain(&mut out).map(|()| status::OK),
                _ => Ok(status::OK),
            }
        })
    }
}

unsafe extern "C" fn interrupt(this: *mut abi::Element) {
    // SAFETY: the element is there, and this field is never borrowed to be changed.
    let cancel = unsafe { &(*this.cast::<Instance>()).cancel };
    let _ = catch_unwind(AssertUnwindSafe(|| cancel.interrupt()));
}

unsafe extern "C" fn stop(this: *mut abi::Element) {
    // SAFETY: called by the host as the ABI says.
    unsafe {
        run(this, |call| {
            match call.element {
                Element::Transform(e) => e.stop(),
                Element::Aggregate(e) => e.stop(),
                Element::BlockingSource(e) => e.stop(),
                Element::BlockingSink(e) => e.stop(),
            }
            Ok(status::OK)
        })
    };
}

unsafe extern "C" fn destroy(this: *mut abi::Element) {
    // SAFETY: the last call of the host, which gives the element back; it was made from a box.
    let instance = unsafe { Box::from_raw(this.cast::<Instance>()) };
    let Instance { element, host, cancel, .. } = *instance;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop((element, cancel)))) {
        host.log(crate::host::level::ERROR, "sdk", &format!("panicked while it was freed: {}", panic_text(&*panic)));
    }
    host.close();
}

unsafe extern "C" fn get_extension(_: *mut abi::Element, _: Str, _: u32) -> *const c_void {
    std::ptr::null()
}
