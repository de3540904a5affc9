//! Tokens to elements and links.

use std::collections::{HashMap, HashSet};

use millstream_core::settings::{Key, Node, NodeKind, Span};

use super::lexer::{Token, TokenKind};
use crate::diagnostic::{Diagnostic, Diagnostics, codes};
use crate::doc::{ElementDoc, EndDoc, LinkDoc, PipelineDoc, Spanned, is_name};

/// What happens when an element fails: read by the framework, no property of the element.
const ON_ERROR: &str = "on-error";

/// The names that `name=` gives in a line: made-up names keep clear of them.
pub(super) fn names_of(tokens: &[Token]) -> Vec<String> {
    let name = |token: &Token| match &token.kind {
        TokenKind::Assign { key, value } if key.value == "name" => value.as_str().map(str::to_owned),
        _ => None,
    };
    tokens.iter().filter_map(name).collect()
}

/// The state between two ends of a chain.
enum Chain {
    /// At the start, or after something that was reported.
    Fresh,
    /// After an end.
    After(EndDoc),
    /// After `!`, perhaps with a filter.
    Link { from: Option<EndDoc>, filter: Option<Spanned<String>>, span: Span },
}

pub(super) struct Parser<'a> {
    doc: &'a mut PipelineDoc,
    taken: HashSet<String>,
    counters: HashMap<String, usize>,
    /// The names of the section `elements` in a YAML file; `None` in a launch line.
    declared: Option<HashMap<String, Span>>,
    diagnostics: &'a mut Diagnostics,
    chain: Chain,
    bins: Vec<Span>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        doc: &'a mut PipelineDoc,
        taken: impl IntoIterator<Item = String>,
        declared: Option<HashMap<String, Span>>,
        diagnostics: &'a mut Diagnostics,
    ) -> Self {
        let taken = taken.into_iter().collect();
        Self { doc, taken, counters: HashMap::new(), declared, diagnostics, chain: Chain::Fresh, bins: Vec::new() }
    }

    pub(super) fn links(&self) -> usize {
        self.doc.links.len()
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reads one line; chains end with it.
    pub(super) fn line(&mut self, tokens: &[Token]) {
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            match &token.kind {
                TokenKind::Name(name) => rest = self.name(name, token.span, rest),
                TokenKind::Ref { element, pad } => {
                    self.end(EndDoc { element: element.clone(), pad: pad.clone() });
                    rest = self.no_properties(rest, &element.value);
                }
                TokenKind::Link => self.link(token.span),
                TokenKind::Caps(text) => rest = self.filter(text, token.span, rest),
                TokenKind::Open(kind) => rest = self.open(kind.as_deref(), token.span, rest),
                TokenKind::Close => self.close(token.span),
                TokenKind::Assign { key, .. } => self.lost_property(key),
                TokenKind::Bad => self.chain = Chain::Fresh,
            }
        }
        self.dangling();
        self.chain = Chain::Fresh;
        for span in std::mem::take(&mut self.bins) {
            let d = Diagnostic::error(codes::PARENTHESIS, "this bin is not closed").at(span, "");
            self.report(d.hint("add ` )`, with white space before it, so that it is no part of a value"));
        }
    }

    /// A bare word: an element to make, or in YAML one of `elements:`.
    fn name<'t>(&mut self, name: &str, span: Span, rest: &'t [Token]) -> &'t [Token] {
        if self.declared.as_ref().is_some_and(|declared| declared.contains_key(name)) {
            self.end(EndDoc { element: Spanned::new(name.to_owned(), span), pad: None });
            return self.no_properties(rest, name);
        }
        let (props, rest) = self.properties(rest);
        let incomplete = matches!(rest.first().map(|token| &token.kind), Some(TokenKind::Bad));
        let explicit = props.iter().find(|(key, _)| key.text == "name");
        let explicit = explicit.and_then(|(_, value)| Some(Spanned::new(value.as_str()?.to_owned(), value.span)));
        if let Some(bad) = explicit.as_ref().filter(|name| !is_name(&name.value)) {
            self.report(bad_name(bad));
        }
        let named = explicit.is_some();
        let own = explicit.unwrap_or_else(|| Spanned::new(self.made_up(name), span));
        let whole = props.last().map_or(span, |(_, value)| span.join(value.span));
        let on_error = props.iter().find(|(key, _)| key.text == ON_ERROR).map(|(_, value)| value.clone());
        let props: Vec<(Key, Node)> =
            props.into_iter().filter(|(key, _)| !matches!(key.text.as_str(), "name" | ON_ERROR)).collect();
        let last = props.last().map_or(span, |(_, value)| value.span);
        let props_span = props.first().map_or(Span::at(span.end), |(key, _)| key.span.join(last));
        self.doc.elements.push(ElementDoc {
            name: own.clone(),
            named,
            element: Spanned::new(name.to_owned(), span),
            props: Node { span: props_span, kind: NodeKind::Map(props) },
            on_error,
            incomplete,
            span: whole,
        });
        self.end(EndDoc { element: Spanned::new(own.value, span), pad: None });
        rest
    }

    fn properties<'t>(&mut self, mut rest: &'t [Token]) -> (Vec<(Key, Node)>, &'t [Token]) {
        let mut props: Vec<(Key, Node)> = Vec::new();
        while let Some((Token { kind: TokenKind::Assign { key, value }, .. }, after)) = rest.split_first() {
            rest = after;
            match props.iter().find(|(before, _)| before.text == key.value) {
                None => props.push((Key { text: key.value.clone(), span: key.span }, value.clone())),
                Some((before, _)) => {
                    let message = format!("property `{}` is given twice", key.value);
                    let d = Diagnostic::error(codes::PROPERTY_TWICE, message).at(key.span, "given again");
                    let d = d.also(before.span, "first given here").hint("remove one of them");
                    self.report(d);
                }
            }
        }
        (props, rest)
    }

    fn no_properties<'t>(&mut self, rest: &'t [Token], name: &str) -> &'t [Token] {
        let (props, rest) = self.properties(rest);
        if let Some((key, _)) = props.first() {
            let message = format!("`{name}` is made elsewhere; it cannot get properties here");
            let d = Diagnostic::error(codes::PROPERTY_OF_REFERENCE, message).at(key.span, "");
            let declared = self.declared.as_ref().and_then(|declared| declared.get(name)).copied();
            let d = match declared {
                Some(span) => d.also(span, "made here"),
                None => d,
            };
            self.report(d.hint(format!("set `{}` where `{name}` is made", key.text)));
        }
        rest
    }

    fn lost_property(&mut self, key: &Spanned<String>) {
        let message = format!("property `{}` has no element before it", key.value);
        self.report(
            Diagnostic::error(codes::PROPERTY_SYNTAX, message).at(key.span, "").hint("put it after its element"),
        );
    }

    fn made_up(&mut self, element: &str) -> String {
        let kind = element.rsplit('/').next().unwrap_or(element);
        loop {
            let counter = self.counters.entry(kind.to_owned()).or_default();
            let name = format!("{kind}{counter}");
            *counter = counter.saturating_add(1);
            // Ends: each round tries a new name, and `taken` is finite.
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    fn end(&mut self, end: EndDoc) {
        let chain = std::mem::replace(&mut self.chain, Chain::After(end.clone()));
        if let Chain::Link { from: Some(from), filter, .. } = chain {
            let span = from.span().join(end.span());
            self.doc.links.push(LinkDoc { from, to: end, filter, span });
        }
    }

    fn link(&mut self, span: Span) {
        let from = match std::mem::replace(&mut self.chain, Chain::Fresh) {
            Chain::After(end) => Some(end),
            Chain::Fresh => {
                if self.at_start() {
                    let d = Diagnostic::error(codes::LINE_SYNTAX, "nothing stands before this `!`").at(span, "");
                    self.report(d.expected("an element or `name.pad`"));
                }
                None
            }
            Chain::Link { from, .. } => {
                let d = Diagnostic::error(codes::LINE_SYNTAX, "there is nothing between two `!`").at(span, "");
                self.report(d.expected("an element or a caps filter").hint("remove one `!`"));
                from
            }
        };
        self.chain = Chain::Link { from, filter: None, span };
    }

    /// Whether a `!` here is the fault itself and not what is left of one that was reported.
    fn at_start(&self) -> bool {
        !self.diagnostics.has_errors()
    }

    fn filter<'t>(&mut self, text: &str, span: Span, rest: &'t [Token]) -> &'t [Token] {
        let followed = matches!(rest.first().map(|token| &token.kind), Some(TokenKind::Link));
        match &mut self.chain {
            Chain::Link { filter: slot @ None, span: bang, .. } if followed => {
                *slot = Some(Spanned::new(text.to_owned(), span));
                *bang = rest.first().map_or(*bang, |token| token.span);
                rest.get(1..).unwrap_or_default()
            }
            Chain::Link { filter: Some(before), .. } => {
                let d = Diagnostic::error(codes::FILTER_PLACE, "two caps filters follow each other");
                let d = d.at(span, "").also(before.span, "the first").hint("write the fields of both in one filter");
                self.report(d);
                rest.get(usize::from(followed)..).unwrap_or_default()
            }
            Chain::Link { .. } => {
                let d = Diagnostic::error(codes::FILTER_PLACE, "no element follows this caps filter").at(span, "");
                self.report(d.expected("`!` and an element after the caps"));
                self.chain = Chain::Fresh;
                rest
            }
            _ => {
                let d = Diagnostic::error(codes::FILTER_PLACE, "no `!` stands before this caps filter").at(span, "");
                self.report(d.expected("an element and `!` before the caps: `flvdemux ! video/x-h264 ! …`"));
                self.chain = Chain::Fresh;
                rest.get(usize::from(followed)..).unwrap_or_default()
            }
        }
    }

    fn open<'t>(&mut self, kind: Option<&str>, span: Span, rest: &'t [Token]) -> &'t [Token] {
        if !matches!(kind, None | Some("bin" | "pipeline")) {
            let message = format!("a bin of kind `{}` is not supported", kind.unwrap_or_default());
            self.report(Diagnostic::error(codes::NOT_SUPPORTED, message).at(span, "").hint("use `( … )`"));
        } else {
            let note = "the elements of this bin become part of the pipeline";
            self.report(Diagnostic::note(codes::BIN_FLATTENED, note).at(span, ""));
        }
        self.bins.push(span);
        if matches!(self.chain, Chain::After(_)) {
            self.chain = Chain::Fresh;
        }
        // Properties of the bin itself.
        self.properties(rest).1
    }

    fn close(&mut self, span: Span) {
        self.dangling();
        if self.bins.pop().is_none() {
            self.report(
                Diagnostic::error(codes::PARENTHESIS, "no bin is open here").at(span, "").hint("remove the `)`"),
            );
        }
    }

    fn dangling(&mut self) {
        if let Chain::Link { span, .. } = self.chain {
            let d = Diagnostic::error(codes::LINE_SYNTAX, "nothing stands after this `!`").at(span, "");
            self.report(d.expected("an element or `name.pad`"));
            self.chain = Chain::Fresh;
        }
    }
}

/// The diagnostic for a name that links could not refer to.
pub(crate) fn bad_name(name: &Spanned<String>) -> Diagnostic {
    let d = Diagnostic::error(codes::BAD_NAME, format!("`{}` cannot be a name", name.value)).at(name.span, "");
    let d = d.expected("a letter or `_`, then letters, digits, `_` and `-`, at most 64 characters");
    let repaired: String =
        name.value.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' }).collect();
    match is_name(&repaired) {
        true => d.hint(format!("use `{repaired}`")),
        false => d,
    }
}
