//! The container of a `.rune` file: a version, and sections that are each written in a language of their own.
//!
//! ```text
//!   version = "rune/1.0"          the preamble, TOML
//!   [policies]                    a header: column 0, outside strings, comments and brackets
//!   permit (principal, …);        a body, cut out as it stands
//! ```
//!
//! Nothing is lost: every byte belongs to the preamble, a header or a body, and what looks like a header and is none is a
//! finding.

use std::ops::Range;

use pest::{Parser, iterators::Pair};

use crate::{
    base::{FileId, Span},
    diag::{Code, Finding, Findings, nearest},
};

use super::toml;

/// The language that this program reads.
pub const LANGUAGE: &str = "rune/1.0";

mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "syntax/rune.pest"]
    pub(super) struct Grammar;
}

use grammar::{Grammar, Rule};

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// Cedar's schema language.
    Schema,
    /// Facts, as TOML.
    Data,
    /// Entities, as TOML.
    Entities,
    /// Datalog.
    Rules,
    /// Cedar policies.
    Policies,
    /// A test, as TOML.
    Test,
    /// A flag, as TOML.
    Flag,
    /// A migration of live facts, as Datalog.
    Migrate,
}

impl SectionKind {
    const NAMES: [(&'static str, Self); 8] = [
        ("schema", Self::Schema),
        ("data", Self::Data),
        ("entities", Self::Entities),
        ("rules", Self::Rules),
        ("policies", Self::Policies),
        ("test", Self::Test),
        ("flag", Self::Flag),
        ("migrate", Self::Migrate),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    /// The name in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Whether a header of this kind names what it is about: `[test."…"]`.
    fn takes_argument(self) -> bool {
        matches!(self, Self::Test | Self::Flag | Self::Migrate)
    }

    fn rule(self) -> Rule {
        match self {
            Self::Data | Self::Entities | Self::Test | Self::Flag => Rule::toml,
            Self::Schema | Self::Rules | Self::Policies | Self::Migrate => Rule::cedar,
        }
    }
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub kind: SectionKind,
    /// What the header says it is about: `a test` in `[test."a test"]`. Empty where it says nothing.
    pub argument: String,
    /// The header line.
    pub header: Range<usize>,
    /// The text below the header, up to the next one.
    pub body: Range<usize>,
    /// Comments in the body of a section of Cedar text or rules.
    pub comments: Vec<Range<usize>>,
}

impl Section {
    /// The body as Cedar's parsers can read it: `#` comments are blank, and every other byte is where it was.
    #[must_use]
    pub fn cedar_text(&self, text: &str) -> String {
        self.without(text, |comment| comment.starts_with('#'))
    }

    /// The body with every comment blank, and every other byte where it was.
    #[must_use]
    pub fn text_without_comments(&self, text: &str) -> String {
        self.without(text, |_| true)
    }

    fn without(&self, text: &str, is_blanked: fn(&str) -> bool) -> String {
        let mut body = String::with_capacity(self.body.len());
        let mut from = self.body.start;
        let is_blanked = |comment: &&Range<usize>| text.get((*comment).clone()).is_some_and(is_blanked);
        for comment in self.comments.iter().filter(is_blanked) {
            body.push_str(text.get(from..comment.start).unwrap_or_default());
            body.extend(std::iter::repeat_n(' ', comment.len()));
            from = comment.end;
        }
        body.push_str(text.get(from..self.body.end).unwrap_or_default());
        body
    }
}

/// Cuts a `.rune` file into its sections. What is wrong becomes findings, and the other sections still come out.
pub fn parse(file: FileId, text: &str, findings: &mut Findings) -> Vec<Section> {
    let mut cutter = Cutter { file, text, findings, open: Vec::new(), swallowed: None };
    let mut sections = cutter.cut();
    if let Some(open) = cutter.report_open() {
        // Whatever its own language says of that section would be a consequence.
        sections.retain(|section| !section.body.contains(&open));
    }
    sections
}

struct Cutter<'a> {
    file: FileId,
    text: &'a str,
    findings: &'a mut Findings,
    /// Where the brackets that are open were opened.
    open: Vec<usize>,
    /// The first header that stood inside brackets, to be told if they are never closed.
    swallowed: Option<usize>,
}

/// What is being read: the part before the first header, a section, or one whose header is wrong.
enum Part {
    Preamble,
    Section(Section),
    Unknown,
}

impl Cutter<'_> {
    fn cut(&mut self) -> Vec<Section> {
        let mut sections = Vec::new();
        // A byte order mark is not text.
        let mut at = if self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let (mut part, mut part_start) = (Part::Preamble, at);
        loop {
            if let Some((next, body_start)) = self.header(at) {
                self.finish(part, part_start..at, &mut sections);
                (part, part_start, at) = (next, body_start, body_start);
            }
            let piece_end = self.piece(at, &mut part);
            let Some(line) = self.text.get(piece_end..).filter(|rest| !rest.is_empty()) else { break };
            at = piece_end + if line.starts_with('\r') { 2 } else { 1 };
        }
        self.finish(part, part_start..self.text.len(), &mut sections);
        sections
    }

