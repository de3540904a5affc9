//! Every element that ships with millstream.
//!
//! | crate | elements |
//! | --- | --- |
//! | `millstream-audio` | sound: `aacdec`, `opusenc`, `opusdec`, `audioconvert`, `audioresample` |
//! | `millstream-codec` | parsers: `h264parse`, `aacparse` and so on |
//! | `millstream-flv` | `flvdemux`, `flvmux` |
//! | `millstream-generic` | format-independent ones: `queue`, `tee`, `appsrc` and so on |
//! | `millstream-io` | `filesrc`, `filesink` |
//! | `millstream-hls` | `hlssink` |
//! | `millstream-http` | `httpflvsink` |
//! | `millstream-rtmp` | `rtmpsrc`, `rtmpsink`, `rtmpserversrc`, `rtmpserversink` |
//! | `millstream-signaling` | `signalingserver` |
//! | `millstream-ts` | `tsdemux`, `tsmux` |
//! | `millstream-turn` | `turnserver` |
//! | `millstream-webrtc` (feature `webrtc`) | `whipserversrc`, `whepserversink`, `webrtcsrc`, `webrtcsink` |

use millstream_core::Registry;

/// A registry of all elements.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    millstream_audio::register(&mut registry);
    millstream_codec::register(&mut registry);
    millstream_flv::register(&mut registry);
    millstream_generic::register(&mut registry);
    millstream_hls::register(&mut registry);
    millstream_http::register(&mut registry);
    millstream_io::register(&mut registry);
    millstream_mp4::register(&mut registry);
    millstream_rtmp::register(&mut registry);
    millstream_signaling::register(&mut registry);
    millstream_ts::register(&mut registry);
    millstream_turn::register(&mut registry);
    #[cfg(feature = "webrtc")]
    millstream_webrtc::register(&mut registry);
    registry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_says_what_it_is() {
        let registry = registry();
        for name in [
            "filesrc",
            "filesink",
            "fakesrc",
            "fakesink",
            "identity",
            "queue",
            "tee",
            "appsrc",
            "hlssink",
            "h264parse",
            "aacparse",
            "tsdemux",
            "tsmux",
        ] {
            assert!(registry.get(name).is_some(), "{name}");
        }
        for factory in registry.iter() {
            let is_service = factory.klass.ends_with("/Service");
            assert!(is_service == factory.pads.is_empty() && !factory.summary.is_empty(), "{factory:?}");
            assert!(factory.example.contains(factory.name), "{factory:?} has no example");
            for property in factory.settings.properties() {
                assert!(!property.description.is_empty(), "{factory:?}: {} is not described", property.name);
            }
        }
    }
}
