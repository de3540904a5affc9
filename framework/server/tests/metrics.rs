//! `/metrics` and `/readyz` on a simulated network. The rules are those of the text exposition format 0.0.4 of Prometheus.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use common::{ADDRESS, machine};
use millstream_core::TimeDelta;
use millstream_core::meter::{Kind, Meter, Meters};
use millstream_server::doors::Doors;
use millstream_server::http::Server;
use millstream_server::http::watch::Way;
use millstream_testkit::http::Client;

type Labels = BTreeMap<String, String>;

/// Labels up to the closing brace, with their escapes undone; and what follows.
fn labels(mut text: &str) -> (Labels, &str) {
    let mut found = Labels::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("no such escape: {c}"),
                }),
                (at, '"') => break at,
                (_, c) => value.push(c),
            }
        };
        assert!(found.insert(name.to_owned(), value).is_none(), "{name} twice");
        match rest[end + 1..].split_at(1) {
            (",", more) => text = more,
            ("}", rest) => return (found, rest),
            (other, _) => panic!("{other} behind a label"),
        }
    }
}

/// Every series with its value. Panics where the format is broken.
fn parse(text: &str) -> Vec<(String, Labels, f64)> {
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let (mut all, mut family, mut families, mut seen) = (Vec::new(), String::new(), HashSet::new(), HashSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} is in two places");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family, "TYPE follows HELP");
            assert_eq!(kind == "counter", name.ends_with("_total"), "counters are named so: {name}");
            assert!(matches!(kind, "counter" | "gauge"));
        } else {
            let end = line.find(['{', ' ']).unwrap();
            let (labels, value) = match line[end..].strip_prefix('{') {
                Some(rest) => labels(rest),
                None => (Labels::new(), &line[end..]),
            };
            assert_eq!(line[..end], family, "a series stands below its family");
            let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
            assert!(seen.insert((family.clone(), labels.clone())), "twice: {line}");
            all.push((family.clone(), labels, value));
        }
    }
    all
}

