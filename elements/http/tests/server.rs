//! The server on a simulated network: what it answers, and to whom it does not listen for long.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::{Client, address, machine};
use hyper::StatusCode;
use millstream_core::Time;
use millstream_runtime::Runtime;
use millstream_server::http::{Ask, Server, text};
use millstream_testkit::SimNet;

/// Runs a conversation with a server that has `hello` at `/a/b`.
fn with_server<T>(run: impl AsyncFnOnce(&Runtime, &SimNet) -> T) -> T {
    let (runtime, net) = machine();
    runtime.block_on(async {
        let server = Server::at(runtime.env(), address()).unwrap();
        let route = |_: &Ask<'_>| text(StatusCode::OK, "hello");
        let _mounted = server.mount("/a/b", std::sync::Arc::new(route)).unwrap();
        assert!(server.mount("/a/b", std::sync::Arc::new(route)).is_err(), "a path is served once");
        assert_eq!(Server::at(runtime.env(), address()).unwrap().local(), address(), "an address is listened at once");
        run(&runtime, &net).await
    })
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    with_server(async |_, net| {
        let mut client = Client::connect(net, address()).await;
        for (request, status, length) in [
            ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, 3),
            ("GET /a/./%62?key=1 HTTP/1.1\r\nHost: x\r\n\r\n", 200, 5),
            ("HEAD /a/b HTTP/1.1\r\nHost: x\r\n\r\n", 200, 0),
            ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 404, 31),
            ("GET /a/../../b HTTP/1.1\r\nHost: x\r\n\r\n", 400, 17),
            ("GET http://x/a/b HTTP/1.1\r\nHost: x\r\n\r\n", 200, 5),
            ("POST /a/b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405, 32),
            ("OPTIONS /a/b HTTP/1.1\r\nHost: x\r\n\r\n", 204, 0),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204, 0),
            ("GET /a/b HTTP/1.1\r\n\r\n", 400, 24),
            ("GET /a/b HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, 24),
        ] {
            client.send(request).await;
            let head = client.head().await;
            assert_eq!(head.status(), status, "{request}");
            assert_eq!(head.get("access-control-allow-origin"), Some("*"));
            // The wall clock of a simulation is what its `Env` says.
            assert!(head.get("date").is_some_and(|date| date.ends_with("GMT")), "{}", head.0);
            let allow = head.get("allow").map(|allow| allow.contains("HEAD"));
            assert_eq!(allow, matches!(status, 204 | 405).then_some(true), "{request}");
            if status != 204 && !request.starts_with("HEAD") {
                assert_eq!(head.get("content-length"), Some(&*length.to_string()), "{request}");
                assert_eq!(head.get("content-type"), Some("text/plain; charset=utf-8"));
            }
            client.take(length).await;
            assert!(client.read.is_empty(), "{request}: {:?}", client.read);
        }
    });
}

#[test]
fn a_page_that_asks_may_send_its_headers() {
    with_server(async |_, net| {
        let mut client = Client::connect(net, address()).await;
        let asks = "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: range, x-key";
        client.send(&format!("OPTIONS /a/b HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\n{asks}\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!(head.get("access-control-allow-headers"), Some("range, x-key"));
        assert!(head.get("access-control-allow-methods").unwrap().contains("GET"));
    });
}

#[test]
fn http_1_0_needs_no_host_and_closes() {
    with_server(async |_, net| {
        let mut client = Client::connect(net, address()).await;
        client.send("GET /a/b HTTP/1.0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(&client.rest().await[..], b"hello");
    });
}

#[test]
fn what_is_no_request_is_refused() {
    with_server(async |_, net| {
        for (request, status) in [
            ("no request\r\n\r\n".to_owned(), 400),
            (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(20_000)), 431),
            (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200)), 431),
        ] {
            let mut client = Client::connect(net, address()).await;
            client.send(&request).await;
            assert_eq!(client.head().await.status(), status);
            client.rest().await;
        }
    });
}

#[test]
fn who_says_nothing_whole_for_15_s_is_closed() {
    with_server(async |runtime, net| {
        let clock = &runtime.env().clock;
        for said in ["", "GET /a/b HTTP/1.1\r\nHo", "GET /a/b HTTP/1.1\r\nHost: x\r\n\r\n"] {
            let begun = clock.now();
            let mut client = Client::connect(net, address()).await;
            client.send(said).await;
            client.rest().await;
            let waited = clock.now() - begun;
            assert_eq!(Time::ZERO + waited, Time::from_millis(15_000), "{said:?}");
        }
    });
}
