use std::collections::BTreeSet;

use millstream_core::settings::{Node, NodeKind, Span};
use proptest::prelude::*;

use super::*;
use crate::diagnostic::{Diagnostics, RenderOptions, Severity, render_all};
use crate::doc::{ElementDoc, EndDoc, LinkDoc, PipelineDoc, Spanned};
use crate::source::SourceText;
use crate::{launch, params, pipeline};

fn read_launch(text: &str) -> PipelineDoc {
    read(text, launch::parse)
}

fn read_yaml(text: &str) -> PipelineDoc {
    read(text, pipeline::parse)
}

fn read(text: &str, parse: fn(&SourceText, &mut Diagnostics) -> PipelineDoc) -> PipelineDoc {
    let source = SourceText::new("t", text);
    let mut diagnostics = Diagnostics::default();
    let mut doc = parse(&source, &mut diagnostics);
    params::resolve(&mut doc, &source, &params::ParamSources::default(), &mut diagnostics);
    let errors: Vec<_> = diagnostics.into_sorted().into_iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{text}\n{}", render_all(&errors, &source, RenderOptions::default()));
    doc
}

/// A tree without places and made-up names: elements as kind and properties, those of a name with it; links by these.
fn essence(doc: &PipelineDoc) -> (BTreeSet<String>, Vec<String>) {
    let value = |node: &Node| match &node.kind {
        NodeKind::Seq(items) => format!("{:?}", items.iter().map(Node::as_str).collect::<Vec<_>>()),
        _ => format!("{:?}", node.as_str()),
    };
    let describe = |element: &ElementDoc| {
        let props = element.props.entries().unwrap_or_default();
        let props: Vec<String> = props.iter().map(|(key, node)| format!("{}={}", key.text, value(node))).collect();
        let name = if element.named { &element.name.value } else { "" };
        format!("{} {name} {}", element.element.value, props.join(" "))
    };
    let end = |end: &EndDoc| {
        let element = doc.elements.iter().find(|e| e.name.value == end.element.value).expect("a known element");
        format!("({}).{:?}", describe(element), end.pad.as_ref().map(|pad| &pad.value))
    };
    let link =
        |link: &LinkDoc| format!("{} {:?} {}", end(&link.from), link.filter.as_ref().map(|f| &f.value), end(&link.to));
    (doc.elements.iter().map(describe).collect(), doc.links.iter().map(link).collect())
}

#[test]
fn a_line_becomes_a_readable_file() {
    let doc = read_launch(
        "filesrc location=a.flv ! flvdemux name=d d.video ! h264parse ! video/x-h264,stream-format=avc ! h.video \
         d.audio ! aacparse ! h.audio hlssink name=h directory=\"./my hls\" window=${x}",
    );
    let expected = "\
elements:
  d: { element: flvdemux }
  h: { element: hlssink, directory: \"./my hls\", window: \"$${x}\" }
links:
  - filesrc location=a.flv ! d
  - d.video ! h264parse ! video/x-h264,stream-format=avc ! h.video
  - d.audio ! aacparse ! h.audio
";
    assert_eq!(to_yaml(&doc), expected);
}

#[test]
fn a_file_becomes_a_line() {
    let doc = read_yaml(
        "params: { in: a.flv }\nelements:\n  src: { element: filesrc, location: \"${in}\" }\n  d: flvdemux\n  m: flvmux\n\
         links:\n  - src ! d\n  - d.video ! h264parse ! m.video\n  - d.audio ! m.audio\n  - m ! filesink location=out.flv\n",
    );
    let expected = "filesrc name=src location=a.flv ! flvdemux name=d flvmux name=m d.video ! h264parse ! m.video \
                    d.audio ! m.audio m. ! filesink location=out.flv";
    assert_eq!(to_launch(&doc).expect("a line"), expected);
}

#[test]
fn what_a_line_cannot_say_is_an_error() {
    let doc = read_yaml("elements: { a: { element: b, on-error: [restart], p: { q: 1 }, r: ~ } }\n");
    assert_eq!(to_launch(&doc).expect_err("three faults").len(), 3);
}

#[test]
fn on_error_stands_among_the_properties_of_a_line() {
    let doc = read_yaml(
        "elements: { a: filesrc, b: { element: fakesink, on-error: { restart: { limit: 3, delay: 2s } }, sync: true } }\nlinks: [a ! b]\n",
    );
    let line = to_launch(&doc).expect("a line");
    assert_eq!(line, "filesrc name=a ! fakesink name=b on-error=restart,limit=3,delay=2s sync=true");
    let read_back = read_launch(&line);
    assert_eq!(
        read_back.elements[1].on_error.as_ref().and_then(|node| node.as_str()),
        Some("restart,limit=3,delay=2s")
    );
    assert_eq!(read_back.elements[1].props.entries().map(<[_]>::len), Some(1));
}

/// Texts with everything that quoting has to mind.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9.:/-]{1,6}",
        Just("${x}".to_owned()),
        Just("$$".to_owned()),
        Just(" ".to_owned()),
        Just("\n\n ".to_owned()),
        Just("! ".to_owned()),
        Just(": #".to_owned()),
        Just("\"'\\".to_owned()),
        Just("({[<>]})".to_owned()),
        Just("(int)".to_owned()),
        Just("é\u{2028}\u{feff}\u{7f}\t".to_owned()),
        Just("null".to_owned()),
    ];
    proptest::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Node> {
    let scalar = || {
        (text(), any::<bool>())
            .prop_map(|(text, quoted)| Node { span: Span::default(), kind: NodeKind::Scalar { text, quoted } })
    };
    prop_oneof![4 => scalar(), 1 => proptest::collection::vec(scalar(), 0..3).prop_map(Node::seq)]
}

