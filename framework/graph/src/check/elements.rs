//! Elements exist, and their settings are valid.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_core::settings::{AnySettings, SettingsDecl, SettingsError, SettingsErrorKind, Span};
use millstream_core::{CapsSet, Error, Factory};

use super::Checker;
use crate::diagnostic::{Diagnostic, codes, did_you_mean};
use crate::doc::{ElementDoc, Syntax};
use crate::graph::Settings;
use crate::on_error::{self, OnError};

/// An element with what was found out about it; faults were reported.
pub(super) struct Built<'a> {
    pub(super) doc: &'a ElementDoc,
    /// `None` if there is no such element.
    pub(super) factory: Option<Arc<Factory>>,
    /// `None` if they are faulty.
    pub(super) settings: Option<Settings>,
    /// The settings read once, for what the factory says from them.
    pub(super) parsed: Option<AnySettings>,
    pub(super) on_error: OnError,
    /// Whether a link of it was dropped because its other end is unknown: then it is not reported as unlinked.
    pub(super) excused: bool,
    /// Whether another element has the same name: links to it could mean either.
    pub(super) ambiguous: bool,
}

impl Built<'_> {
    pub(super) fn name(&self) -> &str {
        &self.doc.name.value
    }

    /// Whether caps go through unchanged.
    pub(super) fn passthrough(&self) -> bool {
        self.factory.as_ref().is_some_and(|factory| factory.passthrough)
    }

    /// What the settings let pass.
    pub(super) fn restricts_to(&self) -> Option<CapsSet> {
        self.factory.as_ref()?.restricts_to(self.parsed.as_deref()?)
    }
}

impl<'a> Checker<'a> {
    pub(super) fn elements(&mut self) {
        let doc = self.doc;
        let mut first: HashMap<&str, (usize, Span)> = HashMap::new();
        for element in &doc.elements {
            let mut built = self.element(element);
            match first.get(element.name.value.as_str()) {
                None => {
                    first.insert(&element.name.value, (self.nodes.len(), element.name.span));
                }
                Some((index, before)) => {
                    (built.excused, built.ambiguous) = (true, true);
                    if let Some(first) = self.nodes.get_mut(*index) {
                        (first.excused, first.ambiguous) = (true, true);
                    }
                    let message = format!("the name `{}` is used twice", element.name.value);
                    let d = Diagnostic::error(codes::NAME_TWICE, message).at(element.name.span, "used again");
                    self.diagnostics.push(d.also(*before, "first used here").hint("give one of them another name"));
                }
            }
            self.nodes.push(built);
        }
    }

