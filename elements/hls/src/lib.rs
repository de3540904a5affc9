//! HTTP Live Streaming: playlists, segmenter, `hlssink`.
//!
//! Standards that this crate implements:
//!
//! | standard | what | where |
//! | --- | --- | --- |
//! | RFC 8216, sections 4.1, 4.3.1 to 4.3.3 | Media Playlist, writing and reading | [`playlist`] |
//! | RFC 8216, section 4.3.4.2 | Multivariant (there: Master) Playlist, writing | [`playlist::MultivariantPlaylist`] |
//! | RFC 8216, section 3 | where Media Segments begin and end | [`segmenter`] |
//! | RFC 8216, section 6.2 | what a server may change in a playlist, and when segments may go | [`window`] |
//! | RFC 8216, section 3.2 | MPEG-2 Transport Stream segments | [`sink`] |
//! | RFC 8216, section 7 | which EXT-X-VERSION a playlist needs | [`playlist::MediaPlaylist`] |
//! | RFC 3986, section 2 | characters of a URI | [`sink::SegmentName`] |
//! | RFC 3339 / ISO 8601 | EXT-X-PROGRAM-DATE-TIME | [`playlist::date_time`] |
//!
//! [`playlist`], [`segmenter`] and [`window`] own no file, clock or task; [`sink`] gives them those of an
//! [`Env`](millstream_core::Env).

pub mod playlist;
pub mod segmenter;
pub mod sink;
pub mod window;

pub use sink::register;
