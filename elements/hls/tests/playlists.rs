//! Foreign playlists, read by ours; and damaged ones.
#![allow(clippy::disallowed_methods, reason = "a test reads its media itself")]

mod common;

use std::path::PathBuf;

use millstream_hls::playlist::{MediaPlaylist, PlaylistType, ReadError, read_media_playlist};
use millstream_testkit::media::{media_bytes, media_dir};

fn read(name: &str) -> Option<MediaPlaylist> {
    let text = String::from_utf8(media_bytes(name)?.to_vec()).expect("playlists are UTF-8");
    Some(read_media_playlist(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// Name and bytes of every playlist below these folders.
fn playlists_below(folders: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = media_dir().into_iter().flat_map(|r| folders.iter().map(|f| r.join(f))).collect();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| e == "m3u8") {
                found.extend(std::fs::read(&path).map(|bytes| (path.display().to_string(), bytes)));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn hls_2_sequence_numbers_of_foreign_playlists() {
    let Some(playlist) = read("hls/tsduck-test/test-089.live.m3u8") else { return };
    assert_eq!((playlist.target_duration(), playlist.media_sequence(), playlist.next_sequence()), (4, 2, 4));
    assert_eq!(playlist.duration().millis(), 4470 + 2835);
    assert!(playlist.ended && playlist.independent_segments);
    let Some(playlist) = read("m3u8/m3u8-parser__disc-sequence.m3u8") else { return };
    assert_eq!(playlist.discontinuity_sequence(), 3);
    let discontinuities: Vec<_> = playlist.segments().iter().map(|s| s.discontinuity).collect();
    assert_eq!(discontinuities, [false, false, true, false]);
}

#[test]
fn hls_9_types_and_ends_of_foreign_playlists() {
    let Some(playlist) = read("gen/hls_ts/index.m3u8") else { return };
    assert_eq!((playlist.kind, playlist.ended, playlist.segments().len()), (PlaylistType::Vod, true, 5));
    assert_eq!(playlist.duration().millis(), 9980);
    let Some(playlist) = read("hls/tsduck-test/test-089.event.m3u8") else { return };
    assert_eq!(playlist.kind, PlaylistType::Event);
}

#[test]
fn hls_6_dates_of_foreign_playlists() {
    let Some(playlist) = read("m3u8/hls-m3u8__media-playlist-with-program-date-time.m3u8") else { return };
    let dates: Vec<_> = playlist.segments().iter().map(|s| s.program_date_time.map(|t| t.millis())).collect();
    // 2018-12-31T09:47:22+08:00
    assert_eq!(dates, [Some(1_546_220_842_000), None, None, None]);
}

#[test]
fn every_playlist_is_read_or_refused_for_a_reason() {
    let mut media = 0;
    for (name, bytes) in playlists_below(&["m3u8", "hls", "gen/hls_ts", "gen/hls_fmp4"]) {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let multivariant = ["#EXT-X-STREAM-INF", "#EXT-X-MEDIA:", "#EXT-X-I-FRAME-STREAM-INF"];
        match read_media_playlist(&text) {
            Ok(playlist) => {
                // Each segment is a line that is neither empty nor a tag nor a comment (RFC 8216, section 4.1).
                let uris = text.lines().filter(|l| !l.trim().is_empty() && !l.trim().starts_with('#')).count();
                assert_eq!(playlist.segments().len(), uris, "{name}");
                media += 1;
            }
            Err(ReadError::Multivariant { .. }) => assert!(multivariant.iter().any(|t| text.contains(t)), "{name}"),
            Err(ReadError::NotAPlaylist) => {
                assert!(!text.starts_with("#EXTM3U\n") && !text.starts_with("#EXTM3U\r"), "{name}")
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    println!("{media} media playlists read");
}

#[test]
fn damaged_playlists_never_panic() {
    let seeds = playlists_below(&["m3u8"]);
    let mut random = common::Random(1);
    for (_, seed) in &seeds {
        for _ in 0..20 {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] = b"\n,:=\"@.#-+09Z\xff"[random.below(14)];
            }
            bytes.truncate(random.below(bytes.len()) + 1);
            let _ = read_media_playlist(&String::from_utf8_lossy(&bytes));
        }
    }
}
