//! Templates on the command line.

use std::net::SocketAddr;
use std::path::Path;

use millstream_tests::{millstream, root, run, run_args, signal};

/// Each stream into a file of its own.
const RECORD: &str = "
name: rec
elements:
  in: { element: rtmpserversrc, listen: 'LISTEN', stream: '*', grace: 2s }
  out: { element: filesink, location: '${query.room}-${stream}.flv' }
links: [in ! out]
";

/// A template file for the command line, the address at which it listens, and a folder that it writes to.
fn file() -> (tempfile::TempDir, SocketAddr) {
    let dir = tempfile::tempdir().expect("a directory");
    let listen = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port");
    let text = RECORD.replace("LISTEN", &listen.to_string());
    std::fs::write(dir.path().join("rec.yaml"), text).expect("written");
    (dir, listen)
}

#[test]
fn the_command_line_checks_a_template_without_running_it() {
    let (dir, _) = file();
    let said = run(dir.path(), "check rec.yaml");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("each who comes to `in` starts an instance"), "{}", said.out);
    assert!(said.out.contains("${query.room}, ${stream}"), "{}", said.out);
    let said = run(dir.path(), "check --json rec.yaml");
    let value: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(value["template"], serde_json::json!({ "source": "in", "variables": ["query.room", "stream"] }));
}

/// Runs a template until what is published there is in a file; what it said.
fn served(dir: &Path, listen: SocketAddr, args: &[&str], name: &str, file: &str) -> String {
    let mut server = millstream(dir);
    let server = server.args(args).stderr(std::fs::File::create(dir.join("said")).expect("a file"));
    let mut server = server.spawn().expect("it starts");
    millstream_tests::until("it listens", || {
        assert!(server.try_wait().expect("a child").is_none(), "it ended before it listened");
        std::net::TcpStream::connect(listen).is_ok()
    });
    let clip = root().join("pipelines/media/demo.flv");
    let line = format!("filesrc location={} ! rtmpsink location=rtmp://{listen}/{name}", clip.display());
    assert_eq!(run_args(dir, &["launch", "--quiet", &line]).code, 0);
    millstream_tests::until("the file is whole", || dir.join(file).exists());
    signal(&server, "INT");
    assert_eq!(server.wait().expect("a child").code(), Some(130));
    std::fs::read_to_string(dir.join("said")).expect("text")
}

#[test]
fn a_launch_line_that_takes_in_any_stream_is_a_template_too() {
    let (dir, listen) = file();
    let line =
        |location: &str| format!("rtmpserversrc listen={listen} stream=* grace=0s ! filesink location={location}");
    for (location, code) in [("out.flv", "MS0211"), ("${name}.flv", "MS0201")] {
        let said = run_args(dir.path(), &["launch", &line(location)]);
        assert!(said.code != 0 && said.err.contains(code), "{location}: {}", said.err);
    }
    served(dir.path(), listen, &["launch", &line("${app}-${stream}.flv")], "live/cam", "live-cam.flv");
    let said = run_args(dir.path(), &["convert", "--launch", &line("${app}-${stream}.flv")]);
    assert!(said.code == 0 && said.out.contains("${app}-${stream}.flv") && !said.out.contains("$$"), "{}", said.out);
    // Elsewhere it is text, as in gst-launch.
    std::fs::copy(root().join("pipelines/media/demo.flv"), dir.path().join("${name}.flv")).expect("a copy");
    let said = run_args(dir.path(), &["launch", "--quiet", "filesrc location=${name}.flv ! fakesink"]);
    assert_eq!((said.code, said.errors()), (0, 0), "{}", said.err);
}

#[test]
fn the_command_line_names_instances_in_events_and_logs_and_shows_no_query() {
    let (dir, listen) = file();
    let args = ["run", "rec.yaml", "--progress", "json", "--log", "debug"];
    let said = served(dir.path(), listen, &args, "live/cam?room=blue&token=s3cret", "blue-cam.flv");
    let events: Vec<serde_json::Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |event: &str| events.iter().find(|e| e["event"] == event).unwrap_or_else(|| panic!("{event} in {said}"));
    assert_eq!(of("address")["url"], format!("rtmp://{listen}/live/STREAM"));
    assert_eq!(of("started")["instance"], "rec/live/cam");
    assert_eq!(of("ended")["instance"], "rec/live/cam");
    assert!(of("ended")["bytes"].as_u64() > Some(500_000), "the clip: {}", of("ended"));
    assert_eq!((&of("end")["instances"], &of("end")["failed"]), (&1.into(), &0.into()));
    let logged = said.lines().filter(|line| line.contains("instance{name=\"rec/live/cam\"}"));
    assert!(logged.count() > 1, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
