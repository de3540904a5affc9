//! Other numbers of channels.

/// Share of a centre or surround channel in left and right (ITU-R BS.775-4, table 2): -3 dB.
const SHARE: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// How much of each channel goes into each new one: a row for each new channel. `None` where no rule is known.
///
/// Channels are in the default order of WAVE: left, right, centre, LFE, rear left, rear right, side left, side right.
pub(crate) fn matrix(from: usize, to: usize) -> Option<Vec<Vec<f32>>> {
    if from == to {
        return Some((0..to).map(|row| (0..from).map(|column| f32::from(u8::from(row == column))).collect()).collect());
    }
    match (from, to) {
        (1, 2) => Some(vec![vec![1.0], vec![1.0]]),
        (_, 2) => stereo(from),
        (2, 1) => Some(vec![vec![0.5, 0.5]]),
        (_, 1) => {
            let both = stereo(from)?;
            Some(vec![both[0].iter().zip(&both[1]).map(|(left, right)| (left + right) / 2.0).collect()])
        }
        _ => None,
    }
}

/// Left and right of more channels, as loud as none of them can clip. The LFE is left out, as BS.775 does.
fn stereo(from: usize) -> Option<Vec<Vec<f32>>> {
    let (left, right): (&[f32], &[f32]) = match from {
        3 => (&[1.0, 0.0, SHARE], &[0.0, 1.0, SHARE]),
        4 => (&[1.0, 0.0, SHARE, 0.0], &[0.0, 1.0, 0.0, SHARE]),
        5 => (&[1.0, 0.0, SHARE, SHARE, 0.0], &[0.0, 1.0, SHARE, 0.0, SHARE]),
        6 => (&[1.0, 0.0, SHARE, 0.0, SHARE, 0.0], &[0.0, 1.0, SHARE, 0.0, 0.0, SHARE]),
        8 => (&[1.0, 0.0, SHARE, 0.0, SHARE, 0.0, SHARE, 0.0], &[0.0, 1.0, SHARE, 0.0, 0.0, SHARE, 0.0, SHARE]),
        _ => return None,
    };
    let scaled = |row: &[f32]| row.iter().map(|v| v / row.iter().sum::<f32>()).collect();
    Some(vec![scaled(left), scaled(right)])
}

/// The new channels of interleaved samples.
pub(crate) fn mix(samples: &[f32], from: usize, matrix: &[Vec<f32>]) -> Vec<f32> {
    let row = |frame: &[f32], row: &Vec<f32>| frame.iter().zip(row).map(|(sample, share)| sample * share).sum::<f32>();
    samples.chunks_exact(from).flat_map(|frame| matrix.iter().map(move |shares| row(frame, shares))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_on_both_sides_and_two_are_their_mean() {
        assert_eq!(mix(&[0.5, -0.25], 1, &matrix(1, 2).unwrap()), [0.5, 0.5, -0.25, -0.25]);
        assert_eq!(mix(&[0.5, 0.25], 2, &matrix(2, 1).unwrap()), [0.375]);
    }

    #[test]
    fn surround_goes_to_its_side_and_nothing_clips() {
        let both = matrix(6, 2).unwrap();
        let loudest = mix(&[1.0; 6], 6, &both);
        assert!(loudest.iter().all(|v| (v - 1.0).abs() < 1e-6), "{loudest:?}");
        let rear_left = mix(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0], 6, &both);
        assert!(rear_left[0] > 0.2 && rear_left[1] == 0.0);
        let bass = mix(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], 6, &both);
        assert_eq!(bass, [0.0, 0.0]);
    }

    #[test]
    fn what_has_no_rule_is_not_guessed() {
        assert_eq!(matrix(2, 6), None);
        assert_eq!(matrix(7, 2), None);
        assert!(matrix(7, 7).is_some());
    }
}
