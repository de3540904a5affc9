//! Text to message (RFC 8259).

use serde::Deserialize as _;
use serde_json::Value;

use super::{ClientMessage, Code, MAX_DEPTH, MAX_MESSAGE, Refusal};

/// Longest `ref` in bytes.
const MAX_REF: usize = 64;

/// A message of a client.
#[derive(Clone, PartialEq, Debug)]
pub struct Incoming {
    /// Its number, if the client counts.
    pub seq: Option<u64>,
    /// What the answer is to carry.
    pub reference: Option<String>,
    /// The message.
    pub message: ClientMessage,
}

impl From<ClientMessage> for Incoming {
    fn from(message: ClientMessage) -> Self {
        Self { seq: None, reference: None, message }
    }
}

/// Reads a message.
///
/// # Errors
/// With its `ref`, as far as that could be read, when it is too long or too deep, is no JSON, or no message of the protocol.
pub fn parse(text: &str) -> Result<Incoming, (Option<String>, Refusal)> {
    let value = read(text).map_err(|refusal| (None, refusal))?;
    let reference = value.get("ref").and_then(Value::as_str).filter(|text| text.len() <= MAX_REF).map(str::to_owned);
    let message = message(&value).map_err(|refusal| (reference.clone(), refusal))?;
    Ok(Incoming { seq: value.get("seq").and_then(Value::as_u64), reference, message })
}

fn read(text: &str) -> Result<Value, Refusal> {
    if text.len() > MAX_MESSAGE {
        return Err(Refusal::new(Code::TooLarge, format!("the message is longer than {MAX_MESSAGE} bytes")));
    }
    // Before anything is built of it.
    if depth(text) > MAX_DEPTH {
        return Err(Refusal::new(Code::TooDeep, format!("the message nests deeper than {MAX_DEPTH}")));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| Refusal::new(Code::NotJson, format!("this is no JSON: {error}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(Refusal::new(Code::NotJson, "a message is a JSON object").hint("send {\"type\": …}")),
    }
}

fn message(value: &Value) -> Result<ClientMessage, Refusal> {
    if value.get("type").and_then(Value::as_str).is_none() {
        return Err(Refusal::new(Code::UnknownType, "the message has no `type`"));
    }
    let message = ClientMessage::deserialize(value).map_err(|error| {
        let error = error.to_string();
        match error.starts_with("unknown variant") && error.contains("`hello`") {
            true => Refusal::new(Code::UnknownType, "there is no message of this `type`"),
            false => Refusal::new(Code::BadField, error),
        }
    })?;
    message.check()?;
    Ok(message)
}

/// How deep brackets nest, strings left out.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Code {
        parse(text).unwrap_err().1.code
    }

    #[test]
    fn messages_are_read_with_number_and_ref() {
        let join = parse(r#"{"type":"join","room":"a","seq":7,"ref":"x","else":{"deep":[1]}}"#).unwrap();
        assert_eq!((join.seq, join.reference.as_deref()), (Some(7), Some("x")));
        assert_eq!(join.message, ClientMessage::Join { room: "a".into() });
    }

    #[test]
    fn sig_3_what_is_too_deep_too_long_or_no_message_is_refused_by_name() {
        for (text, code) in [
            ("", Code::NotJson),
            ("[]", Code::NotJson),
            ("{", Code::NotJson),
            ("{}", Code::UnknownType),
            (r#"{"type":1}"#, Code::UnknownType),
            (r#"{"type":"dance"}"#, Code::UnknownType),
            (r#"{"type":"join"}"#, Code::BadField),
            (r#"{"type":"join","room":1}"#, Code::BadField),
            (r#"{"type":"join","room":""}"#, Code::BadField),
            (r#"{"type":"join","room":"a\u0007"}"#, Code::BadField),
            (r#"{"type":"mute","room":"a","kind":"smell","muted":true}"#, Code::BadField),
        ] {
            assert_eq!(refused(text), code, "{text}");
        }
        assert_eq!(refused(&format!(r#"{{"type":"join","room":"{}"}}"#, "r".repeat(65))), Code::TooLarge);
        assert_eq!(refused(&format!(r#"{{"type":"join","x":"{}"}}"#, "r".repeat(MAX_MESSAGE))), Code::TooLarge);
        assert_eq!(refused(&"[".repeat(60_000)), Code::TooDeep);
        let nested = |depth: usize| format!(r#"{{"type":"ping","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(refused(&nested(MAX_DEPTH)), Code::TooDeep);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let text = format!(r#"{{"type":"ping","x":"{}\"{}"}}"#, "[".repeat(50), "{".repeat(50));
        assert!(parse(&text).is_ok(), "{text}");
    }

    #[test]
    fn a_refusal_carries_the_ref() {
        let (reference, refusal) = parse(r#"{"type":"join","ref":"9"}"#).unwrap_err();
        assert_eq!((reference.as_deref(), refusal.code), (Some("9"), Code::BadField));
    }
}
