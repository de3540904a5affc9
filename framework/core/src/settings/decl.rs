//! What a factory holds of its settings type.

use std::any::Any;
use std::fmt;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;

use super::{Node, NodeDeserializer, NodeKind, Property, SettingsError, SettingsErrorKind, check, dynamic, props};

/// Parsed settings of some element, to be downcast by its constructor.
pub type AnySettings = Box<dyn Any + Send + Sync>;

/// A settings type without its type parameter: parse, schema and property list of one serde struct.
#[derive(Clone, Copy)]
pub struct SettingsDecl {
    type_name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Typed { deserialize: fn(&Node) -> Result<AnySettings, SettingsError>, schema: fn() -> Schema },
    Dynamic(&'static Schema),
}

impl SettingsDecl {
    /// The declaration of settings type `S`.
    #[must_use]
    pub fn of<S: DeserializeOwned + JsonSchema + Send + Sync + 'static>() -> Self {
        Self {
            type_name: std::any::type_name::<S>(),
            kind: Kind::Typed {
                deserialize: |node| Ok(Box::new(S::deserialize(NodeDeserializer::new(node))?)),
                schema: schema_of::<S>,
            },
        }
    }

    /// The declaration of settings that only their schema describes, those of plugins: they become a [`serde_json::Value`], an object in which
    /// numbers and flags are what the schema says, and everything else is text as it was written.
    #[must_use]
    pub fn dynamic(schema: &'static Schema) -> Self {
        Self { type_name: "serde_json::Value", kind: Kind::Dynamic(schema) }
    }

    fn deserialize(&self, node: &Node) -> Result<AnySettings, SettingsError> {
        match self.kind {
            Kind::Typed { deserialize, .. } => deserialize(node),
            Kind::Dynamic(schema) => Ok(Box::new(dynamic::value(node, schema)?)),
        }
    }

    /// The name of the Rust type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Fills the settings from a mapping node.
    ///
    /// # Errors
    /// The first fault: an unknown property, a wrong type or unit, a value out of range, a missing property.
    pub fn parse(&self, node: &Node) -> Result<AnySettings, SettingsError> {
        match self.check(node).into_iter().next() {
            Some(error) => Err(error),
            None => self.deserialize(node),
        }
    }

    /// Fills the settings anew from a node that [`SettingsDecl::parse`] has accepted before: ranges are not looked at again.
    ///
    /// # Errors
    /// What serde refuses.
    pub fn parse_again(&self, node: &Node) -> Result<AnySettings, SettingsError> {
        self.deserialize(node)
    }

    /// Like [`SettingsDecl::parse`], but gives every fault that can be told apart: after a faulty property the rest is
    /// read without it.
    ///
    /// # Errors
    /// All faults, in the order of the source.
    pub fn parse_all(&self, node: &Node) -> Result<AnySettings, Vec<SettingsError>> {
        let mut errors = self.check(node);
        let mut rest = node.clone();
        let mut faulty: Vec<String> = errors.iter().filter_map(top_level).collect();
        drop_entries(&mut rest, &faulty);
        loop {
            match self.deserialize(&rest) {
                Ok(settings) if errors.is_empty() => return Ok(settings),
                Ok(_) => break,
                Err(error) => {
                    let missing =
                        matches!(&error.kind, SettingsErrorKind::MissingProperty { name } if faulty.contains(name));
                    let before = faulty.len();
                    faulty.extend(top_level(&error));
                    if !missing {
                        self.push_with_missing(error, &rest, &faulty, &mut errors);
                    }
                    // Each round takes an entry away; without one to take there is nothing more to learn.
                    if faulty.len() == before || !drop_entries(&mut rest, &faulty) {
                        break;
                    }
                }
            }
        }
        errors.sort_by_key(|error| error.span);
        Err(errors)
    }

    /// The JSON Schema of the settings, with everything inline.
    #[must_use]
    pub fn schema(&self) -> Schema {
        match self.kind {
            Kind::Typed { schema, .. } => schema(),
            Kind::Dynamic(schema) => schema.clone(),
        }
    }

    /// The properties in the order of the struct.
    #[must_use]
    pub fn properties(&self) -> Vec<Property> {
        props::of_schema(&self.schema())
    }

    /// Adds `error`; serde stops at the first missing property, so the others are added with it.
    fn push_with_missing(&self, error: SettingsError, node: &Node, faulty: &[String], errors: &mut Vec<SettingsError>) {
        if !error.path.is_empty() || !matches!(error.kind, SettingsErrorKind::MissingProperty { .. }) {
            errors.push(error);
            return;
        }
        for property in self.properties() {
            if property.required && node.get(&property.name).is_none() && !faulty.contains(&property.name) {
                let kind = SettingsErrorKind::MissingProperty { name: property.name };
                errors.push(SettingsError::new(kind).or_at(node.span));
            }
        }
    }

    fn check(&self, node: &Node) -> Vec<SettingsError> {
        let has_entries = node.entries().is_some_and(|entries| !entries.is_empty());
        match self.schema().as_object() {
            Some(schema) if has_entries => check::check(node, schema),
            _ => Vec::new(),
        }
    }
}

impl fmt::Debug for SettingsDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SettingsDecl").field(&self.type_name).finish()
    }
}

fn schema_of<S: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<S>()
}

/// The property of the outermost mapping that an error is about.
fn top_level(error: &SettingsError) -> Option<String> {
    match (&error.kind, error.path.first()) {
        (_, Some(name)) => Some(name.clone()),
        (SettingsErrorKind::UnknownProperty { name, .. }, None) => Some(name.clone()),
        _ => None,
    }
}

/// Takes the named entries away; says whether there was one.
fn drop_entries(node: &mut Node, names: &[String]) -> bool {
    let NodeKind::Map(entries) = &mut node.kind else { return false };
    let before = entries.len();
    entries.retain(|(key, _)| !names.contains(&key.text));
    entries.len() < before
}

#[cfg(test)]
mod tests;
