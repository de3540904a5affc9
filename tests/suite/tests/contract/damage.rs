//! Damaged and unfinished input.

use std::panic::{AssertUnwindSafe, catch_unwind};

use millstream_core::registry::Resource;

use crate::case::{Shape, cases, each_input, feed, pad_items, test_env};
use crate::input::Input;
use crate::order::{Wants, assert_order};

/// Seeds of damage for each element and input when the environment does not say.
const SEEDS: u64 = 3;

#[test]
fn e_42_soak_damaged_input_never_panics_and_e_43_errors_say_what_is_wrong() {
    let seeds = std::env::var("MILLSTREAM_SOAK_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    each_input(|case, inputs| {
        for seed in 0..seeds {
            let inputs: Vec<Input> = inputs.iter().map(|input| input.damaged(seed)).collect();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let mut harness = case.harness(&test_env());
                let fed = feed(&mut harness, &case.sinks, &inputs).and_then(|()| harness.eos());
                for pad in &case.srcs {
                    assert_order(case, pad, &pad_items(&harness, pad), Wants::Nothing);
                }
                if let Err(error) = fed {
                    let first = error.message().chars().next().unwrap_or('?');
                    assert!(
                        !first.is_uppercase()
                            || error.message().starts_with(|c: char| c.is_ascii_uppercase())
                                && error.message().chars().nth(1).is_some_and(char::is_uppercase),
                        "E-43: {error}"
                    );
                }
            }));
            assert!(outcome.is_ok(), "E-42: {} with damage {seed}", case.name());
        }
    });
}

#[test]
fn e_44_an_unfinished_file_has_no_final_name() {
    for case in cases().into_iter().filter(|case| case.srcs.is_empty() && case.shape() == Shape::Driven) {
        let env = test_env();
        let resources = case.factory.exclusive(&*case.settings());
        for inputs in case.inputs() {
            let mut harness = case.harness(&env);
            feed(&mut harness, &case.sinks, &inputs).unwrap();
            drop(harness);
            for resource in &resources {
                if let Resource::WritesFile(path) = resource {
                    let whole = env
                        .fs
                        .get(path)
                        .is_none_or(|bytes| path.extension().is_some_and(|e| e == "m3u8") && !bytes.is_empty());
                    assert!(whole, "E-44: {} left {} without its end", case.name(), path.display());
                }
            }
        }
    }
}
