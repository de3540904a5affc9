//! A look at an ELF file before the loader gets it: a truncated one would end the process with a bus error.
//!
//! Fields are those of the System V ABI, chapter 4 "Object Files" and chapter 5 "Program Loading".

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What is wrong with a file that should be a library of this machine.
pub(crate) fn fault(path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| format!("it cannot be read: {e}"))?;
    let size = file.metadata().map_err(|e| format!("it cannot be read: {e}"))?.len();
    let mut head = Vec::new();
    // Headers and program headers stand at the beginning of everything that a linker writes.
    let _ = file.by_ref().take(HEAD).read_to_end(&mut head).map_err(|e| format!("it cannot be read: {e}"))?;
    if cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd")) {
        check(&head, size)
    } else {
        Ok(())
    }
}

/// Bytes that are looked at: the header and some hundred program headers.
const HEAD: u64 = 64 << 10;

fn check(head: &[u8], size: u64) -> Result<(), String> {
    if head.get(..4) != Some(b"\x7fELF") {
        return Err("it is no shared library".to_owned());
    }
    let wide = cfg!(target_pointer_width = "64");
    let class = if wide { 2 } else { 1 };
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    let here = || format!("it is for another kind of machine than this one ({})", std::env::consts::ARCH);
    if head.get(4) != Some(&class) || head.get(5) != Some(&order) {
        return Err(here());
    }
    let truncated = || "it is truncated".to_owned();
    let header = Header { bytes: head, wide };
    if header.half(16).ok_or_else(truncated)? != SHARED_OBJECT {
        return Err("it is a program or an object file, not a shared library".to_owned());
    }
    let machine = header.half(18).ok_or_else(truncated)?;
    if MACHINE.is_some_and(|own| own != machine) {
        return Err(here());
    }
    match header.end() {
        Some(end) if end <= size => Ok(()),
        _ => Err(truncated()),
    }
}

/// `ET_DYN`.
const SHARED_OBJECT: u16 = 3;

/// `e_machine` of this program, where we know it.
const MACHINE: Option<u16> = if cfg!(target_arch = "x86_64") {
    Some(62)
} else if cfg!(target_arch = "aarch64") {
    Some(183)
} else if cfg!(target_arch = "x86") {
    Some(3)
} else if cfg!(target_arch = "arm") {
    Some(40)
} else if cfg!(target_arch = "riscv64") {
    Some(243)
} else {
    None
};

struct Header<'a> {
    bytes: &'a [u8],
    wide: bool,
}

impl Header<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    fn half(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_ne_bytes)
    }

    /// An address or offset: 8 bytes in a file of 64 bits, 4 in one of 32.
    fn word(&self, at: usize) -> Option<u64> {
        match self.wide {
            true => self.array(at).map(u64::from_ne_bytes),
            false => self.array(at).map(u32::from_ne_bytes).map(u64::from),
        }
    }

    /// Where the file has to end at the earliest: behind its sections' table and all that is loaded.
    fn end(&self) -> Option<u64> {
        let (phoff, shoff, counts) = if self.wide { (32, 40, 54) } else { (28, 32, 42) };
        let (phentsize, phnum) = (self.half(counts)?, self.half(counts + 2)?);
        let (shentsize, shnum) = (self.half(counts + 4)?, self.half(counts + 6)?);
        let mut end = self.word(shoff)?.checked_add(u64::from(shentsize) * u64::from(shnum))?;
        let first = usize::try_from(self.word(phoff)?).ok()?;
        let (offset, filesz) = if self.wide { (8, 32) } else { (4, 16) };
        for number in 0..usize::from(phnum) {
            let at = first.checked_add(number * usize::from(phentsize))?;
            end = end.max(self.word(at.checked_add(offset)?)?.checked_add(self.word(at.checked_add(filesz)?)?)?);
        }
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test program itself is an ELF file of this machine: position-independent, so a shared object as far as its header says.
    fn own() -> Option<Vec<u8>> {
        let own = std::fs::read(std::env::current_exe().ok()?).ok()?;
        own.starts_with(b"\x7fELF").then_some(own)
    }

    fn checked(file: &[u8]) -> Result<(), String> {
        check(&file[..file.len().min(HEAD as usize)], file.len() as u64)
    }

    #[test]
    fn faults_are_told_apart() {
        let Some(own) = own() else { return };
        assert_eq!(checked(&own), Ok(()));
        for len in [5, 17, 30, 64, 5000, own.len() - 1] {
            assert_eq!(checked(&own[..len]).unwrap_err().contains("truncated"), len > 5, "{len}");
        }
        let mut other = own.clone();
        other[18] ^= 0x80;
        assert!(checked(&other).unwrap_err().contains("another kind of machine"));
        other[16] = 1;
        assert!(checked(&other).unwrap_err().contains("not a shared library"));
        assert!(checked(b"#!/bin/sh").unwrap_err().contains("no shared library"));
        assert!(checked(b"").is_err());
    }
}
