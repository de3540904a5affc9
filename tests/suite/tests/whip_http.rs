//! WHIP and WHEP by hand, row by row of RFC 9725, with offers of real browsers.

use std::net::SocketAddr;

use millstream_graph::load_yaml;
use millstream_graph::params::ParamSources;
use millstream_graph::source::SourceText;
use millstream_runtime::{Pipeline, Runtime};
use millstream_testkit::media::media_bytes;
use millstream_testkit::{fixture, manifest};
use millstream_tests::elements::registry;
use millstream_tests::live::{self, free_port, wait_for_port};
use millstream_tests::webrtc::{Response, request};

const SDP: (&str, &str) = ("Content-Type", "application/sdp");
const FRAGMENT: (&str, &str) = ("Content-Type", "application/trickle-ice-sdpfrag");
const PATH: &str = "/whip/live/cam";

/// An endpoint that is asked by hand.
struct Asked {
    at: SocketAddr,
    _pipeline: Pipeline,
    _runtime: Runtime,
}

impl Asked {
    fn new(settings: &str, behind: &str) -> Self {
        let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
        let line = format!("whipserversrc name=w listen=127.0.0.1:{port} stream=cam {settings} {behind}");
        let pipeline = live::start(&runtime, &line);
        wait_for_port(port);
        Self { at: ([127, 0, 0, 1], port).into(), _pipeline: pipeline, _runtime: runtime }
    }

    fn any(settings: &str) -> Self {
        Self::new(settings, "w.video ! fakesink  w.audio ! fakesink")
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        request(self.at, method, path, headers, body)
    }

    fn post(&self, offer: &str) -> Response {
        self.ask("POST", PATH, &[SDP], offer)
    }

    /// A session, by its path and tag.
    fn session(&self) -> (String, String) {
        let response = self.post(&offer("whip_chromium.sdp"));
        assert_eq!(response.status, 201, "{response:?}");
        let header = |name| response.header(name).expect(name).to_owned();
        (header("location"), header("etag"))
    }
}

fn offer(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).expect("an offer")
}

#[test]
fn whip_1_an_offer_is_answered_with_a_session_and_all_candidates() {
    let asked = Asked::any("");
    let response = asked.post(&offer("whip_chromium.sdp"));
    assert_eq!((response.status, response.header("content-type")), (201, Some("application/sdp")));
    let location = response.header("location").expect("an address");
    let id = location.strip_prefix("/whip/live/cam/").expect("below the endpoint");
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "128 bits: {id}");
    let tag = response.header("etag").expect("a tag");
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 2, "a strong tag: {tag}");
    assert_eq!(response.header("accept-patch"), Some("application/trickle-ice-sdpfrag"));
    let exposed = response.header("access-control-expose-headers").expect("for scripts");
    assert!(["Location", "Link", "ETag"].iter().all(|name| exposed.contains(name)), "{exposed}");
    let answer = &response.body;
    let port = asked.at.port();
    assert!(answer.contains(&format!("127.0.0.1 {port} typ host")) && answer.contains("a=ice-lite"), "{answer}");
    assert_eq!(answer.matches("a=recvonly").count(), 2, "{answer}");
    assert_eq!(answer.matches("a=rtcp-mux\r").count(), 2, "{answer}");
    assert!(!answer.contains("a=sendonly") && answer.contains("a=setup:passive"), "{answer}");
}

#[test]
fn whip_1_what_is_no_offer_is_refused_by_its_kind() {
    let asked = Asked::any("");
    let good = offer("whip_chromium.sdp");
    assert_eq!(asked.ask("POST", PATH, &[("Content-Type", "text/plain")], &good).status, 415);
    assert_eq!(asked.ask("POST", PATH, &[], &good).status, 415);
    for bad in
        ["hello", "v=0", "v=0\r\nnonsense\r\n", &good.replace("v=0", "v=1"), &good.replace("m=video 9 ", "m=video x ")]
    {
        if bad != good {
            assert_eq!(asked.post(bad).status, 400, "{bad:.40}");
        }
    }
    assert_eq!(asked.post(&format!("{good}{}", "a=x\r\n".repeat(20_000))).status, 413, "more than 64 KiB");
    let long = format!("{good}a={}\r\n", "x".repeat(5000));
    assert_eq!(asked.post(&long).status, 400, "a line of 5 kB");
    let sections = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n".repeat(65);
    assert_eq!(asked.post(&format!("v=0\r\n{sections}")).status, 400, "65 sections");
}

