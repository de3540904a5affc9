//! Multivariant Playlists (RFC 8216, section 4.3.4, where they are called Master Playlists).

use std::fmt;

/// One rendition of the presentation: `EXT-X-STREAM-INF` (RFC 8216, section 4.3.4.2).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Variant {
    /// The Media Playlist, as a URI reference.
    pub uri: String,
    /// Peak bits a second: the largest of the segments' bit rates, overhead included.
    pub bandwidth: u64,
    /// Average bits a second over all segments.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381 codec strings, such as `avc1.64001f` and `mp4a.40.2`.
    pub codecs: Vec<String>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Pictures a second, as numerator and denominator.
    pub frame_rate: Option<(u32, u32)>,
}

/// The list of renditions that a player chooses from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MultivariantPlaylist {
    /// Every segment of every rendition can be decoded without another one (RFC 8216, section 4.3.5.1).
    pub independent_segments: bool,
    /// The renditions, the one to begin with first.
    pub variants: Vec<Variant>,
}

impl fmt::Display for MultivariantPlaylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing that is written here needs more than version 1 (section 7), which is what a missing EXT-X-VERSION means.
        f.write_str("#EXTM3U\n")?;
        if self.independent_segments {
            f.write_str("#EXT-X-INDEPENDENT-SEGMENTS\n")?;
        }
        self.variants.iter().try_for_each(|variant| write!(f, "{variant}"))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#EXT-X-STREAM-INF:BANDWIDTH={}", self.bandwidth)?;
        if let Some(average) = self.average_bandwidth {
            write!(f, ",AVERAGE-BANDWIDTH={average}")?;
        }
        if !self.codecs.is_empty() {
            write!(f, ",CODECS=\"{}\"", self.codecs.join(","))?;
        }
        if let Some((width, height)) = self.resolution {
            write!(f, ",RESOLUTION={width}x{height}")?;
        }
        if let Some((n, d)) = self.frame_rate.filter(|(_, d)| *d > 0) {
            // Rounded to three decimals (section 4.3.4.2).
            let thousandths = (u64::from(n) * 1000 + u64::from(d) / 2) / u64::from(d);
            write!(f, ",FRAME-RATE={}.{:03}", thousandths / 1000, thousandths % 1000)?;
        }
        write!(f, "\n{}\n", self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hls_7_stream_inf_has_peak_average_codecs_size_and_rate() {
        let variant = Variant {
            uri: "index.m3u8".into(),
            bandwidth: 1_500_000,
            average_bandwidth: Some(1_200_000),
            codecs: vec!["avc1.64001f".into(), "mp4a.40.2".into()],
            resolution: Some((1280, 720)),
            frame_rate: Some((30_000, 1001)),
        };
        let playlist = MultivariantPlaylist { independent_segments: true, variants: vec![variant] };
        assert_eq!(
            playlist.to_string(),
            "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH=1500000,AVERAGE-BANDWIDTH=1200000,\
             CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970\nindex.m3u8\n"
        );
    }
}
