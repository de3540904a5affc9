//! What is known of an element before anything runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_core::env::{ReadFile, WriteFile};
use millstream_core::settings::Node;
use millstream_core::{Env, Fs, Presence};
use millstream_testkit::TestEnv;

use crate::case::cases;

#[test]
fn e_1_factories_say_what_they_are() {
    for factory in millstream_elements::registry().iter() {
        let name = factory.name;
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{name}: as GStreamer names it");
        assert!(!factory.klass.is_empty() && !factory.summary.is_empty(), "{name}");
        assert!(!factory.summary.ends_with('.') && !factory.summary.contains('\n'), "{name}: one line, no full stop");
        let is_service = factory.klass.ends_with("/Service");
        assert!(is_service == factory.pads.is_empty(), "{name}: a service has no pad, and others have one");
        for pad in &factory.pads {
            let known = pad.presence == Presence::Always && ["sink", "src"].contains(&pad.name);
            let pattern = pad.name.contains('%') && pad.presence == Presence::Request;
            assert!(known || pattern || !pad.doc.is_empty(), "{name}: pad {} is not described", pad.name);
        }
    }
    assert!(cases().len() >= 15, "examples parse, and use their element");
}

#[test]
fn e_2_properties_are_described_and_defaults_are_what_is_shown() {
    for case in cases() {
        for property in case.factory.settings.properties() {
            let place = format!("{}.{}", case.name(), property.name);
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(property.name.chars().all(kebab), "{place}");
            assert!(property.description.ends_with('.'), "{place}: described in a sentence");
            assert!(!property.type_text.is_empty(), "{place}");
            if property.required {
                assert!(property.default.is_none(), "{place} is required and has a default");
                continue;
            }
            let Some(default) = &property.default else { continue };
            let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let required: Vec<_> = case.factory.settings.properties().into_iter().filter(|p| p.required).collect();
            let mut entries: Vec<(String, Node)> =
                required.iter().map(|p| (p.name.clone(), Node::scalar(sample_of(&p.type_text)))).collect();
            entries.push((property.name.clone(), Node::scalar(text.clone())));
            let parsed = case.factory.settings.parse(&Node::map(entries));
            assert!(parsed.is_ok(), "{place}: its own default `{text}` is refused: {}", parsed.err().unwrap());
        }
        let unknown = case.factory.settings.parse(&Node::map([("no-such-property", Node::scalar("1"))]));
        assert!(unknown.is_err(), "{} takes unknown properties", case.name());
    }
}

/// A value for a required property.
fn sample_of(type_text: &str) -> &'static str {
    match type_text {
        t if t.contains("caps") => "application/octet-stream",
        t if t.contains("integer") => "1",
        t if t.contains("duration") => "1s",
        _ => "text",
    }
}

/// Files that must not be touched.
#[derive(Default)]
struct Untouched(AtomicUsize);

impl Untouched {
    fn touch<T>(&self) -> std::io::Result<T> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
}

impl Fs for Untouched {
    fn open(&self, _: &Path) -> std::io::Result<Box<dyn ReadFile>> {
        self.touch()
    }
    fn create(&self, _: &Path) -> std::io::Result<Box<dyn WriteFile>> {
        self.touch()
    }
    fn append(&self, _: &Path) -> std::io::Result<Box<dyn WriteFile>> {
        self.touch()
    }
    fn rename(&self, _: &Path, _: &Path) -> std::io::Result<()> {
        self.touch()
    }
    fn remove(&self, _: &Path) -> std::io::Result<()> {
        self.touch()
    }
    fn create_dir_all(&self, _: &Path) -> std::io::Result<()> {
        self.touch()
    }
    fn list(&self, _: &Path) -> std::io::Result<Vec<PathBuf>> {
        self.touch()
    }
    fn len(&self, _: &Path) -> std::io::Result<u64> {
        self.touch()
    }
}

#[test]
fn e_4_building_touches_nothing_outside() {
    for case in cases() {
        let fs = Arc::new(Untouched::default());
        let env = Env::new(Arc::new(TestEnv::new().clock), fs.clone(), 1);
        assert!(case.build(&env).is_ok(), "{}", case.name());
        assert_eq!(fs.0.load(Ordering::Relaxed), 0, "{} touched a file when it was built", case.name());
    }
}
