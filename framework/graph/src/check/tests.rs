use super::*;
use crate::diagnostic::{RenderOptions, Severity, render_all};
use crate::params::{self, ParamSources};
use crate::source::SourceText;
use crate::testing::registry;
use crate::{launch, pipeline};

fn run(text: &str, yaml: bool) -> (Option<Graph>, Vec<Diagnostic>, SourceText) {
    let source = SourceText::new("t", text);
    let mut diagnostics = Diagnostics::default();
    let mut doc =
        if yaml { pipeline::parse(&source, &mut diagnostics) } else { launch::parse(&source, &mut diagnostics) };
    params::resolve(&mut doc, &source, &ParamSources::default(), &mut diagnostics);
    let graph = check(&doc, &registry(), &CheckOptions::default(), &mut diagnostics);
    (graph, diagnostics.into_sorted(), source)
}

fn good(line: &str) -> Graph {
    let (graph, diagnostics, source) = run(line, false);
    let text = render_all(&diagnostics, &source, RenderOptions::default());
    assert!(diagnostics.is_empty(), "{text}");
    graph.expect("a graph")
}

/// Links as `a.src>b.sink [caps]`.
fn links(graph: &Graph) -> Vec<String> {
    let end = |end: &Endpoint| format!("{}.{}", graph.nodes[end.node].name, end.pad);
    graph.links.iter().map(|link| format!("{}>{} [{}]", end(&link.from), end(&link.to), link.allowed)).collect()
}

/// Code and marked text of each error of a launch line.
fn faults(line: &str) -> Vec<(&'static str, String)> {
    let (graph, diagnostics, source) = run(line, false);
    let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let found: Vec<_> = errors
        .map(|d| (d.code, d.primary.as_ref().map(|p| source.slice(p.span).to_owned()).unwrap_or_default()))
        .collect();
    assert_eq!(graph.is_none(), !found.is_empty(), "{line}");
    found
}

fn fault(line: &str, code: &'static str, marked: &str) -> Diagnostic {
    assert_eq!(faults(line), [(code, marked.to_owned())], "{line}");
    run(line, false).1.into_iter().find(|d| d.severity == Severity::Error).expect("one error")
}

#[test]
fn pads_are_chosen_by_caps() {
    let graph = good(
        "filesrc location=a ! video/x-flv ! flvdemux name=d d. ! aacparse ! m. d. ! h264parse ! flvmux name=m ! fakesink",
    );
    let expected = [
        "filesrc0.src>d.sink [video/x-flv]",
        "d.audio>aacparse0.sink [audio/mpeg, mpegversion=4, stream-format=raw]",
        "aacparse0.src>m.audio [audio/mpeg, mpegversion=4, stream-format=raw]",
        "d.video>h264parse0.sink [video/x-h264, stream-format=avc]",
        "h264parse0.src>m.video [video/x-h264, stream-format=avc]",
        "m.src>fakesink0.sink [video/x-flv]",
    ];
    assert_eq!(links(&graph), expected);
}

#[test]
fn pads_are_chosen_through_queues() {
    let graph = good(
        "fakesrc ! flvdemux name=d d. ! queue ! queue ! aacparse ! fakesink d. ! identity ! m. flvmux name=m ! fakesink",
    );
    let links = links(&graph);
    assert!(links[1].starts_with("d.audio>queue0.sink [audio/mpeg, mpegversion=4"), "{links:?}");
    assert!(links.contains(&"d.video>identity0.sink [video/x-h264, stream-format=avc]".to_owned()), "{links:?}");
    assert!(links.contains(&"identity0.src>m.video [video/x-h264, stream-format=avc]".to_owned()), "{links:?}");
}

#[test]
fn request_pads_are_numbered_around_named_ones() {
    let graph = good("fakesrc ! tee name=t t. ! fakesink t.src_0 ! fakesink t. ! fakesink t.src_%u ! fakesink");
    let pads: Vec<_> = graph.links.iter().skip(1).map(|link| link.from.pad.as_str()).collect();
    assert_eq!(pads, ["src_1", "src_0", "src_2", "src_3"]);
}