    fn element(&mut self, doc: &'a ElementDoc) -> Built<'a> {
        let factory = self.registry.get(&doc.element.value);
        let mut built = Built {
            doc,
            factory: None,
            settings: None,
            parsed: None,
            on_error: self.on_error(doc),
            excused: false,
            ambiguous: false,
        };
        let Some(factory) = factory else {
            self.unknown_element(doc);
            return built;
        };
        built.settings = match self.options.typed.get(&doc.name.value) {
            Some((type_name, settings)) => self.typed(doc, factory.settings, type_name, settings),
            None => self.parse(doc, &factory).then(|| Settings::text(&factory, doc.props.clone())),
        };
        built.parsed = built.settings.as_ref().and_then(|settings| settings.make().ok());
        if let Some(Err(error)) = built.parsed.as_ref().map(|settings| factory.check_settings(&**settings)) {
            let place = error.property().and_then(|property| doc.props.get(property));
            let span = place.map_or(doc.element.span, |value| value.span);
            self.diagnostics.push(conflict(codes::SETTINGS_CONFLICT, doc, &error).at(span, ""));
        }
        built.factory = Some(factory);
        built
    }

    fn unknown_element(&mut self, doc: &ElementDoc) {
        let kind = &doc.element.value;
        let d =
            Diagnostic::error(codes::UNKNOWN_ELEMENT, format!("there is no element `{kind}`")).at(doc.element.span, "");
        let declared: Vec<&str> = match self.doc.syntax {
            // In a link line the word may be a misspelt name of `elements:`.
            Syntax::Yaml if !doc.named => {
                self.doc.elements.iter().filter(|e| e.named).map(|e| e.name.value.as_str()).collect()
            }
            _ => Vec::new(),
        };
        if let Some(trouble) = self.registry.trouble(kind) {
            return self.diagnostics.push(d.hint(trouble));
        }
        let known = self.registry.all();
        let near = did_you_mean(kind, known.iter().map(|factory| factory.name).chain(declared));
        self.diagnostics.push(match near {
            Some(near) => d.hint(format!("did you mean `{near}`?")),
            None => d.hint("`inspect` lists the elements there are"),
        });
    }

    fn typed(
        &mut self,
        doc: &ElementDoc,
        decl: SettingsDecl,
        type_name: &str,
        settings: &Settings,
    ) -> Option<Settings> {
        if decl.type_name() == type_name {
            return Some(settings.clone());
        }
        let message = format!("`{}` was given settings of type {type_name}", doc.name.value);
        self.diagnostics.push(Diagnostic::error(codes::WRONG_TYPE, message).expected(decl.type_name()));
        None
    }

    /// Reads the settings; says whether they are faultless.
    fn parse(&mut self, doc: &ElementDoc, factory: &Factory) -> bool {
        let Err(errors) = factory.settings.parse_all(&doc.props) else { return !doc.incomplete };
        let mistyped = |missing: &str| {
            errors.iter().any(|e| match &e.kind {
                SettingsErrorKind::UnknownProperty { name, .. } => did_you_mean(name, [missing]).is_some(),
                _ => false,
            })
        };
        for error in &errors {
            // A property that was left out because of a reported fault is not missing.
            let explained = match &error.kind {
                SettingsErrorKind::MissingProperty { name } => doc.incomplete || mistyped(name),
                _ => false,
            };
            if !explained {
                self.diagnostics.push(settings_diagnostic(error, doc, factory));
            }
        }
        false
    }

    fn on_error(&mut self, doc: &ElementDoc) -> OnError {
        let Some(node) = &doc.on_error else { return OnError::default() };
        on_error::read(node).unwrap_or_else(|error| {
            let span = error.span.unwrap_or(node.span);
            let d = Diagnostic::error(codes::BAD_ON_ERROR, format!("`on-error`: {error}")).at(span, "");
            let d = d.expected("`fail`, `isolate`, `restart` or `{ restart: { limit: 5, delay: 1s } }`");
            let word = node.as_str().and_then(|word| did_you_mean(word, on_error::WORDS));
            self.diagnostics.push(match word {
                Some(near) => d.hint(format!("did you mean `{near}`?")),
                None => d,
            });
            OnError::default()
        })
    }
}

/// What an element says of settings or pads that cannot work together.
pub(super) fn conflict(code: &'static str, doc: &ElementDoc, error: &Error) -> Diagnostic {
    let d = Diagnostic::error(code, format!("`{}`: {}", doc.name.value, error.message()));
    match error.hint_text() {
        Some(hint) => d.hint(hint),
        None => d.hint(format!("`inspect {}` says what it takes", doc.element.value)),
    }
}

/// A fault in settings in the words of a diagnostic.
fn settings_diagnostic(error: &SettingsError, doc: &ElementDoc, factory: &Factory) -> Diagnostic {
    let kind = &doc.element.value;
    let property = error.property();
    let span = error.span.unwrap_or(doc.element.span);
    match &error.kind {
        SettingsErrorKind::UnknownProperty { name, known } => {
            let owner = if error.path.is_empty() { kind } else { &property };
            let d =
                Diagnostic::error(codes::UNKNOWN_PROPERTY, format!("`{owner}` has no property `{name}`")).at(span, "");
            match known.is_empty() {
                true => d.hint(format!("`{owner}` has no properties")),
                false => d.suggest(name, known.iter().map(String::as_str)),
            }
        }
        SettingsErrorKind::WrongType { expected, found } => {
            let message = format!("property `{property}` of `{kind}` is {found}");
            Diagnostic::error(codes::WRONG_TYPE, message).at(span, "").expected(expected)
        }
        SettingsErrorKind::OutOfRange { value, .. } => {
            let message = format!("property `{property}` of `{kind}` cannot be {value}");
            let text = error.kind.to_string();
            let range = text.rsplit_once("it must be ").map_or(text.as_str(), |(_, range)| range);
            Diagnostic::error(codes::OUT_OF_RANGE, message).at(span, "").expected(range)
        }
        SettingsErrorKind::MissingProperty { name } => {
            let message = format!("`{kind}` needs the property `{name}`");
            Diagnostic::error(codes::PROPERTY_MISSING, message)
                .at(doc.element.span, "")
                .hint(format!("add `{name}`; `inspect {kind}` says what it is"))
        }
        SettingsErrorKind::UnknownVariant { name, known } => {
            let message = format!("property `{property}` of `{kind}` cannot be `{name}`");
            // The schema has the choices without their aliases.
            let own = factory.settings.properties().into_iter().find(|p| p.name == property);
            let own: Vec<String> = own.into_iter().flat_map(|p| p.values).map(|value| value.name).collect();
            let known = if own.is_empty() { known } else { &own };
            let d = Diagnostic::error(codes::UNKNOWN_CHOICE, message).at(span, "").expected(known.join(", "));
            match did_you_mean(name, known.iter().map(String::as_str)) {
                Some(near) => d.hint(format!("did you mean `{near}`?")),
                None => d,
            }
        }
        SettingsErrorKind::Custom(text) => {
            // Units say the fault, then the repair.
            let (fault, repair) = text.split_once("; ").unwrap_or((text, ""));
            let message = format!("property `{property}` of `{kind}`: {fault}");
            let d = Diagnostic::error(codes::BAD_VALUE, message).at(span, "");
            match repair {
                "" => d.hint(format!("`inspect {kind}` says what it takes")),
                repair => d.hint(repair),
            }
        }
    }
}
