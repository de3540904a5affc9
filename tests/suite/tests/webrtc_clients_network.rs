//! `whipsink` and `whepsrc` on a network that loses, leads astray, is overloaded and goes away, on the virtual clock, with our own servers behind
//! a front that speaks HTTP as it was told to. No socket, no real time.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use millstream_core::net::{Net as _, NetStream};
use millstream_core::{BufferBox, ErrorKind, Message, MessageKind, Time, TimeDelta};
use millstream_runtime::Pipeline;
use millstream_testkit::{Weather, fixture};
use millstream_tests::world::{World, buffers, collected, messages};

const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 8080);
const FRONT: ([u8; 4], u16) = ([10, 0, 0, 9], 80);

/// 5 % lost, up to 50 ms later than others, 2 % twice: what WEB-2 names.
const STORM: Weather = Weather {
    delay: TimeDelta::from_millis(20),
    segment: usize::MAX,
    silent: false,
    jitter: TimeDelta::from_millis(50),
    loss: 50,
    duplicates: 20,
};

/// How far sound and pictures may be apart (ITU-R BT.1359-1: nobody sees less).
const APART: TimeDelta = TimeDelta::from_millis(45);

/// What was asked of a front: when, and with which request line and headers.
type Asked = Arc<Mutex<Vec<(Time, String)>>>;

fn world() -> World {
    let world = World::new(Weather::default());
    for (name, file) in [("plain.flv", "video_only_h264.flv"), ("sound.flv", "evp9_opus.flv")] {
        world.fs.insert(name, std::fs::read(fixture(file)).expect("the fixture"));
    }
    world
}

/// A request or a response with its body.
async fn message(stream: &mut Box<dyn NetStream>) -> String {
    let mut bytes = BytesMut::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        bytes.reserve(4096);
        assert!(stream.read(&mut bytes).await.expect("it comes") > 0, "the rest of {text}");
    }
}

/// Answers the first requests as it is told to, and hands further ones to our server; `change` is done to what that says.
fn front(world: &World, answers: &[&str], change: fn(String) -> String) -> Asked {
    let (asked, net, env) = (Asked::default(), world.net.clone(), world.runtime.env());
    let mut listener = world.net.listen(FRONT.into()).expect("an address");
    let (log, clock) = (asked.clone(), env.clock.clone());
    let mut answers: Vec<String> = answers.iter().rev().map(|answer| (*answer).to_owned()).collect();
    let serves = async move {
        loop {
            let mut stream = listener.accept().await.expect("it listens");
            let request = message(&mut stream).await;
            let head = request.split("\r\n\r\n").next().unwrap_or_default().to_owned();
            log.lock().expect("no panic").push((clock.now(), head));
            let answer = match answers.pop() {
                Some(answer) => answer,
                None => {
                    let mut server = net.connect(SERVER.into()).await.expect("our server");
                    server.write_all(request.as_bytes()).await.expect("it listens");
                    change(message(&mut server).await)
                }
            };
            stream.write_all(answer.as_bytes()).await.expect("it listens");
            stream.shutdown().await.expect("it listens");
        }
    };
    env.tasks.spawn(Box::pin(serves)).detach();
    asked
}

fn requests(asked: &Asked, method: &str) -> Vec<Time> {
    let asked = asked.lock().expect("no panic");
    asked.iter().filter(|(_, head)| head.starts_with(method)).map(|(at, _)| *at).collect()
}

const SERVES: &str = "whipserversrc name=s listen=10.0.0.1:8080 stream=cam keys=s3cret  s.video ! collect name=v";

/// Publishes a clip again and again.
fn publishes(world: &World, settings: &str) -> Pipeline {
    world.start(&format!(
        "filesrc location=plain.flv loop=true ! flvdemux ! h264parse ! clocksync ! w.video  \
         whipsink name=w location=http://10.0.0.9/whip/live/cam token=s3cret udp=10.0.0.2:5000 {settings}"
    ))
}

/// Names of what an element has posted, and texts of its warnings.
fn told(messages: &[Message]) -> (Vec<&'static str>, Vec<String>) {
    let name = |message: &Message| if let MessageKind::Element { name, .. } = message.kind { Some(name) } else { None };
    let warning = |message: &Message| match &message.kind {
        MessageKind::Warning(error) => Some(error.to_string()),
        _ => None,
    };
    (messages.iter().filter_map(name).collect(), messages.iter().filter_map(warning).collect())
}

/// Stops a pipeline.
fn stop(world: &World, mut pipeline: Pipeline) {
    pipeline.stopper().stop();
    world.wait(&mut pipeline).expect("it stops well");
}

#[test]
fn whip_6_a_redirect_that_keeps_what_is_posted_is_followed_with_the_token() {
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        let world = world();
        let mut server = world.start(SERVES);
        let video = collected(&mut server, "v");
        let location = "http://10.0.0.1:8080/whip/live/cam";
        let redirect = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let asked = front(&world, &[&redirect], |answer| answer);
        let publisher = publishes(&world, "");
        world.pass(TimeDelta::from_secs(5));
        assert!(buffers(&video).len() > 60, "{status}");
        stop(&world, publisher);
        // The session is at the other server, and ended there.
        assert_eq!(asked.lock().expect("no panic").len(), 1, "{status}");
    }
}

