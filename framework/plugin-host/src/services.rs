//! What the host does for one element: the functions of `ms_host`.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use millstream_core::{Env, Error, MessageKind, Output, Time, TimeDelta};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::{Str, status};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::{caps, convert, memory};

/// Messages that wait for a call of the element; beyond it they are counted. A thread of a plugin may post faster than its element runs.
const MAX_MAIL: usize = 1024;

/// A late buffer is told of at most so often.
const LATE_EVERY: TimeDelta = TimeDelta::from_secs(1);

/// What an element of a plugin and the adapter around it share.
pub(crate) struct Shared {
    /// The element's name in the pipeline, for logs.
    pub(crate) name: Arc<str>,
    pub(crate) plugin: &'static str,
    pub(crate) env: Env,
    pub(crate) base_time: Time,
    pub(crate) cancelled: AtomicBool,
    /// There is mail or an error.
    attention: AtomicBool,
    mail: Mutex<Mail>,
    late: Late,
    /// Tells the task of an element that has a thread of its own, which may be waiting in a call.
    task: OnceLock<Sender<()>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Mail {
    error: Option<Error>,
    messages: Vec<MessageKind>,
    lost: u64,
}

/// What plugins have done that they must not, where no call is there to fail.
static VIOLATIONS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// A plugin has done what it must not.
#[cold]
pub(crate) fn violation(what: &'static str) {
    let mut violations = VIOLATIONS.lock().unwrap_or_else(PoisonError::into_inner);
    if !violations.contains(&what) {
        tracing::error!("a plugin {what}");
        violations.push(what);
    }
}

/// What plugins have done that they must not, since the last time.
pub(crate) fn violations() -> Vec<&'static str> {
    std::mem::take(&mut VIOLATIONS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Buffers that came too late.
#[derive(Default)]
struct Late {
    count: AtomicU64,
    most: AtomicI64,
    told: AtomicI64,
}

impl Shared {
    /// For an element of a plugin; `wake` has the element called soon.
    pub(crate) fn new(
        name: Arc<str>,
        plugin: &'static str,
        env: Env,
        base_time: Time,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            plugin,
            env,
            base_time,
            cancelled: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            mail: Mutex::default(),
            late: Late::default(),
            task: OnceLock::new(),
            wake: Box::new(wake),
        })
    }

