//! What happens when an element fails, as it is written: `on-error`.
//!
//! ```text
//! on-error: isolate
//! on-error: restart
//! on-error: { restart: { limit: 5, delay: 500ms } }
//! on-error: "restart,limit=5,delay=500ms"        # the same as one word, which a launch line can say
//! ```

use millstream_core::settings::units::DurationSetting;
use millstream_core::settings::{Key, Node, NodeKind, SettingsDecl, SettingsError, SettingsErrorKind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The words of `on-error`.
pub(crate) const WORDS: [&str; 3] = ["fail", "isolate", "restart"];

/// What happens when an element fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The runtime's rule: sinks behind a fan-out are isolated, all else ends the pipeline.
    #[default]
    Default,
    /// The pipeline ends.
    Fail,
    /// The branch of the element ends, the rest goes on.
    Isolate,
    /// The element, or its branch, is built anew and goes on.
    Restart(RestartPolicy),
}

/// How often and how fast an element or branch is built anew.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RestartPolicy {
    /// Most restarts in a row; 0 for no limit. A row ends with `reset-after`.
    pub limit: u32,
    /// Wait before the first restart of a row; each further one waits twice as long.
    pub delay: DurationSetting,
    /// Longest wait.
    pub max_delay: DurationSetting,
    /// By how much each wait is longer or shorter at random, in percent, so that many do not come back at once.
    #[schemars(range(max = 100))]
    pub jitter: u8,
    /// What has run this long since its restart has recovered: the next failure begins a new row.
    pub reset_after: DurationSetting,
    /// What is built anew; without it the element alone where it is a source, its branch otherwise.
    pub scope: Option<RestartScope>,
    /// What the failure is after the last restart; without it what it would be without `restart`.
    pub then: Option<GivenUp>,
}

/// What a restart builds anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartScope {
    /// The element; those downstream hear a new stream that goes on on the same timeline.
    Element,
    /// The element and everything downstream of it, up to elements with a `restart` of their own.
    Branch,
}

/// What a failure is after the last restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GivenUp {
    /// It ends the pipeline.
    Fail,
    /// It ends the branch.
    Isolate,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            limit: 0,
            delay: DurationSetting::from_secs(1),
            max_delay: DurationSetting::from_secs(30),
            jitter: 20,
            reset_after: DurationSetting::from_secs(60),
            scope: None,
            then: None,
        }
    }
}

/// Reads the value of `on-error`.
///
/// # Errors
/// A word that is none of them, and what [`RestartPolicy`] refuses.
pub(crate) fn read(node: &Node) -> Result<OnError, SettingsError> {
    let unknown = |name: String| {
        SettingsError::new(SettingsErrorKind::UnknownVariant { name, known: WORDS.map(str::to_owned).to_vec() })
    };
    match &node.kind {
        NodeKind::Scalar { text, .. } => match text.split_once(',') {
            Some(("restart", fields)) => restart(&fields_of(fields, node)?),
            None if text == "fail" => Ok(OnError::Fail),
            None if text == "isolate" => Ok(OnError::Isolate),
            None if text == "restart" => Ok(OnError::Restart(RestartPolicy::default())),
            _ => Err(unknown(text.clone())),
        },
        NodeKind::Map(entries) => match entries.as_slice() {
            [(key, policy)] if key.text == "restart" => restart(policy).map_err(|e| e.inside("restart")),
            [(key, _)] => Err(unknown(key.text.clone()).or_at(key.span)),
            _ => Err(unknown(node.describe())),
        },
        NodeKind::Null | NodeKind::Seq(_) => Err(unknown(node.describe())),
    }
}

fn restart(policy: &Node) -> Result<OnError, SettingsError> {
    let policy = SettingsDecl::of::<RestartPolicy>().parse(policy)?;
    Ok(OnError::Restart(policy.downcast_ref().cloned().unwrap_or_default()))
}

/// `limit=5,delay=1s` as a mapping whose values all stand where the text does.
fn fields_of(fields: &str, node: &Node) -> Result<Node, SettingsError> {
    let mut entries: Vec<(Key, Node)> = Vec::new();
    for field in fields.split(',') {
        let Some((key, value)) = field.split_once('=') else {
            let expected = "fields such as `limit=5` behind `restart`".to_owned();
            return Err(SettingsError::new(SettingsErrorKind::WrongType { expected, found: format!("`{field}`") }));
        };
        let value = NodeKind::Scalar { text: value.trim().to_owned(), quoted: false };
        entries.push((Key { text: key.trim().to_owned(), span: node.span }, Node { span: node.span, kind: value }));
    }
    Ok(Node { span: node.span, kind: NodeKind::Map(entries) })
}

/// The value as one word. `None` for what is not well-formed.
pub(crate) fn as_text(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Some(text.clone()),
        NodeKind::Map(_) => {
            let fields = node.get("restart")?.entries()?.iter();
            let fields: Option<Vec<String>> =
                fields.map(|(key, value)| Some(format!(",{}={}", key.text, value.as_str()?))).collect();
            Some(format!("restart{}", fields?.concat()))
        }
        NodeKind::Null | NodeKind::Seq(_) => None,
    }
}

/// The schema of the value.
pub(crate) fn schema() -> Value {
    let mut policy = SettingsDecl::of::<RestartPolicy>().schema().to_value();
    if let Some(root) = policy.as_object_mut() {
        root.remove("$schema");
        root.remove("title");
        root.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    let long = json!({
        "type": "object", "properties": { "restart": policy }, "required": ["restart"], "additionalProperties": false,
    });
    let short = json!({ "type": "string", "pattern": r"^restart(,[a-z-]+=[^,]+)+$" });
    json!({ "description": "What happens when the element fails.", "anyOf": [{ "enum": WORDS }, short, long] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<RestartPolicy, String> {
        match read(&Node::scalar(text)) {
            Ok(OnError::Restart(policy)) => Ok(policy),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn one_word_says_what_a_mapping_says() {
        let fields = [("limit", "5"), ("delay", "500ms"), ("scope", "element"), ("then", "isolate")];
        let map = Node::map([("restart", Node::map(fields.map(|(key, value)| (key, Node::scalar(value)))))]);
        let word = as_text(&map).unwrap();
        assert_eq!(word, "restart,limit=5,delay=500ms,scope=element,then=isolate");
        let read_back = policy(&word).unwrap();
        assert_eq!(Ok(OnError::Restart(read_back.clone())), read(&map));
        assert_eq!((read_back.limit, read_back.delay), (5, DurationSetting::from_millis(500)));
        assert_eq!((read_back.scope, read_back.then), (Some(RestartScope::Element), Some(GivenUp::Isolate)));
        assert_eq!(read_back.jitter, RestartPolicy::default().jitter);
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in
            ["restart,", "restart,limit", "restart,limits=3", "restart,delay=5", "restart,jitter=101", "fail,limit=3"]
        {
            assert!(policy(text).is_err(), "{text}");
        }
    }
}