#[test]
fn caps_are_narrowed_around_a_tee() {
    let graph =
        good("fakesrc ! h264parse ! tee name=t t. ! video/x-h264,width=3 ! fakesink t. ! queue ! flvmux ! fakesink");
    assert_eq!(links(&graph)[1], "h264parse0.src>t.sink [video/x-h264, stream-format=avc, width=3]");
    let graph = good("fakesrc ! capsfilter caps=video/x-flv ! queue ! flvdemux ! fakesink");
    assert_eq!(links(&graph)[0], "fakesrc0.src>capsfilter0.sink [video/x-flv]");
    let graph = good("fakesrc ! h264parse ! f. fakesrc ! aacparse ! f. funnel name=f ! fakesink");
    assert!(
        links(&graph)[4].ends_with(
            "[video/x-h264, stream-format={ avc, byte-stream }; audio/mpeg, mpegversion=4, stream-format={ raw, adts }]"
        ),
        "{:?}",
        links(&graph)
    );
}

#[test]
fn a_mismatch_names_both_sides_the_field_and_a_repair() {
    let d = fault("fakesrc ! flvdemux name=d d.video ! tsmux ! fakesink", codes::CAPS_MISMATCH, "tsmux");
    assert_eq!(d.message, "`d.video` gives stream-format=avc, `tsmux0` takes stream-format=byte-stream");
    assert_eq!(d.hint.as_deref(), Some("insert `h264parse`: `d.video ! h264parse ! tsmux`"));

    let d = fault(
        "fakesrc ! flvdemux name=d d.video ! queue name=q ! m.video_0 tsmux name=m ! fakesink",
        codes::CAPS_MISMATCH,
        "m.video_0",
    );
    assert_eq!(
        d.message,
        "`d.video` (through `q`) gives stream-format=avc, `m.video_0` takes stream-format=byte-stream"
    );

    let d =
        fault("fakesrc ! flvdemux name=d d.audio ! m.video flvmux name=m ! fakesink", codes::CAPS_MISMATCH, "m.video");
    assert_eq!(d.message, "`d.audio` gives audio/mpeg or audio/x-opus, `m.video` takes video/x-h264");
    assert_eq!(d.hint.as_deref(), Some("`m.audio` takes this"));

    let d = fault(
        "fakesrc ! h264parse ! video/x-h264,stream-format=hvc1 ! fakesink",
        codes::CAPS_MISMATCH,
        "video/x-h264,stream-format=hvc1",
    );
    assert_eq!(
        d.message,
        "`h264parse0` gives stream-format={ avc, byte-stream }, the filter lets stream-format=hvc1 pass"
            .replace("h264parse0.src", "h264parse0")
    );

    let d = fault(
        "fakesrc ! h264parse ! video/x-h264,stream-format=avc ! tsmux ! fakesink",
        codes::CAPS_MISMATCH,
        "video/x-h264,stream-format=avc",
    );
    assert_eq!(d.message, "the filter lets stream-format=avc pass, `tsmux0` takes stream-format=byte-stream");
}

#[test]
fn branches_that_disagree_are_named() {
    let d = fault(
        "fakesrc ! h264parse ! tee name=t t. ! flvmux ! fakesink t. ! tsmux ! fakesink",
        codes::CAPS_MISMATCH,
        "t. ! tsmux",
    );
    assert_eq!(d.message, "the branches of `t` cannot agree on caps");
}

#[test]
fn elements_and_properties_are_checked() {
    let d = fault("fakesrc ! h246parse ! fakesink", codes::UNKNOWN_ELEMENT, "h246parse");
    assert_eq!(d.hint.as_deref(), Some("did you mean `h264parse`?"));
    fault("filesrc lcation=a ! fakesink", codes::UNKNOWN_PROPERTY, "lcation");
    let d = fault("fakesrc num_buffers=1 ! fakesink", codes::UNKNOWN_PROPERTY, "num_buffers");
    assert_eq!(d.hint.as_deref(), Some("did you mean `num-buffers`?"));
    fault("fakesrc num-buffers=x ! fakesink", codes::WRONG_TYPE, "x");
    let d = fault("fakesrc num-buffers=-2 ! fakesink", codes::OUT_OF_RANGE, "-2");
    assert_eq!(d.expected.as_deref(), Some("at least -1"));
    fault("fakesrc every=5 ! fakesink", codes::BAD_VALUE, "5");
    fault("filesrc ! fakesink", codes::PROPERTY_MISSING, "filesrc");
    fault("queue name=x fakesrc name=x ! fakesink", codes::NAME_TWICE, "x");
    assert_eq!(faults("fakesrc sync=7 num-buffers=y ! fakesink z=1").len(), 3, "all of them");
}