#[test]
fn whip_6_sec_redirects_lead_nowhere_else() {
    for (answer, kind, why) in [
        ("302 Found\r\nLocation: http://10.0.0.1:8080/whip/live/cam", ErrorKind::Peer, "302"),
        ("307 Moved\r\nLocation: http://127.0.0.1:8080/whip/live/cam", ErrorKind::Unsupported, "this machine"),
        ("307 Moved\r\nLocation: http://169.254.169.254/latest", ErrorKind::Unsupported, "address of the link"),
        ("307 Moved\r\nLocation: /whip/live/cam", ErrorKind::Peer, "more than 5 times"),
        ("404 Not Found\r\nContent-Type: text/plain", ErrorKind::Peer, "404"),
        ("200 OK\r\nContent-Type: application/sdp", ErrorKind::Peer, "200"),
    ] {
        let world = world();
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        let asked = front(&world, &[&*answer; 6], |answer| answer);
        let mut publisher = publishes(&world, "retries=0");
        let error = world.wait(&mut publisher).expect_err("nobody takes it");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why) && !error.to_string().contains("s3cret"), "{error}");
        let attempts = asked.lock().expect("no panic").len();
        assert_eq!(attempts, if why.contains("times") { 6 } else { 1 }, "{why}");
    }
}

#[test]
fn whip_6_a_server_without_room_is_asked_again_when_it_said() {
    let world = world();
    let mut server = world.start(SERVES);
    let video = collected(&mut server, "v");
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Type: application/problem+json\r\n\
        Content-Length: 32\r\n\r\n{\"title\":\"Full.\",\"detail\":null}\n";
    let taken = "HTTP/1.1 409 Conflict\r\nRetry-After: 11\r\nContent-Length: 0\r\n\r\n";
    let asked = front(&world, &[busy, taken], |answer| answer);
    let mut publisher = publishes(&world, "");
    let mut bus = publisher.bus().expect("the first to ask");
    world.pass(TimeDelta::from_secs(25));
    let posts = requests(&asked, "POST");
    let waits: Vec<TimeDelta> = posts.windows(2).map(|two| two[1] - two[0]).collect();
    let second = TimeDelta::from_secs(1);
    assert_eq!(waits.len(), 2, "{waits:?}");
    for (wait, said) in waits.into_iter().zip([7, 11].map(TimeDelta::from_secs)) {
        assert!(wait >= said && wait < said + second, "{wait} for {said}");
    }
    let (names, warnings) = told(&messages(&mut bus));
    assert_eq!(names, ["disconnected", "disconnected", "connected"]);
    assert!(warnings[0].contains("503") && warnings[0].contains("Full."), "{warnings:?}");
    // A file waits for its server: it is sent from its first picture on.
    assert!(buffers(&video).first().is_some_and(|first| first.is_keyframe()));
    stop(&world, publisher);
}

#[test]
fn whip_5_whip_7_a_session_is_made_anew_where_the_server_was_away_and_deleted_at_the_end() {
    let world = world();
    let mut server = world.start(SERVES);
    let video = collected(&mut server, "v");
    let asked = front(&world, &[], |answer| answer);
    let mut publisher = publishes(&world, "retries=50");
    let mut bus = publisher.bus().expect("the first to ask");
    world.pass(TimeDelta::from_secs(4));
    let before = buffers(&video).len();
    assert!(before > 50, "{before}");
    for machine in [SERVER, FRONT] {
        world.net.silence(machine.into());
    }
    world.pass(TimeDelta::from_secs(40));
    for machine in [SERVER, FRONT] {
        world.net.restore(machine.into());
    }
    buffers(&video);
    world.pass(TimeDelta::from_secs(40));
    let after = buffers(&video);
    assert!(after.len() > 100, "{} pictures after the server came back", after.len());
    let (names, _) = told(&messages(&mut bus));
    assert_eq!((names.first(), names.last()), (Some(&"connected"), Some(&"connected")), "{names:?}");
    assert!(names.contains(&"disconnected"), "{names:?}");
    let deleted = requests(&asked, "DELETE").len();
    stop(&world, publisher);
    assert_eq!(requests(&asked, "DELETE").len(), deleted + 1);
    let (_, last) = asked.lock().expect("no panic").last().cloned().expect("a request");
    assert!(last.contains("uthorization: Bearer s3cret"), "{last}");
}

#[test]
fn sec_an_address_of_a_session_on_this_machine_is_not_asked_for_anything() {
    let world = world();
    let mut server = world.start(SERVES);
    let video = collected(&mut server, "v");
    let asked = front(&world, &[], |answer| answer.replace("ocation: /whip", "ocation: http://127.0.0.1:22/whip"));
    let mut publisher = publishes(&world, "");
    let mut bus = publisher.bus().expect("the first to ask");
    world.pass(TimeDelta::from_secs(5));
    assert!(buffers(&video).len() > 60, "media flow all the same");
    let (_, warnings) = told(&messages(&mut bus));
    assert!(warnings.iter().any(|warning| warning.contains("leads to 127.0.0.1:22")), "{warnings:?}");
    stop(&world, publisher);
    assert_eq!(requests(&asked, "DELETE").len(), 0);
}

/// A pipeline that shows pictures and sound to players.
const SHOWS: &str = "filesrc location=sound.flv loop=true ! flvdemux name=d  d.video ! clocksync ! w.video  d.audio ! clocksync ! w.audio \
    whepserversink name=w listen=10.0.0.1:8080 stream=cam";

fn plays(world: &World, settings: &str) -> Pipeline {
    world.start(&format!(
        "whepsrc name=w location=http://10.0.0.9/whep/live/cam udp=10.0.0.2:5000 {settings}  w.video ! collect name=v  w.audio ! collect name=a"
    ))
}

#[test]
fn whep_1_a_stream_that_has_not_begun_is_asked_for_again_and_left_with_delete() {
    let world = world();
    let nothing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let early = "HTTP/1.1 409 Conflict\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
    let asked = front(&world, &[nothing, early], |answer| answer);
    let _server = world.start(SHOWS);
    let mut player = plays(&world, "");
    let [video, audio] = ["v", "a"].map(|name| collected(&mut player, name));
    world.pass(TimeDelta::from_secs(10));
    let posts = requests(&asked, "POST");
    assert!(posts.len() == 3 && posts[2] - posts[1] >= TimeDelta::from_secs(3), "{posts:?}");
    assert!(buffers(&video).len() > 60 && buffers(&audio).len() > 150);
    stop(&world, player);
    assert_eq!(requests(&asked, "DELETE").len(), 1);
}

/// Time on the pad beside that in the clip, for each buffer whose bytes are of the clip.
fn shifts(of: &[BufferBox], played: &[BufferBox]) -> Vec<TimeDelta> {
    let known: Vec<_> = of.iter().map(|one| (one.payload.contiguous(), one.pts.expect("a time"))).collect();
    let shift = |buffer: &BufferBox| {
        let came = buffer.payload.contiguous();
        let mut same = known.iter().filter(|(bytes, _)| *bytes == came);
        // Silence comes more than once.
        same.next().filter(|_| same.next().is_none()).map(|(_, pts)| buffer.pts.expect("a time") - *pts)
    };
    played.iter().filter_map(shift).collect()
}

fn middle(mut all: Vec<TimeDelta>) -> TimeDelta {
    all.sort_unstable();
    all[all.len() / 2]
}

#[test]
fn web_2_whepsrc_keeps_sound_and_pictures_together_in_a_storm() {
    let world = world();
    let mut whole =
        world.start("filesrc location=sound.flv ! flvdemux name=d  d.video ! collect name=v  d.audio ! collect name=a");
    let of = ["v", "a"].map(|name| collected(&mut whole, name));
    world.end(whole);
    let of = of.map(|collected| buffers(&collected));
    front(&world, &[], |answer| answer);
    let _server = world.start(&SHOWS.replace(" loop=true", ""));
    let mut player = plays(&world, "");
    let played = ["v", "a"].map(|name| collected(&mut player, name));
    world.pass(TimeDelta::from_millis(500));
    world.net.set_weather(STORM);
    world.pass(TimeDelta::from_secs(30));
    let played = played.map(|collected| buffers(&collected));
    let [video, audio] = [0, 1].map(|kind| shifts(&of[kind], &played[kind]));
    assert!(video.len() * 10 > of[0].len() * 7, "{} of {} pictures", video.len(), of[0].len());
    assert!(audio.len() * 10 > of[1].len() * 7, "{} of {} sounds", audio.len(), of[1].len());
    let half = |all: Vec<TimeDelta>| middle(all[all.len() / 2..].to_vec());
    let apart = half(video) - half(audio);
    assert!(apart < APART && -apart < APART, "sound and pictures are {apart} apart");
}

#[test]
fn web_2_whip_7_what_whipsink_sends_in_a_storm_arrives() {
    let world = world();
    let mut server = world.start(SERVES);
    let video = collected(&mut server, "v");
    front(&world, &[], |answer| answer);
    let mut publisher = world.start(
        "filesrc location=plain.flv ! flvdemux ! h264parse ! clocksync ! w.video  \
         whipsink name=w location=http://10.0.0.9/whip/live/cam token=s3cret udp=10.0.0.2:5000",
    );
    world.pass(TimeDelta::from_millis(500));
    world.net.set_weather(STORM);
    world.wait(&mut publisher).expect("it ends well");
    world.net.set_weather(Weather::default());
    world.pass(TimeDelta::from_secs(1));
    let pictures = buffers(&video).len();
    assert!((115..=125).contains(&pictures), "{pictures} of 125 pictures");
}
