//! `inspect [ELEMENT]`.

use std::fmt::Write as _;
use std::path::PathBuf;

use millstream::core::registry::{Blocking, Direction, PadTemplate, Presence};
use millstream::core::settings::Property;
use millstream::graph::diagnostic::did_you_mean;
use millstream::prelude::{Factory, Registry};
use serde_json::{Value, json};

use super::{Exit, Outcome, load, pages, report, terminal};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  millstream inspect                 # every element in a line
  millstream inspect hlssink         # pads, properties, an example
  millstream inspect --json | jq -r '.[].name'
  millstream inspect --markdown docs/elements")]
pub(crate) struct Args {
    /// Name of an element; without it all are listed
    element: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a Markdown page for each element into a directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["json", "element"])]
    markdown: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let registry = load::registry();
    if let Some(dir) = &args.markdown {
        pages::write(&registry, dir)?;
        return Ok(Exit::Done);
    }
    let Some(name) = &args.element else {
        match args.json {
            true => terminal::print_json(&registry.all().iter().map(|f| to_json(f)).collect())?,
            false => terminal::print(&list(&registry))?,
        }
        return Ok(Exit::Done);
    };
    let Some(factory) = registry.get(name) else {
        let all = registry.all();
        let near = did_you_mean(name, all.iter().map(|factory| factory.name));
        let hint = registry.trouble(name).or_else(|| near.map(|near| format!("did you mean `{near}`?")));
        report::error(
            &format!("there is no element `{name}`"),
            Some(hint.as_deref().unwrap_or("`millstream inspect` lists those there are")),
        );
        return Ok(Exit::Usage);
    };
    match args.json {
        true => terminal::print_json(&to_json(&factory))?,
        false => terminal::print(&page(&factory))?,
    }
    Ok(Exit::Done)
}

fn list(registry: &Registry) -> String {
    let all = registry.all();
    let width = all.iter().map(|factory| factory.name.len()).max().unwrap_or_default();
    all.iter().map(|factory| format!("{:width$}  {}\n", factory.name, factory.summary)).collect()
}

/// "always", "sometimes", "on request".
pub(crate) fn presence(pad: &PadTemplate) -> &'static str {
    match pad.presence {
        Presence::Always => "always",
        Presence::Sometimes => "sometimes",
        Presence::Request => "on request",
    }
}

/// "source" or "sink".
pub(crate) fn direction(pad: &PadTemplate) -> &'static str {
    match pad.direction {
        Direction::Src => "source",
        Direction::Sink => "sink",
    }
}

/// A default as it would be written in a launch line.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// "from 1 to 64", "at least 1", or nothing.
pub(crate) fn range(property: &Property) -> Option<String> {
    match (property.min.as_ref().map(plain), property.max.as_ref().map(plain)) {
        (Some(min), Some(max)) => Some(format!("from {min} to {max}")),
        (Some(min), None) => Some(format!("at least {min}")),
        (None, Some(max)) => Some(format!("at most {max}")),
        (None, None) => None,
    }
}

/// How the element runs, where that is worth a word.
pub(crate) fn runs(factory: &Factory) -> Option<&'static str> {
    match factory.blocking {
        Blocking::None => None,
        Blocking::Io => Some("waits for files; shares a thread with the chain it belongs to"),
        Blocking::Compute => Some("burns processor time; has a thread of its own"),
    }
}

fn page(factory: &Factory) -> String {
    let mut text = format!("{}: {}\nclass: {}\n", factory.name, factory.summary, factory.klass);
    if let Some(runs) = runs(factory) {
        let _ = writeln!(text, "runs: {runs}");
    }
    if !factory.details.is_empty() {
        let _ = writeln!(text, "\n{}", factory.details);
    }
    text.push_str("\nPads\n");
    for pad in &factory.pads {
        let _ = writeln!(text, "  {}  ({}, {})", pad.name, direction(pad), presence(pad));
        for line in pad.caps.to_string().split("; ") {
            let _ = writeln!(text, "      {line}");
        }
        if !pad.doc.is_empty() {
            let _ = writeln!(text, "      {}", pad.doc);
        }
    }
    text.push_str("\nProperties\n");
    let properties = factory.settings.properties();
    if properties.is_empty() {
        text.push_str("  none\n");
    }
    properties.iter().for_each(|property| write_property(&mut text, property));
    if !factory.example.is_empty() {
        let _ = writeln!(text, "\nExample\n  millstream launch {}", factory.example);
    }
    text
}

fn write_property(text: &mut String, property: &Property) {
    let mut notes = vec![property.type_text.clone()];
    notes.extend(range(property));
    match &property.default {
        Some(default) => notes.push(format!("default {}", plain(default))),
        None if property.required => notes.push("must be set".to_owned()),
        None => {}
    }
    let _ = writeln!(text, "  {}  ({})", property.name, notes.join("; "));
    for line in property.description.lines() {
        let _ = writeln!(text, "      {}", line.trim());
    }
    for value in &property.values {
        let _ = writeln!(text, "      {}: {}", value.name, value.description.replace('\n', " "));
    }
}

fn to_json(factory: &Factory) -> Value {
    let pads: Vec<Value> = factory
        .pads
        .iter()
        .map(|pad| {
            json!({
                "name": pad.name,
                "direction": direction(pad),
                "presence": presence(pad),
                "caps": pad.caps.to_string(),
                "random-write": pad.random_write,
                "description": pad.doc,
            })
        })
        .collect();
    json!({
        "name": factory.name,
        "class": factory.klass,
        "summary": factory.summary,
        "details": factory.details,
        "example": factory.example,
        "latency": factory.latency.seconds(),
        "pads": pads,
        "properties": factory.settings.properties().iter().map(property_json).collect::<Vec<_>>(),
    })
}

fn property_json(property: &Property) -> Value {
    let values: Vec<Value> =
        property.values.iter().map(|v| json!({ "name": v.name, "description": v.description })).collect();
    json!({
        "name": property.name,
        "type": property.type_text,
        "default": property.default,
        "min": property.min,
        "max": property.max,
        "values": values,
        "required": property.required,
        "description": property.description,
    })
}