#[test]
fn links_are_checked() {
    fault("fakesrc ! x.", codes::LINK_UNKNOWN, "x");
    let d = fault("fakesrc ! flvdemux ! fakesink flvdemux.audio ! fakesink", codes::LINK_UNKNOWN, "flvdemux");
    assert_eq!(d.hint.as_deref(), Some("name it, `flvdemux name=x`, then link `x.`"));
    let d = fault("fakesrc ! flvdemux name=d d.vidoe ! fakesink", codes::UNKNOWN_PAD, "vidoe");
    assert_eq!(d.hint.as_deref(), Some("did you mean `video`?"));
    fault("fakesrc ! flvdemux name=d d.sink ! fakesink", codes::PAD_DIRECTION, "sink");
    fault("fakesrc ! flvdemux name=d d.video ! fakesink d.video ! fakesink", codes::PAD_TWICE, "d.video");
    fault("fakesrc name=s ! fakesink s. ! fakesink", codes::NO_FREE_PAD, "s");
    fault("fakesrc ! fakesink ! fakesink", codes::NO_FREE_PAD, "fakesink");
    fault("fakesrc ! queue name=q q. ! q.", codes::LINK_TO_ITSELF, "q. ! q");
    fault("fakesrc ! video/x-h264,=1 ! fakesink", codes::BAD_CAPS, "=");
}

#[test]
fn the_shape_is_checked() {
    fault("", codes::EMPTY_PIPELINE, "");
    let d = fault("fakesrc ! f. funnel name=f ! queue name=q ! f.", codes::CYCLE, "queue name=q ! f");
    assert_eq!(d.message, "the links form a cycle: q ! f ! q");
    fault("fakesrc ! fakesink queue name=q", codes::ELEMENT_UNLINKED, "queue name=q");
    fault("queue ! fakesink", codes::PAD_UNLINKED, "queue");
    fault("fakesrc ! queue", codes::PAD_UNLINKED, "queue");
    fault("flvmux ! fakesink", codes::PAD_UNLINKED, "flvmux");
    fault(
        "fakesrc ! filesink location=a fakesrc ! filesink location=./a",
        codes::SHARED_RESOURCE,
        "filesink location=./a",
    );
    let (graph, diagnostics, _) = run("fakesrc ! flvdemux", false);
    assert!(graph.is_some());
    assert_eq!((diagnostics[0].code, diagnostics[0].severity), (codes::PAD_UNLINKED, Severity::Warning));
}

#[test]
fn one_mistake_gives_one_finding() {
    fault(
        "fakesrc ! flvdemx name=d d.video ! h264parse ! m.video d.audio ! aacparse ! m.audio flvmux name=m ! fakesink",
        codes::UNKNOWN_ELEMENT,
        "flvdemx",
    );
    fault("fakesrc ! x. x.video ! fakesink", codes::LINK_UNKNOWN, "x");
}

#[test]
fn on_error_is_read() {
    let on_error = |text: &str| {
        let text =
            format!("elements: {{ a: fakesrc, b: {{ element: fakesink, on-error: {text} }} }}\nlinks: [a ! b]\n");
        let (graph, diagnostics, _) = run(&text, true);
        graph.map(|graph| graph.nodes[1].on_error.clone()).ok_or_else(|| diagnostics[0].code)
    };
    use crate::on_error::{OnError, RestartPolicy};
    assert_eq!(on_error("isolate"), Ok(OnError::Isolate));
    assert_eq!(on_error("fail"), Ok(OnError::Fail));
    assert_eq!(on_error("restart"), Ok(OnError::Restart(RestartPolicy::default())));
    let thrice = OnError::Restart(RestartPolicy { limit: 3, ..RestartPolicy::default() });
    assert_eq!(on_error("{ restart: { limit: 3 } }"), Ok(thrice.clone()));
    assert_eq!(on_error("\"restart,limit=3\""), Ok(thrice));
    assert_eq!(on_error("restrat"), Err(codes::BAD_ON_ERROR));
    assert_eq!(on_error("{ restart: { limits: 3 } }"), Err(codes::BAD_ON_ERROR));
}

