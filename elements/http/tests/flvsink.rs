//! `httpflvsink` on a simulated network: what players get, when they join, fall behind and leave.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Client, address, audio, config, file_header, inter, key, machine, metadata, push, serving, tags, times};
use millstream_core::{MessageKind, TimeDelta};
use millstream_flv::wire::TagKind;
use millstream_runtime::{Bus, Runtime};
use millstream_testkit::Weather;

/// What the cached group of pictures makes of a stream that has begun: configurations have the time of the first frame, metadata has none.
const JOINED: [u32; 5] = [0, 80, 80, 90, 120];

fn begun() -> Vec<millstream_core::Buffer> {
    vec![file_header(), metadata(), config(), key(0, 50), inter(40, 50), key(80, 50), audio(90), inter(120, 50)]
}

async fn players(bus: &mut Bus, count: &str) {
    loop {
        let message = bus.next().await.unwrap();
        if let MessageKind::Element { name: "players", fields } = &message.kind
            && fields.iter().any(|(_, value)| value == count)
        {
            return;
        }
    }
}

async fn wait(runtime: &Runtime, millis: i64) {
    let clock = &runtime.env().clock;
    clock.sleep_until(clock.now() + TimeDelta::from_millis(millis)).await;
}

#[test]
fn flv_5_who_joins_gets_header_metadata_configs_and_the_group_of_pictures_in_chunks() {
    let (runtime, net) = machine();
    let (mut pipeline, input) = serving(&runtime, "");
    runtime.block_on(async {
        push(&input, begun()).await;
        wait(&runtime, 1).await;
        let mut client = Client::get(&net, address(), "/live/cam.flv?session=1", "1.1").await;
        let head = client.head().await;
        assert_eq!((head.status(), head.get("content-type")), (200, Some("video/x-flv")));
        assert_eq!(head.get("transfer-encoding"), Some("chunked"));
        assert_eq!(head.get("access-control-allow-origin"), Some("*"));
        assert_eq!((head.get("content-length"), head.get("cache-control")), (None, Some("no-store")));
        let header = client.chunk().await;
        assert_eq!(&header[..], b"FLV\x01\x05\0\0\0\x09\0\0\0\0", "audio and video");
        let group = [header, client.chunk().await].concat();
        assert_eq!(times(&group), JOINED);
        assert_eq!(tags(&group)[0].kind, TagKind::Script);
        // Then live, and to the end.
        push(&input, [inter(160, 50)]).await;
        assert_eq!(client.chunk().await.len(), 11 + 55 + 4);
        input.eos().await.unwrap();
        assert!(client.chunks().await.is_empty() && client.rest().await.is_empty());
        pipeline.wait().await.unwrap();
    });
}

#[test]
fn flv_5_http_1_0_gets_the_same_up_to_the_end_of_the_connection() {
    let (runtime, net) = machine();
    let (mut pipeline, input) = serving(&runtime, "");
    runtime.block_on(async {
        push(&input, begun()).await;
        wait(&runtime, 1).await;
        let mut client = Client::get(&net, address(), "/live/cam.flv", "1.0").await;
        let head = client.head().await;
        assert_eq!((head.status(), head.get("transfer-encoding")), (200, None));
        // It takes time to send the end, and still it comes.
        net.set_weather(Weather { delay: TimeDelta::from_millis(300), segment: 7, ..Weather::default() });
        input.eos().await.unwrap();
        let (all, ended) = tokio::join!(client.rest(), pipeline.wait());
        ended.unwrap();
        assert_eq!(times(&all), JOINED);
    });
}

#[test]
fn flv_5_the_end_waits_for_who_has_not_read_it() {
    let (runtime, net) = machine();
    let (mut pipeline, input) = serving(&runtime, "");
    runtime.block_on(async {
        // Some KiB more than the network holds.
        push(&input, [file_header(), config(), key(0, (256 << 10) + 4000)]).await;
        wait(&runtime, 1).await;
        let mut client = Client::get(&net, address(), "/live/cam.flv", "1.0").await;
        client.head().await;
        input.eos().await.unwrap();
        let reads = async {
            wait(&runtime, 1000).await;
            client.rest().await
        };
        let (all, ended) = tokio::join!(reads, pipeline.wait());
        ended.unwrap();
        assert_eq!(tags(&all).len(), 2);
    });
}

#[test]
fn flv_5_players_that_come_first_wait() {
    let (runtime, net) = machine();
    let (_pipeline, input) = serving(&runtime, "");
    runtime.block_on(async {
        let mut client = Client::get(&net, address(), "/live/cam.flv", "1.1").await;
        assert_eq!(client.head().await.status(), 200);
        let mut all = client.chunk().await.to_vec();
        assert_eq!(all[4], 5, "audio and video may come");
        push(&input, begun()).await;
        while times(&all).len() < 7 {
            all.extend_from_slice(&client.chunk().await);
        }
        assert_eq!(times(&all), [0, 0, 0, 40, 80, 90, 120]);
    });
}

