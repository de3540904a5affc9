//! The command line as its users meet it: exit codes, what is said where, interrupts, broken outputs.

use std::io::{Read, Write};
use std::process::Stdio;

use millstream_tests::{finish, millstream, root, run, signal, spawn, until};
use serde_json::Value;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

#[test]
fn done_is_0() {
    let said = run(dir().path(), "launch fakesrc num-buffers=10 ! identity ! fakesink");
    assert_eq!((said.code, said.out.as_str(), said.errors()), (0, "", 0), "{}", said.err);
    assert!(said.err.starts_with("done"), "{}", said.err);
}

#[test]
fn quiet_says_nothing() {
    let said = run(dir().path(), "launch -q fakesrc num-buffers=10 ! fakesink");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", ""));
}

#[test]
fn a_faulty_pipeline_is_2_and_every_fault_is_told() {
    let said = run(dir().path(), "launch fakesrc num-bufers=10 ! identiti ! fakesink");
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    for part in ["MS0402", "MS0401", "command line:1:9", "did you mean `num-buffers`?", "did you mean `identity`?"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
}

#[test]
fn usage_is_2() {
    for line in ["", "lunch fakesrc", "run", "run --set nothing x.yaml", "run no-such-file.yaml", "inspect nosuch"] {
        let said = run(dir().path(), line);
        assert_eq!(said.code, 2, "{line}: {}", said.err);
    }
}

#[test]
fn a_missing_input_is_1_with_one_error() {
    let said = run(dir().path(), "launch filesrc location=missing.flv ! fakesink");
    assert_eq!((said.code, said.errors()), (1, 1), "{}", said.err);
    assert!(said.err.contains("missing.flv"), "{}", said.err);
}

#[test]
fn a_failed_job_does_not_claim_what_an_earlier_one_wrote() {
    let dir = dir();
    assert_eq!(run(dir.path(), "launch fakesrc num-buffers=3 sizetype=fixed ! filesink location=a.bin").code, 0);
    let said = run(dir.path(), "launch filesrc location=missing.flv ! filesink location=a.bin");
    assert!(said.code == 1 && !said.err.contains("wrote"), "{}", said.err);
}

#[test]
fn caps_that_do_not_fit_at_run_time_are_explained_with_a_repair() {
    let clip = root().join("pipelines/media/demo.flv");
    let line = format!("launch filesrc location={} ! flvdemux name=d d.video ! tsmux ! fakesink", clip.display());
    let said = run(dir().path(), &line);
    assert_eq!((said.code, said.errors()), (1, 1), "{}", said.err);
    for part in ["stream-format is avc", "byte-stream", "`d.video ! h264parse ! tsmux0.video`"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
}

#[test]
fn a_full_disk_is_1_with_one_error() {
    let said = run(dir().path(), "launch fakesrc sizetype=fixed ! filesink location=/dev/full");
    assert_eq!((said.code, said.errors()), (1, 1), "{}", said.err);
    assert!(said.err.contains("/dev/full"), "{}", said.err);
}

#[test]
fn a_directory_that_cannot_be_written_is_1_with_one_error() {
    let said = run(dir().path(), "launch fakesrc num-buffers=1 ! filesink location=/proc/no/such.ts");
    assert_eq!((said.code, said.errors()), (1, 1), "{}", said.err);
}

#[test]
fn a_reader_that_goes_away_is_1_with_one_error() {
    let dir = dir();
    let mut child = spawn(dir.path(), "launch fakesrc sizetype=fixed ! filesink location=-");
    let mut some = [0; 100];
    child.stdout.take().expect("piped").read_exact(&mut some).expect("media");
    let said = finish(child);
    assert_eq!((said.code, said.errors()), (1, 1), "{}", said.err);
}

#[test]
fn the_reader_of_a_list_may_go_away() {
    let dir = dir();
    let mut child =
        millstream(dir.path()).arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let said = finish(child);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[test]
fn standard_output_has_only_media() {
    let line = "launch -v -m fakesrc num-buffers=3 sizetype=fixed sizemax=5 caps=video/x-flv ! filesink location=-";
    let output = millstream(dir().path()).args(line.split(' ')).output().expect("it starts");
    assert_eq!(output.stdout, [0; 15]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("caps = video/x-flv"));
}

#[test]
fn standard_input_is_read() {
    let dir = dir();
    let mut child = millstream(dir.path())
        .args(["launch", "-q", "filesrc location=- ! filesink location=copy.bin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(b"some bytes").expect("it reads");
    assert_eq!(finish(child).code, 0);
    assert_eq!(std::fs::read(dir.path().join("copy.bin")).expect("a file"), b"some bytes");
}

#[test]
fn an_interrupt_finishes_files_and_is_130() {
    for name in ["INT", "TERM"] {
        let dir = dir();
        let child =
            spawn(dir.path(), "launch -e fakesrc is-live=true interval=5ms sizetype=fixed ! filesink location=a.bin");
        until("the file is begun", || dir.path().join("a.bin.part").exists());
        signal(&child, name);
        let said = finish(child);
        assert_eq!(said.code, 130, "{name}: {}", said.err);
        assert!(said.err.contains("interrupted"), "{}", said.err);
        assert!(dir.path().join("a.bin").exists(), "{name}: the file has its name");
        assert!(!dir.path().join("a.bin.part").exists(), "{name}");
    }
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let dir = dir();
    // Nobody takes what the appsink holds, so the pipeline cannot end by itself.
    let mut child = spawn(dir.path(), "launch fakesrc ! tee name=t t. ! filesink location=a.bin t. ! appsink");
    until("it runs", || dir.path().join("a.bin.part").exists());
    signal(&child, "INT");
    let mut err = child.stderr.take().expect("piped");
    let mut said = String::new();
    let mut byte = [0];
    while !said.contains("interrupt again") {
        assert_eq!(err.read(&mut byte).expect("text"), 1, "{said}");
        said.push(byte[0].into());
    }
    signal(&child, "INT");
    assert_eq!(finish(child).code, 130);
}

#[test]
fn caps_are_printed_for_each_link() {
    let line = "launch -v -q fakesrc num-buffers=1 caps=audio/x-opus,rate=48000 ! identity name=i ! fakesink name=s";
    let said = run(dir().path(), line);
    let expected =
        "fakesrc0.src -> i.sink: caps = audio/x-opus, rate=48000\ni.src -> s.sink: caps = audio/x-opus, rate=48000\n";
    assert_eq!((said.code, said.out.as_str()), (0, expected), "{}", said.err);
}

#[test]
fn messages_are_printed() {
    let said = run(dir().path(), "launch -m -q fakesrc num-buffers=1 ! fakesink name=s");
    assert_eq!(said.out, "s: eos\n");
}

#[test]
fn progress_in_json_is_json_throughout() {
    let dir = dir();
    let said = run(
        dir.path(),
        "launch --progress json fakesrc is-live=true interval=50ms num-buffers=30 sizetype=fixed sizemax=10 ! filesink location=a.bin",
    );
    let events: Vec<Value> = said.err.lines().map(json).collect();
    let (end, progress) = events.split_last().expect("events");
    assert!(progress.iter().any(|e| e["event"] == "progress" && e["bytes"].as_u64() > Some(0)), "{}", said.err);
    assert_eq!((&end["event"], &end["exit"]), (&"end".into(), &0.into()));
    assert_eq!(end["written"][0]["bytes"], 300);
    let failed = run(dir.path(), "launch --progress json filesrc location=missing ! fakesink");
    let events: Vec<Value> = failed.err.lines().map(json).collect();
    assert!(events.iter().any(|e| e["event"] == "error" && e["kind"] == "io"), "{}", failed.err);
}

#[test]
fn progress_is_lines_in_a_pipe() {
    let line = "fakesrc is-live=true interval=50ms num-buffers=30 ! fakesink";
    let plain = run(dir().path(), &format!("launch {line}"));
    assert!(plain.err.lines().count() >= 2 && !plain.err.contains('\r'), "{}", plain.err);
}

#[test]
fn check_tells_faults_to_machines_too() {
    let dir = dir();
    std::fs::write(
        dir.path().join("p.yaml"),
        "elements:\n  a: { element: fakesrc, num-bufers: 1 }\nlinks: [a ! fakesink]\n",
    )
    .expect("written");
    let text = run(dir.path(), "check p.yaml");
    assert_eq!((text.code, text.out.as_str()), (2, ""));
    assert!(text.err.contains("--> p.yaml:2:26"), "{}", text.err);
    let said = run(dir.path(), "check --json p.yaml");
    assert_eq!((said.code, said.err.as_str()), (2, ""));
    let found = json(&said.out);
    assert_eq!(found["ok"], false);
    let fault = &found["diagnostics"][0];
    assert_eq!((&fault["code"], &fault["labels"][0]["line"]), (&"MS0402".into(), &2.into()));
    let sound = run(dir.path(), "check --json --launch fakesrc ! fakesink");
    assert_eq!((sound.code, &json(&sound.out)["ok"]), (0, &true.into()));
}

#[test]
fn a_media_file_is_not_a_pipeline() {
    let said = run(&root(), "check tests/fixtures/audio_only_aac.flv");
    assert_eq!(said.code, 2);
    assert!(said.err.contains("MS0009") && said.err.contains("millstream discover"), "{}", said.err);
}

#[test]
fn inspect_lists_and_tells() {
    let said = run(dir().path(), "inspect");
    assert!(said.out.lines().any(|line| line.starts_with("filesink ")), "{}", said.out);
    let page = run(dir().path(), "inspect fakesrc").out;
    assert!(page.contains("num-buffers  (integer; at least -1; default -1)"), "{page}");
    let all = json(&run(dir().path(), "inspect --json").out);
    assert!(all.as_array().is_some_and(|all| all.iter().any(|e| e["name"] == "queue")), "{all}");
    let one = json(&run(dir().path(), "inspect --json queue").out);
    assert_eq!((&one["pads"][0]["name"], &one["properties"][0]["name"]), (&"sink".into(), &"max-size-buffers".into()));
    assert!(run(dir().path(), "inspect fakesnk").err.contains("did you mean `fakesink`?"));
}

#[test]
fn inspect_writes_the_reference() {
    let dir = dir();
    assert_eq!(run(dir.path(), "inspect --markdown pages").code, 0);
    let page = std::fs::read_to_string(dir.path().join("pages/tee.md")).expect("a page");
    assert!(page.contains("# tee") && page.contains("millstream launch"), "{page}");
    assert!(std::fs::read_to_string(dir.path().join("pages/README.md")).expect("a list").contains("[tee](tee.md)"));
}

#[test]
fn convert_goes_there_and_back() {
    let dir = dir();
    let line = "fakesrc num-buffers=5 ! tee name=t t. ! fakesink t. ! video/x-h264 ! fakesink";
    let yaml = run(dir.path(), &format!("convert --launch {line}"));
    assert_eq!(yaml.code, 0, "{}", yaml.err);
    std::fs::write(dir.path().join("p.yaml"), &yaml.out).expect("written");
    let sorted = |args: &str| {
        let drawn = run(dir.path(), &format!("graph --format text {args}")).out;
        let mut lines: Vec<String> = drawn.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let back = run(dir.path(), "convert p.yaml").out;
    let lines = sorted("p.yaml");
    assert_eq!(sorted(&format!("--launch {back}")), lines);
    assert_eq!(sorted(&format!("--launch {line}")), lines);
    assert!(lines.contains(&"  src_1 ─► fakesink1.sink  [video/x-h264]".to_owned()), "{lines:?}");
}

#[test]
fn graph_draws_before_and_after_negotiation() {
    let line = "--launch fakesrc num-buffers=1 caps=audio/x-opus,rate=48000 ! identity ! filesink location=never.bin";
    let dir = dir();
    let before = run(dir.path(), &format!("graph --format text {line}")).out;
    assert!(before.contains("identity0 (identity)") && !before.contains("rate=48000"), "{before}");
    let after = run(dir.path(), &format!("graph --negotiated --format mermaid {line}"));
    assert!(after.out.starts_with("flowchart LR") && after.out.contains("rate=48000"), "{after:?}");
    assert!(!dir.path().join("never.bin").exists(), "a drawing writes nothing");
}

#[test]
fn schema_knows_the_elements() {
    let schema = json(&run(dir().path(), "schema").out);
    assert_eq!(schema["$defs"]["filesink"]["required"], serde_json::json!(["location"]));
}

#[test]
fn init_writes_what_runs_and_overwrites_nothing() {
    let dir = dir();
    assert_eq!(run(dir.path(), "init first").code, 0);
    assert_eq!(run(dir.path(), "check first.yaml").code, 0);
    let ran = run(dir.path(), "run first.yaml --set output=out.bin --set buffers=3");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(std::fs::metadata(dir.path().join("out.bin")).expect("a file").len(), 3 * 1024);
    let again = run(dir.path(), "init first");
    assert_eq!(again.code, 2);
    assert!(again.err.contains("is there already"), "{}", again.err);
}

#[test]
fn params_come_from_set_then_environment_then_default() {
    let dir = dir();
    assert_eq!(run(dir.path(), "init p").code, 0);
    let by_env = millstream(dir.path()).args(["run", "p.yaml"]).env("MILLSTREAM_OUTPUT", "env.bin").output();
    assert!(by_env.is_ok_and(|o| o.status.success()) && dir.path().join("env.bin").exists());
    let unknown = run(dir.path(), "run p.yaml --set outptu=x");
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("did you mean `output`?"), "{}", unknown.err);
}

#[test]
fn doctor_names_what_is_missing() {
    let dir = dir();
    assert_eq!(run(dir.path(), "doctor").code, 0);
    std::fs::write(
        dir.path().join("p.yaml"),
        "elements: { a: { element: filesrc, location: gone.flv } }\nlinks: [a ! fakesink]\n",
    )
    .expect("written");
    let said = run(dir.path(), "doctor p.yaml");
    assert_eq!(said.code, 2);
    assert!(said.out.contains("missing   input gone.flv"), "{}", said.out);
    std::fs::write(dir.path().join("q.yaml"), "links: [fakesrc ! nosuchparse ! fakesink]\n").expect("written");
    assert!(run(dir.path(), "doctor q.yaml").out.contains("missing   element nosuchparse"));
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(dir().path(), &format!("completions {shell}"));
        assert!(said.code == 0 && said.out.contains("discover"), "{shell}");
    }
}

#[test]
fn codes_are_explained() {
    let said = run(dir().path(), "explain ms0402");
    assert!(said.out.starts_with("MS0402: "), "{}", said.out);
    assert_eq!(run(dir().path(), "explain MS9999").code, 2);
}

#[test]
fn logs_are_written_when_asked_for() {
    let line = "launch -q filesrc location=missing ! fakesink";
    assert!(!run(dir().path(), line).err.contains("ERROR"), "nothing is logged without --log");
    let text = run(dir().path(), &format!("--log warn {line}")).err;
    assert!(text.contains("ERROR"), "{text}");
    let lines = run(dir().path(), &format!("--log warn --log-format json {line}")).err;
    let first = json(lines.lines().next().expect("a line"));
    assert_eq!(first["level"], "ERROR");
    let other = run(dir().path(), &format!("--log nosuchcrate=trace {line}")).err;
    assert!(!other.contains("ERROR"), "{other}");
}

#[test]
fn help_shows_examples() {
    for command in [
        "run",
        "launch",
        "check",
        "inspect",
        "graph",
        "schema",
        "convert",
        "discover",
        "init",
        "doctor",
        "completions",
        "explain",
    ] {
        let said = run(dir().path(), &format!("{command} --help"));
        assert!(said.code == 0 && said.out.contains("Examples:\n  millstream "), "{command}");
    }
}
