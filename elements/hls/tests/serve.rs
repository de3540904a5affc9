//! `hlssink` as a server, on a simulated network: what players get, whole, in parts, and after the end.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test")]

use std::io::{Seek, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use millstream_core::env::Fs;
use millstream_core::net::Net;
use millstream_core::{Buffer, Registry, TimeDelta};
use millstream_generic::AppSrcHandle;
use millstream_hls::playlist::{MediaPlaylist, read_media_playlist};
use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::http::{Client, Head};
use millstream_testkit::{MemFs, SimNet, fixture};

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// A machine on which the first nine seconds of a clip of ten, with a key frame every second, have become segments of one second.
struct Machine {
    runtime: Runtime,
    net: SimNet,
    files: Arc<MemFs>,
    pipeline: Pipeline,
    input: AppSrcHandle,
}

fn machine(settings: &str) -> Machine {
    let files = Arc::new(MemFs::new());
    let runtime = Runtime::simulated(1, files.clone()).unwrap();
    let net = SimNet::new(runtime.env().clock.clone());
    let own = net.clone();
    let runtime = runtime.with_net(|_| Arc::new(own));
    let mut registry = Registry::new();
    millstream_generic::register(&mut registry);
    millstream_hls::sink::register(&mut registry);
    let line = format!(
        "appsrc name=in caps=video/mpegts ! h.sink hlssink name=h directory=live/cam segment-duration=1s target-duration=1s \
         window=3s serve={ADDRESS} {settings}"
    );
    let graph = millstream_graph::load_launch(&line, &registry).unwrap().graph;
    let mut pipeline = runtime.start(&graph).unwrap();
    let input: AppSrcHandle = pipeline.handle("in").unwrap();
    let clip: Bytes = std::fs::read(fixture("h264b_aac48s_10s.ts")).unwrap().into();
    runtime.block_on(async {
        for block in clip.chunks(188 * 100) {
            input.push(Buffer::new(clip.slice_ref(block))).await.unwrap();
        }
        let clock = &runtime.env().clock;
        clock.sleep_until(clock.now() + TimeDelta::from_millis(10)).await;
    });
    Machine { runtime, net, files, pipeline, input }
}

async fn playlist(client: &mut Client, target: &str) -> (Head, MediaPlaylist) {
    let head = client.ask("GET", target, "").await;
    assert_eq!(head.status(), 200);
    let body = client.body(&head).await;
    (head, read_media_playlist(std::str::from_utf8(&body).unwrap()).unwrap())
}

#[test]
fn hls_10_playlist_and_segments_come_with_their_types_to_any_page_and_caches() {
    let Machine { runtime, net, files, pipeline: _pipeline, input: _input } = machine("");
    runtime.block_on(async {
        let mut client = Client::connect(&net, ADDRESS).await;
        let (head, list) = playlist(&mut client, "/cam/index.m3u8?from=1").await;
        assert_eq!(head.get("content-type"), Some("application/vnd.apple.mpegurl"));
        assert_eq!(head.get("access-control-allow-origin"), Some("*"));
        assert_eq!(head.get("cache-control"), Some("no-cache"), "half a target duration of 1 s is no whole second");
        let listed: Vec<_> = list.segments().iter().map(|segment| segment.uri.clone()).collect();
        assert_eq!(listed, ["seg00006.ts", "seg00007.ts", "seg00008.ts"]);
        // 3 to 5 have left the list and can be had; 0 and 1 have been gone since 8 and 9 seconds.
        for (number, status) in
            [(0, 404), (1, 404), (2, 200), (3, 200), (4, 200), (6, 200), (8, 200), (9, 404), (10, 404)]
        {
            let head = client.ask("GET", &format!("/cam/seg0000{number}.ts"), "").await;
            assert_eq!(head.status(), status, "{number}");
            let body = client.body(&head).await;
            if status == 200 {
                let path = format!("live/cam/seg0000{number}.ts");
                assert!(files.get(path).is_some_and(|file| file == body[..]), "{number} is what is in the directory");
                assert_eq!(head.get("content-type"), Some("video/mp2t"));
                assert!(head.get("cache-control").is_some_and(|cache| cache.contains("max-age=3600")));
                assert_eq!(head.get("accept-ranges"), Some("bytes"));
            }
        }
    });
}

#[test]
fn hls_10_parts_of_segments_are_the_same_from_memory_and_from_the_directory() {
    let Machine { runtime, net, files, pipeline: _pipeline, input: _input } = machine("");
    runtime.block_on(async {
        let mut client = Client::connect(&net, ADDRESS).await;
        for number in [2, 8] {
            let whole = files.get(format!("live/cam/seg0000{number}.ts")).unwrap();
            let len = whole.len();
            let target = format!("/cam/seg0000{number}.ts");
            for (range, expected) in [
                ("bytes=0-187".to_owned(), 0..188),
                (format!("bytes=188-{}", len * 2), 188..len),
                ("bytes=-188".to_owned(), len - 188..len),
                (format!("bytes={}-", len - 1), len - 1..len),
            ] {
                let head = client.ask("GET", &target, &format!("Range: {range}\r\n")).await;
                assert_eq!(head.status(), 206, "{range}");
                let said = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
                assert_eq!(head.get("content-range"), Some(&*said));
                assert!(client.body(&head).await == whole[expected], "{range}");
            }
            let head = client.ask("GET", &target, &format!("Range: bytes={len}-\r\n")).await;
            assert_eq!((head.status(), head.get("content-range")), (416, Some(&*format!("bytes */{len}"))));
            client.body(&head).await;
            for headers in
                ["Range: bytes=0-1,4-5\r\n", "Range: lines=1-2\r\n", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n"]
            {
                let head = client.ask("GET", &target, headers).await;
                assert_eq!(head.status(), 200, "{headers}");
                assert!(client.body(&head).await == whole[..], "{headers}");
            }
            let head = client.ask("HEAD", &target, "Range: bytes=0-1\r\n").await;
            assert_eq!(
                (head.status(), head.get("content-length")),
                (200, Some(&*len.to_string())),
                "ranges are for GET"
            );
            assert!(client.read.is_empty());
        }
    });
}

#[test]
fn hls_10_playlists_are_compressed_for_who_takes_that_and_for_nobody_else() {
    let Machine { runtime, net, pipeline: _pipeline, input: _input, .. } = machine("");
    runtime.block_on(async {
        let mut client = Client::connect(&net, ADDRESS).await;
        let (plain, _) = playlist(&mut client, "/cam/index.m3u8").await;
        assert_eq!((plain.get("content-encoding"), plain.get("vary")), (None, Some("accept-encoding")));
        let head = client.ask("GET", "/cam/index.m3u8", "").await;
        let text = client.body(&head).await;
        for _ in 0..2 {
            let head = client.ask("GET", "/cam/index.m3u8", "Accept-Encoding: deflate, gzip;q=0.8\r\n").await;
            assert_eq!((head.get("content-encoding"), head.get("vary")), (Some("gzip"), Some("accept-encoding")));
            assert_eq!(head.get("content-type"), Some("application/vnd.apple.mpegurl"));
            let small = client.body(&head).await;
            assert!(small.len() < text.len() * 3 / 4, "{} of {}", small.len(), text.len());
            assert!(unzipped(&small) == text[..]);
        }
        // A part is one of the text, and segments are compressed already.
        let head = client.ask("GET", "/cam/index.m3u8", "Accept-Encoding: gzip\r\nRange: bytes=0-6\r\n").await;
        assert_eq!((head.status(), head.get("content-encoding")), (206, None));
        assert_eq!(client.body(&head).await, "#EXTM3U");
        let head = client.ask("GET", "/cam/seg00008.ts", "Accept-Encoding: gzip\r\n").await;
        assert_eq!((head.status(), head.get("content-encoding"), head.get("vary")), (200, None, None));
        client.body(&head).await;
    });
}

/// As the reference program reads it.
fn unzipped(small: &[u8]) -> Vec<u8> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(small).unwrap();
    file.rewind().unwrap();
    let said = Command::new("gzip").arg("-dc").stdin(file).output().expect("gzip runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    said.stdout
}

#[test]
fn players_that_lately_asked_for_something_are_counted() {
    let Machine { runtime, net, pipeline: _pipeline, input: _input, .. } = machine("");
    let clock = runtime.env().clock.clone();
    runtime.block_on(async {
        let players = async |client: &mut Client| {
            let head = client.ask("GET", "/metrics", "").await;
            let page = String::from_utf8(client.body(&head).await.to_vec()).unwrap();
            let line = page.lines().find(|line| line.starts_with("millstream_stream_players")).unwrap().to_owned();
            assert!(line.contains("element=\"hlssink\",stream=\"cam\""), "{line}");
            line.rsplit_once(' ').unwrap().1.to_owned()
        };
        let mut observer = Client::connect(&net, ADDRESS).await;
        assert_eq!(players(&mut observer).await, "0");
        // Two programs of one machine, over as many connections as they like.
        for (agent, target) in [
            ("hls.js", "/cam/index.m3u8"),
            ("hls.js", "/cam/seg00008.ts"),
            ("VLC", "/cam/index.m3u8"),
            ("curl", "/cam/nothing.ts"),
        ] {
            let mut client = Client::connect(&net, ADDRESS).await;
            let head = client.ask("GET", target, &format!("User-Agent: {agent}\r\n")).await;
            client.body(&head).await;
        }
        assert_eq!(players(&mut observer).await, "2");
        clock.sleep_until(clock.now() + TimeDelta::from_millis(2500)).await;
        let (_, list) = playlist(&mut observer, "/cam/index.m3u8").await;
        assert_eq!(list.segments().len(), 3);
        assert_eq!(players(&mut observer).await, "3");
        clock.sleep_until(clock.now() + TimeDelta::from_millis(1000)).await;
        playlist(&mut observer, "/cam/index.m3u8").await;
        assert_eq!(players(&mut observer).await, "1", "the others have asked for nothing in three target durations");
    });
}

#[test]
fn no_path_leads_to_another_file() {
    let Machine { runtime, net, files, pipeline: _pipeline, input: _input } =
        machine("path=/live/cam playlist-name=list.m3u8");
    files.insert("live/cam/key.txt", b"secret".to_vec());
    files.insert("live/secret", b"secret".to_vec());
    runtime.block_on(async {
        let mut client = Client::connect(&net, ADDRESS).await;
        for (target, status) in [
            ("/live/cam/list.m3u8", 200),
            ("/live/cam/./x/../list.m3u8", 200),
            ("/live/cam", 404),
            ("/live/cam/", 404),
            ("/live/cam/key.txt", 404),
            ("/live/cam/list.m3u8.part", 404),
            ("/live/cam/seg00009.ts.part", 404),
            ("/live/cam/..%2fsecret", 404),
            ("/live/secret", 404),
            ("/live/cam/../../../secret", 400),
            ("/live/cam/%2e%2e/%2e%2e/%2e%2e/secret", 400),
            ("/live/cam/x/list.m3u8", 404),
            ("/live/cam/seg8.ts", 404),
            ("/live/camera/list.m3u8", 404),
        ] {
            let head = client.ask("GET", target, "").await;
            assert_eq!(head.status(), status, "{target}");
            let body = client.body(&head).await;
            assert!(!body.windows(6).any(|six| six == b"secret"), "{target}");
        }
    });
}

#[test]
fn what_the_last_playlist_lists_can_be_fetched_after_the_end() {
    let Machine { runtime, net, mut pipeline, input, .. } = machine("");
    runtime.block_on(async {
        input.eos().await.unwrap();
        pipeline.wait().await.unwrap();
        let mut client = Client::connect(&net, ADDRESS).await;
        let (_, list) = playlist(&mut client, "/cam/index.m3u8").await;
        assert!(list.ended && list.segments().len() == 3);
        for segment in list.segments() {
            let head = client.ask("GET", &format!("/cam/{}", segment.uri), "").await;
            assert_eq!(head.status(), 200);
            client.body(&head).await;
        }
        let clock = &runtime.env().clock;
        clock.sleep_until(clock.now() + list.duration() + TimeDelta::from_millis(10)).await;
        assert!(net.connect(ADDRESS).await.is_err(), "and the listener goes when that is over");
    });
}

#[test]
fn a_file_that_is_gone_or_broken_is_said_so() {
    let Machine { runtime, net, files, pipeline: _pipeline, input: _input } = machine("");
    runtime.block_on(async {
        let mut client = Client::connect(&net, ADDRESS).await;
        files.remove("live/cam/seg00002.ts".as_ref()).unwrap();
        files.remove("live/cam/seg00008.ts".as_ref()).unwrap();
        files.fail_reads_at("live/cam/seg00003.ts", 1000);
        for (number, status) in [(2, 404), (8, 200)] {
            let head = client.ask("GET", &format!("/cam/seg0000{number}.ts"), "").await;
            assert_eq!(head.status(), status, "the last ones are in memory");
            client.body(&head).await;
        }
        let len = files.get("live/cam/seg00003.ts").unwrap().len();
        client.send("GET /cam/seg00003.ts HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(client.rest().await.len() < len, "the connection breaks off");
    });
}
