//! `_result` and `_error` (RTMP 1.0, 7.2.1): answers by transaction id.

use std::fmt;

use millstream_amf::{Properties, Value};

use super::connect::ObjectEncoding;
use super::{Enhanced, Invoke, Status, code};

/// An answer. Its `Debug` form shows no values.
#[derive(Clone, PartialEq)]
pub struct Response {
    /// `_result`, not `_error`.
    pub success: bool,
    /// Of the command that is answered.
    pub transaction: f64,
    /// The command object: for `connect` properties of the server, else null.
    pub object: Value,
    /// What was asked for, or an information object.
    pub arguments: Vec<Value>,
}

impl Response {
    /// A `_result`.
    pub fn result(transaction: f64, object: Value, arguments: Vec<Value>) -> Self {
        Self { success: true, transaction, object, arguments }
    }

    /// An `_error` with its reason.
    pub fn error(transaction: f64, status: &Status) -> Self {
        Self { success: false, transaction, object: Value::Null, arguments: vec![status.to_value()] }
    }

    /// The first argument; undefined if there is none.
    pub fn value(&self) -> &Value {
        self.arguments.first().unwrap_or(&Value::Undefined)
    }

    /// The information object, which some servers put in the place of the command object.
    pub fn status(&self) -> Status {
        let value = self.arguments.iter().find(|value| value.get("code").is_some());
        Status::from_value(value.unwrap_or(&self.object))
    }

    pub(super) fn from_invoke(invoke: Invoke) -> Self {
        let Invoke { name, transaction, object, arguments } = invoke;
        Self { success: name == "_result", transaction, object, arguments }
    }

    pub(super) fn to_invoke(&self) -> Invoke {
        let name = if self.success { "_result" } else { "_error" };
        Invoke::new(name, self.transaction, self.object.clone(), self.arguments.clone())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.success { "_result" } else { "_error" };
        write!(f, "{name} #{} ({:?})", self.transaction, self.status())
    }
}

/// What a server says of itself when it accepts `connect`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectResult {
    /// `fmsVer`: what the server is.
    pub fms_ver: String,
    /// `capabilities`, undocumented; servers say 31.
    pub capabilities: f64,
    /// The encoding that the client asked for.
    pub object_encoding: ObjectEncoding,
    /// What the server says of Enhanced RTMP.
    pub enhanced: Enhanced,
    /// The information object.
    pub status: Status,
}

impl ConnectResult {
    /// An acceptance.
    pub fn new(object_encoding: ObjectEncoding, enhanced: Enhanced) -> Self {
        let status = Status::new(code::CONNECT_SUCCESS, "Connection succeeded.");
        // Clients look at the form of this text, not at what it says: a version of Flash Media Server.
        Self { fms_ver: "FMS/3,5,7,7009".into(), capabilities: 31.0, object_encoding, enhanced, status }
    }

    /// Reads an answer to `connect`. The standard does not say which of the two objects holds the capabilities, so either may.
    pub fn from_response(response: &Response) -> Self {
        let mut properties = response.object.properties().cloned().unwrap_or_default();
        let mut status = response.status();
        let in_status = Enhanced::take(&mut status.extra);
        let in_properties = Enhanced::take(&mut properties);
        let get = |name| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        Self {
            fms_ver: get("fmsVer").and_then(Value::as_str).unwrap_or_default().to_owned(),
            capabilities: get("capabilities").and_then(Value::as_f64).unwrap_or_default(),
            object_encoding: ObjectEncoding::from_number(status.get("objectEncoding").and_then(Value::as_f64)),
            enhanced: if in_status.is_empty() { in_properties } else { in_status },
            status,
        }
    }

    /// The answer, with the capabilities in both objects.
    pub fn to_response(&self, transaction: f64) -> Response {
        let own = [("fmsVer", Value::from(&*self.fms_ver)), ("capabilities", self.capabilities.into())];
        let properties = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        let properties: Properties = properties.chain(self.enhanced.to_properties()).collect();
        let mut status = self.status.clone();
        status.extra.push(("objectEncoding".into(), self.object_encoding.number().into()));
        status.extra.extend(self.enhanced.to_properties());
        Response::result(transaction, Value::object(properties), vec![status.to_value()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtmp_m1_connect_result_is_read_wherever_the_capabilities_are() {
        let result = ConnectResult::new(ObjectEncoding::Amf3, Enhanced::forwarder());
        let response = result.to_response(1.0);
        let read = ConnectResult::from_response(&response);
        assert_eq!((read.object_encoding, &read.enhanced), (ObjectEncoding::Amf3, &Enhanced::forwarder()));
        for keep in [0, 1] {
            let mut half = response.clone();
            if keep == 0 {
                half.arguments = vec![Status::new(code::CONNECT_SUCCESS, "").to_value()]
            } else {
                half.object = Value::Null
            }
            let read = ConnectResult::from_response(&half);
            assert_eq!((read.enhanced, &*read.status.code), (Enhanced::forwarder(), code::CONNECT_SUCCESS));
        }
    }

    #[test]
    fn rtmp_m14_information_is_found_in_either_place() {
        let object = Status::error(code::CONNECT_REJECTED, "no").to_value();
        let response = Response { success: false, transaction: 1.0, object, arguments: vec![] };
        assert_eq!(response.status().code, code::CONNECT_REJECTED);
    }
}
