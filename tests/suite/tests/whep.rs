//! RTMP in, WHEP out: Chromium shows what ffmpeg publishes, and is told when it cannot be shown.

use std::process::Command;

use millstream_core::{MessageKind, Registry};
use millstream_graph::load_launch;
use millstream_runtime::{Pipeline, Runtime};
use millstream_tests::live::{self, Background, free_port, wait, wait_for_port};
use millstream_tests::peers::need;
use millstream_tests::plugins;
use millstream_tests::webrtc::{aiortc_beside, chromium, firefox, request};
use millstream_tests::{millstream, root};

/// An RTMP publisher of a test picture and a tone, as long as it is kept.
fn publish(rtmp: u16, video: &[&str], audio: &[&str]) -> Background {
    Background::start(
        Command::new(need("ffmpeg9"))
            .args(["-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25"])
            .args(["-f", "lavfi", "-i", "sine=r=48000", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50"])
            .args(["-pix_fmt", "yuv420p", "-profile:v", "main"])
            .args(video)
            .args(audio)
            .args(["-f", "flv", &format!("rtmp://127.0.0.1:{rtmp}/live/cam")]),
    )
}

const NO_B: &[&str] = &["-bf", "0"];
const OPUS: &[&str] = &["-c:a", "libopus", "-ac", "2"];
const AAC: &[&str] = &["-c:a", "aac"];

/// Our side of it in this process.
struct Ours {
    runtime: Runtime,
    pipeline: Pipeline,
    rtmp: u16,
    http: u16,
}

fn serve(settings: &str) -> Ours {
    serve_with(&millstream_elements::registry(), settings)
}

fn serve_with(registry: &Registry, settings: &str) -> Ours {
    let (runtime, rtmp, http) = (Runtime::new().expect("a runtime"), free_port(), free_port());
    let line = format!(
        "rtmpserversrc listen=127.0.0.1:{rtmp} stream=cam ! flvdemux name=d  d.video ! h264parse ! w.video  d.audio ! w.audio \
         whepserversink name=w listen=127.0.0.1:{http} stream=cam {settings}"
    );
    let graph = load_launch(&line, registry).unwrap_or_else(|error| panic!("{error}")).graph;
    let pipeline = runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"));
    wait_for_port(rtmp);
    Ours { runtime, pipeline, rtmp, http }
}

impl Ours {
    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/whep/live/cam", self.http)
    }

    /// Waits until the stream can be offered, or is refused for another reason.
    fn wait_until_begun(&self) {
        let offer = include_str!("../../fixtures/whep_chromium.sdp");
        let at = ([127, 0, 0, 1], self.http).into();
        wait("the stream does not begin", || {
            let headers = [("Content-Type", "application/sdp")];
            let response = request(at, "POST", "/whep/live/cam", &headers, offer);
            (response.status != 409).then_some(())
        });
    }
}

#[test]
fn whep_1_whep_2_chromium_shows_what_is_published_over_rtmp_with_sound() {
    let ours = serve("");
    let _publisher = publish(ours.rtmp, NO_B, OPUS);
    ours.wait_until_begun();
    let seen = chromium("play", &ours.endpoint(), 4, "any", "");
    assert_eq!((&seen["status"], &seen["deleted"]), (&201.into(), &200.into()), "{seen}");
    assert_eq!((&seen["video"]["width"], &seen["video"]["height"]), (&640.into(), &360.into()), "{seen}");
    assert_eq!(
        (&seen["video"]["codec"], &seen["audio"]["codec"]),
        (&"video/H264".into(), &"audio/opus".into()),
        "{seen}"
    );
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 60), "{seen}");
    assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.001), "{seen}");
    let [bright, dark] = ["brightest", "darkest"].map(|level| seen["video"][level].as_u64().unwrap_or_default());
    assert!(bright > 200 && dark < 60, "a test picture, and no black screen: {seen}");
    drop(ours.pipeline);
    drop(ours.runtime);
}

