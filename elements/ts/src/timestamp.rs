//! The clocks of a transport stream: 33-bit stamps of 90 kHz and the 27 MHz program clock reference.
//!
//! ISO/IEC 13818-1:2023, 2.4.2.2 (system clock), 2.4.3.5 (PCR) and 2.4.3.7 (PTS, DTS).

/// Ticks of PTS and DTS in a second.
pub const PTS_HZ: i64 = 90_000;

/// Ticks of the PCR in a second.
pub const PCR_HZ: i64 = 27_000_000;

/// PCR ticks in a PTS tick.
pub const PCR_PER_PTS: i64 = 300;

/// PTS, DTS and PCR base wrap here: 2^33 ticks, 26.5 hours.
pub const WRAP: i64 = 1 << 33;

/// A program clock reference as it is on the wire: 27 MHz ticks modulo 2^33 · 300.
///
/// The wire form is six bytes: 33 bits base (90 kHz), 6 bits reserved, 9 bits extension (0..300).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pcr(u64);

impl Pcr {
    /// The PCR of a time in 27 MHz ticks that may be negative or past the wrap.
    #[must_use]
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks.rem_euclid(WRAP * PCR_PER_PTS) as u64)
    }

    /// The value in 27 MHz ticks, 0 to 2^33 · 300 - 1.
    #[must_use]
    pub const fn ticks(self) -> u64 {
        self.0
    }

    /// The 90 kHz part.
    #[must_use]
    pub const fn base(self) -> u64 {
        self.0 / PCR_PER_PTS as u64
    }

    /// The 27 MHz remainder, 0 to 299.
    #[must_use]
    pub const fn extension(self) -> u16 {
        (self.0 % PCR_PER_PTS as u64) as u16
    }

    /// Reads the wire form. An extension above 299 is forbidden but seen; it counts as it is.
    #[must_use]
    pub fn parse(b: [u8; 6]) -> Self {
        let base = u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]])) << 1 | u64::from(b[4] >> 7);
        let extension = u64::from(b[4] & 1) << 8 | u64::from(b[5]);
        Self((base * PCR_PER_PTS as u64 + extension) % (WRAP * PCR_PER_PTS) as u64)
    }

    /// The wire form, reserved bits set.
    #[must_use]
    pub const fn write(self) -> [u8; 6] {
        let (base, ext) = (self.base(), self.extension());
        let word = base << 15 | 0x3F << 9 | ext as u64;
        let b = word.to_be_bytes();
        [b[2], b[3], b[4], b[5], b[6], b[7]]
    }
}

/// Turns the 33-bit stamps of one program into 64-bit ones that never wrap.
///
/// All PIDs of a program share one clock, so they share one `Unroller`: each stamp becomes the 64-bit value that is nearest to the
/// newest one of the program. So audio that wraps a moment before video stays beside it, as long as two stamps that follow each
/// other are less than 2^32 ticks (13 hours) apart.
#[derive(Debug, Clone, Default)]
pub struct Unroller {
    newest: Option<i64>,
}

impl Unroller {
    /// Unrolls a 33-bit stamp of 90 kHz and makes it the reference of the next. The first keeps its value.
    pub fn unroll(&mut self, stamp: u64) -> i64 {
        let value = self.peek(stamp);
        self.newest = Some(value);
        value
    }

    /// Unrolls a stamp without making it the reference.
    #[must_use]
    pub fn peek(&self, stamp: u64) -> i64 {
        let stamp = (stamp % WRAP as u64) as i64;
        self.newest.map_or(stamp, |near| nearest(stamp, near))
    }

    /// Unrolls the stamps of one PES. The DTS leads; the PTS follows it, also when only the PTS has wrapped.
    pub fn unroll_pair(&mut self, pts: Option<u64>, dts: Option<u64>) -> (Option<i64>, Option<i64>) {
        let first = dts.or(pts).map(|v| self.unroll(v));
        let pts = pts.zip(first).map(|(v, near)| nearest((v % WRAP as u64) as i64, near));
        (pts, dts.and(first))
    }

    /// Unrolls a PCR to 27 MHz ticks on the same time line.
    pub fn unroll_pcr(&mut self, pcr: Pcr) -> i64 {
        self.unroll(pcr.base()).saturating_mul(PCR_PER_PTS).saturating_add(i64::from(pcr.extension()))
    }
}

/// The value congruent to `stamp` modulo 2^33 that is nearest to `near`.
fn nearest(stamp: i64, near: i64) -> i64 {
    let ahead = stamp.wrapping_sub(near).rem_euclid(WRAP);
    let step = if ahead >= WRAP / 2 { ahead - WRAP } else { ahead };
    near.saturating_add(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcr_wire_form_is_33_6_9_bits() {
        // base 1, extension 299: 0x00000000 | 1 in the top bit of byte 4, reserved ones, 9-bit 0x12B.
        let pcr = Pcr::from_ticks(300 + 299);
        assert_eq!(pcr.write(), [0, 0, 0, 0, 0xFF, 0x2B]);
        assert_eq!(Pcr::parse([0, 0, 0, 0, 0xFF, 0x2B]), pcr);
        assert_eq!(Pcr::parse([0xFF; 6]).base(), 0, "base 2^33 - 1 with extension 511 runs over");
        assert_eq!(Pcr::from_ticks(-1).ticks(), (WRAP * 300 - 1) as u64);
    }

    #[test]
    fn ts_6_audio_and_video_stay_together_when_only_one_has_wrapped() {
        let mut unroller = Unroller::default();
        let video = unroller.unroll(WRAP as u64 - 1_000);
        let audio = unroller.unroll(500);
        assert_eq!(audio - video, 1_500);
        let video = unroller.unroll(WRAP as u64 - 100);
        assert_eq!(audio - video, 600);
        assert_eq!(unroller.unroll(3_000), WRAP + 3_000);
    }

    #[test]
    fn ts_6_first_value_near_the_wrap_may_be_the_later_one() {
        let mut unroller = Unroller::default();
        assert_eq!(unroller.unroll(50), 50);
        assert_eq!(unroller.unroll(WRAP as u64 - 100), -100);
    }

    #[test]
    fn ts_6_pts_wraps_before_dts_in_one_pes() {
        let mut unroller = Unroller::default();
        let (pts, dts) = unroller.unroll_pair(Some(2_000), Some(WRAP as u64 - 1_000));
        assert_eq!((pts, dts), (Some(WRAP + 2_000), Some(WRAP - 1_000)));
    }

    #[test]
    fn ts_6_many_wraps_stay_continuous() {
        let mut unroller = Unroller::default();
        let step = 3_000_000_000_i64;
        for n in 0..40 {
            assert_eq!(unroller.unroll((n * step % WRAP) as u64), n * step);
        }
    }
}
