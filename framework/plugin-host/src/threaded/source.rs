//! A source on a thread of its own.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use millstream_core::env::BoxFuture;
use millstream_core::{Env, Error, Output, PadId, Request, Result, Source, SourceCx, Time};
use millstream_plugin_abi as abi;
use millstream_plugin_abi::element::produced;
use millstream_plugin_abi::status;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::{Leash, Made, Mailbox, attend, replay, spawn};
use crate::instance::Instance;

/// Calls whose output may wait for the graph. Each makes a small amount; beyond it the source waits.
const DEPTH: usize = 4;

/// A source of a plugin.
pub(crate) struct PluginSource {
    pub(crate) instance: Instance,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) src_pads: u16,
}

/// What comes from the thread.
enum News {
    Made(Made),
    /// Nothing to do before this time.
    Until(Time),
    End(Result<()>),
}

/// What happened on the task.
enum Event {
    News(Option<News>),
    Request(PadId, Request),
    Stopped,
    Due,
    /// Messages or an error came from a thread of the element's.
    Attention,
}

impl Source for PluginSource {
    fn run(self: Box<Self>, cx: SourceCx) -> BoxFuture<'static, Result<()>> {
        Box::pin(run(*self, cx))
    }
}

async fn run(source: PluginSource, mut cx: SourceCx) -> Result<()> {
    let PluginSource { instance, mailbox, src_pads } = source;
    let (sender, news) = channel(DEPTH);
    let interrupt = instance.interrupt();
    let worker = Worker { instance, mailbox: mailbox.clone(), env: cx.env.clone(), news: sender, src_pads };
    let over = spawn(move || worker.run())?;
    let leash = Leash { mailbox, interrupt, over };
    let shared = leash.interrupt.shared().clone();
    let mut waits = Waits { news, attention: shared.attention(), due: None, told: false };
    loop {
        match waits.next(&mut cx).await {
            Event::Attention => attend(&shared, |tell| cx.tell(tell))?,
            Event::News(Some(News::Made(made))) => deliver(&mut cx, made).await?,
            Event::News(Some(News::Until(at))) => waits.due = Some(cx.env.clock.sleep_until(at)),
            Event::News(Some(News::End(result))) => return result,
            Event::News(None) => return Err(Error::bug("the plugin's thread ended without a word")),
            Event::Request(pad, request) => {
                leash.mailbox.change(|mail| mail.requests.push((pad, request)));
                leash.interrupt.interrupt();
            }
            Event::Stopped => {
                waits.told = true;
                leash.mailbox.change(|mail| mail.drain = true);
                leash.interrupt.cancel();
            }
            Event::Due => {
                waits.due = None;
                leash.mailbox.wake();
            }
        }
    }
}

async fn deliver(cx: &mut SourceCx, made: Made) -> Result<()> {
    if !made.effects.is_empty() {
        cx.tell(|out| replay(made.effects, out));
    }
    for (pad, item) in made.items {
        cx.push(pad, item).await?;
    }
    Ok(())
}

/// What the task waits for.
struct Waits {
    news: Receiver<News>,
    attention: Receiver<()>,
    /// The time that the source waits for.
    due: Option<BoxFuture<'static, ()>>,
    /// The end of the pipeline was told.
    told: bool,
}

impl Waits {
    async fn next(&mut self, cx: &mut SourceCx) -> Event {
        poll_fn(|context| {
            // Of the source's port only one future can be there at a time; they keep nothing between polls.
            if !self.told && pin!(cx.stopped()).poll(context).is_ready() {
                return Poll::Ready(Event::Stopped);
            }
            if let Poll::Ready((pad, request)) = pin!(cx.request()).poll(context) {
                return Poll::Ready(Event::Request(pad, request));
            }
            if self.attention.poll_recv(context).is_ready() {
                return Poll::Ready(Event::Attention);
            }
            if let Poll::Ready(news) = self.news.poll_recv(context) {
                return Poll::Ready(Event::News(news));
            }
            match &mut self.due {
                Some(due) => due.as_mut().poll(context).map(|()| Event::Due),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The thread's side.
struct Worker {
    instance: Instance,
    mailbox: Arc<Mailbox>,
    env: Env,
    news: Sender<News>,
    src_pads: u16,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    End,
}

impl Worker {
    fn run(mut self) {
        let result = self.produce_all();
        let news = self.news.clone();
        // Freed before anybody hears of the end: what it had is free then.
        drop(self);
        let _ = news.blocking_send(News::End(result));
    }

    fn output(&self) -> Output {
        let mut out = Output::new(0, self.src_pads);
        out.set_now(self.env.clock.now());
        out
    }

    /// Hands over what a call has made; [`Go::End`] when nobody listens any more.
    fn send(&self, mut out: Output) -> Go {
        match Made::of(&mut out).map(|made| self.news.blocking_send(News::Made(made))) {
            None | Some(Ok(())) => Go::On,
            Some(Err(_)) => Go::End,
        }
    }

    fn produce_all(&mut self) -> Result<()> {
        let mut out = self.output();
        self.instance.start(&mut out)?;
        if self.send(out) == Go::End {
            return Ok(());
        }
        let mut idle = false;
        loop {
            let mail = if idle { self.mailbox.wait() } else { self.mailbox.take() };
            if mail.cancelled {
                return Ok(());
            }
            for (pad, request) in mail.requests {
                let mut out = self.output();
                self.instance.request(pad, request, &mut out)?;
                if self.send(out) == Go::End {
                    return Ok(());
                }
            }
            if mail.drain {
                let mut out = self.output();
                let drain = self.instance.calls().drain;
                self.instance.call_if(drain, &mut out)?;
                self.send(out);
                return Ok(());
            }
            let made = self.produce()?;
            match made.kind {
                produced::MORE => idle = false,
                produced::IDLE => idle = true,
                produced::AT => {
                    idle = true;
                    if self.news.blocking_send(News::Until(Time::from_nanos(made.at))).is_err() {
                        return Ok(());
                    }
                }
                produced::EOS => return Ok(()),
                other => return Err(Error::bug(format!("the plugin produced {other}, which does not exist"))),
            }
        }
    }

    fn produce(&mut self) -> Result<abi::element::Produced> {
        let mut made = abi::Produced { size: size_of::<abi::Produced>() as u32, kind: produced::MORE, at: 0 };
        let mut out = self.output();
        let produce = self.instance.calls().produce;
        let result = self.instance.call(&mut out, |element, out| match produce {
            // SAFETY: a function of the element, called as the ABI says.
            Some(produce) => unsafe { produce(element, &raw mut made, out) },
            None => status::ERROR,
        });
        let go = self.send(out);
        match result {
            // It was interrupted in its call, and the mailbox says why.
            Ok(_) if go == Go::End => made.kind = produced::EOS,
            Ok(_) => {}
            Err(error) => return Err(error),
        }
        Ok(made)
    }
}