    /// True when [`Shared::attend`] has something to do. One load: asked for after each call.
    #[inline]
    pub(crate) fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed)
    }

    /// Posts what waits, and gives the error that was told.
    #[cold]
    pub(crate) fn attend(&self, out: &mut Output) -> Option<Error> {
        let mail = {
            let mut mail = self.lock();
            self.attention.store(false, Ordering::Relaxed);
            std::mem::take(&mut *mail)
        };
        mail.messages.into_iter().for_each(|message| out.post(message));
        if mail.lost > 0 {
            out.warn(Error::limit(format!(
                "{} messages were left out: they came faster than they were read",
                mail.lost
            )));
        }
        mail.error
    }

    /// The element fails at its next call, which is asked for.
    pub(crate) fn fail(&self, error: Error) {
        self.lock().error.get_or_insert(error);
        self.call_for_attention();
    }

    /// For the task of an element that has a thread of its own: ready when there is something to attend to.
    pub(crate) fn attention(&self) -> Receiver<()> {
        // One that waits stands for all.
        let (sender, receiver) = channel(1);
        let _ = self.task.set(sender);
        receiver
    }

    fn call_for_attention(&self) {
        self.attention.store(true, Ordering::Release);
        if let Some(task) = self.task.get() {
            let _ = task.try_send(());
        }
        (self.wake)();
    }

    fn post(&self, message: MessageKind) {
        {
            let mut mail = self.lock();
            match mail.messages.len() < MAX_MAIL {
                true => mail.messages.push(message),
                false => mail.lost += 1,
            }
        }
        self.call_for_attention();
    }

    /// Counts a late buffer, and tells of it now and then.
    fn late(&self, by: i64) {
        let count = self.late.count.fetch_add(1, Ordering::Relaxed) + 1;
        let most = self.late.most.fetch_max(by, Ordering::Relaxed).max(by);
        let now = self.env.clock.now().nanos();
        let told = self.late.told.load(Ordering::Relaxed);
        if told != 0 && now.saturating_sub(told) < LATE_EVERY.nanos() {
            return;
        }
        self.late.told.store(now.max(1), Ordering::Relaxed);
        let fields = vec![("count", count.to_string()), ("ns", by.to_string()), ("most-ns", most.to_string())];
        self.post(MessageKind::Element { name: "late", fields });
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `ms_host` with what it belongs to. The ABI's struct comes first.
#[repr(C)]
pub(crate) struct Services {
    abi: abi::Host,
    shared: Arc<Shared>,
}

// SAFETY: the pointers in the ABI's struct are constant text of ours; nothing is written through them.
unsafe impl Send for Services {}
// SAFETY: as above; what is shared is made for it.
unsafe impl Sync for Services {}

impl Services {
    pub(crate) fn new(shared: Arc<Shared>) -> Box<Self> {
        let abi = abi::Host {
            size: size_of::<abi::Host>() as u32,
            abi_minor: abi::ABI_MINOR,
            instance: std::ptr::null_mut(),
            name: Str::new("millstream"),
            version: Str::new(env!("CARGO_PKG_VERSION")),
            get_extension: Some(get_extension),
            log: Some(log),
            fail: Some(fail),
            post: Some(post),
            wake: Some(wake),
            is_cancelled: Some(is_cancelled),
            now: Some(now),
            wall: Some(wall),
            base_time: Some(base_time),
            buffer_new: Some(buffer_new),
            caps_new: Some(caps::new),
            caps_ref: Some(caps::add_ref),
            caps_unref: Some(caps::unref),
            caps_text: Some(caps::text),
            caps_media: Some(caps::media),
            caps_get_text: Some(caps::get_text),
            caps_get_int: Some(caps::get_int),
            caps_get_fraction: Some(caps::get_fraction),
            caps_get_bytes: Some(caps::get_bytes),
            caps_equal: Some(caps::equal),
        };
        Box::new(Self { abi, shared })
    }

    pub(crate) fn as_abi(&self) -> *const abi::Host {
        std::ptr::from_ref(self).cast()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// Runs the body for a host of ours. A panic of ours must not run into the plugin.
///
/// # Safety
/// `host` is null or one that [`Services::new`] made and that is still there.
unsafe fn with<T>(host: *const abi::Host, otherwise: T, body: impl FnOnce(&Shared) -> T) -> T {
    // SAFETY: promised by the caller.
    match unsafe { host.cast::<Services>().as_ref() } {
        Some(services) => catch_unwind(AssertUnwindSafe(|| body(&services.shared))).unwrap_or(otherwise),
        None => otherwise,
    }
}

unsafe extern "C" fn get_extension(_: *const abi::Host, _: Str, _: u32) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn log(host: *const abi::Host, level: u32, target: Str, text: Str) {
    // SAFETY: called by the plugin with the host that it was given, and text.
    unsafe {
        with(host, (), |shared| {
            let (target, text) = (target.get().unwrap_or("?"), text.get().unwrap_or("(no UTF-8)"));
            let (element, plugin) = (&*shared.name, shared.plugin);
            match level {
                0 | abi::host::level::ERROR => tracing::error!(plugin, element, from = target, "{text}"),
                abi::host::level::WARN => tracing::warn!(plugin, element, from = target, "{text}"),
                abi::host::level::INFO => tracing::info!(plugin, element, from = target, "{text}"),
                abi::host::level::DEBUG => tracing::debug!(plugin, element, from = target, "{text}"),
                _ => tracing::trace!(plugin, element, from = target, "{text}"),
            }
        });
    }
}

unsafe extern "C" fn fail(host: *const abi::Host, record: *const abi::ErrorRecord) {
    // SAFETY: called by the plugin with the host that it was given, and a record.
    unsafe { with(host, (), |shared| shared.fail(convert::error(record))) };
}

unsafe extern "C" fn post(host: *const abi::Host, message: *const abi::Message) {
    // SAFETY: called by the plugin with the host that it was given, and a message.
    unsafe {
        with(host, (), |shared| match convert::message(message) {
            Ok(_) if (*message).kind == abi::report::message::LATE => shared.late((*message).duration),
            Ok(message) => shared.post(message),
            Err(what) => shared.fail(Error::bug(format!("the plugin posted {what}"))),
        });
    }
}

unsafe extern "C" fn wake(host: *const abi::Host) {
    // SAFETY: called by the plugin with the host that it was given.
    unsafe { with(host, (), |shared| (shared.wake)()) };
}

unsafe extern "C" fn is_cancelled(host: *const abi::Host) -> u32 {
    // SAFETY: as in `wake`.
    unsafe { with(host, 1, |shared| u32::from(shared.cancelled.load(Ordering::Acquire))) }
}

unsafe extern "C" fn now(host: *const abi::Host) -> i64 {
    // SAFETY: as in `wake`.
    unsafe { with(host, 0, |shared| shared.env.clock.now().nanos()) }
}

unsafe extern "C" fn wall(host: *const abi::Host) -> i64 {
    // SAFETY: as in `wake`.
    unsafe { with(host, 0, |shared| shared.env.clock.wall().nanos()) }
}

unsafe extern "C" fn base_time(host: *const abi::Host) -> i64 {
    // SAFETY: as in `wake`.
    unsafe { with(host, 0, |shared| shared.base_time.nanos()) }
}

unsafe extern "C" fn buffer_new(_: *const abi::Host, len: u64) -> *mut abi::Buffer {
    catch_unwind(|| memory::new_zeroed(len)).unwrap_or(std::ptr::null_mut())
}

/// What a status of a call means: `Ok` for those that are no failure.
pub(crate) fn outcome(status: i32, told: Option<Error>) -> Result<i32, Error> {
    match (status, told) {
        (_, Some(error)) => Err(error),
        (status, None) if status >= 0 => Ok(status),
        (status::PANIC, None) => Err(Error::bug("panicked")),
        (status::CANCELLED, None) => Err(Error::new(millstream_core::ErrorKind::Io, "was interrupted")),
        (status, None) => Err(Error::bug(format!("the plugin gave back {status} without saying what went wrong"))),
    }
}