#[test]
fn web_1_b_frames_and_aac_are_refused_with_their_reason_or_left_out() {
    let mut ours = serve("");
    let mut bus = ours.pipeline.bus().expect("the first to ask");
    let publisher = publish(ours.rtmp, NO_B, AAC);
    ours.wait_until_begun();
    let seen = chromium("play", &ours.endpoint(), 1, "any", "");
    let reason = seen["answer"].as_str().unwrap_or_default();
    assert!(seen["status"] == 422 && reason.contains("AAC") && reason.contains("repair: transcode"), "{seen}");
    let warned = std::iter::from_fn(|| bus.try_next())
        .any(|message| matches!(&message.kind, MessageKind::Warning(error) if error.to_string().contains("AAC")));
    assert!(warned, "the bus says so too");
    drop(publisher);

    let ours = serve("repair=drop-audio");
    let _publisher = publish(ours.rtmp, NO_B, AAC);
    ours.wait_until_begun();
    let seen = chromium("play", &ours.endpoint(), 2, "any", "");
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 20), "{seen}");

    let ours = serve("repair=drop-audio");
    let _publisher = publish(ours.rtmp, &["-bf", "2"], AAC);
    ours.wait_until_begun();
    let seen = chromium("play", &ours.endpoint(), 1, "any", "");
    let reason = seen["answer"].as_str().unwrap_or_default();
    assert!(seen["status"] == 422 && reason.contains("B-frames"), "{seen}");
}

/// Nothing of a publisher can be sent as it is; all of it is seen and heard, by whoever comes first.
fn assert_repaired(registry: &Registry, video: &[&str], audio: &[&str]) {
    let ours = serve_with(registry, "repair=transcode");
    let _publisher = publish(ours.rtmp, video, audio);
    ours.wait_until_begun();
    let seen = chromium("play", &ours.endpoint(), 4, "any", "");
    assert_eq!(
        (&seen["video"]["codec"], &seen["audio"]["codec"]),
        (&"video/H264".into(), &"audio/opus".into()),
        "{seen}"
    );
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 60), "{seen}");
    // The sine of ffmpeg has an amplitude of 1/8: its energy is 1/128 a second, half of it for what Chromium leaves out at the beginning.
    assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.01), "{seen}");
    let [bright, dark] = ["brightest", "darkest"].map(|level| seen["video"][level].as_u64().unwrap_or_default());
    assert!(bright > 200 && dark < 60, "a test picture, and no black screen: {seen}");
}

#[test]
fn web_1_repair_makes_opus_of_aac_and_passes_pictures() {
    assert_repaired(&millstream_elements::registry(), NO_B, AAC);
}

#[test]
fn web_1_repair_makes_pictures_without_b_frames_with_the_plugin_of_gstreamer() {
    let dir = tempfile::tempdir().expect("a folder");
    plugins::gstreamer(dir.path());
    assert_repaired(&plugins::registry(dir.path()), &["-bf", "2"], AAC);
}

#[test]
fn web_1_without_the_plugin_it_is_named() {
    let mut ours = serve("repair=transcode");
    let mut bus = ours.pipeline.bus().expect("the first to ask");
    let _publisher = publish(ours.rtmp, &["-bf", "2"], AAC);
    ours.wait_until_begun();
    let seen = chromium("play", &ours.endpoint(), 1, "any", "");
    let reason = seen["answer"].as_str().unwrap_or_default();
    assert!(seen["status"] == 422 && reason.contains("B-frames") && reason.contains("the GStreamer plugin"), "{seen}");
    let warned = std::iter::from_fn(|| bus.try_next())
        .any(|message| matches!(&message.kind, MessageKind::Warning(error) if error.to_string().contains("the GStreamer plugin")));
    assert!(warned, "the bus says so too");
}