#[test]
fn whip_1_whip_6_who_publishes_shows_a_key_as_bearer_or_in_the_query() {
    let asked = Asked::any("keys=s3cr3t+/=");
    let good = offer("whip_chromium.sdp");
    let none = asked.post(&good);
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(asked.ask("POST", PATH, &[SDP, ("Authorization", "Bearer wrong")], &good).status, 403);
    let begun = asked.ask("POST", PATH, &[SDP, ("Authorization", "Bearer s3cr3t+/=")], &good);
    assert_eq!(begun.status, 201);
    // Every further request carries the token too.
    let session = begun.header("location").expect("a location").to_owned();
    for method in ["PATCH", "DELETE"] {
        let none = asked.ask(method, &session, &[], "");
        assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")), "{method}");
        assert_eq!(asked.ask(method, &session, &[("Authorization", "Bearer wrong")], "").status, 403, "{method}");
    }
    assert_eq!(asked.ask("DELETE", &session, &[("Authorization", "Bearer s3cr3t+/=")], "").status, 200);
    let preflight = asked.ask("OPTIONS", PATH, &[("Access-Control-Request-Headers", "authorization,content-type")], "");
    assert_eq!(preflight.status, 204, "a preflight has no token");
}

#[test]
fn whip_2_only_who_sends_over_one_secure_way_with_one_track_a_kind_is_taken() {
    let asked = Asked::any("");
    let good = offer("whip_chromium.sdp");
    let (head, video) = good.split_once("m=video").expect("a section");
    let second = format!("{good}m=video{}", video.replace("a=mid:1", "a=mid:2")).replace("BUNDLE 0 1", "BUNDLE 0 1 2");
    let cases = [
        ("receives only", good.replace("a=sendonly", "a=recvonly")),
        ("two tracks of pictures", second),
        ("no BUNDLE", good.replace("a=group:BUNDLE 0 1\r\n", "")),
        ("half of it in BUNDLE", good.replace("BUNDLE 0 1", "BUNDLE 0")),
        ("no rtcp-mux", good.replace("a=rtcp-mux\r\n", "")),
        ("plain RTP", good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")),
        ("SDES", good.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF").replace("a=fingerprint", "a=crypto")),
        (
            "no fingerprint",
            good.lines().filter(|line| !line.contains("fingerprint")).map(|line| format!("{line}\r\n")).collect(),
        ),
        (
            "no credentials",
            good.lines().filter(|line| !line.contains("ice-ufrag")).map(|line| format!("{line}\r\n")).collect(),
        ),
    ];
    for (what, bad) in cases {
        let response = asked.post(&bad);
        assert_eq!(response.status, 422, "{what}: {}", response.body);
        assert!(response.body.len() > 20, "with a reason: {}", response.body);
    }
    let alone =
        format!("{}m=video{video}", head.split("m=audio").next().expect("a head")).replace("BUNDLE 0 1", "BUNDLE 1");
    assert_eq!(asked.post(&alone).status, 201, "pictures alone");
    let both_ways = good.replace("a=sendonly", "a=sendrecv");
    let asked = Asked::any("duplicate=take-over");
    assert_eq!(asked.post(&both_ways).status, 201);
}

#[test]
fn whip_2_without_a_common_codec_nothing_is_agreed_and_the_codecs_are_named() {
    let asked = Asked::new("", "w.video ! h264parse ! fakesink  w.audio ! fakesink");
    let response = asked.post(&offer("whip_firefox.sdp"));
    assert_eq!(response.status, 406, "Firefox has no H.264: {}", response.body);
    assert!(response.body.contains("H264"), "{}", response.body);
    assert_eq!(asked.post(&offer("whip_chromium.sdp")).status, 201);
}

#[test]
fn whip_3_a_session_is_patched_in_the_state_that_it_has() {
    let asked = Asked::any("");
    let (session, tag) = asked.session();
    let candidate = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host\r\n\
        a=candidate:2 1 udp 2130706431 0f3c8b2a-1d.local 50001 typ host\r\na=end-of-candidates\r\n";
    let matching = asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", &tag)], candidate);
    assert_eq!(
        (matching.status, matching.header("etag")),
        (204, None),
        "a name that nobody knows is left out in silence"
    );
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT], candidate).status, 428);
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", "\"stale\"")], candidate).status, 412);
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", &format!("W/{tag}"))], candidate).status, 412);
    let list = format!("\"other\", {tag}");
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", &list)], candidate).status, 204);
    assert_eq!(asked.ask("PATCH", &session, &[("If-Match", &tag)], candidate).status, 415);
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", &tag)], "nonsense").status, 400);
    let lenient = Asked::any("lenient=true");
    let (session, _) = lenient.session();
    assert_eq!(lenient.ask("PATCH", &session, &[FRAGMENT], candidate).status, 204);
}

