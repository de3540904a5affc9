//! Every fuzz body, on the stable toolchain, over every seed: those in the tree, and the fuzz and broken sets of the
//! shared media where they are present. Each file whole, cut, and with bits flipped.

#[allow(unreachable_pub, reason = "the same file is the library of the fuzz crate")]
#[path = "../../fuzz/src/lib.rs"]
mod bodies;

use bodies::{BODIES, Body};
use std::path::{Path, PathBuf};

/// Larger files are read whole only: flipping bits in a small file reaches as many paths.
const SMALL: usize = 64 << 10;
/// Variants of a small file with one bit in every few flipped.
const FLIPPED: u64 = 4;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two folders below the root")
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

fn seeds() -> Vec<PathBuf> {
    let mut seeds = files_in(&root().join("tests/fuzz/seeds"));
    assert!(!seeds.is_empty(), "tests/fuzz/seeds is empty");
    let Some(media) = millstream_testkit::media::media_dir() else { return seeds };
    let sets = std::fs::read_dir(media).into_iter().flatten().flatten().map(|entry| entry.path());
    let wanted = |set: &PathBuf| {
        let name = set.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("fuzz_") || ["broken", "amf", "m3u8"].contains(&&*name)
    };
    sets.filter(wanted).for_each(|set| seeds.extend(files_in(&set)));
    seeds
}

/// Says which input it was before the panic goes on.
fn feed((name, body): Body, data: &[u8], what: &dyn Fn() -> String) {
    if let Err(panic) = std::panic::catch_unwind(|| body(data)) {
        eprintln!("{name} fell over {}", what());
        std::panic::resume_unwind(panic);
    }
}

fn replay(name: &str) {
    let body = *BODIES.iter().find(|body| body.0 == name).expect("a body of that name");
    for file in seeds() {
        let data = std::fs::read(&file).expect("a readable seed");
        feed(body, &data, &|| file.display().to_string());
        if data.len() > SMALL {
            continue;
        }
        for cut in [data.len() / 3, data.len() / 2, data.len().saturating_sub(1)] {
            feed(body, &data[..cut], &|| format!("the first {cut} bytes of {}", file.display()));
        }
        for seed in 1..=FLIPPED {
            feed(body, &flip(&data, seed), &|| format!("{} with bits flipped, seed {seed}", file.display()));
        }
    }
}

/// One bit in about every 64 bytes flipped; at least one.
fn flip(data: &[u8], seed: u64) -> Vec<u8> {
    let mut flipped = data.to_vec();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _ in 0..=data.len() / 64 {
        // xorshift64 (Marsaglia, 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = usize::try_from(state >> 3).unwrap_or(0) % data.len().max(1);
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1 << (state & 7);
        }
    }
    flipped
}

macro_rules! replay {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { replay(stringify!($name)); })*

        #[test]
        fn every_body_is_replayed_and_has_a_fuzz_target() {
            let replayed = [$(stringify!($name)),*];
            let listed: Vec<&str> = BODIES.iter().map(|body| body.0).collect();
            assert_eq!(replayed.as_slice(), listed);
            let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).expect("a manifest");
            for name in listed {
                assert!(root().join(format!("tests/fuzz/fuzz_targets/{name}.rs")).is_file(), "no target file for {name}");
                assert!(manifest.contains(&format!("name = \"{name}\"")), "no target in the manifest for {name}");
            }
        }
    };
}

replay!(
    aacdec,
    aacparse,
    ac3parse,
    amf0,
    amf0_round_trip,
    amf3,
    av1parse,
    caps_round_trip,
    codec_aac,
    codec_h264,
    flv_demux,
    flv_round_trip,
    flvdemux,
    h264parse,
    h265parse,
    hls_playlist,
    hlssink,
    launch,
    mp4demux,
    mpegaudioparse,
    opusdec,
    opusparse,
    rtmp_chunk_round_trip,
    rtmp_chunks,
    rtmp_client,
    rtmp_command,
    rtmp_handshake,
    rtmp_messages,
    rtmp_playback,
    rtmp_server,
    rtmp_tape,
    rtmp_trace,
    signaling,
    ts_demux,
    ts_pes,
    ts_psi,
    tsdemux,
    turn,
    turn_client,
    webrtc_datagram,
    webrtc_fragment,
    webrtc_offer,
    webrtc_packets,
    webrtc_reply,
    yaml,
);

#[test]
fn flipping_changes_few_bits_and_repeats_for_a_seed() {
    let data = [0_u8; 256];
    let flipped = flip(&data, 1);
    let ones: u32 = flipped.iter().map(|byte| byte.count_ones()).sum();
    assert!((1..=5).contains(&ones), "{ones}");
    assert_eq!(flipped, flip(&data, 1));
    assert_ne!(flipped, flip(&data, 2));
    assert!(flip(&[], 1).is_empty());
}
