//! `--trace-protocol`: the conversation of both ends in each format, while it goes on and after an interrupt, without any secret.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use millstream_tests::{finish, root, run, signal, spawn, until};
use serde_json::Value;

const SECRETS: [&str; 5] = ["passw0rd", "bob", "s3cretname", "t0ken", "tokenname"];

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Publishes a clip to ourselves with secrets in every place, and gives what was written.
fn published(extension: &str) -> String {
    let (dir, port) = (dir(), free_port());
    let clip = root().join("pipelines/media/demo.flv");
    let line = format!(
        "launch --trace-protocol t.{extension} filesrc location={} ! \
         rtmpsink location=rtmp://bob:passw0rd@127.0.0.1:{port}/live/s3cretname?tokenname=t0ken \
         rtmpserversrc listen=127.0.0.1:{port} stream=s3cretname eos-on-unpublish=true grace=0s ! fakesink",
        clip.display()
    );
    let said = finish(spawn(dir.path(), &line));
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
    std::fs::read_to_string(dir.path().join(format!("t.{extension}"))).expect("a trace")
}

#[test]
fn both_ends_are_traced_in_every_format_and_no_secret_is_shown() {
    for extension in ["txt", "jsonl", "svg"] {
        let text = published(extension);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        // What each end sent is told by both.
        for said in ["C0", "S2", "Window Acknowledgement Size", "createStream", "NetStream.Publish.Start"] {
            assert!(text.matches(said).count() >= 2, "{said} in {text}");
        }
        assert!(text.contains("***?…") && text.contains("video sequence header"), "{text}");
        match extension {
            "svg" => assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{text}"),
            "jsonl" => check_json(&text),
            _ => assert!(text.contains("client (here)") && text.contains("server (here)"), "{text}"),
        }
    }
}

fn check_json(text: &str) {
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    for (side, connection) in
        lines.iter().filter(|line| line["event"] == "begin").map(|l| (&l["here"], &l["connection"]))
    {
        let of = |event: &str| {
            lines.iter().filter(|line| line["connection"] == *connection && line["event"] == event).count()
        };
        assert_eq!((of("begin"), of("end")), (1, 1), "{side}: {text}");
        assert!(of("message") > 20, "{side}: {text}");
    }
    let connect = lines.iter().find(|line| line["name"] == "connect").expect("a connect");
    assert_eq!((&connect["fields"]["app"], &connect["from"]), (&"live".into(), &"client".into()));
}

#[test]
fn an_interrupt_leaves_a_trace_that_is_whole_and_lines_come_as_it_goes() {
    for extension in ["txt", "svg"] {
        let (dir, port) = (dir(), free_port());
        let path = dir.path().join(format!("t.{extension}"));
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        let line = format!(
            "launch -q --trace-protocol t.{extension} rtmpserversrc listen=127.0.0.1:{port} stream=cam ! fakesink"
        );
        let child = spawn(dir.path(), &line);
        let mut client = None;
        until("it listens", || {
            client = TcpStream::connect(("127.0.0.1", port)).ok();
            client.is_some()
        });
        let mut client = client.expect("a connection");
        client.write_all(&[&[3][..], &[0; 1536]].concat()).expect("a server that reads");
        // S0: it has read C0.
        client.read_exact(&mut [0]).expect("a server that answers");
        match extension {
            "txt" => until("S0 is told", || read().contains(" S0 ─│")),
            _ => assert!(read().ends_with("</svg>\n"), "a drawing before the end: {}", read()),
        }
        signal(&child, "INT");
        let said = finish(child);
        assert_eq!(said.code, 130, "{}", said.err);
        let text = read();
        assert!(text.contains("C0") && text.contains("version=3"), "{text}");
        assert!(extension == "txt" || text.ends_with("</svg>\n"), "{text}");
    }
}

#[test]
fn a_name_that_says_no_format_and_a_place_that_is_not_there_are_usage_errors() {
    for (file, part) in
        [("t.pcap", ".txt, .svg or .jsonl"), ("t", ".txt, .svg or .jsonl"), ("no/t.txt", "cannot write no/t.txt")]
    {
        let said = run(dir().path(), &format!("launch --trace-protocol {file} fakesrc num-buffers=1 ! fakesink"));
        assert!(said.code == 2 && said.err.contains(part), "{file}: {}", said.err);
    }
}

#[test]
fn a_pipeline_without_connections_is_told_so() {
    let said = run(dir().path(), "launch --trace-protocol t.txt fakesrc num-buffers=1 ! fakesink");
    assert!(said.code == 0 && said.err.contains("no connections to trace"), "{}", said.err);
}