#[test]
fn flv_5_without_audio_none_is_announced() {
    let (runtime, net) = machine();
    let (_pipeline, input) = serving(&runtime, "gop-cache=false");
    runtime.block_on(async {
        push(&input, [file_header(), config(), key(0, 50), inter(40, 50)]).await;
        wait(&runtime, 1).await;
        let mut client = Client::get(&net, address(), "/live/cam.flv", "1.1").await;
        client.head().await;
        let header = client.chunk().await;
        assert_eq!(header[4], 1);
        // No cache: the configuration with the next key frame, and at its time.
        push(&input, [inter(80, 50), key(120, 50)]).await;
        let both = [header, client.chunk().await].concat();
        assert_eq!(times(&both), [120, 120]);
    });
}

#[test]
fn flv_5_head_is_no_player_and_other_paths_are_not_found() {
    let (runtime, net) = machine();
    let (mut pipeline, _input) = serving(&runtime, "");
    let mut bus = pipeline.bus().unwrap();
    runtime.block_on(async {
        let mut client = Client::connect(&net, address()).await;
        client.send("HEAD /live/cam.flv HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((head.status(), head.get("content-type")), (200, Some("video/x-flv")));
        assert!(client.rest().await.is_empty());
        let mut client = Client::get(&net, address(), "/live/other.flv", "1.1").await;
        assert_eq!(client.head().await.status(), 404);
        wait(&runtime, 1).await;
        let told = std::iter::from_fn(|| bus.try_next());
        assert!(!told.into_iter().any(|message| matches!(message.kind, MessageKind::Element { name: "players", .. })));
    });
}

/// Pictures of 64 KiB, every tenth a key frame.
fn picture(number: u32) -> millstream_core::Buffer {
    if number.is_multiple_of(10) { key(number * 40, 65_536) } else { inter(number * 40, 65_536) }
}

#[test]
fn flv_5_a_slow_player_skips_to_a_key_frame_counted_and_nobody_waits_for_it() {
    let (runtime, net) = machine();
    let (mut pipeline, input) = serving(&runtime, "backlog-size=1MiB");
    let mut bus = pipeline.bus().unwrap();
    runtime.block_on(async {
        push(&input, [file_header(), config()]).await;
        let mut slow = Client::get(&net, address(), "/live/cam.flv", "1.0").await;
        players(&mut bus, "1").await;
        let mut quick = Client::get(&net, address(), "/live/cam.flv", "1.0").await;
        players(&mut bus, "2").await;
        let feeder = async {
            for number in 0..100 {
                push(&input, [picture(number)]).await;
                wait(&runtime, 40).await;
            }
            input.eos().await.unwrap();
        };
        quick.head().await;
        let (all, ()) = tokio::join!(quick.rest(), feeder);
        assert_eq!(times(&all).len(), 101, "the quick one has every tag");
        slow.head().await;
        let (all, ended) = tokio::join!(slow.rest(), pipeline.wait());
        ended.unwrap();
        let seen: Vec<u32> = times(&all)[1..].iter().map(|time| time / 40).collect();
        let (last, gaps) = (seen.last(), seen.windows(2).filter(|two| two[1] != two[0] + 1));
        let gaps: Vec<_> = gaps.collect();
        assert_eq!((last, gaps.len()), (Some(&99), 1), "{seen:?}");
        assert_eq!(gaps[0][1] % 10, 0, "it goes on at a key frame: {seen:?}");
        let dropped = pipeline.drops()["out"]["slow player"].times;
        let missed = 100 - seen.len() as u64;
        // Pictures that were still there, but of a group whose key frame was not, are skipped, not lost.
        assert!(dropped > missed - 10 && dropped <= missed, "{dropped} of {missed}");
    });
}

#[test]
fn flv_5_players_that_leave_or_take_nothing_are_gone() {
    let (runtime, net) = machine();
    let (mut pipeline, input) = serving(&runtime, "");
    let mut bus = pipeline.bus().unwrap();
    runtime.block_on(async {
        let mut client = Client::get(&net, address(), "/live/cam.flv", "1.1").await;
        players(&mut bus, "1").await;
        client.head().await;
        drop(client);
        players(&mut bus, "0").await;
        // This one stays, and reads nothing of more than the network holds.
        let client = Client::get(&net, address(), "/live/cam.flv", "1.1").await;
        players(&mut bus, "1").await;
        let begun = runtime.env().clock.now();
        push(&input, [file_header()].into_iter().chain((0..10).map(picture))).await;
        players(&mut bus, "0").await;
        assert_eq!((runtime.env().clock.now() - begun).millis(), 60_000);
        drop(client);
    });
}

#[test]
fn sinks_share_a_listener_but_not_a_path() {
    let (runtime, net) = machine();
    let (_first, _kept) = serving(&runtime, "");
    let (mut second, _input) = serving(&runtime, "");
    runtime.block_on(async {
        let error = second.wait().await.unwrap_err();
        assert!(error.to_string().contains("/live/cam.flv is served already"), "{error}");
        // The first goes on.
        let mut client = Client::get(&net, address(), "/live/cam.flv", "1.1").await;
        assert_eq!(client.head().await.status(), 200);
    });
}
