//! The cases of the kit.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millstream_core::item::{Custom, Gap, SeekTo};
use millstream_core::{Error, ErrorKind, Item, PadId, Request, Segment, Tags, Time, TimeDelta};
use serde_json::{Value, json};

use super::Subject;
use super::drive::{Drive, Sent, defaults, values};

/// Something that an element promises.
pub struct Case {
    /// One word for it.
    pub name: &'static str,
    /// What is promised, with the rules that say so.
    pub promise: &'static str,
    pub(super) run: fn(&Subject<'_>) -> Result<(), String>,
}

/// All of them.
pub const CASES: &[Case] = &[
    Case { name: "life", promise: "it is made, started, stopped in time and freed (P-24)", run: life },
    Case { name: "stream", promise: "a stream goes through in order and ends once (E-8, E-14, E-15)", run: stream },
    Case { name: "references", promise: "each reference is given back once (P-11)", run: references },
    Case { name: "flush", promise: "a flush goes on, and nothing from before it comes after (E-31, P-23)", run: flush },
    Case { name: "middle", promise: "it can be stopped at any time (P-24)", run: middle },
    Case { name: "threads", promise: "its calls may come on changing threads (P-21)", run: threads },
    Case { name: "requests", promise: "requests of every kind are no trouble (E-35, E-36, P-20)", run: requests },
    Case { name: "interrupt", promise: "whoever waits returns soon when told (P-23)", run: interrupt },
    Case {
        name: "properties",
        promise: "each property takes the values that its schema allows (P-35)",
        run: properties,
    },
    Case { name: "settings", promise: "malformed settings are refused with an error (P-30)", run: settings },
    Case {
        name: "again",
        promise: "it can be made and freed again and again, and leaves no thread (P-24)",
        run: again,
    },
];

/// Buffers of a stream.
const BUFFERS: i64 = 40;
/// How long a call may take that is told to return, and an element to end. As long as `stop` may.
const SOON: Duration = Duration::from_secs(5);
/// How long a source is let run.
const WHILE: Duration = Duration::from_millis(300);

fn make(subject: &Subject<'_>) -> Result<Drive, String> {
    let settings = Value::Object(defaults(subject)).to_string();
    Drive::create(subject, &settings).map_err(|e| format!("it cannot be made with its defaults: {e}"))
}

/// Errors that say that the element is wrong, and not what it was given.
fn own_fault(error: &Error) -> Result<(), String> {
    match error.kind() {
        ErrorKind::Bug => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn life(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    let started = drive.start();
    let begun = Instant::now();
    drop(drive);
    started.map(drop).or_else(|e| own_fault(&e))?;
    let took = begun.elapsed();
    if took > SOON { Err(format!("`stop` and `destroy` took {} s", took.as_secs())) } else { Ok(()) }
}

/// All pads in turn, whatever is sent to each. `false` when the element ended with an error that is not its own.
fn send_all(drive: &mut Drive, item: impl Fn(&Drive, usize) -> Item, sent: &mut Sent) -> Result<bool, String> {
    for pad in 0..drive.sinks.len() {
        let item = item(drive, pad);
        match drive.send(PadId(pad as u16), item) {
            Ok(more) => sent.extend(more),
            Err(error) => return own_fault(&error).map(|()| false),
        }
    }
    Ok(true)
}

fn send_head(drive: &mut Drive, sent: &mut Sent) -> Result<bool, String> {
    for at in 0..3 {
        if !send_all(drive, |drive, pad| drive.head(pad).swap_remove(at), sent)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn send_buffers(drive: &mut Drive, from: i64, count: i64, sent: &mut Sent) -> Result<bool, String> {
    for number in from..from + count {
        if !send_all(drive, |drive, _| drive.buffer(number), sent)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A whole stream. `None`: the element does not take this media, and said so.
fn whole(drive: &mut Drive) -> Result<Option<Sent>, String> {
    let mut sent = drive.start().map_err(|e| e.to_string())?;
    let others: [fn() -> Item; 3] = [
        || Item::Tags(std::sync::Arc::new(Tags(vec![("title".into(), "a title".into())]))),
        || Item::Custom(std::sync::Arc::new(Custom { name: "kit/event".into(), data: vec![1, 2, 3].into() })),
        || Item::Gap(Box::new(Gap { start: Time::from_millis(800), duration: Some(TimeDelta::from_millis(20)) })),
    ];
    let mut goes = send_head(drive, &mut sent)? && send_buffers(drive, 0, BUFFERS, &mut sent)?;
    for other in others {
        goes = goes && send_all(drive, |_, _| other(), &mut sent)?;
    }
    goes = goes && send_all(drive, |_, _| Item::Eos, &mut sent)?;
    Ok(goes.then_some(sent))
}

fn stream(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    if drive.is_source() {
        return source(&mut drive);
    }
    let Some(sent) = whole(&mut drive)? else { return Ok(()) };
    for pad in 0..drive.srcs {
        let own: Vec<&Item> = sent.iter().filter(|(on, _)| on.index() == pad).map(|(_, item)| item).collect();
        in_order(pad, &own)?;
        let ends = own.iter().filter(|item| matches!(item, Item::Eos)).count();
        if ends != 1 {
            return Err(format!("source pad {pad} ended {ends} times when its input had ended"));
        }
        let passed = |name: &str| own.iter().any(|item| item.name() == name);
        if subject.element.passthrough && !(passed("tags") && passed("custom") && passed("buffer")) {
            return Err("it says that it passes everything on, and left out tags, custom events or buffers".to_owned());
        }
    }
    Ok(())
}

fn in_order(pad: usize, items: &[&Item]) -> Result<(), String> {
    let started = items.iter().position(|item| matches!(item, Item::StreamStart(_)));
    let first = items.iter().position(|item| !matches!(item, Item::Absent | Item::StreamStart(_)));
    if first.is_some_and(|first| started.is_none_or(|started| started > first)) {
        return Err(format!("source pad {pad} sent something before the start of its stream"));
    }
    let end = items.iter().position(|item| matches!(item, Item::Eos));
    match end.and_then(|end| items.get(end + 1)) {
        Some(item) => Err(format!("source pad {pad} sent {} after its end", item.name())),
        None => Ok(()),
    }
}

fn source(drive: &mut Drive) -> Result<(), String> {
    let mut sent = drive.start().map_err(|e| e.to_string())?;
    let until = Instant::now() + WHILE;
    let interrupt = drive.interrupt.clone();
    std::thread::spawn(move || {
        std::thread::sleep(WHILE);
        interrupt.cancel();
    });
    while Instant::now() < until {
        match drive.produce().or_else(|e| own_fault(&e).map(|()| None))? {
            Some(more) => sent.extend(more),
            None => break,
        }
    }
    for pad in 0..drive.srcs {
        let own: Vec<&Item> = sent.iter().filter(|(on, _)| on.index() == pad).map(|(_, item)| item).collect();
        in_order(pad, &own)?;
    }
    Ok(())
}

fn references(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    let alive = drive.alive.clone();
    let sent = if drive.is_source() { None } else { whole(&mut drive)? };
    drop((sent, drive));
    // Threads of the element may be at the last of it.
    let until = Instant::now() + SOON;
    while alive.load(Ordering::Acquire) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    match alive.load(Ordering::Acquire) {
        0 => Ok(()),
        left => Err(format!("{left} buffers are still held when it is gone: references were not given back")),
    }
}

fn flush(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    if drive.is_source() {
        return Ok(());
    }
    let mut sent = drive.start().map_err(|e| e.to_string())?;
    if !(send_head(&mut drive, &mut sent)? && send_buffers(&mut drive, 0, BUFFERS, &mut sent)?) {
        return Ok(());
    }
    let mut after = match drive.send(PadId::FIRST, Item::Flush(1)) {
        Ok(after) => after,
        Err(error) => return own_fault(&error),
    };
    for pad in 0..drive.srcs {
        let flushes = after.iter().filter(|(on, item)| on.index() == pad && matches!(item, Item::Flush(1))).count();
        if flushes != 1 {
            return Err(format!("a flush came out of source pad {pad} {flushes} times"));
        }
    }
    let again = |_: &Drive, _: usize| Item::Segment(Segment::time(Time::ZERO).into());
    let late = 10_000;
    if !(send_all(&mut drive, again, &mut after)?
        && send_buffers(&mut drive, late, 5, &mut after)?
        && send_all(&mut drive, |_, _| Item::Eos, &mut after)?)
    {
        return Ok(());
    }
    let old = after.iter().filter_map(|(_, item)| match item {
        Item::Buffer(buffer) => buffer.pts.filter(|pts| *pts < Time::from_millis(20 * (late - 1000))),
        _ => None,
    });
    match old.count() {
        0 => Ok(()),
        old => Err(format!("{old} buffers from before a flush came after it")),
    }
}

fn middle(subject: &Subject<'_>) -> Result<(), String> {
    for count in [0, 1, 7] {
        let mut drive = make(subject)?;
        let mut sent = drive.start().map_err(|e| e.to_string())?;
        if !drive.is_source() {
            let _ = send_head(&mut drive, &mut sent)? && send_buffers(&mut drive, 0, count, &mut sent)?;
        }
        let begun = Instant::now();
        drop(drive);
        if begun.elapsed() > SOON {
            return Err(format!("it took {} s to stop after {count} buffers", begun.elapsed().as_secs()));
        }
    }
    Ok(())
}

fn threads(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    if drive.is_source() {
        return Ok(());
    }
    let mut sent = drive.start().map_err(|e| e.to_string())?;
    let drive = &mut drive;
    let sent = &mut sent;
    let on_another = |body: &mut (dyn FnMut() -> Result<bool, String> + Send)| {
        std::thread::scope(|scope| scope.spawn(body).join().unwrap_or(Err("it panicked".to_owned())))
    };
    let mut goes = on_another(&mut || send_head(drive, sent))?;
    for number in 0..BUFFERS {
        goes = goes && on_another(&mut || send_buffers(drive, number, 1, sent))?;
    }
    if goes {
        on_another(&mut || send_all(drive, |_, _| Item::Eos, sent))?;
    }
    Ok(())
}

fn requests(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    let mut sent = drive.start().map_err(|e| e.to_string())?;
    if !drive.is_source() && !send_head(&mut drive, &mut sent)? {
        return Ok(());
    }
    let requests = [
        Request::KeyFrame,
        Request::Bitrate(0),
        Request::Bitrate(u64::MAX),
        Request::Seek { to: SeekTo::Time(Time::MIN), epoch: 1 },
        Request::Seek { to: SeekTo::Byte(u64::MAX), epoch: 2 },
        Request::Quality(TimeDelta::MAX),
        Request::Read { offset: u64::MAX, len: u32::MAX },
    ];
    for request in requests {
        for pad in 0..drive.srcs {
            let name = request.name();
            drive
                .request(PadId(pad as u16), request.clone())
                .map_err(|e| format!("a request ({name}) failed it: {e}"))?;
        }
    }
    Ok(())
}

fn interrupt(subject: &Subject<'_>) -> Result<(), String> {
    let mut drive = make(subject)?;
    if !(drive.is_source() || drive.is_sink()) {
        return Ok(());
    }
    drive.start().map_err(|e| e.to_string())?;
    let told = drive.interrupt.clone();
    let (over, wait) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || {
        let mut number = 0;
        let result = loop {
            let went_on = match drive.is_source() {
                true => drive.produce().map(|made| made.is_some()),
                false => {
                    number += 1;
                    let item = drive.buffer(number);
                    drive.send(PadId::FIRST, item).map(|_| true)
                }
            };
            match went_on {
                Ok(true) if !drive.interrupt.is_cancelled() => {}
                Ok(_) => break Ok(()),
                Err(error) => break own_fault(&error),
            }
        };
        let _ = over.send(());
        drop(drive);
        result
    });
    std::thread::sleep(WHILE);
    told.cancel();
    match wait.recv_timeout(SOON) {
        Ok(()) => worker.join().unwrap_or(Err("it panicked".to_owned())),
        Err(_) => Err(format!("a call did not return within {} s of `interrupt`", SOON.as_secs())),
    }
}

fn properties(subject: &Subject<'_>) -> Result<(), String> {
    let properties = subject.element.settings.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, schema) in &properties {
        for value in values(schema) {
            let mut settings = defaults(subject);
            settings.insert(name.clone(), value.clone());
            if let Err(error) = Drive::create(subject, &Value::Object(settings).to_string()) {
                own_fault(&error).map_err(|fault| format!("`{name}` = {value}: {fault}"))?;
            }
        }
    }
    Ok(())
}

fn settings(subject: &Subject<'_>) -> Result<(), String> {
    let mut texts: Vec<String> =
        ["", "{", "[]", "null", "7", "\"\"", "{\"no-such-property\":1}", "{\"\":{}}"].map(str::to_owned).to_vec();
    texts.push("[".repeat(10_000));
    let names = subject.element.settings.get("properties").and_then(Value::as_object);
    for name in names.into_iter().flat_map(|all| all.keys()) {
        let wrong = [json!(-1), json!(1e300), json!(u64::MAX), json!("\u{0}é"), json!([]), json!({}), json!(null)];
        texts.extend(wrong.iter().map(|value| json!({ name.as_str(): value }).to_string()));
    }
    for text in texts {
        if let Err(error) = Drive::create(subject, &text) {
            if error.message().starts_with("panicked") {
                let start: String = text.chars().take(60).collect();
                return Err(format!("settings {start}: {error}"));
            }
            if error.message().contains("did not say why") {
                return Err(error.to_string());
            }
        }
    }
    Ok(())
}

fn again(subject: &Subject<'_>) -> Result<(), String> {
    let round = || -> Result<(), String> {
        let mut drive = make(subject)?;
        if drive.is_source() { drive.start().map(drop).map_err(|e| e.to_string()) } else { whole(&mut drive).map(drop) }
    };
    // The first round may start what stays, such as a pool of threads.
    round()?;
    let before = own_threads();
    for _ in 0..20 {
        round()?;
    }
    std::thread::sleep(WHILE);
    match own_threads().saturating_sub(before) {
        0 => Ok(()),
        more => Err(format!("{more} threads are left of 20 elements that are gone")),
    }
}

/// Threads of this process, where the system says.
fn own_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
