//! What elements of a pipeline leave out: counted by the host for each buffer, and told of with the element, the counts and the reason.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use millstream_plugin_sdk::prelude::*;

use crate::signal::Signal;

/// An element that goes on losing is told of so often.
const WARN_EVERY: TimeDelta = TimeDelta::from_secs(10);
/// Losses that one message may tell of: a counter of an element that says more has been set anew, or is wrong.
const MAX_AT_ONCE: u64 = 1000;
/// Buffers in a leaky queue that are told apart; beyond it the oldest is forgotten. GStreamer's own limit is 200.
const MAX_QUEUED: usize = 16 << 10;

/// Why an element has left something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It came later than the element may show or encode it.
    Late,
    /// What follows takes longer than what comes in.
    Full,
}

impl Reason {
    /// As the host counts it.
    fn name(self) -> &'static str {
        match self {
            Self::Late => "too late for GStreamer",
            Self::Full => "a leaky queue of GStreamer was full",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::Late => "came too late",
            Self::Full => "found it full, since what follows is too slow",
        }
    }
}

/// Of one pipeline.
#[derive(Default)]
pub(crate) struct Losses(Mutex<HashMap<String, Loss>>);

/// Of one element.
#[derive(Default)]
struct Loss {
    lost: u64,
    passed: u64,
    /// The latest that something was.
    late: i64,
    reason: Option<Reason>,
    /// When it was told of, and how much that was.
    told: Option<(Time, u64)>,
}

impl Loss {
    fn warning(&self, name: &str) -> Option<Error> {
        let (Self { lost, passed, .. }, reason) = (self, self.reason?);
        let late = match self.late {
            0 => String::new(),
            late => format!(", by up to {} ms", late / 1_000_000),
        };
        let text = format!(
            "`{name}` of GStreamer left out {lost} of {} buffers, which {}{late}",
            lost + passed,
            reason.cause()
        );
        Some(
            Error::limit(text)
                .hint("take a quicker preset or a smaller picture, or give the machine less to do at a time"),
        )
    }
}

impl Losses {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Loss>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An element has left out so many since it told, and has passed on so many in all.
    fn add(&self, host: &Host, name: &str, reason: Reason, lost: u64, passed: u64) {
        let warning = {
            let mut all = self.lock();
            let loss = all.entry(name.to_owned()).or_default();
            (loss.reason, loss.passed) = (Some(reason), passed);
            loss.lost += lost;
            let now = host.now();
            let due = loss.told.is_none_or(|(at, _)| now.since(at) >= WARN_EVERY);
            (due && lost > 0).then(|| loss.told = Some((now, loss.lost))).and_then(|()| loss.warning(name))
        };
        (0..lost).for_each(|_| host.post(&Message::Dropped(reason.name().to_owned(), 0, None)));
        if let Some(warning) = warning {
            host.warn(&warning);
        }
    }

    /// A message of an element about its quality of service: its counters are sums.
    pub(crate) fn qos(&self, host: &Host, name: &str, qos: &gst::message::Qos) {
        let (jitter, ..) = qos.values();
        let (passed, lost) = qos.stats();
        let count = |value: gst::GenericFormattedValue| u64::try_from(value.value()).ok();
        let fresh = {
            let mut all = self.lock();
            let loss = all.entry(name.to_owned()).or_default();
            loss.late = loss.late.max(jitter);
            // One that does not count posts for each, as cameras do.
            count(lost).map_or(1, |lost| lost.saturating_sub(loss.lost))
        };
        self.add(host, name, Reason::Late, fresh.min(MAX_AT_ONCE), count(passed).unwrap_or_default());
    }

    /// It ends: tells of what has been lost since the last time.
    pub(crate) fn settle(&self, host: &Host) {
        let mut all = self.lock();
        let untold = all.iter_mut().filter(|(_, loss)| loss.told.is_some_and(|(_, told)| told < loss.lost));
        for (name, loss) in untold {
            loss.told = loss.told.map(|(at, _)| (at, loss.lost));
            loss.warning(name).iter().for_each(|warning| host.warn(warning));
        }
    }
}

