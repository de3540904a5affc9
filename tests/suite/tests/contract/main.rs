//! Every registered element against the element contract, `docs/spec/element.md`.
//!
//! But for `pacing`, nothing here names an element: settings and pads come from the factory's example line, input from real media that the
//! pad's template accepts. A new element is covered by being registered.
//!
//! | rule | here |
//! | --- | --- |
//! | E-1 | name, class, summary, example, pads |
//! | E-2 | properties described, in kebab-case, unknown ones refused; defaults can be written as they are shown |
//! | E-3, E-7 | caps that are sent fit the template; pass-through elements keep them |
//! | E-4 | building touches nothing outside |
//! | E-8 to E-12, E-14 | order of items on each source pad, the end exactly once |
//! | E-15, E-19 | what is not understood goes on |
//! | E-17 | sticky items again change nothing |
//! | E-18 | a demuxer says when all streams are known |
//! | E-24 | output of one call is in proportion to its input |
//! | E-31, E-32 | a flush voids what is held, goes on once, and the element works again |
//! | E-35 | requests go upstream |
//! | E-40 | pacing, in a chain that the program feeds |
//! | E-41 to E-43 | damaged input: no panic, errors that say what is wrong |
//! | E-44 | no unfinished file under its final name |
//! | E-46 | examples run, and stop when told to |

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails as loudly as the test")]

mod case;
mod damage;
mod input;
mod known;
mod order;
mod pacing;
mod passing;
mod requests;
