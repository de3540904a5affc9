//! Publishers that come and go behind `fallbackswitch`, on a virtual clock and a simulated network.

use std::sync::Arc;

use millstream_core::{BufferBox, Item, MessageKind, Time, TimeDelta};
use millstream_graph::load_launch;
use millstream_runtime::{Bus, Pipeline, Runtime};
use millstream_testkit::{MemFs, SimNet, fixture};
use millstream_tests::elements::{Collected, registry};

/// Longest step between two tags of the clip: a picture, at 30 a second.
const FRAME: TimeDelta = TimeDelta::from_millis(34);

/// One machine on a network that delivers at once.
fn world() -> Runtime {
    let fs = MemFs::new();
    fs.insert("clip.flv", std::fs::read(fixture("h264b_aac48s_10s.flv")).expect("the fixture is there"));
    let runtime = Runtime::simulated(7, Arc::new(fs)).expect("a runtime");
    runtime.with_net(|env| Arc::new(SimNet::new(env.clock.clone())))
}

fn start(runtime: &Runtime, line: &str) -> Pipeline {
    let graph = load_launch(line, &registry()).unwrap_or_else(|error| panic!("{error}")).graph;
    runtime.start(&graph).unwrap_or_else(|error| panic!("{error}"))
}

fn pass(runtime: &Runtime, seconds: f64) {
    let clock = &runtime.env().clock;
    let time = TimeDelta::from_millis((seconds * 1000.0) as i64);
    runtime.block_on(async { clock.sleep_until(clock.now() + time).await });
}

/// An encoder that publishes the clip at its pace.
fn publisher(runtime: &Runtime, stream: &str) -> Pipeline {
    let line = format!(
        "filesrc location=clip.flv ! flvdemux name=d d.video ! clocksync ! m.video d.audio ! clocksync ! m.audio \
         flvmux name=m ! rtmpsink location=rtmp://10.0.0.1/live/{stream}"
    );
    start(runtime, &line)
}

fn switches(bus: &mut Bus) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(message) = bus.try_next() {
        if let MessageKind::Element { name: "switched", fields } = message.kind {
            all.push(fields.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(">"));
        }
    }
    all
}

/// A tag: what it is, its own timestamp, the first bytes of its body.
fn tag(buffer: &BufferBox) -> (u8, Time, [u8; 2]) {
    let bytes = buffer.payload.contiguous();
    let own = u32::from_be_bytes([bytes[7], bytes[4], bytes[5], bytes[6]]);
    (bytes[0], Time::from_millis(own.into()), [bytes[11], bytes[12]])
}

/// Media behind the switch: one timeline, no step longer than a frame, and what a decoder needs ahead of each change.
fn check(buffers: &[BufferBox]) -> Vec<Time> {
    assert!(buffers[0].payload.contiguous().starts_with(b"FLV"));
    let (mut last, mut splices) = (None, Vec::new());
    let (mut configured, mut fresh) = ([false; 2], false);
    for buffer in &buffers[1..] {
        let (kind, own, body) = tag(buffer);
        assert_eq!(buffer.dts, Some(own), "the tag and the buffer say the same");
        // FLV 10.1 E.4.2 and E.4.3: 0 behind codec and frame type is a sequence header.
        let media = kind == 9 || kind == 8;
        if media && body[1] == 0 && (kind == 9 || body[0] >> 4 == 10) {
            configured[usize::from(kind - 8)] = true;
            fresh |= kind == 9;
            continue;
        }
        if !media {
            continue;
        }
        if let Some(last) = last.replace(own) {
            let step = own.since(last);
            assert!(step >= TimeDelta::ZERO && step <= FRAME, "from {last} to {own}");
        }
        if std::mem::take(&mut fresh) {
            assert_eq!((kind, body[0] >> 4), (9, 1), "behind new headers a key frame, at {own}");
            assert_eq!(std::mem::take(&mut configured), [true; 2], "with the headers of both, at {own}");
            splices.push(own);
        }
    }
    splices
}

#[test]
fn primary_backup_slate_and_back_on_one_timeline_with_every_splice_at_a_key_frame() {
    let runtime = world();
    let mut switch = start(
        &runtime,
        "rtmpserversrc listen=10.0.0.1:1935 stream=primary on-error=restart ! s.sink_0 \
         rtmpserversrc listen=10.0.0.1:1935 stream=backup on-error=restart ! s.sink_1 \
         filesrc location=clip.flv loop=true ! flvparse ! s.sink_2 \
         fallbackswitch name=s timeout=1s stable-for=1s slate=2 s.src ! collect name=out",
    );
    let (out, mut bus) = (switch.handle::<Collected>("out").expect("a collect"), switch.bus().expect("a bus"));
    pass(&runtime, 0.5);
    let backup = publisher(&runtime, "backup");
    let primary = publisher(&runtime, "primary");
    pass(&runtime, 3.2);
    assert_eq!(switches(&mut bus), [">0"]);
    drop(primary);
    pass(&runtime, 3.0);
    assert_eq!(switches(&mut bus), ["0>1"]);
    drop(backup);
    // The clip of 10 s comes to its end meanwhile.
    pass(&runtime, 14.0);
    assert_eq!(switches(&mut bus), ["1>2"]);
    let _primary = publisher(&runtime, "primary");
    pass(&runtime, 5.0);
    assert_eq!(switches(&mut bus), ["2>0"]);
    let buffers: Vec<BufferBox> = out
        .take()
        .into_iter()
        .filter_map(|item| if let Item::Buffer(buffer) = item { Some(buffer) } else { None })
        .collect();
    let splices = check(&buffers);
    assert_eq!(splices.len(), 5, "four inputs and a clip that began again: {splices:?}");
    let end = buffers.last().and_then(|buffer| buffer.dts).unwrap_or_default();
    // What nobody sent while an input was found dead is not there; all else is.
    assert!(end > Time::from_millis(20_000), "{end}");
}

#[test]
fn an_input_that_fails_for_good_leaves_the_others() {
    let runtime = world();
    // The first input cannot have a name that is taken; sources start from the last to the first.
    let mut switch = start(
        &runtime,
        "rtmpserversrc listen=10.0.0.1:1935 stream=cam on-error=isolate ! s.sink_0 \
         rtmpserversrc listen=10.0.0.1:1935 stream=cam ! s.sink_1 \
         fallbackswitch name=s timeout=1s s.src ! collect name=out",
    );
    let (out, mut bus) = (switch.handle::<Collected>("out").expect("a collect"), switch.bus().expect("a bus"));
    pass(&runtime, 0.5);
    let _publisher = publisher(&runtime, "cam");
    pass(&runtime, 4.0);
    assert_eq!(switches(&mut bus), [">1"]);
    assert!(out.take().len() > 100);
}
