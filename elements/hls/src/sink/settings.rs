//! What the user sets, and what follows from it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use millstream_core::settings::units::DurationSetting;
use millstream_core::{Error, Result, TimeDelta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::multivariant::Listed;
use super::name::{SegmentName, check_plain};
use super::serve::Place;
use crate::playlist::{MediaPlaylist, PlaylistType};

/// Longest segment: beyond it nobody would call it streaming, and numbers stay small.
const MAX_TARGET_SECONDS: i64 = 3600;

const TARGET_DURATION: &str = "target-duration";

/// Settings of `hlssink`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HlsSinkSettings {
    /// Where playlist and segments go; made if it is not there.
    pub directory: String,
    /// Name of the playlist.
    #[serde(default = "default_playlist_name")]
    pub playlist_name: String,
    /// Names of the segments, with one place for the number: `%d`, or `%05d` with leading zeros.
    #[serde(default = "default_segment_name")]
    pub segment_name: String,
    /// A segment ends at the first key frame after this time.
    #[serde(default = "default_segment_duration")]
    #[schemars(extend("x-minimum" = "100ms", "x-maximum" = "1h"))]
    pub segment_duration: DurationSetting,
    /// Longest segment (EXT-X-TARGETDURATION), a whole number of seconds; never changes. Half as much again as segment-duration
    /// when left out.
    #[serde(default)]
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "1h"))]
    pub target_duration: Option<DurationSetting>,
    /// How much a live playlist lists; never less than three target durations. 0s keeps everything.
    #[serde(default)]
    pub window: DurationSetting,
    /// What may change in the playlist.
    #[serde(default)]
    pub playlist_type: PlaylistTypeSetting,
    /// Promise that every segment begins with a key frame (EXT-X-INDEPENDENT-SEGMENTS): a longer group of pictures is an error.
    #[serde(default)]
    pub independent_segments: bool,
    /// Write the wall-clock time of each segment (EXT-X-PROGRAM-DATE-TIME).
    #[serde(default)]
    pub program_date_time: bool,
    /// Delete segments that left the window once no player can want them, and those of a complete presentation that is replaced.
    #[serde(default = "yes")]
    pub delete_segments: bool,
    /// A Multivariant Playlist (RFC 8216, section 4.3.4) that lists this rendition, and every other `hlssink` of the program that names the
    /// same file: `out/index.m3u8`, with `directory` `out/720p`.
    #[serde(default)]
    pub multivariant: Option<String>,
    /// Serve the presentation over HTTP at this address and port. Elements with the same address share the listener.
    #[serde(default)]
    pub serve: Option<SocketAddr>,
    /// Where it is served, by custom `/APP/STREAM`: with `/live/cam` the playlist is `http://host:8080/live/cam/index.m3u8`. The last part
    /// of `directory` when left out.
    #[serde(default)]
    pub path: Option<String>,
    /// Shows the stream on the listener's watch page, if it is served.
    #[serde(default = "yes")]
    pub listed: bool,
    /// Directory with `hls.js` and `mpegts.js`, with which the watch page of the listener plays then instead of by itself.
    #[serde(default)]
    pub watch_scripts: Option<PathBuf>,
}

/// What may change in the playlist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlaylistTypeSetting {
    /// Grows at the end, and shrinks at the front when there is a window.
    #[default]
    Live,
    /// Only grows.
    Event,
    /// Written once, when all is there.
    Vod,
}

fn default_playlist_name() -> String {
    "index.m3u8".to_owned()
}

fn default_segment_name() -> String {
    "seg%05d.ts".to_owned()
}

fn default_segment_duration() -> DurationSetting {
    DurationSetting::from_secs(6)
}

fn yes() -> bool {
    true
}

/// Settings that make sense together.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) directory: PathBuf,
    pub(super) playlist_name: String,
    pub(super) segment_name: SegmentName,
    pub(super) segment_duration: TimeDelta,
    /// Seconds.
    pub(super) target_duration: u32,
    pub(super) window: Option<TimeDelta>,
    pub(super) kind: PlaylistType,
    pub(super) independent_segments: bool,
    pub(super) program_date_time: bool,
    pub(super) delete_segments: bool,
    pub(super) listed: Option<Listed>,
    pub(super) place: Option<Place>,
}

