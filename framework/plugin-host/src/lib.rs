//! Plugins: shared libraries with elements, which run as if they were built in.
//!
//! [`Plugins`] is a provider for a registry: it finds manifests when a name is asked for that no built-in element has, and makes factories of
//! them. A library is loaded when the first of its elements is built, and stays.
//!
//! | module | what |
//! | --- | --- |
//! | [`find`] | search path, allow list, pins |
//! | [`manifest`] | what is known of a plugin without running it |
//! | `library`, `elf` | loading, and refusing in one line |
//! | `dynamic` | elements that are known only on the machine |
//! | `factory`, `provider` | elements of plugins in a registry |
//! | `instance`, `fused`, `threaded` | an element of a plugin as a transform, aggregate, source or sink |
//! | [`kit`] | the conformance kit: what an element promises, tried out |
//! | `memory` | buffers across the border, without a copy |
//! | `services`, `output`, `inbox`, `caps`, `convert` | what a plugin can call |
//!
//! The contract is `docs/spec/plugin-abi.md`. Unsafe code is allowed here, in `millstream-plugin-abi` and in `millstream-plugin-sdk`, and
//! nowhere else.
#![allow(unsafe_code, reason = "calls of functions of another library, and pointers that it gives")]

mod caps;
mod convert;
mod dynamic;
mod elf;
mod factory;
pub mod find;
mod fused;
mod inbox;
mod instance;
mod intern;
pub mod kit;
mod library;
pub mod manifest;
mod memory;
mod output;
mod provider;
mod services;
mod threaded;

pub use dynamic::{Asking, answer};
pub use find::{Found, Installed, Place, Search, manifest_of};
pub use library::{Refused, left_behind};
pub use manifest::Manifest;
pub use memory::copied_bytes;
pub use provider::Plugins;

/// The manifest that a library says of itself, with its file name: what is written beside it. Loads the library.
///
/// # Errors
/// Why it is not used.
pub fn manifest_from(library: &std::path::Path) -> Result<Manifest, Refused> {
    let loaded = library::Library::open(library, None)?;
    let text = loaded.manifest_text().ok_or("is no text".to_owned()).and_then(Manifest::parse);
    let mut manifest =
        text.map_err(|fault| Refused::new(library, format!("what it says of itself {fault}"), "correct the plugin"))?;
    manifest.library = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(manifest)
}