/// Counts what the leaky queues of a pipeline leave out: they themselves say nothing of it.
pub(crate) fn watch(bin: &gst::Bin, signal: &Arc<Signal>) {
    let elements = bin.iterate_recurse().into_iter().filter_map(Result::ok);
    elements.filter(is_leaky).for_each(|queue| watch_queue(&queue, signal));
}

fn is_leaky(element: &gst::Element) -> bool {
    let queue = element.factory().is_some_and(|factory| factory.name() == "queue");
    let leaky = queue.then(|| element.property_value("leaky").serialize().ok()).flatten();
    leaky.is_some_and(|leaky| leaky != "no" && leaky != "not-leaky")
}

/// What is in a queue, by address, in order.
#[derive(Default)]
struct Queued {
    waiting: VecDeque<usize>,
    passed: u64,
}

impl Queued {
    fn enters(&mut self, item: usize) {
        if self.waiting.len() == MAX_QUEUED {
            self.waiting.pop_front();
        }
        self.waiting.push_back(item);
    }

    /// What was before it and did not come out has been left out. An address that is used again counts for its predecessor: the next
    /// to come out makes up for it.
    fn leaves(&mut self, item: usize) -> u64 {
        self.passed += 1;
        let mut lost = 0;
        while let Some(first) = self.waiting.pop_front() {
            if first == item {
                break;
            }
            lost += 1;
        }
        lost
    }
}

fn address(data: Option<&gst::PadProbeData<'_>>) -> Option<usize> {
    match data? {
        gst::PadProbeData::Buffer(buffer) => Some(buffer.as_ptr().addr()),
        gst::PadProbeData::BufferList(list) => Some(list.as_ptr().addr()),
        _ => None,
    }
}

fn watch_queue(queue: &gst::Element, signal: &Arc<Signal>) {
    let (Some(sink), Some(src)) = (queue.static_pad("sink"), queue.static_pad("src")) else { return };
    let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    let queued = Arc::<Mutex<Queued>>::default();
    let (entering, name) = (queued.clone(), queue.name().to_string());
    let tell = {
        let signal = signal.clone();
        move |lost: u64, passed: u64| {
            if lost > 0 {
                signal.losses.add(&signal.host, &name, Reason::Full, lost, passed);
            }
        }
    };
    sink.add_probe(media, move |_, info| {
        if let Some(item) = address(info.data.as_ref()) {
            entering.lock().unwrap_or_else(PoisonError::into_inner).enters(item);
        }
        gst::PadProbeReturn::Ok
    });
    src.add_probe(media | gst::PadProbeType::EVENT_FLUSH | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let (lost, passed) = {
            let mut queued = queued.lock().unwrap_or_else(PoisonError::into_inner);
            let lost = match (address(info.data.as_ref()), info.event().map(|event| event.type_())) {
                (Some(item), _) => queued.leaves(item),
                // Nothing waits before the end: what has not come out does not come any more.
                (None, Some(gst::EventType::Eos)) => queued.waiting.drain(..).count() as u64,
                (None, Some(gst::EventType::FlushStop)) => {
                    queued.waiting.clear();
                    0
                }
                _ => 0,
            };
            (lost, queued.passed)
        };
        tell(lost, passed);
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_leaky_queue_leaves_out_at_either_end_is_counted() {
        // The oldest: of five, two come out.
        let mut queued = Queued::default();
        (1..=5).for_each(|item| queued.enters(item));
        assert_eq!([queued.leaves(4), queued.leaves(5)], [3, 0]);
        // The newest, whose memory is used again for what comes next.
        [1, 2, 3, 3, 4].into_iter().for_each(|item| queued.enters(item));
        assert_eq!([1, 2, 3, 4].map(|item| queued.leaves(item)), [0, 0, 0, 1]);
        assert_eq!(queued.passed, 6);
    }
}
