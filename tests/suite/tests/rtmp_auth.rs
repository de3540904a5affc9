//! Servers that ask for user and password as Adobe's and Limelight's do: our elements get in, and so do foreign programs at the same server.
//!
//! There is no standard. The sums are those of librtmp, ffmpeg and GStreamer, worked out once more with Python's `hashlib`
//! ([`rtmp_m14_the_server_of_these_tests_counts_as_python_does`]).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use millstream_core::{Result, TimeDelta};
use millstream_rtmp::command::Connect;
use millstream_runtime::Runtime;
use millstream_testkit::{Weather, fixture};
use millstream_tests::peers;
use millstream_tests::rtmp_server::{Answer, Log, Script, Server, media_of};
use millstream_tests::world::{CLIP, CLIP_FRAMES, World, buffers, collected};

const PASSWORD: &str = "s3cret";

/// How a server asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asks {
    Adobe,
    /// Without `opaque`, as older ones.
    AdobeWithoutOpaque,
    Limelight,
}

const ALL: [Asks; 3] = [Asks::Adobe, Asks::AdobeWithoutOpaque, Asks::Limelight];

fn md5(parts: &[&str]) -> [u8; 16] {
    Md5::digest(parts.concat()).into()
}

fn base64_of(parts: &[&str]) -> String {
    BASE64_STANDARD.encode(md5(parts))
}

fn hex_of(parts: &[&str]) -> String {
    md5(parts).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adobe(user: &str, given: &str, own: &str) -> String {
    base64_of(&[&base64_of(&[user, "pepper", PASSWORD]), given, own])
}

fn limelight(user: &str, app: &str, own: &str) -> String {
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let secret = hex_of(&[user, ":live:", PASSWORD]);
    hex_of(&[&secret, ":Nonce1:00000001:", own, ":auth:", &hex_of(&["publish:/", app, instance])])
}

#[test]
fn rtmp_m14_the_server_of_these_tests_counts_as_python_does() {
    // md = lambda *p: hashlib.md5("".join(p).encode()); b64 = lambda m: base64.b64encode(m.digest()).decode()
    // b64(md(b64(md("me", "pepper", "s3cret")), "0pAque", "0badcafe")), and with "ChaLLenge"
    assert_eq!(adobe("me", "0pAque", "0badcafe"), "CXnD2SKrE8jeozkVwZc8Ag==");
    assert_eq!(adobe("me", "ChaLLenge", "0badcafe"), "WJdMJ5PpMof8lDKLyi1Xpg==");
    // md(md("me:live:s3cret").hexdigest(), ":Nonce1:00000001:0badcafe:auth:", md("publish:/live/_definst_").hexdigest()).hexdigest(),
    // and with "publish:/live/one"
    assert_eq!(limelight("me", "live", "0badcafe"), "23a6cc17505a2f4033bb4298965b54ba");
    assert_eq!(limelight("me", "live/one", "0badcafe"), "1e9e4d0a5f9e7b3b8640aa4c3d37dad3");
}

/// What stands behind the application's name, as a server reads it.
fn query(app: &str) -> HashMap<&str, &str> {
    let query = app.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|field| field.split_once('=')).collect()
}

impl Asks {
    fn answer(self, user: &str, connect: &Connect) -> Answer {
        let module = if self == Self::Limelight { "llnw" } else { "adobe" };
        let reject = |rest: &str| Answer::Reject(format!("[ AccessManager.Reject ] : [ authmod={module} ] : {rest}"));
        let fields = query(&connect.app);
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        if field("authmod") != module {
            return Answer::Reject(format!("[ AccessManager.Reject ] : [ code=403 need auth; authmod={module} ] : "));
        }
        if field("user") != user {
            return reject("?reason=nosuchuser");
        }
        let response = field("response");
        if response.is_empty() {
            return reject(&match self {
                Self::Adobe => {
                    format!("?reason=needauth&user={user}&salt=pepper&challenge=ChaLLenge&opaque=0pAque")
                }
                Self::AdobeWithoutOpaque => format!("?reason=needauth&user={user}&salt=pepper&challenge=ChaLLenge"),
                Self::Limelight => format!("?reason=needauth&user={user}&nonce=Nonce1"),
            });
        }
        let app = connect.app.split('?').next().unwrap_or_default();
        let expected = match self {
            Self::Adobe => adobe(user, "0pAque", field("challenge")),
            Self::AdobeWithoutOpaque => adobe(user, "ChaLLenge", field("challenge")),
            Self::Limelight => limelight(user, app, field("cnonce")),
        };
        if response == expected { Answer::Accept } else { reject("?reason=authfailed") }
    }

    fn script(self, user: &'static str) -> Script {
        Script { connect: Arc::new(move |connect| self.answer(user, connect)), ..Script::default() }
    }
}

fn clip() -> Vec<u8> {
    std::fs::read(fixture(CLIP)).expect("the fixture is there")
}

/// Publishes the clip from a file.
fn publish(world: &World, url: &str) -> Result<()> {
    world.wait(&mut world.start(&format!("filesrc location=clip.flv ! rtmpsink location={url}")))
}

fn apps(log: &Log) -> Vec<&str> {
    log.connects.iter().map(|connect| connect.app.split('?').next().unwrap_or_default()).collect()
}

const V6: &str = "[fd00::1]:1936";

