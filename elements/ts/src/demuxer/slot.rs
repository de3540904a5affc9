//! What is kept for each PID that some table names.

use smallvec::SmallVec;

use super::event::DropReason;
use super::gather::Gather;
use crate::packet::Pid;
use crate::psi::{Codec, MAX_PRIVATE_SECTION, MAX_PSI_SECTION, SectionAssembler};

/// A PID and its state.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) pid: Pid,
    pub(super) role: Role,
    /// Numbers of the programs whose PCR is on this PID.
    pub(super) clocks: SmallVec<[u16; 1]>,
    /// Number of the program whose stream this is; the first, if several share it.
    pub(super) program: u16,
    /// Packets are missing, or a jump was marked, since the last unit began.
    pub(super) discontinuity: bool,
    /// A run of dropped bytes that is told when it ends: reason, offset, bytes.
    pub(super) run: Option<(DropReason, u64, u64)>,
    /// The last continuity_counter.
    continuity: Option<u8>,
    /// The last packet has come twice.
    repeated: bool,
}

/// What a PID carries.
#[derive(Debug)]
pub(super) enum Role {
    Pat(SectionAssembler),
    Pmt(SectionAssembler),
    /// A stream in PES packets.
    Pes(Codec, Gather),
    /// A stream in sections.
    Sections(Codec, SectionAssembler),
    /// A clock and nothing else.
    Clock,
}

/// What a continuity_counter says. ISO/IEC 13818-1, 2.4.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuity {
    /// It counts on, or a jump is marked.
    Good,
    /// It stands still: the packet may be a duplicate.
    Same,
    /// Packets are missing.
    Gap,
}

impl Role {
    pub(super) fn pat() -> Self {
        Self::Pat(SectionAssembler::new(MAX_PSI_SECTION))
    }

    pub(super) fn pmt() -> Self {
        Self::Pmt(SectionAssembler::new(MAX_PSI_SECTION))
    }

    pub(super) fn stream(codec: Codec) -> Self {
        if codec.in_sections() {
            Self::Sections(codec, SectionAssembler::new(MAX_PRIVATE_SECTION))
        } else {
            Self::Pes(codec, Gather::default())
        }
    }

    /// Whether state of one can go on as state of the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pes(a, _), Self::Pes(b, _)) | (Self::Sections(a, _), Self::Sections(b, _)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Slot {
    pub(super) fn new(pid: Pid, role: Role, program: u16) -> Self {
        Self {
            pid,
            role,
            clocks: SmallVec::new(),
            program,
            discontinuity: false,
            run: None,
            continuity: None,
            repeated: false,
        }
    }

    /// Judges the counter of a packet with payload.
    #[inline]
    pub(super) fn count(&mut self, counter: u8, marked: bool) -> Continuity {
        let last = self.continuity.replace(counter);
        let Some(last) = last.filter(|_| !marked) else {
            self.repeated = false;
            return Continuity::Good;
        };
        if counter == (last + 1) & 0x0F {
            self.repeated = false;
            return Continuity::Good;
        }
        if counter == last { Continuity::Same } else { Continuity::Gap }
    }

    /// The quick look at a packet with payload and no adaptation field: `true`, and it counts, if its counter is the next.
    #[inline]
    pub(super) fn continuity_follows(&mut self, counter: u8) -> bool {
        let follows = self.continuity.is_some_and(|last| counter == (last + 1) & 0x0F);
        if follows {
            self.continuity = Some(counter);
            self.repeated = false;
        }
        follows
    }

    /// Whether a packet that came again may: once.
    pub(super) const fn repeat(&mut self) -> bool {
        !std::mem::replace(&mut self.repeated, true)
    }

    /// The next packet's counter may be any.
    pub(super) const fn forget_counter(&mut self) {
        self.continuity = None;
        self.repeated = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ts_2_counter_wraps_from_15_to_0() {
        let mut slot = Slot::new(Pid::PAT, Role::pat(), 0);
        assert_eq!(slot.count(14, false), Continuity::Good, "the first may be any");
        assert_eq!(slot.count(15, false), Continuity::Good);
        assert_eq!(slot.count(0, false), Continuity::Good);
        assert_eq!(slot.count(0, false), Continuity::Same);
        assert!(slot.repeat());
        assert!(!slot.repeat(), "a duplicate comes once");
        assert_eq!(slot.count(2, false), Continuity::Gap);
        assert_eq!(slot.count(9, true), Continuity::Good, "TS-3: the jump is marked");
    }
}
