//! RTMPS between our elements, on a simulated network: what passes, and who is refused.

use std::net::SocketAddr;

use millstream_core::net::NetStream;
use millstream_core::{ErrorKind, MessageKind, TimeDelta};
use millstream_runtime::Pipeline;
use millstream_testkit::Weather;
use millstream_tests::world::{CLIP_FRAMES, World, buffers, collected, messages};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 443);
const RECEIVE: &str = "rtmpserversrc listen=10.0.0.1:443 tls-cert=chain.pem tls-key=key.pem stream=cam eos-on-unpublish=true grace=1s ! \
                       flvdemux name=d d.video ! collect name=video d.audio ! collect name=audio";
const SEND: &str = "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
                    flvmux name=m ! rtmpsink location=rtmps://media.test/live/cam?k=v";

/// A world in which `media.test` and `other.test` are the server's names, and `chain.pem` is of the first.
fn world(weather: Weather) -> World {
    let world = World::new(weather);
    for name in ["media.test", "other.test"] {
        world.net.name(name, SERVER.into());
    }
    certify(&world, |_| {});
    world
}

/// Writes a certificate that signs itself. The simulated clock stands at 2024.
fn certify(world: &World, change: impl FnOnce(&mut CertificateParams)) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["media.test".to_owned()]).expect("a name");
    change(&mut params);
    let certificate = params.self_signed(&key).expect("a certificate");
    world.fs.insert("chain.pem", certificate.pem());
    world.fs.insert("key.pem", key.serialize_pem());
}

/// What becomes of a publisher whom the server's certificate does not convince.
fn refused(world: &World, send: &str) -> millstream_core::Error {
    let mut sender = world.start(send);
    world.wait(&mut sender).expect_err("there is no secure connection")
}

#[test]
fn rtmp_h7_rtmps_from_end_to_end() {
    for weather in
        [Weather::default(), Weather { delay: TimeDelta::from_millis(20), segment: 100, ..Weather::default() }]
    {
        let world = world(weather);
        let serve = "rtmpserversink listen=10.0.0.1:443 tls-cert=chain.pem tls-key=key.pem stream=cam";
        let relay = world.start(&format!("{} ! {serve}", RECEIVE.split(" ! ").next().unwrap_or_default()));
        world.pass(TimeDelta::from_millis(1));
        let mut player = world.start(
            "rtmpsrc location=rtmps://media.test/live/cam ca-file=chain.pem ! flvdemux name=d \
             d.video ! collect name=video d.audio ! collect name=audio",
        );
        let [video, audio] = ["video", "audio"].map(|name| collected(&mut player, name));
        world.end(world.start(&format!("{SEND} ca-file=chain.pem")));
        world.end(relay);
        world.end(player);
        assert_eq!((buffers(&video).len(), buffers(&audio).len()), CLIP_FRAMES, "{weather:?}");
    }
}

#[test]
fn rtmp_h7_who_is_another_is_not_trusted_or_has_expired_is_refused_with_a_hint() {
    let check = |change: fn(&mut CertificateParams), send: &str, why: &str, hint: &str| {
        let world = world(Weather::default());
        certify(&world, change);
        let _receiver = world.start(RECEIVE);
        world.pass(TimeDelta::from_millis(1));
        let error = refused(&world, send);
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Peer, "{text}");
        assert!(text.contains(why) && error.hint_text().is_some_and(|text| text.contains(hint)), "{error:?}");
        assert!(!text.contains("k=v") && !text.contains("cam"), "{text}");
    };
    let trusting = format!("{SEND} ca-file=chain.pem");
    check(|_| {}, &trusting.replace("media.test", "other.test"), "not valid for name", "as its certificate names it");
    check(|_| {}, SEND, "UnknownIssuer", "say whom to trust");
    check(|params| params.not_after = date_time_ymd(2023, 12, 31), &trusting, "expired", "renewed");
    check(|params| params.not_before = date_time_ymd(2024, 2, 1), &trusting, "not valid yet", "is the clock");
}

