//! `turnserver` with coturn's client, over UDP and TCP, by channels and by indications.

use std::net::UdpSocket;

use millstream_runtime::Runtime;
use millstream_tests::live::{free_port, start, wait_for_port};
use millstream_tests::peers;
use millstream_tests::program::{Said, run};

/// A peer that sends everything back, also at its next port: for RTP and RTCP.
fn echo() -> u16 {
    let pair = || {
        let first = UdpSocket::bind(("127.0.0.1", 0)).ok()?;
        let port = first.local_addr().ok()?.port();
        Some((first, UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?, port))
    };
    let (first, second, port) = (0..100).find_map(|_| pair()).expect("two free ports in a row");
    for socket in [first, second] {
        std::thread::spawn(move || {
            let mut datagram = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut datagram) {
                let _ = socket.send_to(&datagram[..len], from);
            }
        });
    }
    port
}

/// coturn's client, which makes a name of a time and its password of the secret.
fn client(port: u16, secret: &str, more: &[&str]) -> Said {
    let port = port.to_string();
    let mut args = vec!["-u", "alice", "-W", secret, "-n", "20", "-m", "2", "-p", &port];
    args.extend(more);
    args.push("127.0.0.1");
    run(&peers::need("turnutils_uclient"), args)
}

/// 20 messages of each of two clients come back.
fn assert_lossless(said: &Said, what: &str) {
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(words.contains("tot_recv_msgs=40"), "{what}: {words}");
    assert!(words.contains("Total lost packets 0 "), "{what}: {words}");
}

#[test]
fn turn_1_coturns_client_loses_nothing_over_udp_and_tcp() {
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let _pipeline = start(&runtime, &format!("turnserver listen=127.0.0.1:{port} secret=north allow-peers=loopback"));
    wait_for_port(port);
    let peer = echo().to_string();
    let to_peer = ["-e", "127.0.0.1", "-r", &peer];
    // Without -c an even port and the next one, for RTP and RTCP.
    for more in [&["-c"][..], &["-c", "-s"], &["-c", "-t"], &["-c", "-t", "-s"], &[]] {
        let said = client(port, "north", &[&to_peer[..], more].concat());
        assert_lossless(&said, &format!("{more:?}"));
    }
    let said = client(port, "south", &[&to_peer[..], &["-c"]].concat());
    assert!(!said.stdout.contains("tot_recv_msgs=40"), "another secret: {}", said.stdout);
}

#[test]
fn turn_1_coturns_client_reaches_another_relay_but_no_port_of_this_machine() {
    let (runtime, port) = (Runtime::new().expect("a runtime"), free_port());
    let _pipeline = start(&runtime, &format!("turnserver listen=127.0.0.1:{port} secret=north"));
    wait_for_port(port);
    assert_lossless(&client(port, "north", &["-y", "-c"]), "from relay to relay");
    let peer = echo().to_string();
    // The relay has this address too, so a permission is given; nothing goes out.
    let said = client(port, "north", &["-e", "127.0.0.1", "-r", &peer, "-c", "-s"]);
    let words = format!("{}{}", said.stdout, said.stderr);
    assert!(words.contains("tot_recv_msgs=0"), "{words}");
}

#[test]
fn turn_1_coturns_client_sees_the_translation_on_its_way() {
    let (runtime, port, other) = (Runtime::new().expect("a runtime"), free_port(), free_port());
    let line = format!("turnserver listen=127.0.0.1:{port} alternate=127.0.0.2:{other}");
    let _pipeline = start(&runtime, &line);
    wait_for_port(port);
    let said = run(&peers::need("turnutils_natdiscovery"), ["-m", "-f", "-p", &port.to_string(), "127.0.0.1"]);
    let words = format!("{}{}", said.stdout, said.stderr);
    // Its socket is bound to every address, which it takes for a translation.
    for wanted in [
        "RFC 5780 response 4",
        "No ALG: Mapped == XOR-Mapped",
        "NAT with Endpoint Independent Mapping!",
        "NAT with Endpoint Independent Filtering!",
    ] {
        assert!(words.contains(wanted), "{wanted}: {words}");
    }
}
