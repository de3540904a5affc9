//! What cannot be done says so, and what to do.

use bytes::Bytes;
use millstream_audio::aacdec;
use millstream_codec::aac::AudioSpecificConfig;
use millstream_core::Buffer;
use millstream_testkit::harness::Harness;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn aac(config: &[u8]) -> String {
    format!("audio/mpeg, mpegversion=4, stream-format=raw, codec_data=(buffer){}", hex(config))
}

#[test]
fn other_profiles_and_surround_are_named() {
    // ISO/IEC 14496-3 1.6.2.1: object type in 5 bits, rate in 4, channels in 4. Main 44.1 kHz stereo, LC 48 kHz 5.1.
    for (config, word) in [(&[0x0a, 0x10][..], "mp4a.40.1"), (&[0x11, 0xb0], "6 channels")] {
        let mut harness = Harness::new(&aacdec::factory(), "");
        let error = harness.push_start("sink", &aac(config)).expect_err("it is refused");
        assert!(
            error.to_string().contains(word) && error.hint_text().is_some_and(|hint| hint.contains("avdec_aac")),
            "{error}"
        );
    }
}

#[test]
fn the_core_of_he_aac_is_decoded_with_a_warning() {
    let mut harness = Harness::new(&aacdec::factory(), "");
    // Object type 5 (SBR), 24 kHz, stereo, 48 kHz, object type 2.
    let config = [0x2b, 0x11, 0x88, 0x00];
    let parsed = AudioSpecificConfig::parse(&config).expect("HE-AAC");
    assert!(parsed.sbr.is_some_and(|sbr| sbr.present && sbr.sample_rate == 48_000));
    harness.push_start("sink", &aac(&config)).expect("caps");
    assert_eq!(harness.warnings().len(), 1, "{:?}", harness.warnings());
    let items = harness.take("src");
    assert!(items.iter().any(|item| format!("{item:?}").contains("24000")), "{items:?}");
}

#[test]
fn frames_that_are_broken_are_counted_and_the_next_is_heard() {
    let mut harness = Harness::new(&aacdec::factory(), "");
    let lc = AudioSpecificConfig::lc(44_100, 2).write().expect("LC");
    harness.push_start("sink", &aac(&lc)).expect("caps");
    // ID_CPE (ISO/IEC 14496-3 4.4.2.1), then sections that go on behind the end.
    let mut wrong = [0xff; 40];
    wrong[0] = 0x21;
    harness.push_buffer("sink", Buffer::new(Bytes::copy_from_slice(&wrong))).expect("it is dropped");
    assert_eq!(harness.drops.len(), 1);
    // ID_CPE with common window and nothing coded, ID_END: silence.
    let silence = [0x21, 0x00, 0x49, 0x90, 0x02, 0x19, 0x00, 0x23, 0x80];
    harness.push_buffer("sink", Buffer::new(Bytes::copy_from_slice(&silence))).expect("silence");
    let buffers = harness.take_buffers("src");
    assert_eq!(buffers.len(), 1);
    assert!(buffers[0].payload.contiguous().iter().all(|byte| *byte == 0));
}