#[test]
fn a_missing_param_is_reported_once() {
    let (graph, diagnostics, _) = run(
        "params: { x: ~ }\nelements: { a: { element: filesrc, location: \"${x}\" }, b: fakesink }\nlinks: [a ! b]\n",
        true,
    );
    assert!(graph.is_none());
    assert_eq!(diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), [codes::PARAM_MISSING]);
}

#[test]
fn a_branch_may_have_an_open_input() {
    let source = SourceText::new("t", "queue ! fakesink");
    let mut diagnostics = Diagnostics::default();
    let doc = launch::parse(&source, &mut diagnostics);
    let options = CheckOptions { branch: true, ..CheckOptions::default() };
    assert!(check(&doc, &registry(), &options, &mut diagnostics).is_some(), "{diagnostics:?}");
    let doc = launch::parse(&SourceText::new("t", "fakesink"), &mut diagnostics);
    assert!(check(&doc, &registry(), &options, &mut diagnostics).is_some(), "{diagnostics:?}");
    let doc = launch::parse(&SourceText::new("t", "queue ! fakesink queue ! fakesink"), &mut diagnostics);
    assert!(check(&doc, &registry(), &options, &mut diagnostics).is_none());
}

#[test]
fn an_open_ended_element_may_be_linked_on_one_side_only() {
    for (line, fits) in [("anybin ! fakesink", true), ("fakesrc ! anybin", true), ("anybin", false)] {
        let mut diagnostics = Diagnostics::default();
        let doc = launch::parse(&SourceText::new("t", line), &mut diagnostics);
        assert_eq!(
            check(&doc, &registry(), &CheckOptions::default(), &mut diagnostics).is_some(),
            fits,
            "{line}: {diagnostics:?}"
        );
    }
}

#[test]
fn links_are_led_through_what_an_element_wants_before_it() {
    let lead = |through: &'static str| {
        let detour = millstream_core::Detour { pad: "video", through, into: "mended" };
        let mut registry = registry();
        let picky =
            millstream_core::Factory::new::<crate::testing::NoSettings>("picky", "Test", "For tests.", |_, _| {
                Err(millstream_core::Error::bug("not to be built"))
            });
        let pad = |name| millstream_core::PadTemplate::sink(name, "ANY").request();
        let detours = move |_: &crate::testing::NoSettings| vec![detour];
        registry.add(picky.pad(pad("audio")).pad(pad("video")).pad(pad("mended")).detours(detours));
        let gate = millstream_core::Factory::new::<crate::testing::NoSettings>("gate", "Test", "For tests.", |_, _| {
            Err(millstream_core::Error::bug("not to be built"))
        });
        let src = |name| millstream_core::PadTemplate::src(name, "ANY").sometimes();
        registry.add(gate.pad(millstream_core::PadTemplate::sink("sink", "ANY")).pad(src("pass")).pad(src("mend")));
        let mut diagnostics = Diagnostics::default();
        let source = SourceText::new("t", "fakesrc ! identity ! p.video  fakesrc ! p.audio  picky name=p");
        let doc = launch::parse(&source, &mut diagnostics);
        links(&check(&doc, &registry, &CheckOptions::default(), &mut diagnostics).expect("a graph"))
    };
    let around = [
        "fakesrc0.src>identity0.sink [ANY]",
        "identity0.src>p-video-gate.sink [ANY]",
        "fakesrc1.src>p.audio [ANY]",
        "p-video-gate.pass>p.video [ANY]",
        "p-video-end.src>p.mended [ANY]",
        "p-video-gate.mend>p-video-queue0.sink [ANY]",
        "p-video-queue0.src>p-video-end.sink [ANY]",
    ];
    assert_eq!(lead("gate name=gate  gate.mend ! queue ! identity name=end"), around);
    let written = ["fakesrc0.src>identity0.sink [ANY]", "identity0.src>p.video [ANY]", "fakesrc1.src>p.audio [ANY]"];
    assert_eq!(lead("gate name=gate  gate.mend ! nothere"), written, "what is not there cannot be led through");
}
