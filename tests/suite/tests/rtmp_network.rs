//! Our RTMP elements against each other, on a virtual clock and a network that delays, splits, falls silent and breaks.

use std::net::SocketAddr;

use bytes::BytesMut;
use millstream_amf::Value;
use millstream_core::net::NetStream;
use millstream_core::{BufferBox, BufferFlags, Time, TimeDelta};
use millstream_rtmp::calls::{Call, Procedures};
use millstream_rtmp::command::{Play, PlayStart, Publish, PublishType, Status, code};
use millstream_rtmp::session::client::{ClientEvent, Purpose};
use millstream_rtmp::session::{Media, MediaKind, SessionError};
use millstream_testkit::{Weather, fixture};
use millstream_tests::elements::Collected;
use millstream_tests::rtmp::{Client, RECEIVE, SEND, SERVER};
use millstream_tests::sim;
use millstream_tests::world::{CLIP, CLIP_FRAMES, World, buffers};

fn gaps(times: &[Time]) -> usize {
    times.windows(2).filter(|pair| pair[1].since(pair[0]) > TimeDelta::from_millis(100)).count()
}

#[test]
fn everything_arrives_whatever_the_network_is_like() {
    let millis = TimeDelta::from_millis;
    for weather in [
        Weather::default(),
        Weather { delay: millis(150), ..Weather::default() },
        Weather { segment: 1, ..Weather::default() },
        Weather { delay: millis(20), segment: 1000, ..Weather::default() },
    ] {
        let world = World::new(weather);
        let mut receiver = world.start(RECEIVE);
        let [video, audio] = ["video", "audio"].map(|name| receiver.handle::<Collected>(name).expect("a collect"));
        world.pass(millis(1));
        world.end(world.start(SEND));
        world.end(receiver);
        assert_eq!((buffers(&video).len(), buffers(&audio).len()), CLIP_FRAMES, "{weather:?}");
    }
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_goes_on_at_a_key_frame_on_one_timeline() {
    let world = World::new(Weather { delay: TimeDelta::from_millis(5), ..Weather::default() });
    let mut receiver = world.start(RECEIVE);
    let video = receiver.handle::<Collected>("video").expect("a collect");
    world.pass(TimeDelta::from_millis(1));
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_millis(3500));
    world.net.cut(SocketAddr::from(SERVER));
    world.end(sender);
    world.end(receiver);
    let buffers = buffers(&video);
    let times: Vec<Time> = buffers.iter().filter_map(|buffer| buffer.dts_or_pts()).collect();
    assert!(times.is_sorted(), "one timeline");
    assert!(
        buffers.len() > 240 && buffers.len() <= CLIP_FRAMES.0,
        "a group of pictures at most is lost: {}",
        buffers.len()
    );
    assert!(gaps(&times) <= 1);
    let resumed = times.windows(2).position(|pair| pair[1].since(pair[0]) > TimeDelta::from_millis(100));
    if let Some(at) = resumed {
        assert!(buffers[at + 1].is_keyframe());
    }
}

#[test]
fn a_server_that_is_not_there_yet_gets_everything_of_a_file() {
    let world = World::new(Weather::default());
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_millis(700));
    let mut receiver = world.start(RECEIVE);
    let video = receiver.handle::<Collected>("video").expect("a collect");
    world.end(sender);
    world.end(receiver);
    assert_eq!(buffers(&video).len(), CLIP_FRAMES.0);
}

#[test]
fn a_player_of_ours_plays_what_is_published_later_and_ends_with_it() {
    let world = World::new(Weather { delay: TimeDelta::from_millis(30), ..Weather::default() });
    let relay = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! \
         rtmpserversink listen=10.0.0.1:1935 stream=cam",
    );
    world.pass(TimeDelta::from_millis(1));
    let mut player = world.start(
        "rtmpsrc location=rtmp://10.0.0.1/live/cam ! flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio",
    );
    let video = player.handle::<Collected>("video").expect("a collect");
    world.pass(TimeDelta::from_secs(2));
    world.end(world.start(SEND));
    world.end(relay);
    world.end(player);
    assert_eq!(buffers(&video).len(), CLIP_FRAMES.0);
}

