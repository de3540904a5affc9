//! The server on sockets.
//!
//! | module | what |
//! | --- | --- |
//! | [`element`] | `turnserver` |
//! | `hub` | the server with its listener, relays and deadlines |
//! | `stream` | clients over TCP |

pub mod element;
mod hub;
mod stream;
