//! The element reference as Markdown: one page an element and a list of them.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use millstream::core::settings::Property;
use millstream::prelude::{Factory, Registry};

use super::inspect::{direction, plain, presence, range, runs};

/// Stands on top of each page.
const NOTICE: &str =
    "<!-- Written by `millstream inspect --markdown`; change the element's doc comments instead. -->\n";

/// Writes all pages into a directory.
pub(crate) fn write(registry: &Registry, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut index = format!("{NOTICE}# Elements\n\n| element | does | class |\n| --- | --- | --- |\n");
    for factory in registry.iter() {
        let _ = writeln!(index, "| [{0}]({0}.md) | {1} | {2} |", factory.name, cell(factory.summary), factory.klass);
        save(dir, factory.name, &page(factory))?;
    }
    save(dir, "README", &index)
}

fn save(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = dir.join(format!("{name}.md"));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn page(factory: &Factory) -> String {
    let mut text = format!("{NOTICE}# {}\n\n{}. Class `{}`", factory.name, factory.summary, factory.klass);
    text.push_str(&runs(factory).map(|runs| format!("; {runs}")).unwrap_or_default());
    text.push_str(".\n\n");
    if !factory.details.is_empty() {
        let _ = writeln!(text, "{}\n", factory.details);
    }
    text.push_str("## Pads\n\n| pad | | exists | caps |\n| --- | --- | --- | --- |\n");
    for pad in &factory.pads {
        let caps: Vec<String> = pad.caps.to_string().split("; ").map(|caps| format!("`{caps}`")).collect();
        let doc = if pad.doc.is_empty() { String::new() } else { format!("{} ", pad.doc) };
        let (direction, presence) = (direction(pad), presence(pad));
        let _ =
            writeln!(text, "| `{}` | {direction} | {presence} | {}{} |", pad.name, cell(&doc), cell(&caps.join("; ")));
    }
    text.push_str("\n## Properties\n\n");
    let properties = factory.settings.properties();
    if properties.is_empty() {
        text.push_str("None.\n");
    } else {
        text.push_str("| property | type | default | |\n| --- | --- | --- | --- |\n");
        properties.iter().for_each(|property| write_property(&mut text, property));
    }
    if !factory.example.is_empty() {
        let _ = writeln!(
            text,
            "\n## Example\n\n```sh\nmillstream launch {}\n```",
            factory.example.replace(" ! ", " \\\n    ! ")
        );
    }
    text
}

fn write_property(text: &mut String, property: &Property) {
    let kind = match range(property) {
        Some(range) => format!("{}, {range}", property.type_text),
        None => property.type_text.clone(),
    };
    let default = match &property.default {
        Some(default) => format!("`{}`", plain(default)),
        None if property.required => "must be set".to_owned(),
        None => String::new(),
    };
    let mut doc = property.description.clone();
    for value in &property.values {
        let _ = write!(doc, "<br>`{}`: {}", value.name, value.description);
    }
    let _ = writeln!(text, "| `{}` | {} | {} | {} |", property.name, cell(&kind), cell(&default), cell(&doc));
}

/// Text that stays within its cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