#[test]
fn a_target_that_falls_silent_hurts_nobody_and_recovers_at_a_key_frame() {
    // Two receivers of one live stream; the network of one of them goes away for a while.
    let world = World::new(Weather::default());
    let mut good = world.start(&RECEIVE.replace("10.0.0.1", "10.0.0.2"));
    let mut bad = world.start(&RECEIVE.replace("10.0.0.1", "10.0.0.3"));
    let handles = [&mut good, &mut bad].map(|pipeline| pipeline.handle::<Collected>("video").expect("a collect"));
    let relay = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! tee name=t \
         t. ! rtmpsink location=rtmp://10.0.0.2/live/cam stall-timeout=2s t. ! rtmpsink location=rtmp://10.0.0.3/live/cam stall-timeout=2s",
    );
    world.pass(TimeDelta::from_millis(1));
    let sender = world.start(SEND);
    world.pass(TimeDelta::from_millis(3200));
    world.net.silence(SocketAddr::from(([10, 0, 0, 3], 1935)));
    world.pass(TimeDelta::from_secs(3));
    world.net.restore(SocketAddr::from(([10, 0, 0, 3], 1935)));
    world.end(sender);
    world.end(relay);
    world.end(good);
    drop(bad);
    let [good, bad] = handles.map(|collected| buffers(&collected));
    assert_eq!(good.len(), CLIP_FRAMES.0, "the other lost nothing");
    assert!(bad.len() < CLIP_FRAMES.0 && bad.len() > 150, "{}", bad.len());
    let late = |buffers: &[BufferBox]| {
        let late = |buffer: &&BufferBox| buffer.pts.is_some_and(|pts| pts > Time::from_millis(8000));
        buffers.iter().filter(late).count()
    };
    // The second connection is put behind the first by the clock, which is a millisecond's matter.
    assert!(late(&bad).abs_diff(late(&good)) <= 1, "{} of {}", late(&bad), late(&good));
}