    /// Reads on from `from` to the line break before the next line that looks like a header.
    fn piece(&mut self, from: usize, part: &mut Part) -> usize {
        let rule = match part {
            Part::Preamble => Rule::toml,
            Part::Section(section) => section.kind.rule(),
            Part::Unknown => Rule::cedar,
        };
        let rest = self.text.get(from..).unwrap_or_default();
        // The rule takes any text, the empty one too.
        let Some(piece) = Grammar::parse(rule, rest).ok().and_then(|mut pairs| pairs.next()) else {
            return self.text.len();
        };
        let end = from + piece.as_span().end();
        for pair in piece.into_inner() {
            let at = from + pair.as_span().start();
            match pair.as_rule() {
                Rule::open => self.open.push(at),
                Rule::close => drop(self.open.pop()),
                Rule::unclosed => self.unclosed_string(at, part),
                Rule::cedar_comment => {
                    if let Part::Section(section) = part {
                        section.comments.push(at..from + pair.as_span().end());
                    }
                }
                _ => {}
            }
        }
        end
    }

    /// The part that a header at `at` begins, and where its body does; none if there is no header.
    fn header(&mut self, at: usize) -> Option<(Part, usize)> {
        let rest = self.text.get(at..)?;
        let line = rest.lines().next().unwrap_or_default();
        Grammar::parse(Rule::candidate, line).ok()?;
        let blank = line.len() - line.trim_start().len();
        let inner = line.trim_start().trim_start_matches('[').trim_start();
        let name =
            inner.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).next().unwrap_or_default();
        let kind = SectionKind::named(name);
        // An indented line with another name is text; with a section's name it is a slip.
        if kind.is_none() && 0 < blank {
            return None;
        }
        if !self.open.is_empty() {
            self.swallowed = self.swallowed.or(kind.map(|_| at));
            return None;
        }
        let span = Span::new(self.file, at + blank..at + line.trim_end().len());
        let body = at + line.len();
        let Some(kind) = kind else {
            let help = other_section(name, line);
            let message = format!("`{name}` is not the name of a section");
            self.findings.push(Finding::new(Code::UnknownSection, span, message).help(help));
            return Some((Part::Unknown, body));
        };
        if 0 < blank {
            let message = "a section's header begins in the first column";
            self.findings.push(Finding::new(Code::IndentedSection, span, message).help("remove the blanks before it"));
        }
        let parsed = Grammar::parse(Rule::header, line.trim_start()).ok().and_then(|mut pairs| pairs.next());
        let argument = parsed.and_then(|header| {
            let argument = header.into_inner().find(|pair: &Pair<'_, Rule>| pair.as_rule() == Rule::argument);
            match argument {
                Some(pair) if kind.takes_argument() => unquoted(pair.as_str()),
                None if !kind.takes_argument() => Some(String::new()),
                _ => None,
            }
        });
        let form = if kind.takes_argument() { format!("[{name}.\"…\"]") } else { format!("[{name}]") };
        let Some(argument) = argument else {
            let message = format!("this is not how a `{name}` section begins");
            let finding = Finding::new(Code::MalformedSection, span, message);
            self.findings.push(finding.help(format!("write `{form}` and nothing after it on the line")));
            return Some((Part::Unknown, body));
        };
        let header = span.range();
        Some((Part::Section(Section { kind, argument, header, body: body..body, comments: Vec::new() }), body))
    }

    fn finish(&mut self, part: Part, range: Range<usize>, sections: &mut Vec<Section>) {
        match part {
            Part::Preamble => self.preamble(range),
            Part::Section(section) => sections.push(Section { body: range, ..section }),
            Part::Unknown => {}
        }
    }

