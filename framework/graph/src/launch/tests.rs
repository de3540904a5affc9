use super::*;
use crate::diagnostic::Severity;
use crate::doc::{ElementDoc, EndDoc};

fn read(line: &str) -> (PipelineDoc, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::default();
    let doc = parse(&SourceText::new("line", line), &mut diagnostics);
    (doc, diagnostics.into_sorted())
}

fn good(line: &str) -> PipelineDoc {
    let (doc, diagnostics) = read(line);
    let errors: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{line}: {errors:?}");
    doc
}

fn end(end: &EndDoc) -> String {
    match &end.pad {
        Some(pad) => format!("{}.{}", end.element.value, pad.value),
        None => end.element.value.clone(),
    }
}

fn links(doc: &PipelineDoc) -> Vec<String> {
    let filter =
        |link: &crate::doc::LinkDoc| link.filter.as_ref().map(|f| format!("[{}]", f.value)).unwrap_or_default();
    doc.links.iter().map(|link| format!("{}>{}{}", end(&link.from), filter(link), end(&link.to))).collect()
}

fn props(element: &ElementDoc) -> Vec<(&str, &str)> {
    let entries = element.props.entries().expect("a mapping");
    entries.iter().map(|(key, value)| (key.text.as_str(), value.as_str().expect("a scalar"))).collect()
}

/// The code and the marked text of each fault.
fn faults(line: &str) -> Vec<(&'static str, String)> {
    let source = SourceText::new("line", line);
    let marked = |d: &Diagnostic| source.slice(d.primary.as_ref().expect("a place").span).to_owned();
    read(line).1.iter().filter(|d| d.severity == Severity::Error).map(|d| (d.code, marked(d))).collect()
}

fn fault(line: &str, code: &str, marked: &str) {
    assert_eq!(faults(line), [(code, marked.to_owned())], "{line}");
}

#[test]
fn chains_references_and_names() {
    let doc = good(
        "filesrc location=a.flv ! flvdemux name=d d.video ! h264parse ! h.video d.audio ! aacparse ! h.audio hlssink name=h",
    );
    let names: Vec<_> = doc.elements.iter().map(|e| e.name.value.as_str()).collect();
    assert_eq!(names, ["filesrc0", "d", "h264parse0", "aacparse0", "h"]);
    assert_eq!(
        links(&doc),
        ["filesrc0>d", "d.video>h264parse0", "h264parse0>h.video", "d.audio>aacparse0", "aacparse0>h.audio"]
    );
    assert_eq!(props(&doc.elements[0]), [("location", "a.flv")]);
}

#[test]
fn made_up_names_keep_clear_of_given_ones() {
    let doc = good("queue ! queue name=queue1 ! queue ! gst/x264enc ! fakesink");
    let names: Vec<_> = doc.elements.iter().map(|e| e.name.value.as_str()).collect();
    assert_eq!(names, ["queue0", "queue1", "queue2", "x264enc0", "fakesink0"]);
}

#[test]
fn a_reference_in_the_middle_is_both_ends() {
    assert_eq!(
        links(&good("tee name=t fakesrc ! t. ! fakesink t. ! fakesink")),
        ["fakesrc0>t", "t>fakesink0", "t>fakesink1"]
    );
}