fn spanned(text: impl Into<String>) -> Spanned<String> {
    Spanned::new(text.into(), Span::default())
}

fn doc() -> impl Strategy<Value = PipelineDoc> {
    let props = proptest::collection::vec(value(), 0..3);
    let elements = proptest::collection::vec((any::<bool>(), props, 0..3_usize), 1..6);
    let link = (0..6_usize, 0..6_usize, any::<Option<u8>>(), any::<bool>(), any::<bool>());
    (elements, proptest::collection::vec(link, 0..8)).prop_map(|(elements, links)| {
        let kinds = ["identity", "gst/queue", "tee"];
        let make = |(index, (named, props, kind)): (usize, (bool, Vec<Node>, usize))| ElementDoc {
            name: spanned(format!("e{index}")),
            named,
            element: spanned(kinds[kind]),
            props: Node::map(props.into_iter().enumerate().map(|(i, value)| (format!("p{i}"), value))),
            on_error: None,
            incomplete: false,
            span: Span::default(),
        };
        let elements: Vec<ElementDoc> = elements.into_iter().enumerate().map(make).collect();
        let end = |index: usize, pad: bool| EndDoc {
            element: elements[index % elements.len()].name.clone(),
            pad: pad.then(|| spanned(format!("pad_{index}"))),
        };
        let links = links.into_iter().map(|(from, to, filter, from_pad, to_pad)| LinkDoc {
            from: end(from, from_pad),
            to: end(to, to_pad),
            filter: filter.filter(|f| f % 2 == 0).map(|f| spanned(format!("video/x-raw, width=(int){f}; audio/mpeg"))),
            span: Span::default(),
        });
        let links = links.collect();
        // Made-up names that are mentioned twice have to be written; they are no essence of this comparison.
        let mut doc = PipelineDoc { elements: elements.clone(), links, ..PipelineDoc::default() };
        let mentioned = |name: &str| {
            let ends = doc.links.iter().flat_map(|link| [&link.from, &link.to]);
            ends.filter(|end| end.element.value == name).count()
        };
        let twice: Vec<bool> = elements.iter().map(|e| mentioned(&e.name.value) != 1).collect();
        let padded: Vec<bool> = elements
            .iter()
            .map(|e| {
                doc.links.iter().flat_map(|l| [&l.from, &l.to]).any(|end| end.element == e.name && end.pad.is_some())
            })
            .collect();
        for ((element, twice), padded) in doc.elements.iter_mut().zip(twice).zip(padded) {
            element.named |= twice || padded;
        }
        doc
    })
}

proptest! {
    #[test]
    fn yaml_round_trip(doc in doc()) {
        let text = to_yaml(&doc);
        prop_assert_eq!(essence(&read_yaml(&text)), essence(&doc), "{}", text);
    }

    #[test]
    fn launch_round_trip(doc in doc()) {
        let text = to_launch(&doc).expect("only texts and lists");
        prop_assert_eq!(essence(&read_launch(&text)), essence(&doc), "{}", text);
    }

    #[test]
    fn sec_never_panics_on_any_text(text in "[ -~\n\té]{0,80}") {
        let source = SourceText::new("t", text);
        for parse in [launch::parse, pipeline::parse] {
            let mut diagnostics = Diagnostics::default();
            let mut doc = parse(&source, &mut diagnostics);
            params::resolve(&mut doc, &source, &params::ParamSources::default(), &mut diagnostics);
            let _ = render_all(&diagnostics.into_sorted(), &source, RenderOptions::default());
            let _ = (to_yaml(&doc), to_launch(&doc));
        }
    }

    #[test]
    fn sec_never_panics_on_pipeline_like_text(words in proptest::collection::vec(
        prop_oneof![
            Just("!"), Just(" "), Just("a"), Just("a."), Just(".b"), Just("p="), Just("\""), Just("'"), Just("("), Just(")"),
            Just("video/x-raw"), Just(","), Just("width=[1,2]"), Just("<"), Just(">"), Just("\\"), Just("${a}"), Just("${"),
            Just("(int)"), Just("name=x"), Just("::"), Just("://"), Just("\n"), Just("links:\n - "), Just("elements:\n a: "),
            Just("{"), Just("}"), Just("é"), Just("params:\n a: "), Just("element: "), Just("|\n  "), Just(">\n  ")
        ], 0..30)) {
        let source = SourceText::new("t", words.concat());
        for parse in [launch::parse, pipeline::parse] {
            let mut diagnostics = Diagnostics::default();
            let mut doc = parse(&source, &mut diagnostics);
            params::resolve(&mut doc, &source, &params::ParamSources::default(), &mut diagnostics);
            let _ = render_all(&diagnostics.into_sorted(), &source, RenderOptions::default());
            let _ = (to_yaml(&doc), to_launch(&doc));
        }
    }
}

#[test]
fn plugins_of_a_file_stay() {
    let doc = read_yaml("plugins: [./here, { path: b.so, sha256: ab12 }]\nlinks: ['fakesrc ! fakesink']\n");
    let again = read_yaml(&to_yaml(&doc));
    let places = |doc: &PipelineDoc| {
        let place = |p: &crate::doc::PluginDoc| (p.path.value.clone(), p.sha256.as_ref().map(|pin| pin.value.clone()));
        doc.plugins.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places(&doc), [("./here".to_owned(), None), ("b.so".to_owned(), Some("ab12".to_owned()))]);
    assert_eq!(places(&again), places(&doc));
}
