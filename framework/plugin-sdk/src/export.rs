//! The exported symbol and what stands behind it.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use millstream_core::{Error, PadId};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::Str;
use serde_json::Value;

use crate::element::{BuildCx, CancelToken, LinkedPad};
use crate::factory::{About, Factory, Plugin};
use crate::glue::{give, panic_text};
use crate::host::Host;

/// A plugin and the text that it gives out. Made by [`crate::export!`].
pub struct Exported {
    about: About,
    make: fn() -> Plugin,
    plugin: OnceLock<Plugin>,
    manifest: OnceLock<String>,
    elements: OnceLock<String>,
}

impl Exported {
    /// Made when it is first asked for.
    #[must_use]
    pub const fn new(about: About, make: fn() -> Plugin) -> Self {
        Self { about, make, plugin: OnceLock::new(), manifest: OnceLock::new(), elements: OnceLock::new() }
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        self.plugin.get_or_init(self.make)
    }

    /// The manifest as JSON. A panic in a factory gives empty text.
    pub fn manifest(&self) -> Str {
        let text = || guarded(|| self.plugin().manifest(&self.about, "").to_string()).unwrap_or_default();
        Str::new(self.manifest.get_or_init(text))
    }

    /// All elements that are known only on the machine.
    pub fn elements(&self) -> Str {
        let list = || Value::from_iter(self.plugin().all().iter().map(Factory::describe)).to_string();
        Str::new(self.elements.get_or_init(|| guarded(list).unwrap_or_default()))
    }

    /// One of these. The text stays for ever: it is asked for in a process of its own.
    ///
    /// # Safety
    /// `name` is as the ABI says.
    pub unsafe fn describe(&self, name: Str) -> Str {
        // SAFETY: promised by the caller.
        let name = unsafe { name.get() }.unwrap_or_default();
        let one = || Some(self.plugin().find(name)?.describe().to_string());
        match guarded(one).flatten() {
            Some(text) => Str::new(Box::leak(text.into_boxed_str())),
            None => Str::EMPTY,
        }
    }

    /// Makes an element.
    ///
    /// # Safety
    /// `host` and `from` are as the ABI says.
    pub unsafe fn create(&self, host: *const abi::Host, from: *const abi::Create) -> *mut abi::Element {
        // SAFETY: promised by the caller.
        let (host, from) = unsafe { (Host::new(host), &*from) };
        let made = catch_unwind(AssertUnwindSafe(|| self.build(&host, from)));
        let error = match made {
            Ok(Ok(element)) => return element,
            Ok(Err(error)) => error,
            Err(panic) => Error::bug(format!("panicked: {}", panic_text(&*panic))),
        };
        host.fail(&error);
        host.close();
        std::ptr::null_mut()
    }

    fn build(&self, host: &Host, from: &abi::Create) -> Result<*mut abi::Element, Error> {
        // SAFETY: texts of the host, valid during the call.
        let text = |text: Str| unsafe { text.get() }.unwrap_or_default().to_owned();
        let name = text(from.element);
        let plugin = self.plugin();
        let found = if plugin.get(&name).is_none() { plugin.find(&name) } else { None };
        let factory = plugin.get(&name).or(found.as_ref());
        let factory = factory.ok_or_else(|| Error::bug(format!("the plugin has no element `{name}`")))?;
        let settings: Value = serde_json::from_str(&text(from.settings))
            .map_err(|e| Error::bug(format!("the host gave settings that are no JSON: {e}")))?;
        let cancel = CancelToken::new(host.clone());
        let cx = BuildCx {
            element: name,
            name: text(from.name),
            // SAFETY: pads of the host, valid during the call.
            sinks: unsafe { pads(from.sinks, from.sink_count) },
            // SAFETY: as above.
            srcs: unsafe { pads(from.srcs, from.src_count) },
            live: from.live != 0,
            host: host.clone(),
            cancel: cancel.clone(),
        };
        let element = factory.build(&settings, &cx)?;
        Ok(give(element, host.clone(), cancel))
    }
}

fn guarded<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body)).ok()
}

