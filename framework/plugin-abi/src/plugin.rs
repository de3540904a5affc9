//! The exported symbol, the factory of elements, what an element is created from.

use core::ffi::c_void;

use crate::{Element, Host, Str};

/// The data symbol `millstream_plugin` that a plugin exports.
#[repr(C)]
#[derive(Debug)]
pub struct Plugin {
    /// [`crate::MAGIC`].
    pub magic: u64,
    /// Size of this struct. These first four fields never change, whatever the major.
    pub size: u32,
    /// [`crate::ABI_MAJOR`] that the plugin was built with.
    pub abi_major: u32,
    /// [`crate::ABI_MINOR`] that the plugin needs.
    pub abi_minor: u32,
    /// 0.
    pub reserved: u32,
    /// Name of the plugin.
    pub name: Str,
    /// Its version.
    pub version: Str,
    /// Its licence, as SPDX writes it.
    pub licence: Str,
    /// Once, before anything else; `path` is the library. Null: nothing to do. [`crate::status::OK`] or a failure. One thread.
    pub init: Option<unsafe extern "C" fn(path: Str) -> i32>,
    /// At the end of the process, if at all: a plugin is never unloaded. May be null.
    pub deinit: Option<unsafe extern "C" fn()>,
    /// A factory by id, or null. `[any]`
    pub get_factory: Option<unsafe extern "C" fn(id: Str) -> *const c_void>,
}

// SAFETY: constant data that nothing writes to.
unsafe impl Sync for Plugin {}

/// The elements of a plugin; id [`crate::FACTORY_ID`]. All of it `[any]`.
#[repr(C)]
#[derive(Debug)]
pub struct Factory {
    /// Size of this struct.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// The manifest as JSON, as long as the plugin is loaded: what stands beside the library too. Elements that are known only on the
    /// machine are not in it.
    pub manifest: Option<unsafe extern "C" fn(*const Self) -> Str>,
    /// Makes an element; null after [`Host::fail`].
    pub create: Option<unsafe extern "C" fn(*const Self, *const Host, *const Create) -> *mut Element>,
    /// A JSON list of all elements that are known only on the machine, each as in a manifest. Asked in a process of its own. Null: none.
    pub elements: Option<unsafe extern "C" fn(*const Self) -> Str>,
    /// One of these elements as JSON, or empty text. Asked in a process of its own. Null: none.
    pub describe: Option<unsafe extern "C" fn(*const Self, name: Str) -> Str>,
}

// SAFETY: constant data that nothing writes to.
unsafe impl Sync for Factory {}

/// Set in [`Pad::flags`]: the sink that this source pad reaches can rewrite what came before.
pub const RANDOM_WRITE: u32 = 1;

/// A linked pad.
#[repr(C)]
#[derive(Debug)]
pub struct Pad {
    /// Size of this struct.
    pub size: u32,
    /// [`RANDOM_WRITE`].
    pub flags: u32,
    /// Name in the pipeline, such as `audio_1`.
    pub name: Str,
    /// What both sides of the link allow, as text.
    pub caps: Str,
}

/// What an element is created from. Valid during the call.
#[repr(C)]
#[derive(Debug)]
pub struct Create {
    /// Size of this struct.
    pub size: u32,
    /// 1 when a live source feeds it, which cannot be held back for long.
    pub live: u32,
    /// Which element: its name in the manifest.
    pub element: Str,
    /// Its name in the pipeline.
    pub name: Str,
    /// Its settings as a JSON object, checked against the schema of the manifest. Values keep the text in which they were written, where the
    /// schema asks for text.
    pub settings: Str,
    /// Linked sink pads in the order of their numbers.
    pub sinks: *const *const Pad,
    /// How many.
    pub sink_count: u64,
    /// Linked source pads in the order of their numbers.
    pub srcs: *const *const Pad,
    /// How many.
    pub src_count: u64,
}
