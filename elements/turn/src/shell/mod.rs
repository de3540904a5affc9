//! The server and the client on sockets.
//!
//! | module | what |
//! | --- | --- |
//! | [`element`] | `turnserver` |
//! | `hub` | the server with its listener, relays and deadlines |
//! | `stream` | clients over TCP |
//! | [`relay`] | a relay at a server: the client |

pub mod element;
mod hub;
pub mod relay;
mod stream;
