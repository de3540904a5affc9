//! HTTP Live Streaming: playlists, segmenter, hlssink.
