//! Elements that take part in our signaling (`docs/spec/signaling.md`) as workers.
//!
//! | module | what |
//! | --- | --- |
//! | [`source`] | `webrtcsrc`: takes in who publishes |
//! | [`sink`] | `webrtcsink`: serves who plays |
//! | `worker` | conversations with those who come, and their sessions |
//! | `call` | a session's end of a conversation |
//! | `settings` | where the server is found |

mod call;
mod settings;
pub mod sink;
pub mod source;
mod worker;
