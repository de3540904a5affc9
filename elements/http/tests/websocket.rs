//! HTTP-FLV over WebSocket on a simulated network: handshake, messages, what a client may say, and the end.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use bytes::Bytes;
use common::{Client, address, config, file_header, inter, key, machine, metadata, push, serving, times};
use millstream_core::TimeDelta;
use millstream_generic::AppSrcHandle;
use millstream_runtime::Runtime;
use millstream_testkit::SimNet;

const UPGRADE: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n";
/// The key of RFC 6455, 1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Opcode and payload of the server's next frame (RFC 6455, 5.2).
async fn frame(client: &mut Client) -> (u8, Bytes) {
    let head = client.take(2).await;
    assert_eq!((head[0] & 0xF0, head[1] & 0x80), (0x80, 0), "whole, without extensions, not masked");
    let len = match head[1] {
        126 => client.take(2).await.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        127 => client.take(8).await.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    (head[0] & 15, client.take(len).await)
}

/// A frame of a client, masked.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let body = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [first, 0x80 | payload.len() as u8].into_iter().chain(mask).chain(body).collect()
}

async fn join(net: &SimNet) -> (Client, Bytes) {
    let mut client = Client::connect(net, address()).await;
    let head = client.ask("GET", "/live/cam.flv?key=1", &format!("{UPGRADE}{KEY}Origin: http://elsewhere\r\n")).await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "as in the standard");
    assert_eq!(head.get("upgrade"), Some("websocket"));
    let (opcode, header) = frame(&mut client).await;
    assert_eq!((opcode, header.len()), (2, 13), "a binary message with the header of the file");
    let (opcode, group) = frame(&mut client).await;
    assert_eq!(opcode, 2);
    (client, [header, group].concat().into())
}

fn with_stream<T>(run: impl AsyncFnOnce(&Runtime, &SimNet, &AppSrcHandle) -> T) -> T {
    let (runtime, net) = machine();
    let (_pipeline, input) = serving(&runtime, "");
    runtime.block_on(async {
        push(&input, [file_header(), metadata(), config(), key(0, 50), inter(40, 50)]).await;
        let clock = &runtime.env().clock;
        clock.sleep_until(clock.now() + TimeDelta::from_millis(10)).await;
        run(&runtime, &net, &input).await
    })
}

#[test]
fn flv_5_over_a_websocket_players_get_the_same_as_binary_messages_to_the_end() {
    with_stream(async |_, net, input| {
        let (mut client, begun) = join(net).await;
        assert_eq!(times(&begun), [0, 0, 0, 40]);
        push(input, [inter(80, 70_000)]).await;
        let (opcode, large) = frame(&mut client).await;
        assert_eq!((opcode, large.len()), (2, 11 + 70_005 + 4), "a length of 64 bits");
        input.eos().await.unwrap();
        assert_eq!(frame(&mut client).await, (8, Bytes::from_static(&[0x03, 0xE8])), "closed, normally");
        assert!(client.rest().await.is_empty());
    });
}

#[test]
fn flv_5_a_websocket_client_is_answered_and_closed_as_the_standard_says() {
    with_stream(async |_, net, input| {
        for (said, status) in [
            (masked(0x88, &[0x03, 0xE8]), 1000_u16),
            (vec![0x81, 1, b'x'], 1002),
            (masked(0xC1, b"x"), 1002),
            ([&[0x82, 0xFE, 0x20, 0][..], &[0; 20]].concat(), 1009),
        ] {
            let (mut client, _) = join(net).await;
            client.stream.write_all(&masked(0x81, b"hello?")).await.unwrap();
            client.stream.write_all(&masked(0x89, b"are you there")).await.unwrap();
            assert_eq!(frame(&mut client).await, (10, Bytes::from_static(b"are you there")));
            client.stream.write_all(&said).await.unwrap();
            assert_eq!(frame(&mut client).await, (8, Bytes::copy_from_slice(&status.to_be_bytes())), "{said:x?}");
            assert!(client.rest().await.is_empty());
        }
        push(input, [inter(80, 50)]).await;
    });
}

#[test]
fn flv_5_what_is_no_websocket_handshake_is_refused() {
    with_stream(async |_, net, _| {
        for (headers, status) in [
            (UPGRADE.to_owned(), 400),
            (format!("{UPGRADE}Sec-WebSocket-Key: c2hvcnQ=\r\n"), 400),
            (format!("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{KEY}"), 400),
            (format!("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n{KEY}"), 426),
        ] {
            let mut client = Client::connect(net, address()).await;
            let head = client.ask("GET", "/live/cam.flv", &headers).await;
            assert_eq!(head.status(), status, "{headers}");
            assert_eq!(head.get("sec-websocket-version"), (status == 426).then_some("13"));
        }
        let mut client = Client::connect(net, address()).await;
        let head = client.ask("GET", "/live/cam.flv", "Upgrade: h2c\r\nConnection: Upgrade\r\n").await;
        assert_eq!(head.status(), 200, "other upgrades are not taken (RFC 9110, 7.8)");
    });
}
