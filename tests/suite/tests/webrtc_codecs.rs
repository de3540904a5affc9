//! Codecs that WebRTC carries, both ways, with peers that are not ours.

use std::process::Command;

use bytes::Bytes;
use millstream_codec::h265::NalType;
use millstream_codec::nal::annex_b;
use millstream_runtime::{Pipeline, Runtime};
use millstream_tests::live::{self, Background, free_port, in_time, wait, wait_for_port};
use millstream_tests::peers::need;
use millstream_tests::program::run;
use millstream_tests::webrtc::{aiortc_with, chromium};
use millstream_tests::world::{self, World};
use millstream_webrtc::packet::Packetizer;
use millstream_webrtc::session::Codec;
use serde_json::Value;

/// Takes in a publisher over RTMP and serves viewers: at which port each.
fn relay(runtime: &Runtime, through: &str) -> (Pipeline, u16, String) {
    let (rtmp, http) = (free_port(), free_port());
    let line = format!(
        "rtmpserversrc listen=127.0.0.1:{rtmp} stream=cam ! flvdemux name=d  d.video ! {through} ! w.video  d.audio ! w.audio \
         whepserversink name=w listen=127.0.0.1:{http} stream=cam"
    );
    let pipeline = live::start(runtime, &line);
    wait_for_port(rtmp);
    (pipeline, rtmp, format!("http://127.0.0.1:{http}/whep/live/cam"))
}

fn publish(rtmp: u16, codecs: &[&str]) -> Background {
    Background::start(
        Command::new(need("ffmpeg9"))
            .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"])
            .args(["-f", "lavfi", "-i", "sine=r=8000", "-pix_fmt", "yuv420p", "-g", "25"])
            .args(codecs)
            .args(["-f", "flv", &format!("rtmp://127.0.0.1:{rtmp}/live/cam")]),
    )
}

fn seen(what: impl Fn() -> Value) -> Value {
    wait("nothing can be seen", || {
        let seen = what();
        (seen["status"] == 201).then_some(seen)
    })
}

#[test]
fn web_1_aiortc_hears_g711_of_an_rtmp_publisher() {
    for (name, encoder) in [("PCMU", "pcm_mulaw"), ("PCMA", "pcm_alaw")] {
        let runtime = Runtime::new().expect("a runtime");
        let (pipeline, rtmp, endpoint) = relay(&runtime, "h264parse");
        let video = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"];
        let _publisher = publish(rtmp, &[&video[..], &["-c:a", encoder, "-ac", "1"]].concat());
        let seen = seen(|| aiortc_with("play", &endpoint, 3, "H264", name));
        assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 40), "{seen}");
        // 20 ms each. The sine of ffmpeg has an amplitude of 1/8: 4096.
        assert!(seen["audio"]["packets"].as_u64().is_some_and(|packets| packets > 100), "{seen}");
        assert!(seen["audio"]["loudest"].as_u64().is_some_and(|loudest| (3900..4300).contains(&loudest)), "{seen}");
        drop(pipeline);
    }
}

#[test]
fn web_1_aiortc_publishes_g711_that_is_decoded() {
    for (name, decoder) in [("PCMU", "mulawdec"), ("PCMA", "alawdec")] {
        let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
        let line = format!(
            "whipserversrc name=w listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0ms \
             w.video ! fakesink  w.audio ! {decoder} ! collect name=a"
        );
        let mut pipeline = live::start(&runtime, &line);
        wait_for_port(port);
        let seen = aiortc_with("publish", &format!("http://127.0.0.1:{port}/whip/live/cam"), 3, "VP8", name);
        assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
        let audio = world::collected(&mut pipeline, "a");
        in_time(&runtime, pipeline.wait()).expect("it ends with its publisher").expect("and well");
        let sound: Vec<u8> =
            world::buffers(&audio).iter().flat_map(|buffer| buffer.payload.contiguous().to_vec()).collect();
        let samples = sound.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample));
        // 440 Hz with an amplitude of 8000: as many times up through zero.
        let (peak, count) = (samples.clone().max().unwrap_or_default(), samples.len());
        let up = samples.clone().zip(samples.skip(1)).filter(|(before, after)| *before < 0 && *after >= 0).count();
        let seconds = count as f64 / 8000.0;
        assert!(seconds > 2.0 && (7000..9000).contains(&peak), "{seconds} s, up to {peak}");
        assert!((up as f64 / seconds - 440.0).abs() < 15.0, "{name}: {up} waves in {seconds} s");
    }
}

