//! Files to the texts of each language, and what of them can be read by itself.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{File, FileId, Kind, Sources, Span},
    check::{policies::Origin, rules},
    diag::{Code, Finding, Findings, Unread},
    syntax::{
        self, Node, Section, SectionKind, Shape,
        cedar::{Piece, too_high},
        characters::odd_character,
        container,
        height::{self, Notation},
        rules as clauses,
    },
};

use super::{
    cases,
    unread::{note_clauses, note_sections},
};

/// What the files of a ruleset say, by language.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) schemas: Vec<Piece>,
    pub(super) policies: Vec<(Piece, Origin)>,
    pub(super) clauses: Vec<rules::Written>,
    pub(super) data: Vec<(FileId, Node)>,
    pub(super) entity_tables: Vec<(FileId, Node)>,
    pub(super) entity_lists: Vec<(FileId, Node)>,
    pub(super) links: Vec<(FileId, Node)>,
    pub(super) row_files: Vec<FileId>,
    pub(super) tests: Vec<cases::Written>,
}

impl Texts {
    /// Reads each file as what it is. What follows from what cannot be read is no finding from then on.
    pub(super) fn read(sources: &Arc<Sources>, findings: &mut Findings) -> Self {
        let (texts, unread, test_names) = (Self::default(), Unread::default(), BTreeMap::new());
        let mut reader = Reader { sources, findings, texts, unread, test_names };
        reader.read();
        let Reader { texts, unread, .. } = reader;
        findings.leave_out(unread);
        texts
    }
}

