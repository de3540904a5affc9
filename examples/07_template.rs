//! One text for any number of streams: each that is published starts a pipeline of its own.
//!
//! ```sh
//! cargo run --example 07_template
//! ```

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::net::TcpListener;

use millstream::prelude::*;
use millstream::runtime::InstanceEvent;

fn main() -> anyhow::Result<()> {
    // Any free port; a server has a fixed one: 1935.
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let text = format!(
        r#"
name: counter
elements:
  in: {{ element: rtmpserversrc, listen: "{listen}", stream: "*", grace: 0s, max-streams: 10 }}
  out: {{ element: fakesink }}
links: [in ! out]
"#
    );
    let loader = Loader::new(registry());
    let template = loader.yaml("counter.yaml", &text)?.template.expect("`stream: \"*\"` makes it a template");

    let runtime = Runtime::new()?;
    let mut instances = runtime.serve(&template)?;
    let mut events = instances.events().expect("nobody took them before");

    // Somebody publishes two streams: here it is this program itself.
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/media/demo.flv");
    let mut publishers = Vec::new();
    for name in ["north", "south"] {
        let line = format!("filesrc location={clip} ! rtmpsink location=rtmp://{listen}/live/{name}");
        publishers.push(runtime.start(&loader.launch(&line)?.graph)?);
    }

    let mut ended = Vec::new();
    while ended.len() < 2 {
        match runtime.block_on(events.next()) {
            Some(InstanceEvent::Started { instance }) => println!("{instance} has come"),
            Some(InstanceEvent::Ended { instance, error, report }) => {
                let buffers = report.links[0].buffers;
                println!("{instance} has gone after {buffers} buffers");
                anyhow::ensure!(error.is_none(), "{instance} failed");
                ended.push((instance, buffers));
            }
            Some(InstanceEvent::Message { instance, message }) => println!("{instance}: {} speaks", message.element),
            None => anyhow::bail!("the template has ended"),
        }
    }
    // Nobody is let in any more, and what still runs is finished.
    instances.stop();
    runtime.block_on(instances.wait())?;

    ended.sort();
    anyhow::ensure!(*ended[0].0 == *"counter/live/north" && *ended[1].0 == *"counter/live/south", "{ended:?}");
    anyhow::ensure!(ended[0].1 == ended[1].1, "both are the same clip: {ended:?}");
    Ok(())
}
