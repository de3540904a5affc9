//! `connect` (RTMP 1.0, 7.2.1.1).

use std::fmt;

use millstream_amf::{Properties, Value};

use super::{Enhanced, Invoke};
use crate::secret::presentable;

/// Which AMF the client's command and data messages may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ObjectEncoding {
    /// 0: AMF0, message types 18 and 20.
    #[default]
    Amf0,
    /// 3: AMF3 too, message types 15 and 17.
    Amf3,
}

impl ObjectEncoding {
    /// The number on the wire.
    pub fn number(self) -> f64 {
        match self {
            Self::Amf0 => 0.0,
            Self::Amf3 => 3.0,
        }
    }

    pub(super) fn from_number(number: Option<f64>) -> Self {
        if number == Some(3.0) { Self::Amf3 } else { Self::Amf0 }
    }
}

/// The command that opens a connection. Its `Debug` form shows neither query nor user info, which may be secrets.
#[derive(Clone, PartialEq, Default)]
pub struct Connect {
    /// Name of the server's application, perhaps with an instance (`live/one`) and a query (`live?token=…`).
    pub app: String,
    /// `nonprivate`, as encoders send it.
    pub kind: Option<String>,
    /// What the client is, such as `FMLE/3.0 (compatible; Lavf59.27.100)`.
    pub flash_ver: Option<String>,
    /// URL of the program that connects.
    pub swf_url: Option<String>,
    /// URL that the client connects to, without the stream's name.
    pub tc_url: Option<String>,
    /// A proxy is used.
    pub fpad: Option<bool>,
    /// Undocumented; players say 15.
    pub capabilities: Option<f64>,
    /// Bits of legacy audio codecs: `SUPPORT_SND_…`.
    pub audio_codecs: Option<f64>,
    /// Bits of legacy video codecs: `SUPPORT_VID_…`.
    pub video_codecs: Option<f64>,
    /// Bit 1: frame-accurate seeks.
    pub video_function: Option<f64>,
    /// URL of the page that the program is on.
    pub page_url: Option<String>,
    /// Which AMF the client speaks.
    pub object_encoding: ObjectEncoding,
    /// What the client says of Enhanced RTMP.
    pub enhanced: Enhanced,
    /// Further properties, in order.
    pub extra: Properties,
    /// Arguments behind the command object.
    pub arguments: Vec<Value>,
}

impl Connect {
    /// The application without its query.
    pub fn app_name(&self) -> &str {
        self.app.split('?').next().unwrap_or_default()
    }

    /// The query of the application; empty if there is none. A secret.
    pub fn app_query(&self) -> &str {
        self.app.split_once('?').map_or("", |(_, query)| query)
    }

    pub(super) fn from_invoke(invoke: &Invoke) -> Self {
        let mut extra = invoke.object.properties().cloned().unwrap_or_default();
        let enhanced = Enhanced::take(&mut extra);
        let mut take = |name: &str, fits: fn(&Value) -> bool| {
            let place = extra.iter().position(|(key, value)| key.eq_ignore_ascii_case(name) && fits(value))?;
            Some(extra.remove(place).1)
        };
        let is_text: fn(&Value) -> bool = |value| value.as_str().is_some();
        let is_number: fn(&Value) -> bool = |value| value.as_f64().is_some();
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let number = |value: Option<Value>| value.and_then(|value| value.as_f64());
        Self {
            app: text(take("app", is_text)).unwrap_or_default(),
            kind: text(take("type", is_text)),
            flash_ver: text(take("flashVer", is_text)),
            swf_url: text(take("swfUrl", is_text)),
            tc_url: text(take("tcUrl", is_text)),
            fpad: take("fpad", |value| value.as_bool().is_some()).and_then(|value| value.as_bool()),
            capabilities: number(take("capabilities", is_number)),
            audio_codecs: number(take("audioCodecs", is_number)),
            video_codecs: number(take("videoCodecs", is_number)),
            video_function: number(take("videoFunction", is_number)),
            page_url: text(take("pageUrl", is_text)),
            object_encoding: ObjectEncoding::from_number(number(take("objectEncoding", is_number))),
            enhanced,
            extra,
            arguments: invoke.arguments.clone(),
        }
    }

