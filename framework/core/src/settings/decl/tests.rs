use schemars::JsonSchema;
use serde::Deserialize;

use super::super::units::{Bitrate, ByteSize, DurationSetting};
use super::super::{Key, Node, NodeKind, SettingsError, SettingsErrorKind, Span};
use super::SettingsDecl;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// As it comes.
    #[default]
    AsItComes,
    /// Only whole files.
    WholeFiles,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Inner {
    /// Most bytes.
    max_bytes: ByteSize,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    /// Number of buffers to make;
    /// -1 for no end.
    #[schemars(range(min = -1))]
    num_buffers: i64,
    /// Port.
    #[serde(alias = "tcp-port")]
    port: u16,
    sync: bool,
    location: Option<String>,
    mode: Mode,
    /// Time between.
    #[schemars(extend("x-minimum" = "10ms", "x-maximum" = "1h"))]
    every: DurationSetting,
    #[schemars(range(max = 1_000_000))]
    rate: Bitrate,
    #[schemars(range(min = 0.0, max = 1.0))]
    gain: Option<f64>,
    tags: Vec<String>,
    limits: Inner,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            num_buffers: -1,
            port: 1935,
            sync: false,
            location: None,
            mode: Mode::AsItComes,
            every: DurationSetting::from_secs(2),
            rate: Bitrate(64_000),
            gain: None,
            tags: Vec::new(),
            limits: Inner::default(),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its shape is tested")]
struct Needed {
    location: String,
    other: u8,
}

fn decl() -> SettingsDecl {
    SettingsDecl::of::<Settings>()
}

fn parse(entries: &[(&str, Node)]) -> Result<Settings, SettingsError> {
    let settings = decl().parse(&Node::map(entries.to_vec()))?;
    Ok(*settings.downcast().expect("the declared type"))
}

fn one(name: &str, text: &str) -> Result<Settings, SettingsError> {
    parse(&[(name, Node::scalar(text))])
}

/// A mapping as a reader of `a: x, b: y` would make it: every key and value 10 bytes after the one before.
fn placed(entries: &[(&str, &str)]) -> Node {
    let mut at = 0;
    let mut span = |len: usize| {
        at += 10;
        Span::of(at, at + len)
    };
    let entries = entries
        .iter()
        .map(|(key, value)| {
            let key = Key { text: (*key).to_owned(), span: span(key.len()) };
            let mut node = Node::scalar(*value);
            node.span = span(value.len());
            (key, node)
        })
        .collect();
    Node { span: Span::new(0, 1000), kind: NodeKind::Map(entries) }
}

#[test]
fn text_becomes_what_the_type_asks_for() {
    let settings = parse(&[
        ("num-buffers", Node::scalar("0x10")),
        ("port", Node::scalar("80")),
        ("sync", Node::scalar("yes")),
        ("location", Node::scalar("5")),
        ("mode", Node::scalar("whole-files")),
        ("every", Node::scalar("1m30s")),
        ("rate", Node::scalar("128k")),
        ("gain", Node::scalar("0.5")),
        ("tags", Node::scalar("a")),
        ("limits", Node::map([("max-bytes", Node::scalar("16MiB"))])),
    ]);
    let expected = Settings {
        num_buffers: 16,
        port: 80,
        sync: true,
        location: Some("5".into()),
        mode: Mode::WholeFiles,
        every: DurationSetting::from_secs(90),
        rate: Bitrate(128_000),
        gain: Some(0.5),
        tags: vec!["a".into()],
        limits: Inner { max_bytes: ByteSize(16 << 20) },
    };
    assert_eq!(settings, Ok(expected));
    assert_eq!(parse(&[]), Ok(Settings::default()));
    assert_eq!(one("tcp-port", "80").map(|settings| settings.port), Ok(80), "an alias");
    let null = Node { span: Span::default(), kind: NodeKind::Null };
    assert_eq!(parse(&[("location", null)]), Ok(Settings::default()));
}

#[test]
fn each_fault_has_its_kind() {
    let kind = |name, text| one(name, text).expect_err(text).kind;
    assert!(matches!(kind("portt", "1"), SettingsErrorKind::UnknownProperty { known, .. } if known.len() >= 10));
    assert!(matches!(kind("port", "x"), SettingsErrorKind::WrongType { .. }));
    assert!(matches!(kind("port", "65536"), SettingsErrorKind::OutOfRange { max: Some(max), .. } if max == "65535"));
    assert!(matches!(kind("num-buffers", "-2"), SettingsErrorKind::OutOfRange { max: None, .. }));
    assert!(matches!(kind("sync", "maybe"), SettingsErrorKind::WrongType { .. }));
    assert!(
        matches!(kind("mode", "whole"), SettingsErrorKind::UnknownVariant { known, .. } if known[1] == "whole-files")
    );
    assert!(matches!(kind("every", "5"), SettingsErrorKind::Custom(text) if text.contains("no unit")));
    assert!(matches!(kind("every", "9ms"), SettingsErrorKind::OutOfRange { min: Some(min), .. } if min == "10ms"));
    assert!(matches!(kind("every", "61m"), SettingsErrorKind::OutOfRange { .. }));
    assert!(matches!(kind("rate", "2M"), SettingsErrorKind::OutOfRange { .. }));
    assert!(matches!(kind("gain", "1.5"), SettingsErrorKind::OutOfRange { .. }));
    assert!(matches!(kind("gain", "NaN"), SettingsErrorKind::WrongType { .. }));
    assert!(matches!(kind("limits", "9"), SettingsErrorKind::WrongType { .. }));
}

#[test]
fn the_innermost_place_and_path_are_kept() {
    let mut inner = placed(&[("max-bytes", "lots")]);
    inner.span = Span::new(50, 60);
    let error = parse(&[("limits", inner)]).expect_err("lots");
    assert_eq!((error.span, error.property().as_str()), (Some(Span::new(20, 24)), "limits.max-bytes"));

    let error = decl().parse(&placed(&[("port", "80"), ("ports", "81")])).expect_err("ports");
    assert_eq!(error.span, Some(Span::new(30, 35)), "the key, not the value");

    let mut item = Node::map([("a", Node::scalar("b"))]);
    item.span = Span::new(7, 9);
    let error = parse(&[("tags", Node::seq([Node::scalar("x"), item]))]).expect_err("a mapping is no text");
    assert_eq!((error.span, error.property().as_str()), (Some(Span::new(7, 9)), "tags[1]"));
}

#[test]
fn parse_all_gives_every_fault_in_source_order() {
    let node = placed(&[("port", "x"), ("mode", "x"), ("every", "1ms"), ("nope", "1"), ("sync", "yes")]);
    let errors = decl().parse_all(&node).expect_err("four faults");
    let spans: Vec<u32> = errors.iter().filter_map(|error| Some(error.span?.start)).collect();
    assert_eq!(spans, [20, 40, 60, 70], "{errors:?}");
}

#[test]
fn unknown_properties_are_refused_whatever_the_struct_says() {
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Lax {
        a: u8,
    }
    let decl = SettingsDecl::of::<Lax>();
    assert!(decl.parse(&placed(&[("a", "1")])).is_ok());
    let error = decl.parse(&placed(&[("a", "1"), ("b", "1")])).expect_err("b");
    assert!(matches!(error.kind, SettingsErrorKind::UnknownProperty { .. }));
}

#[test]
fn missing_properties_are_named_once_each() {
    let decl = SettingsDecl::of::<Needed>();
    let missing = |node: &Node| -> Vec<String> {
        let errors = decl.parse_all(node).expect_err("missing");
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(missing(&placed(&[])), ["property `location` is missing", "property `other` is missing"]);
    let errors = missing(&placed(&[("location", "a"), ("other", "-1")]));
    assert_eq!(errors, ["property `other`: `-1` is out of range, it must be 0 to 255"], "given, though wrong");
}

#[test]
fn properties_come_from_the_struct() {
    let properties = decl().properties();
    let names: Vec<_> = properties.iter().map(|p| (p.name.as_str(), p.type_text.as_str())).collect();
    let expected = [
        ("num-buffers", "integer"),
        ("port", "integer"),
        ("sync", "boolean"),
        ("location", "text"),
        ("mode", "enum"),
        ("every", "duration"),
        ("rate", "bits per second"),
        ("gain", "number"),
        ("tags", "list of text"),
        ("limits", "mapping"),
    ];
    assert_eq!(names, expected);
    assert_eq!(properties[0].description, "Number of buffers to make;\n-1 for no end.");
    assert_eq!(properties[0].default, Some((-1).into()));
    assert_eq!(properties[0].min, Some((-1).into()));
    assert_eq!(properties[1].max, Some(65535.into()));
    assert_eq!(properties[3].default, None);
    assert_eq!(properties[4].values[1].name, "whole-files");
    assert_eq!(properties[4].values[1].description, "Only whole files.");
    assert_eq!(properties[5].default, Some("2s".into()));
    assert_eq!((&properties[5].min, &properties[5].max), (&Some("10ms".into()), &Some("1h".into())));
    assert_eq!((&properties[6].min, &properties[6].max), (&None, &Some(1_000_000.into())));
    assert!(properties.iter().all(|p| !p.required));
    assert!(SettingsDecl::of::<Needed>().properties().iter().all(|p| p.required));
}