#[test]
fn whip_4_ice_begins_anew_with_new_credentials_and_a_new_tag() {
    let asked = Asked::any("");
    let (session, tag) = asked.session();
    let anew = "a=ice-ufrag:wxyz\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n";
    let restart = asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", "*")], anew);
    assert_eq!(
        (restart.status, restart.header("content-type")),
        (200, Some("application/trickle-ice-sdpfrag")),
        "{restart:?}"
    );
    let fresh = restart.header("etag").expect("another tag").to_owned();
    assert_ne!(fresh, tag);
    let body = &restart.body;
    assert!(["a=ice-ufrag:", "a=ice-pwd:", "a=candidate:"].iter().all(|line| body.contains(line)), "{body}");
    for bad in ["a=ice-ufrag:wxyz\r\n", ""] {
        assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", "*")], bad).status, 422, "{bad}");
    }
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", &tag)], "").status, 412, "the tag of before");
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", &fresh)], "").status, 204, "it is alive");
}

#[test]
fn whip_5_a_session_is_deleted_once_and_looked_at_without_a_body() {
    let asked = Asked::any("");
    let (session, _) = asked.session();
    for path in [PATH, &session] {
        for method in ["GET", "HEAD"] {
            let response = asked.ask(method, path, &[], "");
            assert_eq!((response.status, response.body.as_str()), (204, ""), "{method} {path}");
        }
        for (method, status) in [("PUT", 405), ("OPTIONS", 204)] {
            assert_eq!(asked.ask(method, path, &[], "").status, status, "{method} {path}");
        }
    }
    let options = asked.ask("OPTIONS", PATH, &[("Origin", "https://elsewhere.example")], "");
    assert_eq!(options.header("accept-post"), Some("application/sdp"));
    assert_eq!(options.header("access-control-allow-origin"), Some("*"));
    assert!(options.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let options = asked.ask("OPTIONS", &session, &[], "");
    assert!(options.header("access-control-allow-methods").is_some_and(|methods| methods.contains("DELETE")));
    assert_eq!(asked.ask("POST", &session, &[SDP], &offer("whip_chromium.sdp")).status, 405);
    assert_eq!(asked.ask("DELETE", PATH, &[], "").status, 405, "an endpoint cannot be deleted");
    assert_eq!(asked.ask("DELETE", &session, &[("If-Match", "\"stale\"")], "").status, 200, "whatever the tag");
    assert_eq!(asked.ask("DELETE", &session, &[], "").status, 404);
    assert_eq!(asked.ask("PATCH", &session, &[FRAGMENT, ("If-Match", "*")], "").status, 404);
    assert_eq!(asked.ask("GET", &session, &[], "").status, 404);
}

#[test]
fn whip_6_servers_of_stun_and_turn_are_told_of() {
    let text = "name: t\nelements:\n  w:\n    element: whipserversrc\n    listen: 127.0.0.1:PORT\n    stream: cam\n    ice-servers:\n      \
         - { url: \"stun:stun.example:3478\", client-only: true }\n      \
         - { url: \"turn:turn.example:3478?transport=udp\", username: u, credential: p, client-only: true }\n\
         links:\n  - w.video ! fakesink\n  - w.audio ! fakesink\n";
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let source = SourceText::new("a test", text.replace("PORT", &port.to_string()));
    let loaded = load_yaml(source, &registry(), &ParamSources::default()).unwrap_or_else(|error| panic!("{error:?}"));
    let pipeline = runtime.start(&loaded.graph).expect("it starts");
    wait_for_port(port);
    let asked = Asked { at: ([127, 0, 0, 1], port).into(), _pipeline: pipeline, _runtime: runtime };
    let response = asked.post(&offer("whip_chromium.sdp"));
    let links = response.all("link");
    assert_eq!(
        links,
        [
            "<stun:stun.example:3478>; rel=\"ice-server\"",
            "<turn:turn.example:3478?transport=udp>; rel=\"ice-server\"; username=\"u\"; credential=\"p\"; credential-type=\"password\""
        ]
    );
}

#[test]
fn whip_7_a_second_publisher_is_refused_for_a_while_or_takes_over() {
    let asked = Asked::any("");
    let (session, _) = asked.session();
    let second = asked.post(&offer("whip_firefox.sdp"));
    assert_eq!(second.status, 409, "{second:?}");
    assert!(second.header("retry-after").is_some());
    assert_eq!(asked.ask("DELETE", &session, &[], "").status, 200);
    live::wait("the name is not free again", || (asked.post(&offer("whip_firefox.sdp")).status == 201).then_some(()));
    let asked = Asked::any("duplicate=take-over");
    let (first, _) = asked.session();
    assert_eq!(asked.post(&offer("whip_firefox.sdp")).status, 201);
    live::wait("the first goes on", || (asked.ask("GET", &first, &[], "").status == 404).then_some(()));
}

#[test]
fn whep_1_who_comes_before_the_stream_is_told_to_come_again() {
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let line = format!("appsrc caps=video/x-vp8 ! w.video  whepserversink name=w listen=127.0.0.1:{port} stream=cam");
    let _pipeline = live::start(&runtime, &line);
    wait_for_port(port);
    let at = ([127, 0, 0, 1], port).into();
    let early = request(at, "POST", "/whep/live/cam", &[SDP], &offer("whep_chromium.sdp"));
    assert!(matches!(early.status, 409 | 201), "{early:?}");
    assert_eq!(early.header("retry-after").is_some(), early.status == 409);
    assert_eq!(request(at, "HEAD", "/whep/live/cam", &[], "").status, 204, "it can be looked for");
    let sends = request(at, "POST", "/whep/live/cam", &[SDP], &offer("whip_chromium.sdp"));
    assert_eq!(sends.status, 422, "who plays receives");
}

/// Of the corpus, offers of browsers are answered; nothing else does harm, and everything is answered for.
#[test]
fn whip_1_real_offers_are_answered_and_strange_ones_refused() {
    let asked = Asked::any("duplicate=take-over");
    let rows: Vec<String> =
        manifest().rows().iter().map(|row| row.file.clone()).filter(|file| file.ends_with(".sdp")).collect();
    for file in rows {
        let Some(bytes) = media_bytes(&file) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        for text in [text.to_string(), text.replace('\n', "\r\n").replace("\r\r", "\r")] {
            let response = asked.post(&text);
            assert!([201, 400, 406, 422].contains(&response.status), "{file}: {response:?}");
            if file.contains("whip_sendonly") {
                assert_eq!(response.status, 201, "{file}: {response:?}");
            }
            if let Some(session) = response.header("location") {
                assert_eq!(asked.ask("DELETE", session, &[], "").status, 200);
            }
        }
    }
    assert_eq!(asked.post(&offer("whip_chromium.sdp")).status, 201, "it goes on");
}
