//! `testfault`: passes everything on, and fails where it is told to.

use std::time::Duration;

use millstream_plugin_sdk::prelude::*;

/// A call of an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the calls of the ABI")]
pub(crate) enum Place {
    #[default]
    Nowhere,
    Create,
    Start,
    Buffer,
    Event,
    Resume,
    Request,
    Wake,
    Stop,
    Destroy,
    Thread,
}

/// What happens there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "said by their names")]
pub(crate) enum Kind {
    #[default]
    Panic,
    Error,
    Block,
}

/// Settings of `testfault`.
#[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where it fails.
    pub(crate) place: Place,
    /// How it fails.
    pub(crate) kind: Kind,
}

struct Fault {
    settings: Settings,
    host: Host,
    seen: u64,
}

impl Settings {
    fn at(&self, place: Place) -> Result<()> {
        match self.kind {
            _ if self.place != place => Ok(()),
            Kind::Panic => panic!("at {place:?}, as it was told"),
            Kind::Error => Err(Error::malformed("the input is not to its taste").hint("give it another").at(7)),
            Kind::Block => {
                std::thread::sleep(Duration::from_secs(3600));
                Ok(())
            }
        }
    }
}

impl Transform for Fault {
    fn start(&mut self, out: &mut Output) -> Result<()> {
        if self.settings.place == Place::Wake {
            out.wake_at(out.now());
        }
        if self.settings.place == Place::Thread {
            let host = self.host.clone();
            std::thread::spawn(move || host.fail(&Error::new(ErrorKind::Io, "its device is gone")));
        }
        self.settings.at(Place::Start)
    }

    fn handle(&mut self, _: PadId, item: Item, out: &mut Output) -> Result<Flow> {
        let is_buffer = matches!(item, Item::Buffer(_));
        self.settings.at(if is_buffer { Place::Buffer } else { Place::Event })?;
        out.forward(item);
        self.seen += 1;
        if self.settings.place == Place::Request {
            out.request_all(&Request::KeyFrame);
        }
        Ok(if self.settings.place == Place::Resume { Flow::More } else { Flow::Done })
    }

    fn resume(&mut self, _: &mut Output) -> Result<Flow> {
        self.settings.at(Place::Resume)?;
        Ok(Flow::Done)
    }

    fn request(&mut self, _: PadId, request: Request, out: &mut Output) -> Result<()> {
        self.settings.at(Place::Request)?;
        out.request_all(&request);
        Ok(())
    }

    fn wake(&mut self, _: Time, _: &mut Output) -> Result<()> {
        self.settings.at(Place::Wake)
    }

    fn stop(&mut self) {
        let _ = self.settings.at(Place::Stop);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if self.settings.place == Place::Destroy {
            let _ = self.settings.at(Place::Destroy);
        }
    }
}

/// What is known of it.
pub(crate) fn factory() -> Factory {
    Factory::new("testfault", "Test", "Fails where it is told to", |settings: Settings, cx: &BuildCx| {
        settings.at(Place::Create)?;
        Ok(Element::transform(Fault { settings, host: cx.host.clone(), seen: 0 }))
    })
    .pad(PadTemplate::sink("sink", "ANY"))
    .pad(PadTemplate::src("src", "ANY"))
    .passthrough()
}
