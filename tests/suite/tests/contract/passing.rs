//! What passes through an element beside media: what it does not know, sticky items, flushes.

use bytes::Bytes;
use millstream_core::item::Custom;
use millstream_core::{Direction, Item, Presence, Tags};
use millstream_testkit::Harness;

use crate::case::{cases, each_input, feed, has_one_way, pad_items, test_env};
use crate::input::Input;
use crate::order::{Wants, assert_order};

/// Bytes that a call may send beyond a multiple of what it was given: tables, headers, an index, what was held.
const CALL_ALLOWANCE: usize = 4 << 20;

pub(crate) fn custom() -> Item {
    Item::Custom(Custom { name: "test/never-heard-of".into(), data: Bytes::from_static(b"x") }.into())
}

pub(crate) fn tags() -> Item {
    Item::Tags(Tags(vec![("title".into(), "contract".into())]).into())
}

#[test]
fn e_15_what_is_not_understood_goes_on() {
    each_input(|case, inputs| {
        if !has_one_way(case) {
            return;
        }
        let mut harness = case.harness(&test_env());
        feed(&mut harness, &case.sinks, inputs).unwrap();
        harness.push(&case.sinks[0], custom()).unwrap();
        harness.push(&case.sinks[0], tags()).unwrap();
        harness.eos().unwrap();
        for pad in &case.srcs {
            let items = pad_items(&harness, pad);
            // A closed valve passes neither.
            if items.iter().any(|item| matches!(item, Item::Buffer(_))) {
                let passed =
                    items.iter().any(|item| matches!(item, Item::Custom(c) if c.name == "test/never-heard-of"));
                assert!(passed, "E-15: a custom event does not reach {}.{pad}", case.name());
                let tagged =
                    items.iter().any(|i| matches!(i, Item::Tags(t) if t.0.iter().any(|(_, v)| v == "contract")));
                assert!(tagged, "E-15: tags do not reach {}.{pad}", case.name());
            }
        }
    });
}

/// Time, size and flags of the media that came out.
fn media_of(harness: &Harness) -> String {
    harness.timeline().buffers().to_string()
}

#[test]
fn e_17_sticky_items_again_change_nothing() {
    each_input(|case, inputs| {
        let mut plain = case.harness(&test_env());
        feed(&mut plain, &case.sinks, inputs).unwrap();
        plain.eos().unwrap();
        let mut again = case.harness(&test_env());
        let heads: Vec<_> = case.sinks.iter().zip(inputs).map(|(pad, input)| (pad, input.head(pad))).collect();
        for (pad, head) in &heads {
            // Not the stream start: that would be another stream.
            for item in head.iter().chain(&head[1..]) {
                again.push(pad, item.clone()).unwrap();
            }
        }
        let longest = inputs.iter().map(|input| input.buffers.len()).max().unwrap_or(0);
        for at in 0..longest {
            for ((pad, head), input) in heads.iter().zip(inputs) {
                if let Some(buffer) = input.buffers.get(at) {
                    again.push_buffer(pad, buffer.clone()).unwrap();
                    if at == 3 {
                        again.push(pad, head[1].clone()).unwrap();
                    }
                }
            }
        }
        again.eos().unwrap();
        for pad in &case.srcs {
            let (a, b) = (plain.timeline().pad(pad).buffers(), again.timeline().pad(pad).buffers());
            assert_eq!(a.diff(&b), None, "{}.{pad}", case.name());
            assert_order(case, pad, &pad_items(&again, pad), Wants::NoEnd);
        }
    });
}

#[test]
fn e_18_demuxers_say_when_all_streams_are_known() {
    each_input(|case, inputs| {
        if case.factory.templates(Direction::Src).any(|pad| pad.presence == Presence::Sometimes) {
            let mut harness = case.harness(&test_env());
            feed(&mut harness, &case.sinks, inputs).unwrap();
            harness.eos().unwrap();
            assert!(harness.streams_complete, "{}", case.name());
        }
    });
    // An input without a byte has no stream, and that is known too.
    for case in cases().iter().filter(|case| !case.sinks.is_empty()) {
        if case.factory.templates(Direction::Src).any(|pad| pad.presence == Presence::Sometimes) {
            let mut harness = case.harness(&test_env());
            // Whether that is an error is the element's affair.
            let _ = harness.eos();
            assert!(harness.streams_complete, "{} with empty input", case.name());
        }
    }
}