#[test]
fn rtmp_m4_one_connection_publishes_and_plays_on_several_streams() {
    let world = World::new(Weather::default());
    let _relay =
        world.start("rtmpserversrc listen=10.0.0.1:1935 stream=cam ! rtmpserversink listen=10.0.0.1:1935 stream=cam");
    let mut receiver = world.start("rtmpserversrc listen=10.0.0.1:1935 stream=other ! collect name=all");
    let other = receiver.handle::<Collected>("all").expect("a collect");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let picture = |timestamp, kind| Media { kind, timestamp, payload: vec![0x17, 1, 0, 0, 0, 7].into() };
    let (played, refused) = world.runtime.block_on(async {
        let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", Purpose::Connect).await;
        let (mut streams, mut played, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let event = match client.next().await {
                Ok(event) => event.expect("the server stays"),
                Err(SessionError::Refused(status)) => {
                    refused.push(status.code);
                    client.session.send_media(streams[3], &picture(90, MediaKind::Video));
                    client.session.send_media(streams[0], &picture(120, MediaKind::Video));
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            match event {
                ClientEvent::Connected(_) => client.session.create_stream(),
                ClientEvent::StreamCreated { stream } => {
                    streams.push(stream);
                    let publish = |name: &str| Publish { name: name.into(), ..Publish::default() };
                    match streams.len() {
                        1 => client.session.publish(stream, publish("cam")),
                        2 => client.session.publish(stream, publish("other")),
                        3 => client.session.play(stream, Play::new("cam")),
                        // Refused, which ends none of the others.
                        _ => client.session.publish(stream, publish("nobody-takes-this")),
                    }
                }
                ClientEvent::Publishing { .. } => client.session.create_stream(),
                ClientEvent::Playing { .. } => {
                    client.session.create_stream();
                    client.session.send_media(streams[0], &picture(40, MediaKind::Video));
                    client.session.send_media(streams[1], &picture(80, MediaKind::Video));
                }
                ClientEvent::Media { stream, media } => {
                    played.push((stream, media.timestamp));
                    if !refused.is_empty() && media.timestamp == 120 {
                        assert_eq!(streams, [1, 3, 4, 5]);
                        return (played, refused);
                    }
                }
                _ => {}
            }
        }
    });
    assert_eq!(played, [(4, 40), (4, 120)]);
    assert_eq!(refused, [code::PUBLISH_DENIED]);
    // Behind the header of an FLV stream.
    let times: Vec<_> = buffers(&other).iter().skip(1).filter_map(|buffer| buffer.pts).collect();
    assert_eq!(times, [Time::from_millis(80)]);
}

#[test]
fn rtmp_m6_a_player_that_pauses_gets_nothing_and_goes_on_at_a_key_frame() {
    let world = World::new(Weather::default());
    let relay = world.start(
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=1s ! \
         rtmpserversink listen=10.0.0.1:1935 stream=cam",
    );
    world.pass(TimeDelta::from_millis(1));
    let sender = world.start(SEND);
    let env = world.runtime.env().clone();
    let times = world.runtime.block_on(async {
        let play = Purpose::Play { start: PlayStart::Live, duration: None };
        let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", play).await;
        let (mut paused, mut resume_at, mut times) = (None, Time::ZERO, Vec::new());
        loop {
            let resumes = paused == Some(true) && env.clock.now() >= resume_at;
            if resumes {
                client.session.pause(1, false, 0.0);
                client.send().await;
                paused = Some(false);
            }
            let wait = env.clock.sleep_until(env.clock.now() + TimeDelta::from_millis(100));
            let Some(event) = sim::race(client.next(), wait).await else { continue };
            match event.expect("no refusal") {
                None | Some(ClientEvent::Ended { .. }) => return times,
                Some(ClientEvent::Media { media, .. }) if media.kind == MediaKind::Video => {
                    // Frame type 1 is a key frame (FLV 10.1, E.4.3.1); 0 behind it is a sequence header.
                    let is_key = media.payload.first().is_some_and(|byte| byte >> 4 == 1);
                    if media.payload.get(1) == Some(&1) {
                        times.push((media.timestamp, is_key));
                    }
                    if media.timestamp >= 3000 && paused.is_none() {
                        client.session.pause(1, true, 3000.0);
                        client.send().await;
                        (paused, resume_at) = (Some(true), env.clock.now() + TimeDelta::from_secs(3));
                    }
                }
                Some(_) => {}
            }
        }
    });
    world.end(sender);
    world.end(relay);
    let gap = times.windows(2).find(|pair| pair[1].0 - pair[0].0 > 1000).expect("a pause");
    assert!(gap[0].0 < 3200 && gap[1].0 >= 5900 && gap[1].1, "{gap:?}");
    assert!(times.last().is_some_and(|(time, _)| *time > 9800), "it goes on to the end");
}

#[test]
fn rtmp_h6_a_publisher_that_falls_silent_frees_its_name() {
    let world = World::new(Weather::default());
    let _receiver = world.start("rtmpserversrc listen=10.0.0.1:1935 stream=cam ! collect name=all");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env().clone();
    let publish = || {
        world.runtime.block_on(async {
            let live = Purpose::Publish(PublishType::Live);
            let mut client = Client::connect(&env, "rtmp://10.0.0.1/live/cam", live).await;
            loop {
                match client.next().await {
                    Ok(Some(ClientEvent::Publishing { .. })) => return Some(client),
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return None,
                }
            }
        })
    };
    let silent = publish();
    assert!(silent.is_some());
    world.pass(TimeDelta::from_secs(29));
    assert!(publish().is_none(), "it may only have paused");
    world.pass(TimeDelta::from_secs(2));
    assert!(publish().is_some());
    drop(silent);
}

#[test]
fn rtmp_h6_a_thousand_silent_sockets_do_not_disturb_a_stream_and_are_closed() {
    let world = World::new(Weather::default());
    let mut receiver = world.start(RECEIVE);
    let video = receiver.handle::<Collected>("video").expect("a collect");
    world.pass(TimeDelta::from_millis(1));
    let net = world.runtime.env().net.clone();
    let mut sockets: Vec<Box<dyn NetStream>> = world.runtime.block_on(async {
        let mut sockets = Vec::new();
        for at in 0..1000 {
            let mut socket = net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens");
            // Some say nothing at all, some begin a handshake.
            let _ = socket.write_all(&[3, 0, 0, 0][..at % 4]).await;
            sockets.push(socket);
        }
        sockets
    });
    world.end(world.start(SEND));
    // The server is still there: it waits for the publisher to come back.
    let clock = world.runtime.env().clock.clone();
    let ends = world.runtime.block_on(async {
        let mut ends = 0;
        for socket in &mut sockets {
            let patience = clock.sleep_until(clock.now() + TimeDelta::from_millis(1));
            let mut input = BytesMut::new();
            let read = sim::race(socket.read(&mut input), patience).await;
            ends += usize::from(matches!(read, Some(Ok(0))));
        }
        ends
    });
    assert_eq!(ends, 1000);
    world.end(receiver);
    assert_eq!(buffers(&video).len(), CLIP_FRAMES.0);
}

#[test]
fn rtmp_a_program_offers_procedures_that_clients_call() {
    let world = World::new(Weather::default());
    let _server = world.start("rtmpserversrc listen=10.0.0.1:1935 stream=cam ! fakesink");
    world.pass(TimeDelta::from_millis(1));
    let env = world.runtime.env();
    Procedures::of(env).offer("add", |call: &Call<'_>| {
        assert_eq!((call.app, call.name), ("live", "add"), "the query is not part of the name");
        let numbers = call.arguments.iter().map(|argument| argument.as_f64());
        let sum =
            numbers.sum::<Option<f64>>().ok_or_else(|| Status::error(code::CALL_FAILED, "These are no numbers."))?;
        Ok(Value::Number(sum))
    });
    let answers = world.runtime.block_on(async {
        let mut client = Client::connect(env, "rtmp://10.0.0.1/live?key=secret/cam", Purpose::Connect).await;
        while !matches!(client.next().await, Ok(Some(ClientEvent::Connected(_)))) {}
        let calls = [("add", vec![2.0.into(), 40.5.into()]), ("add", vec!["two".into()]), ("subtract", vec![])];
        let mut answers = Vec::new();
        for (name, arguments) in calls {
            let asked = client.session.call(name, Value::Null, arguments);
            loop {
                if let Some(ClientEvent::Answer(answer)) = client.next().await.expect("it keeps to the protocol") {
                    assert_eq!(answer.transaction, asked);
                    answers.push(answer);
                    break;
                }
            }
        }
        answers
    });
    assert_eq!(answers[0].value(), &Value::Number(42.5));
    let statuses: Vec<_> = answers.iter().map(|answer| (answer.success, answer.status().description)).collect();
    assert_eq!(statuses[1], (false, "These are no numbers.".to_owned()));
    assert_eq!(statuses[2], (false, "There is no such procedure.".to_owned()));
}

#[test]
fn sound_is_a_place_to_begin_at_only_where_there_are_no_pictures() {
    for (clip, keys) in [(CLIP, true), ("audio_only_aac.flv", false)] {
        let world = World::new(Weather::default());
        world.fs.insert("clip.flv", std::fs::read(fixture(clip)).expect("the fixture is there"));
        let mut receiver = world
            .start("rtmpserversrc listen=10.0.0.1:1935 stream=cam eos-on-unpublish=true grace=0s ! collect name=all");
        let all = receiver.handle::<Collected>("all").expect("a collect");
        world.end(world.start("filesrc location=clip.flv ! rtmpsink location=rtmp://10.0.0.1/live/cam"));
        world.end(receiver);
        let buffers = buffers(&all);
        // The first byte of a tag is its type (FLV 10.1, E.4.1): 8 is sound, 9 pictures. The body of a key frame begins with 1, and 1 behind
        // it says that it is a picture (E.4.3).
        let bytes =
            |buffer: &BufferBox| buffer.payload.slices().iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
        let first = buffers.iter().position(|buffer| keys && bytes(buffer)[0] == 9).unwrap_or(0);
        for buffer in buffers.iter().skip(first).filter(|buffer| !buffer.flags.contains(BufferFlags::HEADER)) {
            let bytes = bytes(buffer);
            let expected = match bytes[0] {
                8 => !keys,
                9 => bytes[11] >> 4 == 1 && bytes[12] == 1,
                _ => false,
            };
            assert_eq!(buffer.is_keyframe(), expected, "{clip}: {:?}", &bytes[..13]);
        }
        assert!(buffers.iter().filter(|buffer| buffer.is_keyframe()).count() >= 5);
    }
}
