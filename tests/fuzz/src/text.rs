//! Texts: pipelines, caps, playlists. Bytes that are no UTF-8 are read as their replacement characters.

use millstream_core::{Caps, CapsSet};
use millstream_graph::diagnostic::Diagnostics;
use millstream_graph::source::SourceText;
use millstream_graph::{launch, pipeline};
use millstream_hls::playlist::read_media_playlist;

/// A launch line.
pub fn launch(data: &[u8]) {
    let source = SourceText::new("fuzz", String::from_utf8_lossy(data));
    launch::parse(&source, &mut Diagnostics::default());
}

/// A pipeline file.
pub fn yaml(data: &[u8]) {
    let source = SourceText::new("fuzz.yaml", String::from_utf8_lossy(data));
    pipeline::parse(&source, &mut Diagnostics::default());
}

/// Caps that were read, written and read again are the same.
pub fn caps_round_trip(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(caps) = text.parse::<Caps>() {
        let written = caps.to_string();
        assert_eq!(written.parse::<Caps>().expect("our own writing is readable").to_string(), written);
    }
    if let Ok(caps) = text.parse::<CapsSet>() {
        let written = caps.to_string();
        assert_eq!(written.parse::<CapsSet>().expect("our own writing is readable").to_string(), written);
    }
}

/// A media playlist, as a restarted writer finds it.
pub fn hls_playlist(data: &[u8]) {
    let Ok(playlist) = read_media_playlist(&String::from_utf8_lossy(data)) else { return };
    assert!(playlist.segments().len() <= data.len());
    let written = format!("{}{}{}", playlist.header(), playlist.body(), playlist.footer());
    read_media_playlist(&written).expect("our own writing is readable");
}