    /// The part before the first section: `version = "rune/1.0"` and nothing else.
    fn preamble(&mut self, range: Range<usize>) {
        let start = range.start;
        let span = |part: Range<usize>| Span::new(self.file, start + part.start..start + part.end);
        let text = self.text.get(range.clone()).unwrap_or_default();
        let help = format!("begin the file with `version = \"{LANGUAGE}\"`");
        let node = match toml::parse(text) {
            Ok(node) => node,
            Err(errors) => {
                for error in errors {
                    let finding = Finding::new(Code::TomlSyntax, span(error.span), error.message);
                    let help = error.help.as_deref().unwrap_or("before the first section there is only the version");
                    self.findings.push(finding.help(help));
                }
                return;
            }
        };
        match node.member("version") {
            None => {
                let message = "the file does not say which version of the language it is written in";
                self.findings.push(Finding::new(Code::MissingVersion, span(0..0), message).help(help));
            }
            Some(version) if version.as_text() != Some(LANGUAGE) => {
                let message = format!("this program reads `{LANGUAGE}` and no other version");
                self.findings.push(Finding::new(Code::UnknownVersion, span(version.span.clone()), message).help(help));
            }
            Some(_) => {}
        }
        if let super::Shape::Table(members) = &node.shape {
            for (key, _) in members.iter().filter(|(key, _)| key.name != "version") {
                let message = format!("`{}` means nothing before the first section", key.name);
                let finding = Finding::new(Code::UnknownKey, span(key.span.clone()), message);
                self.findings.push(finding.help("facts belong in a `[data]` section"));
            }
        }
    }

    fn unclosed_string(&mut self, line_end: usize, part: &mut Part) {
        let line_start = self.text.get(..line_end).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let span = Span::new(self.file, line_start..line_end);
        let finding = Finding::new(Code::UnclosedString, span, "a string on this line is not closed");
        self.findings.push(finding.help("close it with `\"`; a line break in a string is written `\\n`"));
        // Whatever Cedar says of the section, and whichever bracket the line leaves open, would be a consequence.
        *part = Part::Unknown;
        self.open.clear();
    }

    /// Reports the first bracket that the end of the file leaves open, and returns its place.
    fn report_open(&mut self) -> Option<usize> {
        let at = *self.open.first()?;
        let bracket = self.text.get(at..at + 1).unwrap_or_default();
        let span = Span::new(self.file, at..at + 1);
        let close = match bracket {
            "(" => ")",
            "{" => "}",
            _ => "]",
        };
        let finding = Finding::new(Code::UnclosedBracket, span, format!("this `{bracket}` is never closed"));
        let mut finding = finding.help(format!("close it with `{close}`"));
        if let Some(header) = self.swallowed {
            finding =
                finding.related(Span::new(self.file, header..header + 1), "so this section is taken to be inside it");
        }
        self.findings.push(finding);
        Some(at)
    }
}

/// What else people call sections. There are none yet for flags and migrations.
const OTHER_NAMES: [(&str, &str); 15] = [
    ("facts", "data"),
    ("rows", "data"),
    ("relations", "rules"),
    ("datalog", "rules"),
    ("logic", "rules"),
    ("types", "schema"),
    ("cedar", "policies"),
    ("permissions", "policies"),
    ("users", "entities"),
    ("groups", "entities"),
    ("roles", "entities"),
    ("links", "data"),
    ("flags", ""),
    ("migrations", ""),
    ("imports", ""),
];

/// The section that is meant by another name, with what the header says it is about if it is a test.
fn other_section(name: &str, line: &str) -> String {
    let served =
        SectionKind::NAMES.map(|(known, _)| known).into_iter().filter(|known| !["flag", "migrate"].contains(known));
    let one = |name: &str| name.to_ascii_lowercase().trim_end_matches('s').to_owned();
    let other = OTHER_NAMES.iter().find(|(other, _)| one(name) == one(other)).map(|(_, known)| *known);
    match other.or_else(|| nearest(name, served)).filter(|known| !known.is_empty()) {
        Some("test") => {
            let argument =
                line.split_once('.').and_then(|(_, rest)| rest.split_once(']')).map(|(argument, _)| argument);
            let quoted = argument.map(str::trim).filter(|argument| argument.starts_with(['"', '\'']));
            format!("did you mean `[test.{}]`?", quoted.unwrap_or("\"…\""))
        }
        Some(known) => format!("did you mean `[{known}]`?"),
        None => "sections are schema, data, entities, rules, policies and test; \
                 a TOML table is written inline: `name = { … }`"
            .to_owned(),
    }
}

