//! `${name}` in property values.
//!
//! Replacement happens in scalars that were parsed already, so a value can never add elements, links or properties.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::settings::{Node, NodeKind, Span};
use millstream_core::template::{TemplateDecl, Variable};

use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::doc::{ElementDoc, PipelineDoc, is_name};
use crate::source::{SourceText, SpanMap};

/// Most bytes that replacement may make in one pipeline: a long value used often must not fill the memory.
pub const MAX_EXPANDED: usize = 8 << 20;

/// Where values of params come from.
pub struct ParamSources<'a> {
    /// `--set name=value`, in order.
    pub set: &'a [(String, String)],
    /// Looks an environment variable up.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for ParamSources<'_> {
    fn default() -> Self {
        Self { set: &[], env: &|_| None }
    }
}

/// Splits the argument of `--set`.
///
/// # Errors
/// When it is not `name=value`.
pub fn parse_set(argument: &str) -> Result<(String, String), Box<Diagnostic>> {
    match argument.split_once('=') {
        Some((name, value)) if is_name(name.trim()) => Ok((name.trim().to_owned(), value.to_owned())),
        _ => {
            let d = Diagnostic::error(codes::SET_SYNTAX, format!("`--set {argument}` sets nothing"));
            Err(Box::new(d.expected("`--set name=value`")))
        }
    }
}

/// Values of params by name; `None` where there is none, which was reported.
pub(crate) type Values = BTreeMap<String, Option<String>>;

/// What stands for something beside the params: the variables of a template's instances.
pub(crate) struct Scope<'a> {
    /// What instances are given; nothing where the pipeline is no template.
    pub(crate) variables: &'a [Variable],
    /// The value of one of them.
    pub(crate) value: &'a dyn Fn(&str) -> Option<String>,
    /// Elements that would make the pipeline a template, for the hint.
    pub(crate) elsewhere: &'a [(&'static str, TemplateDecl)],
}

impl Scope<'_> {
    /// Params only.
    pub(crate) const PARAMS: Self = Self { variables: &[], value: &|_| None, elsewhere: &[] };
}

/// Gives every param its value and replaces `${name}` in all property values of `doc`.
pub fn resolve(doc: &mut PipelineDoc, source: &SourceText, sources: &ParamSources<'_>, diagnostics: &mut Diagnostics) {
    let values = gather(doc, sources, diagnostics);
    replace(doc, source, &values, &Scope::PARAMS, diagnostics);
}

/// The value of every param.
pub(crate) fn gather(doc: &PipelineDoc, sources: &ParamSources<'_>, diagnostics: &mut Diagnostics) -> Values {
    check_set(doc, sources, diagnostics);
    if doc.unresolved { values(doc, sources, diagnostics) } else { Values::new() }
}

/// Replaces `${name}` in all property values of `doc`. Gives the names that were used.
pub(crate) fn replace(
    doc: &mut PipelineDoc,
    source: &SourceText,
    values: &Values,
    scope: &Scope<'_>,
    diagnostics: &mut Diagnostics,
) -> BTreeSet<String> {
    if !doc.unresolved {
        return BTreeSet::new();
    }
    let mut replacer = Replacer { source, values, scope, used: BTreeSet::new(), expanded: 0, diagnostics };
    for element in &mut doc.elements {
        replacer.element(element);
    }
    let used = replacer.used;
    doc.unresolved = false;
    // What could not be read may have used it.
    if diagnostics.has_errors() {
        return used;
    }
    for param in doc.params.iter().filter(|param| !used.contains(&param.name.value)) {
        let d = Diagnostic::warning(codes::PARAM_UNUSED, format!("param `{}` is not used", param.name.value));
        let hint = format!("write `${{{}}}` in a property value, or remove the param", param.name.value);
        diagnostics.push(d.at(param.name.span, "").hint(hint));
    }
    used
}

fn check_set(doc: &PipelineDoc, sources: &ParamSources<'_>, diagnostics: &mut Diagnostics) {
    let known = || doc.params.iter().map(|param| param.name.value.as_str());
    for (index, (name, _)) in sources.set.iter().enumerate() {
        if !known().any(|param| param == name) {
            let d =
                Diagnostic::error(codes::SET_UNKNOWN, format!("`--set {name}`: the pipeline has no param `{name}`"));
            diagnostics.push(match doc.params.is_empty() {
                true => d.hint("this pipeline has no params"),
                false => d.suggest(name, known()),
            });
        }
        if sources.set.iter().take(index).any(|(before, _)| before == name) {
            let message = format!("`--set {name}` is given twice");
            diagnostics.push(Diagnostic::error(codes::SET_SYNTAX, message).hint("remove one of them"));
        }
    }
}

