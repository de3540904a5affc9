//! The order of items on each source pad.

use std::sync::Arc;

use millstream_core::{BufferFlags, CapsSet, Direction, Item, Presence};
use millstream_testkit::MemFs;
use millstream_tests::elements::{self, script};
use millstream_tests::sim;

use crate::case::{Case, Shape, cases, each_input, feed, pad_items, test_env};
use crate::input::Input;
use crate::passing::custom;

/// What [`assert_order`] asks for beside the order of items.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Wants {
    /// Timestamps in order, and the end.
    All,
    /// No end: nothing started, or it has not come yet.
    NoEnd,
    /// Nothing: the input itself was out of order.
    Nothing,
}

/// E-3, E-8 to E-12, E-14 on the items of one source pad.
pub(crate) fn assert_order(case: &Case, pad: &str, items: &[Item], wants: Wants) {
    let place = |at: usize| {
        let from = at.saturating_sub(4);
        let shown = items[from..=at.min(items.len() - 1)].iter().map(Item::name).collect::<Vec<_>>();
        format!("{}.{pad}, item {at}: ... {shown:?}", case.name())
    };
    let template = case.template_of(pad);
    let (mut started, mut caps, mut segment, mut ends, mut last) = (false, None, false, 0, None);
    for (at, item) in items.iter().enumerate() {
        assert!(ends == 0 || matches!(item, Item::Flush(_)), "E-14: {} after the end: {}", item.name(), place(at));
        match item {
            Item::StreamStart(_) => (started, caps, segment, last) = (true, None, false, None),
            Item::Absent => {}
            Item::Eos => ends += 1,
            Item::Flush(_) => (ends, last) = (0, None),
            _ => assert!(started, "E-8: {} before the stream start: {}", item.name(), place(at)),
        }
        match item {
            Item::Caps(now) => {
                assert!(template.accepts(now), "E-3: {now} is not in the template {template}: {}", place(at));
                let repeats = caps.as_ref() == Some(now) && !case.factory.passthrough;
                assert!(!repeats, "E-11: the same caps again: {}", place(at));
                caps = Some(now.clone());
            }
            Item::Segment(_) => (segment, last) = (true, None),
            Item::Buffer(buffer) => {
                let plain = matches!(template, CapsSet::Any);
                assert!(caps.is_some() || plain, "E-9: a buffer before the caps: {}", place(at));
                assert!(segment, "E-10: a buffer before the segment: {}", place(at));
                let time = buffer.dts_or_pts();
                let jumps = buffer.flags.contains(BufferFlags::DISCONT);
                let ordered = jumps || last <= time || time.is_none() || wants == Wants::Nothing;
                assert!(ordered, "E-12: {last:?} then {time:?}: {}", place(at));
                last = time.or(last);
            }
            _ => {}
        }
    }
    assert!(wants != Wants::All || ends == 1, "E-14: {ends} ends on {}.{pad}", case.name());
}

#[test]
fn e_8_to_e_14_items_come_in_order_and_the_end_exactly_once() {
    each_input(|case, inputs| {
        let mut harness = case.harness(&test_env());
        feed(&mut harness, &case.sinks, inputs).unwrap();
        harness.eos().unwrap();
        for pad in &case.srcs {
            let items = pad_items(&harness, pad);
            // A demuxer's pad may have no stream in this input; the runtime makes it absent and ends it.
            let sometimes = case.factory.template(Direction::Src, pad).unwrap().presence == Presence::Sometimes;
            let started = items.iter().any(|item| matches!(item, Item::StreamStart(_)));
            assert_order(case, pad, &items, if started || !sometimes { Wants::All } else { Wants::NoEnd });
            if case.factory.passthrough {
                let sent: Vec<_> =
                    items.iter().filter_map(|i| if let Item::Caps(c) = i { Some(c) } else { None }).collect();
                assert!(sent.iter().all(|caps| inputs.iter().any(|input| input.caps == **caps)), "E-7: {sent:?}");
            }
        }
    });
}

#[test]
fn e_8_to_e_14_hold_for_sources() {
    for case in cases().into_iter().filter(|case| case.shape() == Shape::BlockingSource) {
        let mut harness = case.harness(&test_env());
        harness.run().unwrap_or_else(|e| panic!("{}: {e}", case.name()));
        for pad in &case.srcs {
            assert_order(&case, pad, &pad_items(&harness, pad), Wants::All);
        }
    }
}

#[test]
fn e_8_to_e_15_hold_for_channels_between_tasks() {
    for case in cases().into_iter().filter(|c| c.shape() == Shape::Other && c.sinks.len() == 1 && c.srcs.len() == 1) {
        let mut items = Input::opaque().items("s");
        items.insert(5, custom());
        let mut registry = elements::registry();
        registry.add(script(items.clone()));
        let run = sim::simulate_with(
            &registry,
            Arc::new(MemFs::new()),
            &format!("script ! {} ! collect name=out", case.name()),
            1,
        )
        .ok(case.name());
        assert_order(&case, &case.srcs[0], run.items("out"), Wants::All);
        assert_eq!(run.items("out").len(), items.len() + 1, "{}: everything, and the end", case.name());
    }
}