#[test]
fn rtmp_h7_a_plain_server_behind_rtmps_is_named_and_a_secure_one_behind_rtmp() {
    let world = world(Weather::default());
    let _plain = world.start("rtmpserversrc listen=10.0.0.1:443 stream=cam ! collect");
    world.pass(TimeDelta::from_millis(1));
    let error = refused(&world, &format!("{SEND} ca-file=chain.pem retries=0"));
    assert!(error.to_string().ends_with("no answer in TLS"), "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("does it speak TLS")), "{error}");
    let world = self::world(Weather::default());
    let _secure = world.start(RECEIVE);
    world.pass(TimeDelta::from_millis(1));
    let plainly = SEND.replace("rtmps://media.test", "rtmp://media.test:443");
    assert!(refused(&world, &format!("{plainly} retries=0")).to_string().contains("media.test:443"));
}

#[test]
fn rtmp_h7_a_server_that_is_not_checked_is_warned_of() {
    let world = world(Weather::default());
    let mut receiver = world.start(RECEIVE);
    let video = collected(&mut receiver, "video");
    world.pass(TimeDelta::from_millis(1));
    let mut sender = world.start(&format!("{} tls-verify=false", SEND.replace("media.test", "other.test")));
    let mut bus = sender.bus().expect("the first to ask");
    world.wait(&mut sender).expect("it is trusted");
    world.end(receiver);
    assert_eq!(buffers(&video).len(), CLIP_FRAMES.0);
    let warned = messages(&mut bus)
        .into_iter()
        .any(|message| matches!(&message.kind, MessageKind::Warning(error) if error.property() == Some("tls-verify")));
    assert!(warned);
}

#[test]
fn rtmp_h7_elements_of_an_address_show_the_same_files_and_these_are_there() {
    let world = world(Weather::default());
    world.fs.insert("empty.pem", "");
    let failure = |line: &str| {
        let mut pipeline: Pipeline = world.start(line);
        world.wait(&mut pipeline).expect_err("it cannot work")
    };
    let _first = world.start(RECEIVE);
    world.pass(TimeDelta::from_millis(1));
    for (settings, property, why) in [
        ("listen=10.0.0.1:443", "tls-cert", "other files"),
        ("listen=10.0.0.1:443 tls-cert=empty.pem tls-key=key.pem", "tls-cert", "other files"),
        ("listen=10.0.0.1:444 tls-cert=empty.pem tls-key=key.pem", "tls-cert", "no certificate"),
        ("listen=10.0.0.1:445 tls-cert=chain.pem tls-key=missing.pem", "tls-key", "missing.pem"),
        ("listen=10.0.0.1:446 tls-cert=chain.pem tls-key=chain.pem", "tls-cert", "no private key"),
    ] {
        let error = failure(&format!("rtmpserversrc {settings} stream=other ! fakesink"));
        assert_eq!((error.kind(), error.property()), (ErrorKind::Settings, Some(property)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn rtmp_h7_a_certificate_that_was_renewed_is_shown_to_who_comes_later() {
    let world = world(Weather::default());
    let _receiver = world.start(&RECEIVE.replace("eos-on-unpublish=true", "eos-on-unpublish=false"));
    world.pass(TimeDelta::from_millis(1));
    let send = format!("{SEND} ca-file=chain.pem");
    world.end(world.start(&send));
    certify(&world, |_| {});
    world.pass(TimeDelta::from_secs(61));
    // The file that is trusted holds the new one only.
    world.end(world.start(&send));
    // What cannot be used leaves the old one in force.
    world.fs.insert("key.pem", "nothing");
    world.pass(TimeDelta::from_secs(61));
    world.end(world.start(&send));
}

#[test]
fn rtmp_h7_who_says_nothing_in_tls_is_closed() {
    let world = world(Weather::default());
    let _receiver = world.start(RECEIVE);
    world.pass(TimeDelta::from_millis(1));
    let net = world.runtime.env().net.clone();
    let connect = async { net.connect(SocketAddr::from(SERVER)).await.expect("somebody listens") };
    let mut silent: Box<dyn NetStream> = world.runtime.block_on(connect);
    world.pass(TimeDelta::from_secs(11));
    let mut input = bytes::BytesMut::new();
    assert_eq!(world.runtime.block_on(silent.read(&mut input)).expect("an end"), 0);
}
