use std::sync::Arc;

use millstream_core::trace::{Layer, Side};

use super::*;

/// What is written, to look at while it grows.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no other test holds it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no other test holds it").clone()).expect("text")
    }
}

fn begun(format: TraceFormat) -> (TraceFile, Paper, u64) {
    let paper = Paper::default();
    let trace = TraceFile::new(format, paper.clone());
    let id = trace.begin(head());
    (trace, paper, id)
}

fn head() -> TraceHead {
    let peer = "127.0.0.1:5".to_owned();
    TraceHead { protocol: "RTMP", here: Side::Server, peer, at: Time::from_millis(1000), wall: Time::ZERO }
}

fn said(ms: i64, from: Side, layer: Layer, name: &'static str) -> TraceEvent {
    let fields = vec![("a & b".into(), "<x>".into()), ("n".into(), 3_u32.into())];
    TraceEvent { at: Time::from_millis(1000 + ms), from, layer, name: name.into(), stream: Some(0), fields }
}

fn media(ms: i64, key: u32) -> TraceEvent {
    let fields = vec![
        ("video key".into(), key.into()),
        ("video inter".into(), 10_u32.into()),
        ("video bytes".into(), 1_200_000_u32.into()),
        ("seconds".into(), 0.5.into()),
    ];
    TraceEvent { layer: Layer::Media, fields, ..said(ms, Side::Client, Layer::Media, "media") }
}

#[test]
fn the_extension_says_the_format() {
    assert_eq!(TraceFormat::of(Path::new("a.SVG")).expect("a format"), TraceFormat::Svg);
    for path in ["a.pcap", "a", "txt", ".txt"] {
        let error = TraceFormat::of(Path::new(path)).unwrap_err().to_string();
        assert!(error.contains(".txt, .svg or .jsonl"), "{error}");
    }
}

#[test]
fn text_is_a_ladder_that_grows_line_by_line() {
    let (trace, paper, id) = begun(TraceFormat::Text);
    trace.event(id, said(0, Side::Client, Layer::Handshake, "C0"));
    assert_eq!(paper.text().lines().count(), 2, "before the end");
    trace.event(id, said(1, Side::Server, Layer::Control, "Window Acknowledgement Size"));
    trace.event(id, media(2, 12));
    trace.end(id, Time::from_millis(3500));
    let text = paper.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("client 127.0.0.1:5") && lines[0].contains("server (here)"), "{text}");
    assert!(lines[1].contains("0.000  │─ C0 ───") && lines[1].contains("▶│  a & b=<x>, n=3"), "{text}");
    assert!(lines[2].contains("│◀───") && lines[2].contains(" Window Acknowledgement Size ─│"), "{text}");
    assert!(lines[3].contains("══▶│  video 12 key, 10 inter, 1.2 MB in 0.5 s"), "{text}");
    assert!(lines[4].contains("2.500  end"), "{text}");
    // All arrows have one length.
    let ladder = |line: &&str| line.rfind('│').map(|at| line[..at].chars().count());
    assert!(lines[1..4].windows(2).all(|pair| ladder(&pair[0]) == ladder(&pair[1])), "{text}");
}

#[test]
fn json_lines_are_objects_with_all_fields() {
    let (trace, paper, id) = begun(TraceFormat::JsonLines);
    let mut event = said(5, Side::Client, Layer::Command, "connect");
    event.fields.push(("n".into(), 2.5.into()));
    trace.event(id, event);
    trace.end(id, Time::from_millis(1500));
    let lines: Vec<serde_json::Value> =
        paper.text().lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(lines[0]["time"], "1970-01-01T00:00:00.000Z");
    assert_eq!(
        (&lines[1]["name"], &lines[1]["at"], &lines[1]["from"]),
        (&"connect".into(), &0.005.into(), &"client".into())
    );
    assert_eq!(lines[1]["fields"], serde_json::json!({ "a & b": "<x>", "n": 3, "n 2": 2.5 }));
    assert_eq!(lines[2], serde_json::json!({ "event": "end", "connection": 1, "at": 0.5, "left-out": 0 }));
}

#[test]
fn what_is_beyond_the_limit_of_a_connection_is_counted_and_others_go_on() {
    let (trace, paper, id) = begun(TraceFormat::Text);
    (0..MAX_LINES + 7).for_each(|_| trace.event(id, said(0, Side::Client, Layer::Control, "x")));
    let other = trace.begin(head());
    trace.event(other, said(0, Side::Client, Layer::Control, "of the other"));
    trace.end(id, Time::from_millis(1000));
    let text = paper.text();
    assert_eq!(text.lines().count() as u64, MAX_LINES + 4);
    assert!(text.contains("7 lines left out, beyond 10000 a connection") && text.contains("of the other"));
}

#[test]
fn a_drawing_is_whole_at_any_time_and_says_what_it_leaves_out() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.svg");
    let trace = TraceFile::create(&path).expect("a new file");
    let read = || std::fs::read_to_string(&path).expect("text");
    assert!(read().ends_with("</svg>\n") && read().contains("Nobody"));
    let id = trace.begin(head());
    for n in 0..300 {
        trace.event(id, said(n, Side::Client, Layer::Command, if n == 0 { "the <first>" } else { "next" }));
    }
    for _ in 0..MAX_LADDERS {
        trace.begin(head());
    }
    trace.finish().expect("it is written");
    trace.event(id, said(0, Side::Client, Layer::Command, "after the end"));
    let svg = read();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
    for part in
        ["the &lt;first&gt;", "a &amp; b=&lt;x&gt;", "100 rows left out, beyond 200", "1 further connections left out"]
    {
        assert!(svg.contains(part), "{part}");
    }
    assert!(!svg.contains("after the end"));
}

#[test]
fn in_a_drawing_media_and_acknowledgements_are_one_row_each() {
    let (trace, paper, id) = begun(TraceFormat::Svg);
    for n in 0..40 {
        trace.event(id, media(n * 1000, 1));
        trace.event(id, said(n * 1000 + 500, Side::Server, Layer::Control, "Acknowledgement"));
    }
    drop(trace);
    let svg = paper.text();
    assert!(svg.contains("video 40 key, 400 inter, 48.0 MB in 39.5 s"), "{svg}");
    assert_eq!(svg.matches(">Acknowledgement<").count(), 1);
    assert!(svg.contains("(40 times, the last)"));
}

#[test]
fn an_error_of_writing_is_told_at_the_end() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let trace = TraceFile::new(TraceFormat::Text, Full);
    trace.begin(head());
    assert_eq!(trace.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(matches!(TraceFile::create(Path::new("/nonexistent/a.txt")), Err(TraceError::Io { .. })));
}