#[test]
fn values_are_quoted_escaped_and_typed() {
    let doc =
        good(r#"a p="x y" q='it"s' r=a\ b s = 5 t=(string)"u v" u=(int)7 v="say \"hi\"" w=(x)1 x=a!b y=a=b z="""#);
    let expected = [
        ("p", "x y"),
        ("q", "it\"s"),
        ("r", "a b"),
        ("s", "5"),
        ("t", "u v"),
        ("u", "7"),
        ("v", "say \"hi\""),
        ("w", "(x)1"),
        ("x", "a!b"),
        ("y", "a=b"),
        ("z", ""),
    ];
    assert_eq!(props(&doc.elements[0]), expected);
}

#[test]
fn lists_are_in_angle_brackets() {
    let doc = good("a p=<1, \"x y\",z> q=<> r=<b s=<3");
    let entries = doc.elements[0].props.entries().expect("a mapping");
    let texts = |node: &millstream_core::settings::Node| match &node.kind {
        millstream_core::settings::NodeKind::Seq(items) => {
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => vec![format!("text {}", node.as_str().unwrap_or_default())],
    };
    let all: Vec<Vec<String>> = entries.iter().map(|(_, value)| texts(value)).collect();
    assert_eq!(all, [vec!["1", "x y", "z"], vec![], vec!["text <b"], vec!["text <3"]]);
}

#[test]
fn caps_between_links_are_filters() {
    let doc =
        good("a ! video/x-h264, stream-format = avc ,width=(int)[1,2] ! b ! audio/mpeg;video/x-raw(memory:x) ! c");
    let expected =
        ["a0>[video/x-h264, stream-format = avc ,width=(int)[1,2]]b0", "b0>[audio/mpeg;video/x-raw(memory:x)]c0"];
    assert_eq!(links(&doc), expected);
    assert_eq!(links(&good(r#"a ! video/x-raw,f="x ! y" ! b"#)), [r#"a0>[video/x-raw,f="x ! y"]b0"#]);
    let joined = join_args(&["a", "!", "video/x-raw, width=3", "!", "b"]);
    assert_eq!(links(&good(&joined)), ["a0>[video/x-raw, width=3]b0"]);
}

#[test]
fn bins_are_flattened_with_a_note() {
    let (doc, diagnostics) = read("a ! ( name=x b ! c ) ! bin.( d ) e ! ( f )");
    assert_eq!(links(&doc), ["a0>b0", "b0>c0", "c0>d0", "e0>f0"]);
    assert!(diagnostics.iter().all(|d| d.code == codes::BIN_FLATTENED), "{diagnostics:?}");
}

#[test]
fn words_of_a_command_line_are_joined() {
    assert_eq!(join_args(&["filesrc", "location=a b.flv", "!", "x"]), "filesrc location=a\\ b.flv ! x");
    assert_eq!(join_args(&["a p=\"x y\" ! b"]), "a p=\"x y\" ! b");
    let doc = good(&join_args(&["filesrc", "location=a b.flv"]));
    assert_eq!(props(&doc.elements[0]), [("location", "a b.flv")]);
}

#[test]
fn each_fault_is_marked_at_its_token() {
    fault("! b", codes::LINE_SYNTAX, "!");
    fault("a !", codes::LINE_SYNTAX, "!");
    fault("a ! ! b", codes::LINE_SYNTAX, "!");
    fault("a p=\"x ! b", codes::UNCLOSED_QUOTE, "\"");
    fault("a p=", codes::PROPERTY_SYNTAX, "p");
    fault("a p= ! b", codes::PROPERTY_SYNTAX, "p");
    fault("p=1 ! b", codes::PROPERTY_SYNTAX, "p");
    fault("( a ! b", codes::PARENTHESIS, "(");
    fault("a ! b )", codes::PARENTHESIS, ")");
    fault("video/x-raw ! b", codes::FILTER_PLACE, "video/x-raw");
    fault("a ! video/x-raw", codes::FILTER_PLACE, "video/x-raw");
    fault("a ! video/x-raw b", codes::FILTER_PLACE, "video/x-raw");
    fault("a ! video/x-raw ! audio/mpeg ! b", codes::FILTER_PLACE, "audio/mpeg");
    fault("a : b", codes::NOT_SUPPORTED, ":");
    fault("a x::y=1 ! b", codes::NOT_SUPPORTED, "x::y");
    fault("a. ! .b", codes::NOT_SUPPORTED, ".b");
    fault("a.b,c ! d", codes::NOT_SUPPORTED, "a.b,c");
    fault("rtmp://host/x ! b", codes::NOT_SUPPORTED, "rtmp://host/x");
    fault("x.( a )", codes::NOT_SUPPORTED, "x.(");
    fault("a p=1 q=2 p=3", codes::PROPERTY_TWICE, "p");
    fault("a name=x x. p=1", codes::PROPERTY_OF_REFERENCE, "p");
    fault("a name=1x", codes::BAD_NAME, "1x");
    fault("a \"b\" ! c", codes::LINE_SYNTAX, "\"b\"");
    fault("${a} ! c", codes::PARAM_PLACE, "${a}");
    fault("a ! video/x-raw,width=${w} ! c", codes::PARAM_PLACE, "video/x-raw,width=${w}");
    fault("d.${pad} ! c", codes::PARAM_PLACE, "d.${pad}");
}

#[test]
fn sec_limits_hold_and_nothing_hangs() {
    let line = "a ".repeat(lexer::MAX_TOKENS + 1);
    assert_eq!(faults(&line)[0].0, codes::TOO_MANY_TOKENS);
    for text in
        ["<", "p=<", "a p=<\"", "\\", "a p=\\", "é ! ü", "a.\u{0}", "((((", "))))", "a p=(", "$", "a::", "video/"]
    {
        let _ = read(text);
    }
    let _ = read(&"(".repeat(100_000));
}