#[test]
fn web_1_whep_1_chromium_shows_av1_and_vp9_of_an_rtmp_publisher() {
    let av1 = ["-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "pred-struct=1:rc=0"];
    let vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"];
    for (name, parser, video) in [("AV1", "av1parse", &av1[..]), ("VP9", "identity", &vp9)] {
        let runtime = Runtime::new().expect("a runtime");
        let (pipeline, rtmp, endpoint) = relay(&runtime, parser);
        let _publisher = publish(rtmp, &[video, &["-c:a", "libopus", "-ar", "48000", "-ac", "2"]].concat());
        let seen = seen(|| chromium("play", &endpoint, 3, "any", ""));
        assert_eq!(seen["video"]["codec"], format!("video/{name}"), "{seen}");
        assert_eq!((&seen["video"]["width"], &seen["video"]["height"]), (&320.into(), &180.into()), "{seen}");
        assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 40), "{seen}");
        assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.001), "{seen}");
        drop(pipeline);
    }
}

/// Units of a clip as packets of RTP, each behind its length (RFC 4571), and what the depacketiser of GStreamer makes of them.
fn depacketized(codec: Codec, units: &[(Bytes, bool)], depay: &str) -> Bytes {
    let dir = tempfile::tempdir().expect("a folder");
    let [packets, out] = ["packets", "out"].map(|name| dir.path().join(name));
    let (mut packetizer, mut bytes, mut number) = (Packetizer::new(codec), Vec::new(), 0_u16);
    for (index, (unit, is_key)) in units.iter().enumerate() {
        for packet in packetizer.packets(unit, *is_key) {
            let header = [&[0x80, 96 | u8::from(packet.marker) << 7][..], &number.to_be_bytes()].concat();
            bytes.extend((12 + packet.payload.len() as u16).to_be_bytes());
            bytes.extend([&header[..], &(index as u32 * 3000).to_be_bytes(), &[0, 0, 0, 1], &packet.payload].concat());
            number = number.wrapping_add(1);
        }
    }
    std::fs::write(&packets, bytes).expect("a file");
    let line = format!(
        "-q filesrc location={} ! application/x-rtp-stream,media=video,clock-rate=90000,encoding-name={},payload=96 ! rtpstreamdepay ! {depay} ! \
         filesink location={}",
        packets.display(),
        codec.name(),
        out.display()
    );
    let said = run(&need("gst-launch-1.0"), line.split(' '));
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
    std::fs::read(&out).expect("a file").into()
}

#[test]
fn web_1_gstreamer_puts_together_what_was_h265() {
    let world = World::new(millstream_testkit::Weather::default());
    let clip = std::fs::read(millstream_testkit::fixture("ehevc_aac.flv")).expect("the fixture");
    world.fs.insert("hevc.flv", clip);
    let line =
        "filesrc location=hevc.flv ! flvdemux ! h265parse ! video/x-h265,stream-format=byte-stream ! collect name=v";
    let mut pipeline = world.start(line);
    let video = world::collected(&mut pipeline, "v");
    world.end(pipeline);
    let units: Vec<(Bytes, bool)> =
        world::buffers(&video).iter().map(|buffer| (buffer.payload.contiguous(), buffer.is_keyframe())).collect();
    let depay = "rtph265depay ! video/x-h265,stream-format=byte-stream,alignment=nal";
    let came = depacketized(Codec::H265, &units, depay);
    let pictures = |bytes: &Bytes| {
        let is_slice = |nal: &Bytes| NalType::of(nal).is_some_and(NalType::is_vcl);
        annex_b(bytes).filter(is_slice).collect::<Vec<_>>()
    };
    let sent: Vec<Bytes> = units.iter().flat_map(|(unit, _)| pictures(unit)).collect();
    assert!(sent.len() >= 120 && sent.iter().any(|nal| nal.len() > 2000), "{} slices", sent.len());
    assert!(pictures(&came) == sent, "{} of {} slices", pictures(&came).len(), sent.len());
    let sets = annex_b(&came).filter(|nal| NalType::of(nal) == Some(NalType::VPS)).count();
    assert_eq!(sets, units.iter().filter(|unit| unit.1).count(), "parameter sets before each key frame");
}
