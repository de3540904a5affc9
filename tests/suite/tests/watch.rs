//! The watch page in a browser: WebRTC, HTTP-FLV and HLS of a stream play there, by the page itself and with hls.js and mpegts.js.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::media::workspace;
use millstream_tests::program::run;
use millstream_tests::{elements, peers, root};
use serde_json::Value;

/// Bad names are only text on the page.
const STRANGE: &str = "live/<img src=x onerror=alert(1)>&\"'";

/// The bundled clip as a live stream that begins again and again, served in all ways; and a stream of a strange name that nobody publishes.
fn serve(runtime: &Runtime, dir: &Path, settings: &str) -> (Pipeline, SocketAddr) {
    let listen = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let line = format!(
        "filesrc location={clip} loop=true ! flvdemux name=d \
         d.video ! h264parse ! clocksync ! tee name=v  d.audio ! aacparse ! clocksync ! tee name=a \
         v. ! m.video  a. ! m.audio  flvmux name=m ! httpflvsink listen={listen} path=/live/demo.flv {settings} \
         v. ! h264parse ! h.video  a. ! aacparse ! h.audio  \
         hlssink name=h directory={dir} segment-duration=2s window=12s program-date-time=true serve={listen} path=/live/demo \
         v. ! h264parse ! w.video  a. ! aacdec ! audioresample ! opusenc ! w.audio  whepserversink name=w listen={listen} stream=demo \
         appsrc name=x caps=video/x-flv ! httpflvsink name=strange listen={listen}",
        clip = root().join("pipelines/media/demo.flv").display(),
        dir = dir.display(),
    );
    let line = format!("{line} path=\"/{}.flv\"", STRANGE.replace('"', "\\\""));
    let graph = millstream_graph::load_launch(&line, &elements::registry()).expect("a graph").graph;
    let pipeline = runtime.start(&graph).expect("it starts");
    while std::net::TcpStream::connect(listen).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    // The browser need not see how a stream of three segments begins.
    while !dir.join("seg00002.ts").exists() {
        std::thread::sleep(Duration::from_millis(50));
    }
    (pipeline, listen)
}

/// What the browser sees of a stream that is played one way after some seconds of it.
fn watch(listen: SocketAddr, way: &str, seconds: u32) -> Value {
    open(&format!("http://{listen}/watch#stream=live/demo&as={way}"), seconds)
}

fn open(page: &str, seconds: u32) -> Value {
    peers::need("chromium");
    let modules = workspace().join("target/peers/node").display().to_string();
    let script = root().join("tests/peers/play-watch.mjs").display().to_string();
    let mut args = vec![script, modules, page.to_owned(), seconds.to_string()];
    args.extend(std::env::var("MILLSTREAM_SCREENSHOT").ok());
    let said = run(&peers::need("node"), args);
    serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("`cargo xtask setup` brings puppeteer-core: {}", said.stderr))
}

/// 30 pictures a second; the browser may leave some out.
fn assert_plays(seen: &Value, seconds: u64, library: Option<&str>) {
    assert!(seen["frames"].as_u64().is_some_and(|frames| frames > seconds * 10), "{seen}");
    let is_heard = seen["audioBytes"].as_u64() > Some(0) || seen["audioEnergy"].as_f64() > Some(0.0);
    assert!(is_heard, "{seen}");
    assert_eq!((&seen["width"], &seen["height"]), (&640.into(), &360.into()), "{seen}");
    assert_eq!((seen["library"].as_str(), &seen["trouble"]), (library, &"".into()), "{seen}");
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
}

/// A delay is shown, and is one of its way: HLS is at least a segment of 2 s behind, the page lets HTTP-FLV fall 4 s behind before it leaps, and
/// WebRTC holds pictures for milliseconds.
fn assert_delay(seen: &Value, way: &str) {
    let shown = seen["delays"][way].as_str().unwrap_or_else(|| panic!("no delay: {seen}"));
    let (number, unit) = shown.split_once(' ').expect("a number and its unit");
    let seconds = number.parse::<f64>().expect("a number") / if unit == "ms" { 1000.0 } else { 1.0 };
    let is_possible = match way {
        "HLS" => seconds > 2.0,
        "HTTP-FLV" => seconds < 5.0,
        _ => seconds < 2.0,
    };
    assert!(is_possible, "{shown}: {seen}");
}

#[test]
fn whep_1_the_watch_page_plays_webrtc_first_and_goes_on_with_another_way_where_it_cannot() {
    let (runtime, dir) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a folder"));
    let (_pipeline, listen) = serve(&runtime, dir.path(), "");
    let seen = open(&format!("http://{listen}/watch"), 3);
    assert_plays(&seen, 3, None);
    assert_eq!(seen["way"], "WebRTC", "{seen}");
    // The same address serves a stream with B-frames.
    let line = format!(
        "filesrc location={clip} loop=true ! flvdemux name=d  d.video ! h264parse ! clocksync ! tee name=v \
         v. ! m.video  flvmux name=m ! httpflvsink listen={listen} path=/live/ordered.flv \
         v. ! h264parse ! w.video  whepserversink name=w listen={listen} stream=ordered",
        clip = millstream_testkit::fixture("h264b_aac48s_10s.flv").display(),
    );
    let graph = millstream_graph::load_launch(&line, &elements::registry()).expect("a graph").graph;
    let _ordered = runtime.start(&graph).expect("it starts");
    let seen = open(&format!("http://{listen}/watch#stream=live/ordered"), 3);
    assert_eq!(seen["way"], "HTTP-FLV", "{seen}");
    assert!(seen["frames"].as_u64().is_some_and(|frames| frames > 20), "{seen}");
    let why = seen["trouble"].as_str().expect("words");
    assert!(why.contains("B-frames") && why.ends_with("Playing HTTP-FLV instead."), "{why}");
}

#[test]
fn flv_5_hls_10_whep_1_the_watch_page_plays_all_ways_by_itself_and_shows_names_as_text() {
    let (runtime, dir) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a folder"));
    let (_pipeline, listen) = serve(&runtime, dir.path(), "");
    for (way, name) in [("webrtc", "WebRTC"), ("flv", "HTTP-FLV"), ("hls", "HLS")] {
        let seen = watch(listen, way, 4);
        assert_plays(&seen, 4, None);
        assert_eq!(seen["way"], name, "{seen}");
        assert_delay(&seen, name);
        assert_eq!(seen["streams"], serde_json::json!([STRANGE, "live/demo"]), "{seen}");
        assert_eq!(seen["images"], 0, "{seen}");
    }
}

#[test]
fn flv_5_hls_10_the_watch_page_plays_with_hls_js_and_mpegts_js_when_it_is_given_them() {
    let (runtime, dir) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a folder"));
    let scripts = tempfile::tempdir().expect("a folder");
    for (name, file) in [("hls.js", "hls.js/dist/hls.min.js"), ("mpegts.js", "mpegts.js/dist/mpegts.js")] {
        let from = workspace().join("target/peers/node/node_modules").join(file);
        std::fs::copy(from, scripts.path().join(name)).expect("`cargo xtask setup` brings it");
    }
    let setting = format!("watch-scripts={}", scripts.path().display());
    let (_pipeline, listen) = serve(&runtime, dir.path(), &setting);
    for (way, library) in [("flv", "mpegts.js"), ("hls", "hls.js")] {
        assert_plays(&watch(listen, way, 4), 4, Some(library));
    }
}