/// A header's argument as it is meant: what TOML's quotes enclose, or as it stands. None if it says nothing.
fn unquoted(argument: &str) -> Option<String> {
    let argument = argument.trim();
    let text = if argument.starts_with(['"', '\'']) {
        toml::parse(&format!("x = {argument}")).ok()?.member("x").and_then(super::Node::as_text)?.to_owned()
    } else {
        argument.to_owned()
    };
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Sources;

    /// The sections as `kind: body`, then the findings.
    fn cut(text: &str) -> String {
        let sources = Sources::single("a.rune", text);
        let (file, _) = sources.files().next().unwrap();
        let mut findings = Findings::default();
        let sections = parse(file, text, &mut findings);
        let mut out: Vec<String> =
            sections.iter().map(|s| format!("{}:{:?}", s.kind.name(), text.get(s.body.clone()).unwrap())).collect();
        let report = findings.into_report(Arc::new(sources));
        for finding in &report.findings {
            let place = report.sources.place(finding.span);
            let (line, column) = (place.line, place.column);
            out.push(format!("{line}:{column}: {}[{}]: {}", finding.severity, finding.code, finding.message));
        }
        out.join("\n")
    }

    const V: &str = "version = \"rune/1.0\"\n";

    #[test]
    fn sections_are_cut_at_their_headers_and_nothing_is_lost() {
        let text = format!("{V}[schema] # types\nentity User;\n[data]\na = 1\r\n[data]\nb = 2");
        assert_eq!(
            cut(&text),
            "schema:\" # types\\nentity User;\\n\"\ndata:\"\\na = 1\\r\\n\"\ndata:\"\\nb = 2\""
                .replace("\" # types\\n", "\"\\n")
        );
    }

    #[test]
    fn a_header_in_a_string_a_comment_or_a_bracket_is_none() {
        let text =
            format!("{V}[data]\na = '''\n[rules]\n'''\nb = [\n[\n1],\n[policies]\n]\n# [schema]\nc = \"\\\"\"\n");
        let sections = cut(&text);
        assert_eq!(sections.matches("data:").count(), 1, "{sections}");
        assert_eq!(sections.lines().count(), 1, "{sections}");
        let text = format!(
            "{V}[policies]\n// it's (\npermit (principal, action, resource) when {{ \"[data]\" == x }};\n[data]\n"
        );
        let sections = cut(&text);
        assert!(sections.ends_with("\ndata:\"\\n\"") && sections.lines().count() == 2, "{sections}");
    }

    #[test]
    fn what_looks_like_a_header_and_is_none_is_said() {
        for (line, expected) in [
            ("[polices]", "2:1: error[unknown-section]: `polices` is not the name of a section"),
            ("  [policies]", "2:3: error[indented-section]: a section's header begins in the first column"),
            ("[policies] x", "2:1: error[malformed-section]: this is not how a `policies` section begins"),
            ("[test]", "2:1: error[malformed-section]: this is not how a `test` section begins"),
            ("[data.x]", "2:1: error[malformed-section]: this is not how a `data` section begins"),
            ("[[data]]", "2:1: error[malformed-section]: this is not how a `data` section begins"),
        ] {
            let out = cut(&format!("{V}{line}\n"));
            assert_eq!(out.lines().last(), Some(expected), "{line}");
        }
        assert_eq!(cut(&format!("{V}[test.\"a ] b\"]\nx = 1")), "test:\"\\nx = 1\"");
    }

    #[test]
    fn the_version_is_required_known_and_alone() {
        assert!(cut("[schema]\n").contains("missing-version"));
        assert!(cut("").contains("missing-version"));
        assert!(cut("version = \"rune/99.0\"\n").contains("1:11: error[unknown-version]"));
        assert!(cut("version = 1\n").contains("unknown-version"));
        assert!(cut(&format!("{V}x = 1\n")).contains("2:1: error[unknown-key]"));
        assert_eq!(
            cut(&format!("{V}[data]\nversion_pin = \"2\"\nx = 1\n")),
            "data:\"\\nversion_pin = \\\"2\\\"\\nx = 1\\n\""
        );
        assert_eq!(cut(&format!("\u{feff}{V}[data]\n")), "data:\"\\n\"");
    }

    #[test]
    fn a_bracket_that_is_never_closed_is_one_finding() {
        let out = cut(&format!("{V}[policies]\npermit (principal, action, resource) when {{ true ;\n[data]\na = 1\n"));
        assert_eq!(out.lines().last(), Some("3:43: error[unclosed-bracket]: this `{` is never closed"), "{out}");
        assert_eq!(out.matches("error").count(), 1);
    }

    #[test]
    fn hash_comments_are_blank_for_cedar_and_keep_every_place() {
        let text = format!(
            "{V}[policies]\n# ä comment\npermit (principal, action, resource) # why\nwhen {{ \"#\" == \"#\" }};"
        );
        let sources = Sources::single("a.rune", &text);
        let (file, _) = sources.files().next().unwrap();
        let section = parse(file, &text, &mut Findings::default()).remove(0);
        let cedar = section.cedar_text(&text);
        assert_eq!(cedar.len(), section.body.len());
        assert!(!cedar.contains("comment") && !cedar.contains("why") && cedar.contains("\"#\" == \"#\""), "{cedar}");
    }
}
