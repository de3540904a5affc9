//! The nearest name to a misspelt one.

/// The name of `known` that `name` is probably a slip of.
///
/// Distance is the number of letters added, left out, changed or swapped with their neighbour (optimal string alignment);
/// a third of the length is allowed, and a name that only adds to what was written (`segment` for `segment-duration`)
/// counts as near too. Upper case, `_` and `-` make no difference.
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = normal(name);
    if wanted.is_empty() || wanted.len() > MAX_NAME {
        return None;
    }
    let allowed = (wanted.len() / 3).max(1);
    let scored = known.into_iter().filter_map(|candidate| {
        let other = normal(candidate);
        let starts = wanted.len() >= 3 && other.starts_with(&wanted);
        let distance = if other.len() > MAX_NAME { usize::MAX } else { distance(&wanted, &other) };
        (distance <= allowed || starts).then_some((distance.min(allowed.saturating_add(1)), candidate))
    });
    scored.min_by_key(|(distance, candidate)| (*distance, candidate.len())).map(|(_, candidate)| candidate)
}

/// Longest name compared, in characters: the cost is the product of both lengths.
const MAX_NAME: usize = 64;

fn normal(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let changed = above[j] + usize::from(from != to);
            let mut best = changed.min(above[j + 1] + 1).min(row[j] + 1);
            let swapped = i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to;
            if swapped {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let known = ["segment-duration", "directory", "window", "playlist-type"];
        assert_eq!(did_you_mean("segment-durations", known), Some("segment-duration"));
        assert_eq!(did_you_mean("segment_duration", known), Some("segment-duration"));
        assert_eq!(did_you_mean("segment", known), Some("segment-duration"));
        assert_eq!(did_you_mean("widnow", known), Some("window"));
        assert_eq!(did_you_mean("bitrate", known), None);
        assert_eq!(did_you_mean("", known), None);
    }

    #[test]
    fn the_nearest_wins() {
        assert_eq!(did_you_mean("flvdemu", ["flvmux", "flvdemux", "tsdemux"]), Some("flvdemux"));
        assert_eq!(did_you_mean("h246parse", ["h265parse", "h264parse"]), Some("h264parse"));
    }
}
