//! Wire timestamps, which wrap after 49.7 days, to times that do not.

/// Makes 32-bit millisecond timestamps continuous (FLV 10.1 E.4.1; RTMP 1.0, 5.3.1: serial number arithmetic, RFC 1982).
///
/// Each timestamp is taken as the nearest one to its predecessor, so steps back and forth of up to 2^31 - 1 ms (24.8 days) come
/// out right on both sides of a wrap. One unwrapper serves all tracks of a stream: audio and video cross the wrap a few
/// tags apart.
///
/// ```
/// let mut time = millstream_flv::wire::TimestampUnwrapper::default();
/// assert_eq!(time.unwrap(u32::MAX), 4_294_967_295);
/// assert_eq!(time.unwrap(39), 4_294_967_335);
/// assert_eq!(time.unwrap(u32::MAX), 4_294_967_295);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimestampUnwrapper {
    last: Option<i64>,
}

impl TimestampUnwrapper {
    /// The continuous time in milliseconds. The first one is the wire value itself.
    pub fn unwrap(&mut self, wire: u32) -> i64 {
        let time = match self.last {
            // The cast keeps the low 32 bits, which are the wire value of the last time. 2^31 ms a call cannot
            // reach the end of i64 within any stream's life, and saturating keeps even that harmless.
            Some(last) => last.saturating_add(i64::from(wire.wrapping_sub(last as u32) as i32)),
            None => i64::from(wire),
        };
        self.last = Some(time);
        time
    }

    /// Forgets the past: the next timestamp is taken as it is.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flv_2_time_is_continuous_across_2_pow_32_forwards_and_backwards() {
        let mut time = TimestampUnwrapper::default();
        let start = (1 << 32) - 50;
        let times = [0, 20, 70, 40, 90, 60, 120].map(|step| (step, time.unwrap((start + step) as u32)));
        for (step, time) in times {
            assert_eq!(time, start + step);
        }
        // Three more wraps in steps below 2^31.
        let mut expected = start + 120;
        for _ in 0..7 {
            expected += 2_000_000_000;
            assert_eq!(time.unwrap(expected as u32), expected);
        }
    }

    #[test]
    fn flv_2_zero_metadata_time_ahead_of_a_late_start_goes_negative() {
        let mut time = TimestampUnwrapper::default();
        assert_eq!(time.unwrap(0), 0);
        assert_eq!(time.unwrap((1u64 << 32) as u32 ^ 0xFFFF_EC78), -5000);
        time.reset();
        assert_eq!(time.unwrap(0xFFFF_EC78), 0xFFFF_EC78);
    }
}
