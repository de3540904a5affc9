//! Decoders of sound, which are crates of others behind elements of ours.

use bytes::Bytes;
use millstream_core::{Buffer, Factory};
use millstream_testkit::harness::Harness;

/// Packets of one input: decoding without optimisation takes its time.
const PACKETS: usize = 24;

/// `aacdec` with packets of any bytes, mono and stereo.
pub fn aacdec(data: &[u8]) {
    // AAC-LC, 44.1 kHz (ISO/IEC 14496-3 1.6.2.1).
    for config in ["1208", "1210"] {
        let caps = format!("audio/mpeg, mpegversion=4, stream-format=raw, codec_data=(buffer){config}");
        packets(&millstream_audio::aacdec::factory(), &caps, data, 1024);
    }
}

/// `opusdec` with packets of any bytes.
pub fn opusdec(data: &[u8]) {
    packets(&millstream_audio::opusdec::factory(), "audio/x-opus, rate=48000, channels=2", data, 5760);
}

/// The first byte says how long the packets are. Each is decoded to at most `longest` samples of each channel, or is counted as dropped.
fn packets(factory: &Factory, caps: &str, data: &[u8], longest: usize) {
    let Some((length, data)) = data.split_first() else { return };
    let mut harness = Harness::new(factory, "");
    harness.push_start("sink", caps).expect("caps of a fuzz body are right");
    let mut count = 0;
    for packet in data.chunks(2 + usize::from(*length) * 3).take(PACKETS) {
        harness.push_buffer("sink", Buffer::new(Bytes::copy_from_slice(packet))).expect("a broken packet is no end");
        count += 1;
    }
    let sounds = harness.take_buffers("src");
    assert_eq!(sounds.len() + harness.drops.len(), count, "every packet is heard or counted");
    // F32LE of two channels at most.
    assert!(sounds.iter().all(|sound| sound.payload.len() <= longest * 8));
}