/// The value of each param; `None` where there is none, which is reported.
fn values(doc: &PipelineDoc, sources: &ParamSources<'_>, diagnostics: &mut Diagnostics) -> Values {
    let mut values = Values::new();
    for param in &doc.params {
        let name = &param.name.value;
        let set = sources.set.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        let env = || param.env.as_ref().and_then(|env| (sources.env)(&env.value));
        let default = || param.default.as_ref().filter(|_| !param.required).map(|default| default.value.clone());
        let value = set.or_else(env).or_else(default);
        if value.is_none() {
            let d = Diagnostic::error(codes::PARAM_MISSING, format!("param `{name}` has no value"));
            let or_env =
                param.env.as_ref().map(|env| format!(" or set the variable {}", env.value)).unwrap_or_default();
            diagnostics.push(d.at(param.name.span, "").hint(format!("add `--set {name}=…`{or_env}")));
        }
        values.insert(name.clone(), value);
    }
    values
}

struct Replacer<'a> {
    source: &'a SourceText,
    values: &'a Values,
    scope: &'a Scope<'a>,
    used: BTreeSet<String>,
    expanded: usize,
    diagnostics: &'a mut Diagnostics,
}

/// A value that cannot be made; the reason was reported.
struct Reported;

impl Replacer<'_> {
    fn element(&mut self, element: &mut ElementDoc) {
        let NodeKind::Map(entries) = &mut element.props.kind else { return };
        let before = entries.len();
        entries.retain_mut(|(key, value)| self.key(&key.text, key.span).and_then(|()| self.node(value)).is_ok());
        element.incomplete |= entries.len() < before;
    }

    fn key(&mut self, key: &str, span: Span) -> Result<(), Reported> {
        if !key.contains("${") {
            return Ok(());
        }
        let d = Diagnostic::error(codes::PARAM_PLACE, "a `${…}` is not replaced in the name of a property");
        self.diagnostics.push(d.at(span, "not replaced here").hint("write the name of the property itself"));
        Err(Reported)
    }

    /// Recursion is bounded by the depth limit of the reader.
    fn node(&mut self, node: &mut Node) -> Result<(), Reported> {
        match &mut node.kind {
            NodeKind::Null => Ok(()),
            NodeKind::Scalar { text, .. } if !text.contains("${") => Ok(()),
            NodeKind::Scalar { text, .. } => {
                *text = self.text(text, node.span)?;
                Ok(())
            }
            NodeKind::Seq(items) => items.iter_mut().try_for_each(|item| self.node(item)),
            NodeKind::Map(entries) => entries
                .iter_mut()
                .try_for_each(|(key, value)| self.key(&key.text, key.span).and_then(|()| self.node(value))),
        }
    }

    fn text(&mut self, text: &str, span: Span) -> Result<String, Reported> {
        let map = SpanMap::of(self.source, span, text);
        let mut out = String::new();
        let mut rest = text;
        let mut failed = false;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let start = text.len().saturating_sub(from.len());
            if let Some(literal) = before.strip_suffix('$') {
                // `$${` stands for `${`.
                out.push_str(literal);
                out.push_str("${");
                rest = from.get(2..).unwrap_or_default();
                continue;
            }
            out.push_str(before);
            let end = from.find('}').map_or(from.len(), |end| end.saturating_add(1));
            let reference = from.get(..end).unwrap_or_default();
            match self.value(reference, map.span(start, start.saturating_add(end))) {
                Ok(value) => out.push_str(&value),
                Err(Reported) => failed = true,
            }
            rest = from.get(end..).unwrap_or_default();
        }
        out.push_str(rest);
        if failed { Err(Reported) } else { Ok(out) }
    }

    /// The value of `${name}`.
    fn value(&mut self, reference: &str, span: Span) -> Result<String, Reported> {
        let name = reference.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')).unwrap_or_default();
        let known = match self.values.get(name) {
            Some(value) => Some(value.clone()),
            None if self.scope.variables.iter().any(|variable| variable.covers(name)) => Some((self.scope.value)(name)),
            None => None,
        };
        let Some(value) = known else {
            let unknown = self.unknown(name, reference).at(span, "");
            self.diagnostics.push(unknown);
            return Err(Reported);
        };
        self.used.insert(name.to_owned());
        let value = value.ok_or(Reported)?;
        self.expanded = self.expanded.saturating_add(value.len());
        if self.expanded > MAX_EXPANDED {
            let message = format!("the values of params fill more than {MAX_EXPANDED} bytes");
            self.diagnostics.push(Diagnostic::error(codes::TOO_LARGE, message).at(span, "at the latest here"));
            return Err(Reported);
        }
        Ok(value)
    }

    /// What is wrong with a reference to nothing.
    fn unknown(&self, name: &str, reference: &str) -> Diagnostic {
        let covers = |decl: &TemplateDecl| decl.variables.iter().any(|variable| variable.covers(name));
        if let Some((element, decl)) = self.scope.elsewhere.iter().find(|(_, decl)| covers(decl)) {
            let message = format!("`{reference}` has no value, because this pipeline is no template");
            let hint = format!("`{element}` with `{}` gives each instance its own; else declare a param", decl.when);
            return Diagnostic::error(codes::NO_TEMPLATE, message).hint(hint);
        }
        if !is_name(name) {
            let d = Diagnostic::error(codes::PARAM_SYNTAX, format!("`{reference}` is no reference to a param"));
            return d.expected("`${name}`").hint("write `$${` for a literal `${`");
        }
        let d = Diagnostic::error(codes::PARAM_UNKNOWN, format!("there is no param `{name}`"));
        if self.values.is_empty() && self.scope.variables.is_empty() {
            return d.hint(format!("declare it: `params: {{ {name}: {{ default: … }} }}`"));
        }
        let variables = self.scope.variables.iter().map(|variable| variable.name).filter(|name| is_name(name));
        d.suggest(name, self.values.keys().map(String::as_str).chain(variables))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline;

    const HEAD: &str = "params: { a: { default: x, env: AA }, b: { required: true }, c: 7 }\n";

    /// Names and values that come out; codes and marked texts of what is wrong.
    type Outcome = (Vec<(String, String)>, Vec<(&'static str, String)>);

    fn run(props: &str, set: &[(&str, &str)]) -> Outcome {
        let source = SourceText::new("t", format!("{HEAD}elements: {{ e: {{ element: f, {props} }} }}\n"));
        let mut diagnostics = Diagnostics::default();
        let mut doc = pipeline::parse(&source, &mut diagnostics);
        let set: Vec<_> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let env = |name: &str| (name == "AA").then(|| "from env".to_owned());
        resolve(&mut doc, &source, &ParamSources { set: &set, env: &env }, &mut diagnostics);
        let entries = doc.elements[0].props.entries().expect("a mapping");
        let values = entries.iter().map(|(k, v)| (k.text.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
        let found = diagnostics.into_sorted().into_iter().filter(|d| d.code != codes::PARAM_UNUSED);
        let found = found.map(|d| (d.code, d.primary.map(|p| source.slice(p.span).to_owned()).unwrap_or_default()));
        (values, found.collect())
    }

    #[test]
    fn values_come_from_set_then_environment_then_default() {
        let (values, found) = run("p: \"<${a}|${b}|${c}>\", q: \"$${a} $5 $$ {b}\"", &[("b", "! x ${a}")]);
        assert_eq!(found, []);
        assert_eq!(values[0].1, "<from env|! x ${a}|7>", "a value is not looked into again");
        assert_eq!(values[1].1, "${a} $5 $$ {b}");
        assert_eq!(run("p: \"${a}\"", &[("a", ""), ("b", "")]).0[0].1, "", "an empty text is a value");
    }

    #[test]
    fn faults_are_marked_at_the_reference() {
        let fault = |props: &str, code: &'static str, marked: &str| {
            let (values, found) = run(props, &[("b", "1")]);
            assert_eq!(found, [(code, marked.to_owned())], "{props}");
            assert!(values.is_empty(), "the property is left out");
        };
        fault("p: \"x ${d} y\"", codes::PARAM_UNKNOWN, "${d}");
        fault("p: \"${a:-1}\"", codes::PARAM_SYNTAX, "${a:-1}");
        fault("p: \"x ${a\"", codes::PARAM_SYNTAX, "${a");
        fault("\"${a}\": 1", codes::PARAM_PLACE, "\"${a}\"");
        fault("p: { \"${a}\": 1 }", codes::PARAM_PLACE, "\"${a}\"");
        fault("p: [1, \"${d}\"]", codes::PARAM_UNKNOWN, "${d}");
    }

    #[test]
    fn missing_and_unknown_ones_are_errors() {
        assert_eq!(run("p: \"${b}\"", &[]).1, [(codes::PARAM_MISSING, "b".to_owned())]);
        assert_eq!(run("p: 1", &[("b", "1"), ("bb", "1")]).1, [(codes::SET_UNKNOWN, String::new())]);
        assert_eq!(run("p: 1", &[("b", "1"), ("b", "2")]).1, [(codes::SET_SYNTAX, String::new())]);
        assert_eq!(parse_set("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parse_set("ab").is_err() && parse_set("=b").is_err());
    }

    #[test]
    fn sec_allocation_is_bounded() {
        let many = "${b}".repeat(20_000);
        let (_, found) = run(&format!("p: \"{many}\""), &[("b", &"x".repeat(10_000))]);
        assert!(found.iter().any(|(code, _)| *code == codes::TOO_LARGE));
    }
}