async fn metrics(client: &mut Client) -> Vec<(String, Labels, f64)> {
    let head = client.ask("GET", "/metrics", "").await;
    assert_eq!(head.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let body = client.body(&head).await;
    parse(std::str::from_utf8(&body).unwrap())
}

fn value(all: &[(String, Labels, f64)], name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    let fits = |labels: &Labels| wanted.iter().all(|(k, v)| labels.get(*k).is_some_and(|value| value == v));
    let mut found = all.iter().filter(|(family, labels, _)| family == name && fits(labels));
    let value = found.next().map(|(.., value)| *value);
    assert!(found.next().is_none(), "{name} is not one");
    value
}

#[test]
fn metrics_say_what_was_counted_and_names_are_escaped() {
    let (runtime, net, files) = machine();
    files.insert("/proc/self/status", "Name:\tx\nVmRSS:\t    2048 kB\n");
    files.insert("/proc/self/stat", "1 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99\n");
    runtime.block_on(async {
        let env = runtime.env();
        let _server = Server::at(env, ADDRESS).unwrap();
        let mut client = Client::connect(&net, ADDRESS).await;
        assert_eq!(value(&metrics(&mut client).await, "millstream_build_info", &[]), Some(1.0));
        let name = "live/a\"b\\c\nd{},é";
        let [first, second] = [(); 2].map(|()| Meters::add(env, "rtmpserversink", name));
        (0..10).for_each(|n| first.frame(Kind::Video, n % 5 == 0, 100, n * 400));
        second.frame(Kind::Audio, true, 11, 0);
        first.players(2);
        second.players(5);
        (0..4).for_each(|_| first.connected());
        first.dropped("slow player", 3);
        second.dropped("slow player", 4);
        let door = Doors::add(env, "rtmp://[::1]:1935".to_owned());
        door.entered();
        door.entered();
        door.left();
        for reason in ["max-connections", "took nothing", "max-connections"] {
            door.closed(reason);
        }
        let all = metrics(&mut client).await;
        let labels = [("element", "rtmpserversink"), ("stream", name)];
        for (family, expected) in [
            ("millstream_stream_live", 2.0),
            ("millstream_stream_bytes_total", 1011.0),
            ("millstream_stream_frames_total", 10.0),
            ("millstream_stream_key_frames_total", 2.0),
            ("millstream_stream_key_frame_distance_seconds", 2.0),
            ("millstream_stream_players", 7.0),
            ("millstream_stream_reconnects_total", 3.0),
            ("millstream_stream_dropped_total", 7.0),
        ] {
            assert_eq!(value(&all, family, &labels), Some(expected), "{family}");
        }
        let door = [("listener", "rtmp://[::1]:1935")];
        assert_eq!(value(&all, "millstream_connections", &door), Some(1.0));
        let closed = |reason| [door[0], ("reason", reason)];
        assert_eq!(value(&all, "millstream_connections_closed_total", &closed("max-connections")), Some(2.0));
        assert_eq!(value(&all, "millstream_connections_closed_total", &closed("took nothing")), Some(1.0));
        assert_eq!(value(&all, "process_resident_memory_bytes", &[]), Some(2048.0 * 1024.0));
        assert_eq!(value(&all, "process_cpu_seconds_total", &[]), Some(2.0));
        drop((first, second));
        assert!(metrics(&mut client).await.iter().all(|(family, ..)| !family.starts_with("millstream_stream")));
    });
}

#[test]
fn beyond_500_streams_of_an_element_the_rest_is_one_series() {
    let (runtime, net, _) = machine();
    runtime.block_on(async {
        let env = runtime.env();
        let _server = Server::at(env, ADDRESS).unwrap();
        let meters: Vec<Arc<Meter>> = (0..520).map(|n| Meters::add(env, "x", &format!("live/{n}"))).collect();
        meters.iter().for_each(|meter| meter.frame(Kind::Audio, true, 10, 0));
        let mut client = Client::connect(&net, ADDRESS).await;
        let all = metrics(&mut client).await;
        let bytes = || all.iter().filter(|(family, ..)| family == "millstream_stream_bytes_total");
        assert_eq!((bytes().count(), bytes().map(|(.., value)| value).sum::<f64>()), (501, 5200.0));
        let other = value(&all, "millstream_stream_bytes_total", &[("stream", "other")]);
        assert_eq!(other, Some(200.0));
    });
}

#[test]
fn who_is_ready_has_all_its_streams_and_who_is_not_says_which_are_missing() {
    let (runtime, net, _) = machine();
    runtime.block_on(async {
        let env = runtime.env();
        let server = Server::at(env, ADDRESS).unwrap();
        let mut client = Client::connect(&net, ADDRESS).await;
        let meters = ["live/a", "live/b", "live/hidden"].map(|name| Meters::add(env, "httpflvsink", name));
        let _listings = meters.each_ref().map(|meter| {
            let path = format!("/{}.flv", meter.stream());
            server.list(Way::Flv, &path, meter.clone(), !path.contains("hidden"))
        });
        let clock = env.clock.clone();
        for (come, wait, status, words) in [
            (&meters[..1], 0, 503, "/live/b.flv"),
            (&meters[1..2], 0, 503, "a stream that is not listed"),
            (&meters[2..], 0, 200, "ready"),
            (&meters[1..], 8, 200, "ready"),
            (&meters[1..], 8, 503, "/live/a.flv"),
        ] {
            clock.sleep_until(clock.now() + TimeDelta::from_secs(wait)).await;
            come.iter().for_each(|meter| meter.frame(Kind::Audio, true, 10, 0));
            let head = client.ask("GET", "/readyz", "").await;
            assert_eq!(head.status(), status);
            let body = client.body(&head).await;
            let text = std::str::from_utf8(&body).unwrap();
            assert!(text.contains(words) && !text.contains("hidden"), "{text}");
        }
    });
}