/// # Safety
/// `pads` points to `count` pointers to pads.
unsafe fn pads(pads: *const *const abi::Pad, count: u64) -> Vec<LinkedPad> {
    if count == 0 || pads.is_null() {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    let pads = unsafe { std::slice::from_raw_parts(pads, count as usize) };
    let pad = |(at, pad): (usize, &*const abi::Pad)| {
        // SAFETY: promised by the caller.
        let pad = unsafe { &**pad };
        // SAFETY: texts of the host, valid during the call.
        let text = |text: Str| unsafe { text.get() }.unwrap_or_default().to_owned();
        let random_write = pad.flags & abi::plugin::RANDOM_WRITE != 0;
        LinkedPad { id: PadId(at as u16), name: text(pad.name), allowed: text(pad.caps), random_write }
    };
    pads.iter().enumerate().map(pad).collect()
}

/// For [`crate::export!`]: what `get_factory` gives.
///
/// # Safety
/// `id` is as the ABI says.
pub unsafe fn factory_if(id: Str, factory: &'static abi::Factory) -> *const c_void {
    // SAFETY: promised by the caller.
    match unsafe { id.get() } {
        Some(abi::FACTORY_ID) => std::ptr::from_ref(factory).cast(),
        _ => std::ptr::null(),
    }
}

impl Exported {
    /// Writes the manifest beside the library of the package whose program is running: the last step of a build.
    ///
    /// # Errors
    /// When the library is not there, or the manifest cannot be written.
    pub fn write_manifest(&self) -> std::io::Result<PathBuf> {
        let program = std::env::current_exe()?;
        let folder = program.parent().unwrap_or(Path::new("."));
        let stem = format!("{}{}", std::env::consts::DLL_PREFIX, self.about.package.replace('-', "_"));
        let library = format!("{stem}{}", std::env::consts::DLL_SUFFIX);
        bring(&folder.join("deps").join(&library), &folder.join(&library))?;
        if !folder.join(&library).is_file() {
            let missing =
                format!("{library} is not there: `crate-type` of the package has to be `[\"cdylib\", \"rlib\"]`");
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, missing));
        }
        let manifest = self.plugin().manifest(&self.about, &library);
        let path = folder.join(format!("{stem}.millstream.json"));
        std::fs::write(&path, serde_json::to_string_pretty(&manifest).map_err(std::io::Error::other)? + "\n")?;
        Ok(path)
    }
}

/// `cargo run` leaves the library of a package among its dependencies, and only `cargo build` puts it where one looks for it.
fn bring(built: &Path, place: &Path) -> std::io::Result<()> {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if modified(built).is_none() || modified(built) <= modified(place) {
        return Ok(());
    }
    // A copy that takes the place of the one before: that one may be in use.
    let part = place.with_extension("part");
    std::fs::copy(built, &part)?;
    std::fs::rename(part, place)
}

/// Exports a plugin from a library: its name, and a function without arguments that gives a [`Plugin`]. Version and licence are those of the
/// package. Beside the symbol it makes a function `write_manifest`, for the package's `main`.
#[macro_export]
macro_rules! export {
    ($name:literal, $plugin:path) => {
        #[doc(hidden)]
        pub static __MILLSTREAM_PLUGIN: $crate::Exported = $crate::Exported::new(
            $crate::factory::About {
                name: $name,
                version: env!("CARGO_PKG_VERSION"),
                licence: env!("CARGO_PKG_LICENSE"),
                package: env!("CARGO_PKG_NAME"),
            },
            $plugin,
        );

        /// Writes the manifest beside the library, and gives its path.
        pub fn write_manifest() -> ::std::io::Result<::std::path::PathBuf> {
            __MILLSTREAM_PLUGIN.write_manifest()
        }

        #[allow(
            unsafe_code,
            missing_docs,
            unreachable_pub,
            non_upper_case_globals,
            reason = "the exported symbol of a plugin"
        )]
        const _: () = {
            use $crate::abi;

            static FACTORY: abi::Factory = abi::Factory {
                size: size_of::<abi::Factory>() as u32,
                reserved: 0,
                manifest: Some(manifest),
                create: Some(create),
                elements: Some(elements),
                describe: Some(describe),
            };

            unsafe extern "C" fn manifest(_: *const abi::Factory) -> abi::Str {
                __MILLSTREAM_PLUGIN.manifest()
            }

            unsafe extern "C" fn create(
                _: *const abi::Factory,
                host: *const abi::Host,
                from: *const abi::Create,
            ) -> *mut abi::Element {
                // SAFETY: called by the host as the ABI says.
                unsafe { __MILLSTREAM_PLUGIN.create(host, from) }
            }

            unsafe extern "C" fn elements(_: *const abi::Factory) -> abi::Str {
                __MILLSTREAM_PLUGIN.elements()
            }

            unsafe extern "C" fn describe(_: *const abi::Factory, name: abi::Str) -> abi::Str {
                // SAFETY: called by the host as the ABI says.
                unsafe { __MILLSTREAM_PLUGIN.describe(name) }
            }

            unsafe extern "C" fn get_factory(id: abi::Str) -> *const ::core::ffi::c_void {
                // SAFETY: called by the host as the ABI says.
                unsafe { $crate::factory_if(id, &FACTORY) }
            }

            #[unsafe(no_mangle)]
            pub static millstream_plugin: abi::Plugin = abi::Plugin {
                magic: abi::MAGIC,
                size: size_of::<abi::Plugin>() as u32,
                abi_major: abi::ABI_MAJOR,
                abi_minor: abi::ABI_MINOR,
                reserved: 0,
                name: abi::Str::new($name),
                version: abi::Str::new(env!("CARGO_PKG_VERSION")),
                licence: abi::Str::new(env!("CARGO_PKG_LICENSE")),
                init: None,
                deinit: None,
                get_factory: Some(get_factory),
            };
        };
    };
}