impl HlsSinkSettings {
    /// All defaults, into this directory.
    pub fn new(directory: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            playlist_name: default_playlist_name(),
            segment_name: default_segment_name(),
            segment_duration: default_segment_duration(),
            target_duration: None,
            window: DurationSetting(0),
            playlist_type: PlaylistTypeSetting::Live,
            independent_segments: false,
            program_date_time: false,
            delete_segments: true,
            multivariant: None,
            serve: None,
            path: None,
            listed: true,
            watch_scripts: None,
        }
    }

    pub(super) fn check(&self) -> Result<Plan> {
        let name_error = |name, e: super::NameError| Error::settings(format!("{name}: {e}")).on_property(name);
        check_plain(&self.playlist_name).map_err(|e| name_error("playlist-name", e))?;
        let segment_name = SegmentName::parse(&self.segment_name).map_err(|e| name_error("segment-name", e))?;
        if segment_name.sequence(&self.playlist_name).is_some() {
            return Err(Error::settings("playlist-name is also the name of a segment").on_property("playlist-name"));
        }
        let kind = match self.playlist_type {
            PlaylistTypeSetting::Live => PlaylistType::Live,
            PlaylistTypeSetting::Event => PlaylistType::Event,
            PlaylistTypeSetting::Vod => PlaylistType::Vod,
        };
        if self.window.0 < 0 {
            return Err(Error::settings("window is less than nothing").on_property("window"));
        }
        if self.window.0 > 0 && kind != PlaylistType::Live {
            let hint = "leave window out, or use playlist-type: live";
            let message = "a playlist of type event or vod keeps everything, so it has no window";
            return Err(Error::settings(message).on_property("window").hint(hint));
        }
        let listed = |file: &String| Listed::new(file, Path::new(&self.directory), &self.playlist_name);
        let mut listed = self.multivariant.as_ref().map(listed).transpose()?;
        let place = Place::of(self, listed.as_mut())?;
        Ok(Plan {
            directory: PathBuf::from(&self.directory),
            playlist_name: self.playlist_name.clone(),
            segment_name,
            segment_duration: TimeDelta::from_nanos(self.segment_duration.0),
            target_duration: self.target_seconds()?,
            window: (self.window.0 > 0).then(|| TimeDelta::from_nanos(self.window.0)),
            kind,
            independent_segments: self.independent_segments,
            program_date_time: self.program_date_time,
            delete_segments: self.delete_segments,
            listed,
            place,
        })
    }

    /// EXT-X-TARGETDURATION in seconds: as set, or with room for key frames that come late.
    fn target_seconds(&self) -> Result<u32> {
        const SECOND: i64 = 1_000_000_000;
        let wanted = self.segment_duration.0;
        if !(SECOND / 10..=MAX_TARGET_SECONDS * SECOND).contains(&wanted) {
            let message = format!("segment-duration is {}, not 100ms to 1h", self.segment_duration);
            return Err(Error::settings(message).on_property("segment-duration"));
        }
        let seconds = match self.target_duration {
            None => (wanted + wanted / 2 + SECOND - 1) / SECOND,
            Some(target) if target.0 % SECOND == 0 && target.0 >= SECOND => target.0 / SECOND,
            Some(target) => {
                let message = format!("target-duration is {target}, not a whole number of seconds");
                return Err(Error::settings(message).on_property(TARGET_DURATION));
            }
        };
        // Rounded durations count (RFC 8216, section 4.3.3.1).
        if wanted >= seconds * SECOND + SECOND / 2 {
            let hint = "leave target-duration out, or make it longer";
            let error = Error::settings("target-duration is less than segment-duration");
            return Err(error.on_property(TARGET_DURATION).hint(hint));
        }
        u32::try_from(seconds).map_err(|_| Error::settings("target-duration is too long").on_property(TARGET_DURATION))
    }
}

impl Plan {
    /// The playlist that these settings begin with.
    pub(super) fn playlist(&self) -> MediaPlaylist {
        let mut playlist = MediaPlaylist::new(self.target_duration.into(), 0, 0);
        playlist.kind = self.kind;
        playlist.independent_segments = self.independent_segments;
        playlist
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(segment_ms: i64, target_s: Option<i64>) -> Option<u32> {
        let segment_duration = DurationSetting::from_millis(segment_ms);
        let target_duration = target_s.map(DurationSetting::from_secs);
        let settings = HlsSinkSettings { segment_duration, target_duration, ..HlsSinkSettings::new("x") };
        settings.check().ok().map(|plan| plan.target_duration)
    }

    #[test]
    fn hls_1_target_duration_leaves_room_for_late_key_frames() {
        assert_eq!([target(2000, None), target(6000, None), target(100, None)], [Some(3), Some(9), Some(1)]);
        assert_eq!([target(2000, Some(2)), target(2000, Some(1)), target(2499, Some(2))], [Some(2), None, Some(2)]);
        assert_eq!([target(0, None), target(-5, None), target(3_600_001, None)], [None; 3]);
    }

    #[test]
    fn a_path_comes_from_the_directory_and_must_be_one() {
        let check = |directory: &str, serve: bool, path: Option<&str>, segment_name: &str| {
            let settings = HlsSinkSettings {
                serve: serve.then(|| ([127, 0, 0, 1], 8080).into()),
                path: path.map(str::to_owned),
                segment_name: segment_name.to_owned(),
                ..HlsSinkSettings::new(directory)
            };
            settings.check().map(|plan| plan.place)
        };
        let place =
            |directory: &str, path| check(directory, true, path, "%d.ts").ok().map(|place| format!("{place:?}"));
        assert!(place("/var/www/cam", None).unwrap().contains("\"/cam\""));
        assert!(place("cam/", Some("/live/x")).unwrap().contains("\"/live/x\""));
        for (directory, path) in
            [("..", None), ("/", None), ("a?b", None), ("cam", Some("/")), ("cam", Some("/healthz"))]
        {
            assert_eq!(place(directory, path), None, "{directory}");
        }
        assert!(check("cam", true, None, "a?%d.ts").is_err(), "nobody can ask for it");
        assert!(check("cam", false, Some("/x"), "%d.ts").is_err(), "a path without a listener");
        assert_eq!(check("..", false, None, "a?%d.ts").unwrap(), None);
    }

    #[test]
    fn event_and_vod_have_no_window() {
        let window = DurationSetting::from_secs(12);
        let vod = HlsSinkSettings { window, playlist_type: PlaylistTypeSetting::Vod, ..HlsSinkSettings::new("x") };
        assert!(vod.check().is_err());
        assert!(HlsSinkSettings { window, ..HlsSinkSettings::new("x") }.check().is_ok());
    }
}
