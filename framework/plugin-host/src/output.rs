//! `ms_output`: what a plugin sends goes into the output of the call that is running, and nowhere when none is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use millstream_core::{Error, Item, Output, PadId, Time};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{ALL_PADS, Str, status};

use crate::intern::intern_name;
use crate::services::{Shared, violation};
use crate::{convert, memory};

/// `ms_output` with what it belongs to. The ABI's struct comes first.
#[repr(C)]
pub(crate) struct Outlet {
    abi: abi::Output,
    /// The output of the call that is running; null between calls.
    out: *mut Output,
    sink_pads: u32,
    shared: Arc<Shared>,
}

impl Outlet {
    pub(crate) fn new(shared: Arc<Shared>, sink_pads: u32, src_pads: u32) -> Box<Self> {
        let abi = abi::Output {
            size: size_of::<abi::Output>() as u32,
            src_pads,
            host: std::ptr::null_mut(),
            now: 0,
            push_buffer: Some(push_buffer),
            push_event: Some(push_event),
            request: Some(request),
            wake_at: Some(wake_at),
            hold_until: Some(hold_until),
            streams_complete: Some(streams_complete),
            dropped: Some(dropped),
        };
        Box::new(Self { abi, out: std::ptr::null_mut(), sink_pads, shared })
    }

    /// Runs a call of the plugin that may send into `out`.
    #[inline]
    pub(crate) fn during<T>(&mut self, out: &mut Output, call: impl FnOnce(*mut abi::Output) -> T) -> T {
        self.out = out;
        self.abi.now = out.now().nanos();
        let this: *mut Self = self;
        let given = call(this.cast());
        // SAFETY: it is ours, and the call is over.
        unsafe { (*this).out = std::ptr::null_mut() };
        given
    }
}

/// The output of the call that is running.
///
/// # Safety
/// `out` is null or one that [`Outlet::during`] gave, and its outlet is still there. A plugin that keeps it beyond its call finds it closed.
unsafe fn open<'a>(out: *mut abi::Output) -> Option<(&'a mut Output, &'a Outlet)> {
    // SAFETY: promised by the caller.
    let outlet = unsafe { out.cast::<Outlet>().as_ref() }?;
    // SAFETY: not null only while the call runs that was given it.
    match unsafe { outlet.out.as_mut() } {
        Some(out) => Some((out, outlet)),
        None => {
            outlet.shared.fail(Error::bug("the plugin used an output after the call that it was given to"));
            violation("used an output after the call that it was given to");
            None
        }
    }
}

fn refuse(outlet: &Outlet, what: &str) -> i32 {
    outlet.shared.fail(Error::bug(format!("the plugin sent {what}")));
    status::INVALID
}

unsafe extern "C" fn push_buffer(out: *mut abi::Output, pad: u32, buffer: *mut abi::Buffer) -> i32 {
    // SAFETY: called by the plugin with the output that it was given.
    let Some((to, outlet)) = (unsafe { open(out) }) else {
        // SAFETY: the plugin gives up its reference, also where it fails.
        unsafe { memory::release(buffer) };
        return status::INVALID;
    };
    // SAFETY: the plugin gives a buffer and its reference.
    match unsafe { memory::take(buffer) } {
        Ok(buffer) if pad < outlet.abi.src_pads => {
            to.push(PadId(pad as u16), Item::Buffer(buffer));
            status::OK
        }
        Ok(_) => refuse(outlet, &format!("a buffer on source pad {pad}, which it does not have")),
        Err(what) => refuse(outlet, what),
    }
}

/// Runs the body with the output of the call. A panic of ours must not run into the plugin.
///
/// # Safety
/// As [`open`].
unsafe fn with(out: *mut abi::Output, body: impl FnOnce(&mut Output, &Outlet) -> i32) -> i32 {
    // SAFETY: promised by the caller.
    match unsafe { open(out) } {
        Some((to, outlet)) => catch_unwind(AssertUnwindSafe(|| body(to, outlet))).unwrap_or(status::ERROR),
        None => status::INVALID,
    }
}

unsafe extern "C" fn push_event(out: *mut abi::Output, pad: u32, event: *const abi::Event) -> i32 {
    // SAFETY: called by the plugin with the output that it was given, and an event.
    unsafe {
        with(out, |to, outlet| match convert::item(event) {
            Ok(item) if pad == ALL_PADS => {
                to.forward(item);
                status::OK
            }
            Ok(item) if pad < outlet.abi.src_pads => {
                to.push(PadId(pad as u16), item);
                status::OK
            }
            Ok(_) => refuse(outlet, &format!("an event on source pad {pad}, which it does not have")),
            Err(what) => refuse(outlet, what),
        })
    }
}

unsafe extern "C" fn request(out: *mut abi::Output, pad: u32, request: *const abi::Request) -> i32 {
    // SAFETY: called by the plugin with the output that it was given, and a request.
    unsafe {
        with(out, |to, outlet| match convert::request(request) {
            Ok(request) if pad == ALL_PADS => {
                to.request_all(request);
                status::OK
            }
            Ok(request) if pad < outlet.sink_pads => {
                to.request(PadId(pad as u16), request);
                status::OK
            }
            Ok(_) => refuse(outlet, &format!("a request on sink pad {pad}, which it does not have")),
            Err(what) => refuse(outlet, what),
        })
    }
}

unsafe extern "C" fn wake_at(out: *mut abi::Output, time: i64) -> i32 {
    let at = |to: &mut Output, _: &Outlet| {
        to.wake_at(Time::from_nanos(time));
        status::OK
    };
    // SAFETY: called by the plugin with the output that it was given.
    unsafe { with(out, at) }
}

unsafe extern "C" fn hold_until(out: *mut abi::Output, time: i64) -> i32 {
    let hold = |to: &mut Output, _: &Outlet| {
        to.hold_until(Time::from_nanos(time));
        status::OK
    };
    // SAFETY: called by the plugin with the output that it was given.
    unsafe { with(out, hold) }
}

unsafe extern "C" fn streams_complete(out: *mut abi::Output) -> i32 {
    let complete = |to: &mut Output, _: &Outlet| {
        to.streams_complete();
        status::OK
    };
    // SAFETY: called by the plugin with the output that it was given.
    unsafe { with(out, complete) }
}

unsafe extern "C" fn dropped(out: *mut abi::Output, reason: Str, bytes: u64, offset: i64) -> i32 {
    let drop = |to: &mut Output, _: &Outlet| {
        // SAFETY: text of the plugin, valid during the call.
        let reason = unsafe { reason.get() }.map_or("other", intern_name);
        to.dropped(reason, bytes, u64::try_from(offset).ok());
        status::OK
    };
    // SAFETY: called by the plugin with the output that it was given.
    unsafe { with(out, drop) }
}