#[test]
fn rtmp_to_whep_does_what_it_says() {
    let (rtmp, http) = (free_port(), free_port());
    let _running = Background::start(
        millstream(&root())
            .args(["run", "pipelines/rtmp-to-whep.yaml", &format!("--set=listen=127.0.0.1:{rtmp}")])
            .arg(format!("--set=http=127.0.0.1:{http}")),
    );
    wait_for_port(rtmp);
    let _publisher = publish(rtmp, NO_B, AAC);
    let endpoint = format!("http://127.0.0.1:{http}/whep/live/cam");
    let seen = wait("nothing can be seen", || {
        let seen = chromium("play", &endpoint, 2, "any", "");
        (seen["status"] == 201).then_some(seen)
    });
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 20), "{seen}");
    assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.001), "AAC became Opus: {seen}");
}

/// One browser publishes, another one plays, and nothing is encoded in between.
#[test]
fn whip_1_whep_1_what_a_browser_publishes_another_one_sees() {
    for codec in ["VP8", "VP9", "AV1", "H264"] {
        let (runtime, http) = (Runtime::new().expect("a runtime"), free_port());
        let line = format!(
            "whipserversrc name=i listen=127.0.0.1:{http} stream=cam  i.video ! w.video  i.audio ! w.audio \
             whepserversink name=w listen=127.0.0.1:{http} stream=cam"
        );
        let pipeline = live::start(&runtime, &line);
        wait_for_port(http);
        let publisher = std::thread::spawn(move || {
            chromium("publish", &format!("http://127.0.0.1:{http}/whip/live/cam"), 10, codec, "")
        });
        let seen = wait("nothing can be seen", || {
            let seen = chromium("play", &format!("http://127.0.0.1:{http}/whep/live/cam"), 3, "any", "");
            (seen["status"] == 201).then_some(seen)
        });
        assert_eq!(seen["video"]["codec"], format!("video/{codec}"), "{seen}");
        assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 20), "{seen}");
        assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.0), "{seen}");
        assert_eq!(publisher.join().expect("it publishes")["status"], 201);
        drop(pipeline);
    }
}

/// Firefox has no H.264 here. It sends nothing to 127.0.0.1, which is why media come from every address.
#[test]
fn whep_1_firefox_shows_vp8_with_sound() {
    let (runtime, http) = (Runtime::new().expect("a runtime"), free_port());
    let line = format!(
        "whipserversrc name=i listen=127.0.0.1:{http} udp=0.0.0.0:{http} stream=cam  i.video ! w.video  i.audio ! w.audio \
         whepserversink name=w listen=127.0.0.1:{http} udp=0.0.0.0:{http} stream=cam"
    );
    let pipeline = live::start(&runtime, &line);
    wait_for_port(http);
    let _publisher = aiortc_beside("publish", &format!("http://127.0.0.1:{http}/whip/live/cam"), 60, "VP8");
    let seen = wait("nothing can be seen", || {
        let seen = firefox("play", &format!("http://127.0.0.1:{http}/whep/live/cam"), 3, "any", "");
        (seen["status"] == 201).then_some(seen)
    });
    assert_eq!(
        (&seen["video"]["codec"], &seen["audio"]["codec"]),
        (&"video/VP8".into(), &"audio/opus".into()),
        "{seen}"
    );
    assert_eq!((&seen["video"]["width"], &seen["deleted"]), (&320.into(), &200.into()), "{seen}");
    assert!(seen["video"]["frames"].as_u64().is_some_and(|frames| frames > 60), "{seen}");
    assert!(seen["audio"]["energy"].as_f64().is_some_and(|energy| energy > 0.001), "{seen}");
    let [bright, dark] = ["brightest", "darkest"].map(|level| seen["video"][level].as_u64().unwrap_or_default());
    assert!(bright > 200 && dark < 80, "a bar that moves, and no black screen: {seen}");
    drop(pipeline);
}
