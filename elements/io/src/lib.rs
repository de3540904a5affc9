//! Files as elements.
//!
//! | element | does |
//! | --- | --- |
//! | [`filesrc`] | reads a file, a pipe or standard input |
//! | [`filesink`] | writes a file, a pipe or standard output |
//!
//! Both reach files through [`millstream_core::Env`] only, so tests run them on files in memory, with full disks and
//! closed pipes.

mod errors;
pub mod filesink;
pub mod filesrc;

use millstream_core::Registry;

/// Adds all elements of this crate.
pub fn register(registry: &mut Registry) {
    registry.add(filesink::factory());
    registry.add(filesrc::factory());
}
