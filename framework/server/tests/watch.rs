//! The list of streams and the watch page, on a simulated network.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{ADDRESS, machine};
use millstream_core::TimeDelta;
use millstream_core::meter::{Kind, Meters};
use millstream_server::http::Server;
use millstream_server::http::watch::Way;
use millstream_testkit::http::Client;
use serde_json::{Value, json};

async fn streams(client: &mut Client) -> Value {
    let head = client.ask("GET", "/streams.json", "").await;
    assert_eq!((head.status(), head.get("content-type")), (200, Some("application/json")));
    assert_eq!(head.get("cache-control"), Some("no-cache"));
    serde_json::from_slice(&client.body(&head).await).unwrap()
}

#[test]
fn the_list_says_what_comes_lately_and_forgets_what_goes() {
    let (runtime, net, _) = machine();
    runtime.block_on(async {
        let env = runtime.env();
        let server = Server::at(env, ADDRESS).unwrap();
        let name = "live/<b>\"&\n";
        let meter = Meters::add(env, "httpflvsink", name);
        let flv = server.list(Way::Flv, "/live/x.flv", meter.clone(), true);
        let hls = server.list(Way::Hls, "/live/x/index.m3u8", Meters::add(env, "hlssink", name), true);
        let whep = server.list(Way::WebRtc, "/whep/live/x", Meters::add(env, "whepserversink", name), true);
        let mut client = Client::connect(&net, ADDRESS).await;
        let seen = streams(&mut client).await;
        assert_eq!(seen["now"].as_i64(), Some(env.clock.wall().millis()), "for delays");
        assert_eq!(seen["streams"][0]["name"], name, "one stream, and its name is whole");
        assert_eq!(
            seen["streams"][0]["ways"],
            json!({ "flv": "/live/x.flv", "hls": "/live/x/index.m3u8", "webrtc": "/whep/live/x" })
        );
        assert_eq!(seen["streams"][0]["live"], false);
        // 25 pictures a second of 5000 bytes are a megabit; a key frame every 40 pictures.
        let clock = env.clock.clone();
        for picture in 0..250 {
            meter.frame(Kind::Video, picture % 40 == 0, 5000, (u32::MAX - 1000).wrapping_add(picture * 40));
            clock.sleep_until(clock.now() + TimeDelta::from_millis(40)).await;
        }
        meter.codec(Kind::Video, "H.264");
        meter.players(3);
        let one = streams(&mut client).await["streams"][0].clone();
        assert_eq!(one["live"], true);
        assert_eq!((&one["video"], &one["audio"], &one["players"]), (&json!("H.264"), &Value::Null, &json!(3)));
        assert_eq!((one["bitrate"].as_u64(), one["fps"].as_f64()), (Some(1_000_000), Some(25.0)));
        assert_eq!(one["keyframe_distance"].as_f64(), Some(1.6), "over the wrap of 32 bits, too");
        clock.sleep_until(clock.now() + TimeDelta::from_secs(11)).await;
        let one = streams(&mut client).await["streams"][0].clone();
        assert_eq!((&one["live"], &one["bitrate"]), (&json!(false), &json!(0)), "nothing has come for 10 s");
        drop((flv, whep));
        assert_eq!(streams(&mut client).await["streams"][0]["ways"], json!({ "hls": "/live/x/index.m3u8" }));
        drop(hls);
        assert_eq!(streams(&mut client).await["streams"], json!([]));
    });
}

#[test]
fn the_page_brings_nothing_of_others_and_only_the_scripts_that_it_is_given() {
    let (runtime, net, files) = machine();
    files.insert("lib/hls.js", b"hls".to_vec());
    files.insert("lib/other.js", b"other".to_vec());
    runtime.block_on(async {
        let server = Server::at(runtime.env(), ADDRESS).unwrap();
        let mut client = Client::connect(&net, ADDRESS).await;
        for (path, kind) in [
            ("/watch", "text/html; charset=utf-8"),
            ("/watch/", "text/html; charset=utf-8"),
            ("/watch/style.css", "text/css; charset=utf-8"),
            ("/watch/app.js", "text/javascript; charset=utf-8"),
            ("/watch/flv.js", "text/javascript; charset=utf-8"),
            ("/watch/whep.js", "text/javascript; charset=utf-8"),
            ("/watch/delay.js", "text/javascript; charset=utf-8"),
        ] {
            let head = client.ask("GET", path, "").await;
            assert_eq!((head.status(), head.get("content-type")), (200, Some(kind)), "{path}");
            let policy = head.get("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"));
            assert_eq!(head.get("x-content-type-options"), Some("nosniff"));
            let body = client.body(&head).await;
            let text = std::str::from_utf8(&body).unwrap();
            assert!(!text.contains("innerHTML = ") && !text.contains("https://"), "{path}");
        }
        for (given, path, status) in [
            (false, "/watch/scripts/hls.js", 404),
            (true, "/watch/scripts/hls.js", 200),
            (true, "/watch/scripts/other.js", 404),
            (true, "/watch/scripts/../scripts/other.js", 404),
            (true, "/watch/scripts/mpegts.js", 404),
            (true, "/watch/other", 404),
        ] {
            if given {
                server.play_with("lib".into());
            }
            let head = client.ask("GET", path, "").await;
            assert_eq!(head.status(), status, "{path}");
            client.body(&head).await;
        }
        assert_eq!(streams(&mut client).await["scripts"], json!(["hls.js", "mpegts.js"]));
        assert!(millstream_server::http::check_path("/watch/x", "/a").is_err());
    });
}