struct Reader<'s> {
    sources: &'s Arc<Sources>,
    findings: &'s mut Findings,
    texts: Texts,
    unread: Unread,
    test_names: BTreeMap<String, Span>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let says_something = |file: &File| !matches!(Kind::of(&file.path), None | Some(Kind::Rows | Kind::Misnamed));
        if !self.sources.files().any(|(_, file)| says_something(file)) {
            let finding = Finding::new(Code::NoSources, Span::NOWHERE, "there is no source file");
            self.findings
                .push(finding.help("sources are *.rune, *.cedar, *.cedarschema, *.entities.json and *.links.json"));
        }
        let sources = self.sources.clone();
        for (id, file) in sources.files() {
            if let Some(text) = self.text(id, file) {
                self.file(id, file, text);
            }
        }
    }

    fn text<'f>(&mut self, id: FileId, file: &'f File) -> Option<&'f str> {
        let limit = Kind::bytes_max(&file.path);
        if limit < file.bytes.len() {
            let message = format!("the file has {} bytes, more than {limit}", file.bytes.len());
            let finding = Finding::new(Code::FileTooLarge, Span::new(id, 0..0), message);
            self.findings.push(finding.help("split it into several files"));
            return None;
        }
        let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        // Rows may all be gone; what says what they mean may not.
        let is_rows = Kind::of(&file.path) == Some(Kind::Rows);
        if !is_rows && file.text().len() == file.bytes.len() && file.text().trim_matches(is_blank).is_empty() {
            let finding = Finding::new(Code::EmptyFile, Span::new(id, 0..0), "the file is empty");
            self.findings.push(finding.help("delete it, or say in a comment that nothing is meant to be here"));
            return None;
        }
        match std::str::from_utf8(&file.bytes) {
            Ok(text) => match odd_character(text, is_code(&file.path)) {
                None => Some(text),
                Some(odd) => {
                    self.findings.push(odd.finding(id));
                    None
                }
            },
            Err(error) => {
                let at = error.valid_up_to();
                let finding =
                    Finding::new(Code::NotUtf8, Span::new(id, at..at), "from here on the file is not UTF-8 text");
                self.findings.push(finding.help("save it as UTF-8"));
                None
            }
        }
    }

    fn file(&mut self, id: FileId, file: &File, text: &str) {
        // A byte order mark is not text.
        let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
        let piece = || Piece { file: id, start: text.len() - plain.len(), text: plain.to_owned() };
        match Kind::of(&file.path) {
            Some(Kind::Rune) => self.rune(id, text),
            Some(Kind::Cedar) => self.texts.policies.push((piece(), Origin::Cedar)),
            Some(Kind::CedarSchema) => self.texts.schemas.push(piece()),
            Some(Kind::EntitiesJson) => {
                let node = self.json(&piece());
                self.texts.entity_lists.extend(node.map(|node| (id, node)));
            }
            Some(Kind::LinksJson) => {
                let node = self.json(&piece());
                self.texts.links.extend(node.map(|node| (id, node)));
            }
            Some(Kind::Rows) => self.texts.row_files.push(id),
            Some(Kind::Misnamed) => {
                let finding = Finding::new(Code::MisnamedFile, Span::new(id, 0..0), "this file is not read");
                self.findings.push(
                    finding.help("name it as in `people.entities.json`, `a.links.json`, `a.cedar`, in lower case"),
                );
            }
            Some(Kind::Unsupported) | None => {
                let message = "RUNE does not read this notation of Cedar's";
                let finding = Finding::new(Code::UnsupportedFormat, Span::new(id, 0..0), message);
                self.findings.push(
                    finding
                        .help("write it in Cedar's own notation: `cedar translate-schema`, `cedar translate-policy`"),
                );
            }
        }
    }

    fn json(&mut self, piece: &Piece) -> Option<Node> {
        match syntax::json::parse_with_places(&piece.text) {
            Ok(mut node) => {
                move_by(&mut node, piece.start);
                Some(node)
            }
            Err(error) => {
                self.findings.push(Finding::new(Code::JsonSyntax, piece.span(error.span), error.message));
                None
            }
        }
    }

    fn rune(&mut self, id: FileId, text: &str) {
        let sections = container::parse(id, text, self.findings);
        note_sections(&mut self.unread, text, &sections);
        for section in sections {
            let piece = |text: String| Piece { file: id, start: section.body.start, text };
            match section.kind {
                SectionKind::Schema => self.texts.schemas.push(piece(section.cedar_text(text))),
                SectionKind::Policies => self.texts.policies.push((piece(section.cedar_text(text)), Origin::Rune)),
                SectionKind::Entities => {
                    let body = text.get(section.body.clone()).unwrap_or_default();
                    let node = self.toml(id, section.body.start, body, Unread::note);
                    self.texts.entity_tables.extend(node.map(|node| (id, node)));
                }
                SectionKind::Test => {
                    let body = text.get(section.body.clone()).unwrap_or_default();
                    if let Some(body) = self.toml(id, section.body.start, body, Unread::note_reader) {
                        self.test(id, section, body);
                    }
                }
                SectionKind::Data => {
                    let body = text.get(section.body.clone()).unwrap_or_default();
                    let node = self.toml(id, section.body.start, body, Unread::note);
                    self.texts.data.extend(node.map(|node| (id, node)));
                }
                SectionKind::Rules => {
                    let piece = piece(section.text_without_comments(text));
                    let clauses = clauses::parse(&piece, self.findings);
                    note_clauses(&mut self.unread, &piece, &clauses);
                    self.texts.clauses.extend(clauses.into_iter().map(|clause| (id, clause)));
                }
                SectionKind::Flag | SectionKind::Migrate => {
                    let message = format!("`{}` sections are not supported yet", section.kind.name());
                    let finding = Finding::new(Code::NotSupportedYet, Span::new(id, section.header), message);
                    self.findings
                        .push(finding.help("take the section out: a part that is not carried out must not seem to be"));
                }
            }
        }
    }

    fn test(&mut self, file: FileId, section: Section, body: Node) {
        let place = Span::new(file, section.header.clone());
        if let Some(other) = self.test_names.insert(section.argument.clone(), place) {
            let message = format!("there is another test of the name \"{}\"", section.argument);
            self.findings.push(Finding::new(Code::DuplicateTest, place, message).related(other, "the other test"));
        }
        self.texts.tests.push(cases::Written { name: section.argument, file, header: section.header, body });
    }

    /// A TOML section, its places counted from the start of the file. What cannot be read is noted.
    fn toml(&mut self, id: FileId, start: usize, body: &str, lost: fn(&mut Unread, &str)) -> Option<Node> {
        if let Err(excess) = height::measure(body, Notation::Toml) {
            let place = excess.place(body);
            self.findings.push(too_high(excess, Span::new(id, start + place.start..start + place.end)));
            lost(&mut self.unread, body);
            return None;
        }
        match syntax::toml::parse(body) {
            Ok(mut node) => {
                move_by(&mut node, start);
                Some(node)
            }
            Err(errors) => {
                for error in errors {
                    let span = Span::new(id, start + error.span.start..start + error.span.end);
                    let finding = Finding::new(Code::TomlSyntax, span, error.message);
                    self.findings.push(match error.help {
                        Some(help) => finding.help(help),
                        None => finding,
                    });
                }
                lost(&mut self.unread, body);
                None
            }
        }
    }
}

fn is_code(path: &str) -> bool {
    matches!(Kind::of(path), Some(Kind::Rune | Kind::Cedar | Kind::CedarSchema))
}

fn move_by(node: &mut Node, offset: usize) {
    let moved = |span: &std::ops::Range<usize>| span.start + offset..span.end + offset;
    node.span = moved(&node.span);
    match &mut node.shape {
        Shape::List(nodes) => nodes.iter_mut().for_each(|node| move_by(node, offset)),
        Shape::Table(members) => {
            for (key, node) in members {
                key.span = moved(&key.span);
                move_by(node, offset);
            }
        }
        _ => {}
    }
}