#[test]
fn rtmp_m13_rtmp_m14_rtmpsink_answers_challenges_and_keeps_keys_as_they_are() {
    for asks in ALL {
        for (path, app, key) in [
            ("live/cam?key=a=b&then=http://x/?y=1", "live", "cam?key=a=b&then=http://x/?y=1"),
            ("live/one/a?b=c?d==", "live/one", "a?b=c?d=="),
        ] {
            let world = World::new(Weather::default());
            let address: SocketAddr = V6.parse().expect("an address");
            let server = Server::start(world.runtime.env(), address, asks.script("me@home"));
            publish(&world, &format!("rtmp://me%40home:{PASSWORD}@{V6}/{path}")).expect("it gets in");
            let log = server.log();
            assert_eq!((apps(&log), &log.names[..]), (vec![app; 3], &[key.to_owned()][..]), "{asks:?}");
            assert!(log.media == media_of(clip()), "{asks:?}: every tag, as it was");
            let tc_url = log.connects[0].tc_url.as_deref();
            assert_eq!(tc_url, Some(&*format!("rtmp://{V6}/{app}")), "without user and key");
        }
    }
}

#[test]
fn rtmp_m13_rtmp_m14_rtmpsrc_answers_challenges_and_keeps_keys_as_they_are() {
    for asks in ALL {
        let world = World::new(Weather::default());
        let plays = Some((Arc::new(media_of(clip())), TimeDelta::ZERO));
        let address: SocketAddr = V6.parse().expect("an address");
        let server = Server::start(world.runtime.env(), address, Script { plays, ..asks.script("me") });
        let url = format!("rtmp://me:{PASSWORD}@{V6}/live/cam?key=a=b?c");
        let mut player = world.start(&format!("rtmpsrc location={url} ! flvdemux name=d d.video ! collect name=video"));
        let video = collected(&mut player, "video");
        world.end(player);
        assert_eq!(buffers(&video).len(), CLIP_FRAMES.0, "{asks:?}");
        let log = server.log();
        assert_eq!((log.connects.len(), &log.names[..]), (3, &["cam?key=a=b?c".to_owned()][..]));
    }
}

#[test]
fn rtmp_m14_a_redirect_leads_to_a_server_that_asks() {
    for asks in ALL {
        let world = World::new(Weather::default());
        let env = world.runtime.env();
        let redirect = Arc::new(|_: &Connect| Answer::Redirect("rtmp://10.0.0.2/live".into()));
        let first = Server::start(env, ([10, 0, 0, 1], 1935), Script { connect: redirect, ..Script::default() });
        let second = Server::start(env, ([10, 0, 0, 2], 1935), asks.script("me"));
        publish(&world, &format!("rtmp://me:{PASSWORD}@10.0.0.1/live/cam?k=v")).expect("it gets in");
        assert_eq!((first.log().connects.len(), second.log().connects.len()), (1, 3), "{asks:?}");
        assert_eq!(second.log().names, ["cam?k=v"]);
        assert!(second.log().media == media_of(clip()));
    }
}

#[test]
fn rtmp_m14_what_is_wrong_with_user_or_password_is_said_at_once() {
    for asks in ALL {
        for (user, connects, words) in [
            ("me:wrong@", 3, "wrong user name or password"),
            ("you:s3cret@", 2, "no such user"),
            ("", 1, "the server asks for a user name"),
        ] {
            let world = World::new(Weather::default());
            let server = Server::start(world.runtime.env(), ([10, 0, 0, 1], 1935), asks.script("me"));
            let error = publish(&world, &format!("rtmp://{user}10.0.0.1/live/cam")).expect_err("it is not let in");
            assert!(error.to_string().contains(words), "{asks:?}: {error}");
            assert_eq!(server.log().connects.len(), connects, "it is not tried again");
        }
    }
}

/// Programs that publish with user and password. librtmp is none of them: the one of Debian crashes when it is asked.
const PROGRAMS: [&str; 3] = [
    "ffmpeg -v error -re -i CLIP -c copy -t 1 -f flv rtmp://me:s3cret@ADDRESS/live/cam",
    "ffmpeg9 -v error -re -i CLIP -c copy -t 1 -f flv rtmp://me:s3cret@ADDRESS/live/cam",
    "gst-launch-1.0 -q filesrc location=CLIP ! flvdemux name=d flvmux name=m streamable=true ! \
     rtmp2sink location=rtmp://me:s3cret@ADDRESS/live/cam d.video ! queue ! h264parse ! m.video d.audio ! queue ! aacparse ! m.audio",
];

#[test]
fn rtmp_m14_foreign_programs_answer_the_same_challenges() {
    for asks in ALL {
        // GStreamer knows Adobe's only.
        for program in PROGRAMS.into_iter().filter(|program| asks != Asks::Limelight || !program.contains("rtmp2sink"))
        {
            let runtime = Runtime::new().expect("a runtime");
            let start = async || Server::start(runtime.env(), ([127, 0, 0, 1], 0), asks.script("me"));
            let server = runtime.block_on(start());
            let (address, clip) = (server.address().to_string(), fixture(CLIP));
            let fill = |word: &str| word.replace("ADDRESS", &address).replace("CLIP", &clip.to_string_lossy());
            let mut words = program.split_ascii_whitespace().map(fill);
            let mut command = Command::new(peers::need(&words.next().expect("a program")));
            let status = command.args(words).stdin(Stdio::null()).status().expect("it runs");
            let log = server.log();
            assert!(status.success() && !log.media.is_empty(), "{asks:?}: {program}: {:?}", apps(&log));
            assert_eq!(log.connects.len(), 3, "{asks:?}: {program}");
        }
    }
}
