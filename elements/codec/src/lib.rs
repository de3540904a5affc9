//! Codec bitstreams: parameter sets, frame headers and framing of H.264, H.265, AAC, MPEG audio, Opus, AV1.
