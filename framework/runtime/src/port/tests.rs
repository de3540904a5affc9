//! Ports by themselves.

use std::task::Context;

use futures_util::task::noop_waker;
use millstream_core::{Buffer, BufferFlags};

use super::sender::MAX_GATHERED;
use super::*;

fn limits(buffers: usize, leaky: Leaky) -> QueueLimits {
    QueueLimits { buffers, bytes: 0, time: 0, leaky }
}

fn item(id: u8, key: bool) -> Item {
    let mut flags = BufferFlags::empty();
    flags.set(BufferFlags::KEYFRAME, key);
    Item::buffer(Buffer::new(vec![id]).with_flags(flags))
}

fn take(port: &Port) -> Vec<u8> {
    let (mut all, waker) = (Vec::new(), noop_waker());
    let mut batch = VecDeque::new();
    while port.poll_take(&mut Context::from_waker(&waker), &mut batch).is_ready() {
        all.extend(batch.drain(..).filter_map(|(_, item)| match item {
            Item::Buffer(b) => Some(b.payload.contiguous()[0]),
            _ => None,
        }));
    }
    all
}

impl PortSender {
    fn send(&mut self, item: Item) -> bool {
        self.push(item) && self.flush()
    }
}

#[test]
fn a_full_pad_keeps_the_item_with_the_sender_but_takes_what_is_not_media() {
    let port = Port::new();
    let mut sender = port.add_pad(limits(2, Leaky::No), Arc::default());
    assert!(sender.send(item(1, true)) && sender.send(item(2, false)));
    assert!(sender.send(Item::Caps("a/b".parse().expect("caps"))));
    assert!(!sender.send(item(3, false)));
    assert_eq!(take(&port), [1, 2]);
    assert!(sender.flush());
    assert_eq!(take(&port), [3]);
}

#[test]
fn buffers_gather_before_they_take_the_lock() {
    let port = Port::new();
    let mut sender = port.add_pad(limits(100, Leaky::No), Arc::default());
    (0..MAX_GATHERED as u8 - 1).for_each(|i| assert!(sender.push(item(i, true))));
    assert!(take(&port).is_empty());
    assert!(sender.push(item(99, true)));
    assert_eq!(take(&port).len(), MAX_GATHERED);
}

#[test]
fn leaky_pads_leave_out_what_they_say() {
    let send = |leaky, keys: &[bool]| {
        let port = Port::new();
        let stats = Arc::<LinkStats>::default();
        let mut sender = port.add_pad(limits(2, leaky), stats.clone());
        keys.iter().enumerate().for_each(|(i, key)| assert!(sender.send(item(i as u8, *key))));
        let mut got = take(&port);
        assert!(sender.send(item(8, false)) && sender.send(item(9, true)));
        got.extend(take(&port));
        let report = stats.report("", "");
        assert_eq!(report.buffers, keys.len() as u64 + 2, "everything that was given, whatever became of it");
        (got, report.dropped)
    };
    let keys = [true, false, false, true];
    assert_eq!(send(Leaky::Upstream, &keys), (vec![0, 1, 8, 9], 2));
    assert_eq!(send(Leaky::Downstream, &keys), (vec![2, 3, 8, 9], 2));
    assert_eq!(send(Leaky::ToKeyframe, &keys), (vec![0, 1, 9], 3), "8 depends on what was left out");
}

#[test]
fn a_producer_is_not_held_back_while_a_needed_pad_is_empty() {
    let port = Port::new();
    let mut direct = port.add_pad(limits(1, Leaky::No), Arc::default());
    let mut encoded = port.add_pad(limits(1, Leaky::No), Arc::default());
    assert!(direct.send(item(1, true)));
    assert!(!direct.send(item(2, true)));
    direct.set_upstream(Arc::default(), 0, PadId(0), vec![7]);
    port.set_inbox(&Inbox::new(2), PadSet::from_iter([PadId(1)]));
    assert!(!direct.flush(), "the pad that starves comes from another source");
    encoded.set_upstream(Arc::default(), 0, PadId(0), vec![7]);
    port.set_inbox(&Inbox::new(2), PadSet::from_iter([PadId(1)]));
    assert!(direct.flush(), "the muxer waits for the encoder");
    assert!(encoded.send(item(3, true)));
    assert!(!direct.send(item(4, true)), "nobody is waiting any more");
}

#[test]
fn a_flush_overtakes_data_and_keeps_caps() {
    let port = Port::new();
    let mut sender = port.add_pad(limits(2, Leaky::No), Arc::default());
    for item in [Item::Caps("a/b".parse().expect("caps")), item(1, true), item(2, true), Item::Flush(7)] {
        assert!(sender.send(item));
    }
    let (mut batch, waker) = (VecDeque::new(), noop_waker());
    assert!(port.poll_take(&mut Context::from_waker(&waker), &mut batch).is_ready());
    let names: Vec<_> = batch.iter().map(|(_, item)| item.name()).collect();
    assert_eq!(names, ["flush", "caps"]);
}

#[test]
fn a_producer_that_finishes_ends_its_pad_once_and_a_lost_one_leaves_it_open() {
    let port = Port::new();
    let mut sender = port.add_pad(limits(2, Leaky::No), Arc::default());
    assert!(sender.send(Item::Eos));
    sender.end();
    port.add_pad(limits(2, Leaky::No), Arc::default()).end();
    drop(port.add_pad(limits(2, Leaky::No), Arc::default()));
    let (mut batch, waker) = (VecDeque::new(), noop_waker());
    assert!(port.poll_take(&mut Context::from_waker(&waker), &mut batch).is_ready());
    let pads: Vec<_> = batch.iter().map(|(pad, item)| (pad.0, item.name())).collect();
    assert_eq!(pads, [(0, "eos"), (1, "eos")]);
}