    pub(super) fn to_invoke(&self, transaction: f64) -> Invoke {
        let mut properties: Properties = vec![("app".into(), self.app.clone().into())];
        let mut put = |name: &str, value: Option<Value>| {
            properties.extend(value.map(|value| (name.to_owned(), value)));
        };
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        put("type", text(&self.kind));
        put("flashVer", text(&self.flash_ver));
        put("swfUrl", text(&self.swf_url));
        put("tcUrl", text(&self.tc_url));
        put("fpad", self.fpad.map(Value::from));
        put("capabilities", self.capabilities.map(Value::from));
        put("audioCodecs", self.audio_codecs.map(Value::from));
        put("videoCodecs", self.video_codecs.map(Value::from));
        put("videoFunction", self.video_function.map(Value::from));
        put("pageUrl", text(&self.page_url));
        let encoding = self.object_encoding;
        put("objectEncoding", (encoding != ObjectEncoding::Amf0).then(|| encoding.number().into()));
        properties.extend(self.enhanced.to_properties());
        properties.extend(self.extra.iter().cloned());
        Invoke::new("connect", transaction, Value::object(properties), self.arguments.clone())
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("app", &presentable(&self.app))
            .field("tc_url", &self.tc_url.as_deref().map(presentable))
            .field("flash_ver", &self.flash_ver)
            .field("object_encoding", &self.object_encoding)
            .field("enhanced", &self.enhanced)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(object: Value) -> Connect {
        Connect::from_invoke(&Invoke::new("connect", 1.0, object, vec![]))
    }

    fn full() -> Value {
        Value::object([
            ("app", "live?token=t0p".into()),
            ("flashVer", "LNX 9,0,124,2".into()),
            ("tcUrl", "rtmp://u:pw@127.0.0.1/live?token=t0p".into()),
            ("fpad", Value::from(false)),
            ("capabilities", 15.0.into()),
            ("audioCodecs", 4071.0.into()),
            ("videoCodecs", 252.0.into()),
            ("videoFunction", 1.0.into()),
            ("objectEncoding", 3.0.into()),
            ("capsEx", 1.0.into()),
            ("supportsGoAway", true.into()),
        ])
    }

    #[test]
    fn rtmp_m1_fields_are_read_and_what_is_unknown_is_kept() {
        let connect = connect(full());
        assert_eq!((connect.app_name(), connect.app_query()), ("live", "token=t0p"));
        assert_eq!((connect.audio_codecs, connect.video_function), (Some(4071.0), Some(1.0)));
        assert_eq!(connect.object_encoding, ObjectEncoding::Amf3);
        assert_eq!(connect.enhanced.caps_ex, 1);
        assert_eq!(connect.extra, [("supportsGoAway".to_owned(), true.into())]);
        let again = Connect::from_invoke(&connect.to_invoke(1.0));
        assert_eq!(again, connect);
    }

    #[test]
    fn rtmp_m1_missing_or_odd_properties_are_tolerated() {
        for object in [Value::Null, Value::Undefined, 5.0.into(), Value::object([("app", Value::from(7.0))])] {
            assert_eq!(connect(object).app, "");
        }
        // flashver is how the standard's table spells it.
        let odd = connect(Value::ecma_array([("flashver", Value::from("x")), ("swfUrl", Value::Undefined)]));
        assert_eq!((odd.flash_ver.as_deref(), odd.swf_url), (Some("x"), None));
    }

    #[test]
    fn debug_shows_no_token_and_no_password() {
        let shown = format!("{:?}", connect(full()));
        assert!(!shown.contains("t0p") && !shown.contains("pw"), "{shown}");
        assert!(shown.contains("rtmp://127.0.0.1/live"), "{shown}");
    }
}