#[test]
fn e_19_absent_goes_on() {
    each_input(|case, _| {
        let mut harness = case.harness(&test_env());
        for pad in &case.sinks {
            harness.push(pad, Item::Absent).unwrap();
        }
        let demuxes = case.factory.templates(Direction::Src).any(|pad| pad.presence == Presence::Sometimes);
        if case.sinks.len() == 1 && !demuxes {
            for pad in &case.srcs {
                let passed = pad_items(&harness, pad).iter().any(|item| matches!(item, Item::Absent));
                assert!(passed, "E-19: {}.{pad}", case.name());
            }
        }
    });
}

#[test]
fn e_24_output_is_in_proportion_to_input() {
    each_input(|case, inputs| {
        let mut harness = case.harness(&test_env());
        let (mut given, mut sent) = (0, 0);
        let longest = inputs.iter().map(|input| input.buffers.len()).max().unwrap_or(0);
        for (pad, input) in case.sinks.iter().zip(inputs) {
            input.head(pad).into_iter().for_each(|item| harness.push(pad, item).unwrap());
        }
        for at in 0..longest {
            for (pad, input) in case.sinks.iter().zip(inputs) {
                let Some(buffer) = input.buffers.get(at) else { continue };
                given += buffer.payload.len();
                harness.push_buffer(pad, buffer.clone()).unwrap();
                for src in &case.srcs {
                    sent += harness.take(src).iter().map(Item::bytes).sum::<usize>();
                }
                let most = given * 2 * case.srcs.len().max(1) + CALL_ALLOWANCE;
                assert!(sent <= most, "E-24: {} made {sent} of {given} bytes", case.name());
            }
        }
    });
}

#[test]
fn e_31_a_flush_voids_what_is_held_goes_on_and_the_element_works_again() {
    each_input(|case, inputs| {
        let mut harness = case.harness(&test_env());
        let half: Vec<Input> = inputs
            .iter()
            .map(|input| Input { buffers: input.buffers[..input.buffers.len() / 2].to_vec(), ..input.clone() })
            .collect();
        feed(&mut harness, &case.sinks, &half).unwrap();
        let before: Vec<bool> = case.srcs.iter().map(|pad| !pad_items(&harness, pad).is_empty()).collect();
        case.srcs.iter().for_each(|pad| drop(harness.take(pad)));
        for pad in &case.sinks {
            harness.push(pad, Item::Flush(7)).unwrap();
        }
        for (pad, started) in case.srcs.iter().zip(before) {
            let flushes = pad_items(&harness, pad).iter().filter(|item| matches!(item, Item::Flush(7))).count();
            // The runtime forwards an aggregate's flush once per epoch; the harness does so for each pad.
            let expected = if started { 1..=case.sinks.len() } else { 0..=case.sinks.len() };
            assert!(expected.contains(&flushes), "E-31: {flushes} flushes on {}.{pad}", case.name());
            let media = pad_items(&harness, pad).iter().any(|item| matches!(item, Item::Buffer(_)));
            assert!(!media, "E-31: {}.{pad} sends what a flush made void", case.name());
        }
        feed(&mut harness, &case.sinks, inputs).unwrap();
        harness.eos().unwrap();
        let mut fresh = case.harness(&test_env());
        feed(&mut fresh, &case.sinks, inputs).unwrap();
        fresh.eos().unwrap();
        let count = |harness: &Harness| harness.timeline().buffers().0.len();
        if has_one_way(case) {
            assert_eq!(count(&harness), count(&fresh), "E-32: {} after a flush", case.name());
        } else if !case.srcs.is_empty() && count(&fresh) > 0 {
            assert!(count(&harness) > 0, "E-32: {} gives nothing after a flush: {}", case.name(), media_of(&harness));
        }
    });
}
