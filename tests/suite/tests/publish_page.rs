//! The publish page of `whipserversrc` in Chromium: clicked through as a person does.

use std::path::Path;

use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::media::workspace;
use millstream_tests::live::{self, free_port, in_time, wait_for_port};
use millstream_tests::peers::{coded, need, pictures};
use millstream_tests::program::run;
use millstream_tests::root;
use millstream_tests::webrtc::request;
use serde_json::Value;

fn serve(runtime: &Runtime, settings: &str, behind: &str) -> (Pipeline, u16) {
    let port = free_port();
    let line = format!(
        "whipserversrc name=w listen=127.0.0.1:{port} stream=cam eos-on-unpublish=true grace=0ms {settings} {behind}"
    );
    let pipeline = live::start(runtime, &line);
    wait_for_port(port);
    (pipeline, port)
}

/// What the page says of a publication of so many pictures.
fn visit(port: u16, frames: u32, codec: &str, key: &str) -> Value {
    need("chromium");
    let modules = workspace().join("target/peers/node").display().to_string();
    let script = root().join("tests/peers/publish-page.mjs").display().to_string();
    let page = format!("http://127.0.0.1:{port}/publish/live/cam");
    let mut args = vec![script, modules, page, frames.to_string(), codec.to_owned(), key.to_owned()];
    args.extend(std::env::var("MILLSTREAM_SCREENSHOT").ok());
    let said = run(&need("node"), args);
    let seen: Value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|_| panic!("`cargo xtask setup` brings puppeteer-core: {}", said.stderr));
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen:#}");
    seen
}

fn into_file(out: &Path) -> String {
    format!(
        "w.video ! h264parse ! m.video  w.audio ! opusparse ! m.audio  flvmux name=m ! filesink location={}",
        out.display()
    )
}

#[test]
fn the_publish_page_puts_a_camera_on_air_and_takes_it_off() {
    let (dir, runtime) = (tempfile::tempdir().expect("a folder"), Runtime::new().expect("a runtime"));
    let out = dir.path().join("page.flv");
    let (mut pipeline, port) = serve(&runtime, "keys=letmein", &into_file(&out));
    let seen = visit(port, 60, "H264", "letmein");
    let (during, after) = (&seen["during"], &seen["after"]);
    assert_eq!(
        (&during["state"], &during["ice"], &during["trouble"]),
        (&"on air".into(), &"found".into(), &"".into()),
        "{seen:#}"
    );
    assert_eq!((&during["facts"]["Picture"], &during["facts"]["Sound"]), (&"H264".into(), &"opus".into()), "{seen:#}");
    assert!(during["width"].as_u64().is_some_and(|width| width > 0), "it shows its picture: {seen:#}");
    assert_eq!(
        (&after["state"], &after["trouble"], &after["width"]),
        (&"not any more".into(), &"".into(), &0.into()),
        "{seen:#}"
    );
    in_time(&runtime, pipeline.wait()).expect("it ends when the page stops").expect("and well");
    let ([video, audio], _) = coded(&out, "h264", "opus");
    // The first ones may precede the key frame.
    assert!(video.hashes.len() >= 30, "{} frames", video.hashes.len());
    assert!(audio.hashes.len() > 50, "{} packets of sound", audio.hashes.len());
    assert_eq!(pictures(&out).len(), video.hashes.len());
}

#[test]
fn the_publish_page_says_in_words_what_the_server_refused() {
    let runtime = Runtime::new().expect("a runtime");
    let behind = "w.video ! fakesink  w.audio ! fakesink";
    for (settings, key, said) in [
        ("keys=letmein", "", "wants a key"),
        ("keys=letmein", "wrong", "does not take this key"),
        ("codecs=h265", "", "none of the codecs"),
    ] {
        let (_pipeline, port) = serve(&runtime, settings, behind);
        let seen = visit(port, 1, "", key);
        assert!(seen["during"]["trouble"].as_str().is_some_and(|text| text.contains(said)), "{settings}: {seen:#}");
        assert_eq!((&seen["after"]["state"], &seen["after"]["width"]), (&"stopped".into(), &0.into()), "{seen:#}");
    }
}

#[test]
fn the_publish_page_takes_nothing_from_other_origins() {
    let runtime = Runtime::new().expect("a runtime");
    let (_pipeline, port) = serve(&runtime, "", "w.video ! fakesink  w.audio ! fakesink");
    let at = ([127, 0, 0, 1], port).into();
    let page = request(at, "GET", "/publish/live/cam", &[], "");
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(page.status == 200 && policy.starts_with("default-src 'none'; script-src 'self'"), "{page:?}");
    for (file, status) in [("app.js", 200), ("style.css", 200), ("page.html", 404)] {
        assert_eq!(request(at, "GET", &format!("/publish/live/cam/{file}"), &[], "").status, status, "{file}");
    }
}
