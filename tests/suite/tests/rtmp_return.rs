//! A publisher that returns, behind players that stay: by HTTP-FLV and by RTMP, on a virtual clock.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use millstream_core::{Env, TimeDelta};
use millstream_flv::wire::{FlvReader, TagKind};
use millstream_rtmp::command::PlayStart;
use millstream_rtmp::session::MediaKind;
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_testkit::http::Client as HttpClient;
use millstream_testkit::{SimNet, Weather};
use millstream_tests::rtmp::{Client, SEND};
use millstream_tests::world::World;

const HTTP: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);

/// How long nobody publishes.
const AWAY: TimeDelta = TimeDelta::from_millis(1500);

/// Times of pictures, and of everything that describes them.
#[derive(Default)]
struct Seen {
    pictures: Vec<u32>,
    headers: Vec<u32>,
}

impl Seen {
    /// The body of a video tag; 0 in its second byte is a sequence header (FLV 10.1, E.4.3.1).
    fn note(&mut self, timestamp: u32, body: &[u8]) {
        match body.get(1) {
            Some(0) => self.headers.push(timestamp),
            Some(1) => self.pictures.push(timestamp),
            _ => {}
        }
    }
}

async fn watch_http(net: SimNet, seen: Arc<Mutex<Seen>>) {
    let mut client = HttpClient::get(&net, SocketAddr::from(HTTP), "/live/cam.flv", "1.1").await;
    assert_eq!(client.head().await.status(), 200);
    let mut reader = FlvReader::new();
    loop {
        let chunk = client.chunk().await;
        if chunk.is_empty() {
            return;
        }
        reader.push(chunk);
        while let Some(tag) = reader.next().expect("FLV") {
            if tag.kind == TagKind::Video {
                seen.lock().expect("no panic").note(tag.timestamp, &tag.body);
            }
        }
    }
}

async fn watch_rtmp(env: Env, seen: Arc<Mutex<Seen>>) {
    let play = Purpose::Play { start: PlayStart::Live, duration: None };
    let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", play).await;
    loop {
        match client.next().await.expect("no refusal") {
            Some(ClientEvent::Media { media, .. }) if media.kind == MediaKind::Video => {
                seen.lock().expect("no panic").note(media.timestamp, &media.payload);
            }
            None | Some(ClientEvent::Ended { .. }) => return,
            Some(_) => {}
        }
    }
}

/// The clip is published twice, with a pause; a player of each kind sees both.
fn published_twice(settings: &str) -> [Seen; 2] {
    let world = World::new(Weather::default());
    let relay = world.start(&format!(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=5s ! tee name=t \
         t. ! httpflvsink listen=10.0.0.1:8080 path=/live/cam.flv {settings} \
         t. ! rtmpserversink listen=10.0.0.1:1935 stream=cam {settings}"
    ));
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let seen = [(); 2].map(|()| Arc::<Mutex<Seen>>::default());
    env.tasks.spawn(Box::pin(watch_http(world.net.clone(), seen[0].clone()))).detach();
    env.tasks.spawn(Box::pin(watch_rtmp(env.clone(), seen[1].clone()))).detach();
    world.pass(TimeDelta::from_millis(1));
    world.end(world.start(SEND));
    world.pass(AWAY);
    world.end(world.start(SEND));
    world.end(relay);
    seen.map(|seen| std::mem::take(&mut *seen.lock().expect("no panic")))
}

/// These are the clip's pictures, of which ffprobe finds 30 a second, from this time on. Each was rounded to milliseconds twice.
fn assert_clip(pictures: &[u32], base: u32) {
    assert_eq!(pictures.len(), 300);
    let wrong = (0..).zip(pictures).find(|(number, time)| (base + number * 1000 / 30).abs_diff(**time) > 1);
    assert_eq!(wrong, None, "from {base}");
}

#[test]
fn flv_5_behind_a_publisher_that_returns_players_go_on_on_one_timeline() {
    for seen in published_twice("") {
        let (first, second) = seen.pictures.split_at(300);
        assert_clip(first, 0);
        // The last picture was at 9967, and what follows it comes as much later as nobody was there.
        let base = second[0];
        assert!((9967 + 1500..9967 + 1700).contains(&base), "{base}");
        assert_clip(second, base);
        assert_eq!(seen.headers.len(), 2, "each publisher says its own");
    }
}

#[test]
fn flv_5_timestamps_begin_anew_behind_a_publisher_that_returns_where_that_is_wanted() {
    for seen in published_twice("restart-timestamps=true") {
        let (first, second) = seen.pictures.split_at(300);
        assert_clip(first, 0);
        assert_clip(second, 0);
        assert_eq!(seen.headers, [0, 0]);
    }
}
