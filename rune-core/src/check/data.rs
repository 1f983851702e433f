//! Rows: of `[data]` sections, and of the CSV and TSV files that they name.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    base::{
        FileId, Kind, Pool, Sources, Span, Value, Values, View,
        value::{brief, cut},
    },
    diag::{Code, Finding, Findings},
    schema::{
        Schema, Type, Types,
        conform::{Reader, Undeclared, looks_like_entity, parse_entity},
    },
    syntax::{
        Key, Node, Shape,
        csv::{self, Field, Records, Separator},
        slips, toml,
    },
};

use super::meant;
use super::rules::{Fact, FactList, Names, Predicate, PredicateId, PredicateKind};

/// What `[data]` sections say.
#[derive(Debug, Default)]
pub struct GivenRows {
    /// The rows.
    pub rows: FactList,
    /// The files of rows that were read.
    pub files: Vec<FileId>,
    /// The relations that are named, with rows or without.
    pub named: BTreeSet<PredicateId>,
}

/// Reads the rows of `[data]` sections.
pub fn check(
    tables: &[(FileId, Node)],
    sources: &Sources,
    names: &Names,
    schema: Option<&Schema>,
    values: &mut Pool,
    findings: &mut Findings,
) -> GivenRows {
    let mut reader = Rows::new(sources, names, schema, values, findings);
    for (file, table) in tables {
        reader.table(*file, "", table);
    }
    reader.given
}

/// The rows that a test expects of a query whose variables have these types: a list of rows, or true for the row of none.
pub fn expected_rows(
    file: FileId,
    node: &Node,
    types: &[Types],
    schema: Option<&Schema>,
    values: &mut Pool,
    findings: &mut Findings,
) -> Option<Vec<Vec<Value>>> {
    let names = &Names::default();
    let sources = &Sources::new(Vec::new());
    let mut reader = Rows::new(sources, names, schema, values, findings);
    let rows = match &node.shape {
        Shape::Bool(holds) if types.is_empty() => return Some(if *holds { vec![Vec::new()] } else { Vec::new() }),
        Shape::List(rows) => rows,
        _ => {
            let place = Span::new(file, node.span.clone());
            reader.refuse(Code::TestForm, place, "`rows` is a list of rows", "write `rows = [[\"ada\", \"plan\"]]`");
            return None;
        }
    };
    let mut expected = Vec::new();
    for row in rows {
        let cells = match &row.shape {
            Shape::List(cells) => cells.as_slice(),
            _ => std::slice::from_ref(row),
        };
        if cells.len() != types.len() {
            let message = format!("the query has {} variables, and this row {}", types.len(), cells.len());
            let help = "a row has the values of the variables in the order of the query";
            reader.refuse(Code::TestForm, Span::new(file, row.span.clone()), message, help);
            return None;
        }
        let cells: Vec<_> = cells.iter().zip(types).map(|(cell, types)| reader.expected(file, types, cell)).collect();
        expected.push(cells.into_iter().collect::<Option<Vec<_>>>()?);
    }
    Some(expected)
}

struct Rows<'a> {
    sources: &'a Sources,
    names: &'a Names,
    schema: Option<&'a Schema>,
    values: &'a mut Pool,
    findings: &'a mut Findings,
    given: GivenRows,
    /// Whether the rows are parents, which are entities of any type.
    is_parent: bool,
    row: Vec<Value>,
}

const ROWS_FORM: &str = r#"rows are written `viewer = [["ada", "plan"]]`, or `viewer = { rows_from = "viewers.csv" }`"#;

impl<'a> Rows<'a> {
    fn new(
        sources: &'a Sources,
        names: &'a Names,
        schema: Option<&'a Schema>,
        values: &'a mut Pool,
        findings: &'a mut Findings,
    ) -> Self {
        let (given, row) = (GivenRows::default(), Vec::new());
        Self { sources, names, schema, values, findings, given, is_parent: false, row }
    }

    fn refuse(&mut self, code: Code, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.findings.push(Finding::new(code, span, message).help(help));
    }

    // Recurses once per table, whose nesting was limited.
    fn table(&mut self, file: FileId, prefix: &str, table: &Node) {
        let Shape::Table(members) = &table.shape else { return };
        for (key, node) in members {
            let name = if prefix.is_empty() { key.name.clone() } else { format!("{prefix}.{}", key.name) };
            match self.names.get(&name) {
                Some(id) if !self.is_undeclared(id) => self.rows(file, id, key, node),
                None if matches!(node.shape, Shape::Table(_)) && node.member("rows_from").is_none() => {
                    self.table(file, &name, node);
                }
                _ => self.undeclared(Span::new(file, key.span.clone()), &name, node),
            }
        }
    }

    /// Whether rules derive a relation that nothing declares.
    fn is_undeclared(&self, id: PredicateId) -> bool {
        self.names.predicate(id).is_some_and(|of| of.kind == PredicateKind::Derived && !of.is_declared)
    }

    fn undeclared(&mut self, span: Span, name: &str, node: &Node) {
        let known =
            self.names.predicates().iter().filter(|of| matches!(of.kind, PredicateKind::Base | PredicateKind::Derived));
        let known = known.map(|predicate| predicate.name.as_str()).filter(|known| *known != name);
        let help = match self.findings.nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("declare it, so that it may lose its last row: `relation {name}({}).`", guess(node)),
        };
        self.refuse(Code::UndeclaredRelation, span, format!("`{name}` has rows and no declaration"), help);
    }

    fn rows(&mut self, file: FileId, id: PredicateId, key: &Key, node: &Node) {
        let names = self.names;
        let Some(predicate) = names.predicate(id) else { return };
        self.given.named.insert(id);
        let place = Span::new(file, key.span.clone());
        self.is_parent = predicate.kind == PredicateKind::Parent;
        match predicate.kind {
            PredicateKind::Base | PredicateKind::Parent => {}
            PredicateKind::Derived if predicate.key.is_none() => {}
            PredicateKind::Live => {
                let message = format!("`{}` is live: its rows come through the API alone", key.name);
                self.refuse(
                    Code::Ownership,
                    place,
                    message,
                    "use a second relation, and a rule for each that derives a third",
                );
                return;
            }
            _ => {
                let message = format!("`{}` takes no rows from files", predicate.name);
                self.refuse(
                    Code::Ownership,
                    place,
                    message,
                    "give the rows to a relation of their own, and derive from it",
                );
                return;
            }
        }
        if let Some(path) = node.member("rows_from") {
            self.rows_from(file, id, predicate, node, path);
            return;
        }
        match &node.shape {
            Shape::List(rows) => rows.iter().for_each(|row| self.row(file, id, predicate, row)),
            _ => self.cells(id, predicate, Span::new(file, node.span.clone()), std::slice::from_ref(node)),
        }
    }

    fn row(&mut self, file: FileId, id: PredicateId, predicate: &Predicate, row: &Node) {
        let span = Span::new(file, row.span.clone());
        let is_set = |column: &super::rules::Column| matches!(column.types.single(), Some(Type::Set(_)));
        match (&row.shape, predicate.columns.as_slice()) {
            // A relation of sets has sets for rows.
            (Shape::List(_), [column]) if is_set(column) => self.cells(id, predicate, span, std::slice::from_ref(row)),
            (Shape::List(cells), _) => self.cells(id, predicate, span, cells),
            (_, [_]) => self.cells(id, predicate, span, std::slice::from_ref(row)),
            _ => {
                let message =
                    format!("`{}` has {} columns, and this is {}", predicate.name, predicate.columns.len(), row.kind());
                self.refuse(Code::RowForm, span, message, ROWS_FORM);
            }
        }
    }

    fn cells(&mut self, id: PredicateId, predicate: &Predicate, span: Span, cells: &[Node]) {
        if cells.len() != predicate.columns.len() {
            let (wanted, found) = (predicate.columns.len(), cells.len());
            let message = format!("`{}` has {wanted} columns, and this row {found}", predicate.name);
            self.refuse(Code::RowForm, span, message, ROWS_FORM);
            return;
        }
        let row: Vec<_> = predicate
            .columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| self.cell(span.file, &column.types, cell))
            .collect();
        if let Some(row) = row.into_iter().collect::<Option<Vec<_>>>() {
            self.given.rows.push(Fact { predicate: id, row: &row, span });
        }
    }

    /// The value of a cell. In a column of one entity type a text is the id; in one of several, the entity with its type.
    fn cell(&mut self, file: FileId, types: &Types, node: &Node) -> Option<Value> {
        let span = Span::new(file, node.span.clone());
        let reader = Reader { schema: self.schema, undeclared: Undeclared::Refuse };
        let result = match (&node.shape, types) {
            (Shape::Text(text), _) if types.entity().is_some() => return self.id(span, types, text),
            (Shape::Text(text), Types::OneOf(kinds)) if 1 < kinds.len() => match parse_entity(text) {
                Some(_) => reader.entity(self.values, node),
                None => reader.value(self.values, node, Some(&Type::Text)),
            },
            (_, Types::OneOf(kinds)) => match kinds.as_slice() {
                [kind] => reader.value(self.values, node, Some(kind)),
                _ => reader.value(self.values, node, None),
            },
            (_, Types::Any) if self.is_parent => reader.entity(self.values, node),
            (_, Types::Any) => reader.value(self.values, node, None),
        };
        let value = match result {
            Ok(value) => value,
            Err(misfit) => {
                let finding = meant::misfit(file, misfit, self.schema, self.values, self.findings);
                self.findings.push(finding);
                return None;
            }
        };
        if types.has(self.values, value) {
            return Some(value);
        }
        let message = format!("expected {}, found {}", types.show(self.values), self.values.show_briefly(value));
        let help = match meant::of_types(value, types, self.values, self.findings) {
            Some((kind, id)) => slips::with_its_type(&self.as_cell(file, kind, id)),
            None => "see the declaration of the relation".to_owned(),
        };
        self.refuse(Code::WrongType, span, message, help);
        None
    }

    /// The value of a cell that a test expects: as in rows, but an entity may be written with its type too.
    fn expected(&mut self, file: FileId, types: &Types, node: &Node) -> Option<Value> {
        match node.as_text().and_then(parse_entity) {
            Some((kind, id)) => Some(self.values.entity(&kind, &id)),
            None => self.cell(file, types, node),
        }
    }

    /// The entity whose id a text is.
    fn id(&mut self, span: Span, types: &Types, id: &str) -> Option<Value> {
        let kind = types.entity()?;
        let kind_name = self.values.name(kind).to_owned();
        if looks_like_entity(id) {
            let message = format!("this text is the id of a {kind_name}, and looks like an entity");
            let id = parse_entity(id.trim()).map_or(String::new(), |(_, id)| format!(": `{}`", brief(&id)));
            self.refuse(Code::EntityAsId, span, message, format!("write the id alone{id}"));
            return None;
        }
        if let Some(rest) = id.strip_prefix(&kind_name).and_then(|rest| rest.strip_prefix("::")) {
            let finding = Finding::new(Code::OddId, span, format!("the id {} begins with its type", brief(id)));
            self.findings.push(match cut(rest) {
                Cow::Borrowed(rest) => finding.help(format!("write the id alone: `{rest}`")),
                Cow::Owned(_) => finding.help("write the id alone"),
            });
        } else if is_odd(id) {
            let message =
                format!("the id {} is empty, or has blanks around it or characters that do not show", brief(id));
            let finding = Finding::new(Code::OddId, span, message);
            self.findings.push(finding.help("ids are taken as they stand: is this what is meant?"));
        }
        let entity = self.values.entity(&kind_name, id);
        if self.schema.is_some_and(|schema| !schema.may_have(&*self.values, entity)) {
            let message = format!("the schema does not have {}", self.values.show_briefly(entity));
            let near = self.schema.and_then(|schema| meant::entity(entity, schema, self.values, self.findings));
            let help = near.unwrap_or_else(|| "the schema lists the ids of this type".to_owned());
            self.refuse(Code::UnknownEntity, span, message, help);
            return None;
        }
        Some(entity)
    }

    /// An entity as a cell of a file is written.
    fn as_cell(&self, file: FileId, kind: &str, id: &str) -> String {
        match self.sources.file(file).and_then(|file| file.path.rsplit('.').next()) {
            Some("csv") => csv::quoted(&format!("{kind}::{}", brief(id))),
            Some("tsv") => format!("{kind}::{}", brief(id)),
            _ => toml::entity(kind, id),
        }
    }

    /// `{ rows_from = "strikes.csv", header = true }`.
    fn rows_from(&mut self, file: FileId, id: PredicateId, predicate: &Predicate, node: &Node, path: &Node) {
        let span = Span::new(file, path.span.clone());
        let Shape::Table(members) = &node.shape else { return };
        for (key, _) in members.iter().filter(|(key, _)| !["rows_from", "header"].contains(&&*key.name)) {
            let place = Span::new(file, key.span.clone());
            self.refuse(
                Code::UnknownKey,
                place,
                format!("a source of rows has no `{}`", key.name),
                "it has `rows_from` and `header`",
            );
        }
        let has_header = match node.member("header").map(|node| (&node.shape, &node.span)) {
            None => false,
            Some((Shape::Bool(has_header), _)) => *has_header,
            Some((_, at)) => {
                let place = Span::new(file, at.clone());
                self.refuse(
                    Code::RowForm,
                    place,
                    "`header` is true or false",
                    "leave it out if the first line is a row",
                );
                return;
            }
        };
        let Some(path) = path.as_text() else {
            self.refuse(Code::RowForm, span, "`rows_from` is not a path", ROWS_FORM);
            return;
        };
        let separator = match path.rsplit('.').next() {
            Some("csv") => Separator::Comma,
            Some("tsv") => Separator::Tab,
            _ => {
                self.refuse(Code::RowForm, span, "rows come from a `.csv` or `.tsv` file", ROWS_FORM);
                return;
            }
        };
        let sources = self.sources;
        let Some((source, text)) =
            sources.files().find(|(_, file)| *file.path == *path).map(|(id, file)| (id, file.text()))
        else {
            let known: Vec<_> = sources.files().map(|(_, file)| file.path.to_string()).collect();
            let known = known.iter().map(String::as_str).filter(|path| Kind::of(path) == Some(Kind::Rows));
            let help = match self.findings.nearest(path, known) {
                Some(near) => format!("did you mean \"{near}\"? Paths begin at the root of the ruleset"),
                None => "paths begin at the root of the ruleset and stay below it".to_owned(),
            };
            self.refuse(Code::UnknownFile, span, format!("there is no file \"{}\"", cut(path)), help);
            return;
        };
        if !self.given.files.contains(&source) {
            self.given.files.push(source);
        }
        self.records((source, text), (id, predicate), (separator, has_header));
    }

    /// The rows of a file.
    fn records(
        &mut self,
        (source, text): (FileId, &'a str),
        (id, predicate): (PredicateId, &Predicate),
        (separator, has_header): (Separator, bool),
    ) {
        let (mut records, mut fields, mut at) = (Records::new(text, separator), Vec::new(), 0);
        while let Some(record) = records.read(&mut fields) {
            at += 1;
            match record {
                Ok(()) if at == 1 && has_header => self.header(source, predicate, &fields),
                Ok(()) => {
                    let is_taken = self.record(source, id, predicate, &fields);
                    if is_taken && at == 1 + usize::from(has_header) {
                        self.given.rows.expect_like_last(text.len());
                    }
                }
                Err(error) => {
                    let help = csv::quoting(text, error.span.start);
                    self.refuse(Code::RowForm, Span::new(source, error.span), error.message, help);
                }
            }
        }
    }

    /// Whether the first line of a file names the columns: one that is a row would be lost, and another order would be misread.
    fn header(&mut self, file: FileId, predicate: &Predicate, fields: &[Field<'_>]) {
        let names: Option<Vec<&str>> = predicate.columns.iter().map(|column| column.name.as_deref()).collect();
        let found: Vec<&str> = fields.iter().map(|field| field.text.trim()).collect();
        let is_right = match &names {
            Some(names) => {
                found.len() == names.len() && names.iter().zip(&found).all(|(a, b)| a.eq_ignore_ascii_case(b))
            }
            None => found.len() == predicate.columns.len(),
        };
        if is_right {
            return;
        }
        let span = fields.first().map_or(0, |field| field.span.start)..fields.last().map_or(0, |field| field.span.end);
        let message = match &names {
            Some(names) => format!(
                "the columns of `{}` are {}, and the header has {}",
                predicate.name,
                names.join(", "),
                cut(&found.join(", "))
            ),
            None => {
                format!("`{}` has {} columns, and the header {}", predicate.name, predicate.columns.len(), found.len())
            }
        };
        let help = "name the columns in the order of the declaration, or leave `header` out if the first line is a row";
        self.refuse(Code::RowForm, Span::new(file, span), message, help);
    }

    /// Takes a row, and says whether it is right.
    fn record(&mut self, file: FileId, id: PredicateId, predicate: &Predicate, fields: &[Field<'_>]) -> bool {
        let span = fields.first().map_or(0, |field| field.span.start)..fields.last().map_or(0, |field| field.span.end);
        let span = Span::new(file, span);
        if fields.len() != predicate.columns.len() {
            let (wanted, found) = (predicate.columns.len(), fields.len());
            let message = format!("`{}` has {wanted} columns, and this row {found}", predicate.name);
            self.refuse(Code::RowForm, span, message, "fields with a separator in them are quoted");
            return false;
        }
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        row.extend(predicate.columns.iter().zip(fields).filter_map(|(column, field)| {
            let known = self.known(&column.types, field);
            known.or_else(|| self.field(file, &column.types, field))
        }));
        let is_right = row.len() == fields.len();
        if is_right {
            self.given.rows.push(Fact { predicate: id, row: &row, span });
        }
        self.row = row;
        is_right
    }

    /// The value of a field of which there is nothing to say.
    fn known(&mut self, types: &Types, field: &Field<'_>) -> Option<Value> {
        match types.single()? {
            Type::Long => Some(self.values.long(field.text.parse().ok()?)),
            Type::Entity(kind) if is_plain(&field.text) => {
                let entity = self.values.entity_of(*kind, &field.text);
                self.schema.is_none_or(|schema| schema.may_have(&*self.values, entity)).then_some(entity)
            }
            _ => None,
        }
    }

    /// The value that a field of text is.
    fn field(&mut self, file: FileId, types: &Types, field: &Field<'_>) -> Option<Value> {
        let (text, span) = (&*field.text, &field.span);
        let shape = match types.single() {
            Some(Type::Long) => text.parse().map(Shape::Long).ok(),
            Some(Type::Bool) => text.parse().map(Shape::Bool).ok(),
            Some(Type::Set(_) | Type::Record(_)) => None,
            _ => Some(Shape::Text(text.to_owned())),
        };
        let Some(shape) = shape else {
            let message = format!("expected {}, found {}", types.show(self.values), brief(text));
            self.refuse(Code::WrongType, Span::new(file, span.clone()), message, "see the declaration of the relation");
            return None;
        };
        self.cell(file, types, &Node { span: span.clone(), shape })
    }
}

/// Whether an id is one as most are: it is no entity, does not begin with a type, and is not odd.
fn is_plain(id: &str) -> bool {
    let is_visible = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    (is_visible || !is_odd(id)) && !id.contains("::")
}

/// Whether an id is hardly meant: empty, with blanks around it, or with characters that do not show.
fn is_odd(id: &str) -> bool {
    let is_hidden = |c: char| {
        let is_format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        c.is_control() || is_format
    };
    id.is_empty() || id.trim() != id || id.contains(is_hidden)
}

/// The types that the columns of some rows seem to have, for advice.
fn guess(node: &Node) -> String {
    let of = |node: &Node| match node.shape {
        Shape::Long(_) => "Long",
        Shape::Bool(_) => "Bool",
        _ => "String",
    };
    match &node.shape {
        Shape::List(rows) => match rows.first().map(|row| (&row.shape, row)) {
            Some((Shape::List(cells), _)) => cells.iter().map(of).collect::<Vec<_>>().join(", "),
            Some((_, row)) => of(row).to_owned(),
            None => "String".to_owned(),
        },
        _ => of(node).to_owned(),
    }
}

/// Whether each key of a functional relation has one value. Both places of one that has two are told.
pub fn check_functional(predicates: &[Predicate], facts: &FactList, values: &Pool, findings: &mut Findings) {
    let mut known: BTreeMap<(PredicateId, &[Value]), Fact<'_>> = BTreeMap::new();
    let is_functional = |id: PredicateId| predicates.get(id.0).is_some_and(|predicate| predicate.key.is_some());
    for fact in facts.of(is_functional) {
        let Some(key) = predicates.get(fact.predicate.0).and_then(|predicate| predicate.key) else { continue };
        let Some(of) = fact.row.get(..key.n_columns) else { continue };
        let other = *known.entry((fact.predicate, of)).or_insert(fact);
        if other.row != fact.row {
            let shown = of.iter().map(|value| values.show_briefly(*value)).collect::<Vec<_>>().join(", ");
            let name = predicates.get(fact.predicate.0).map_or("", |predicate| &predicate.name);
            let finding =
                Finding::new(Code::ConflictingRows, fact.span, format!("`{name}` has two values for {shown}"));
            findings.push(
                finding.related(other.span, "the other value").help("a functional relation has one value for each key"),
            );
        }
    }
}

/// Whether the schema lets the children of given parents be in them, and files or the API give them.
pub fn check_parents(facts: &FactList, is_test: bool, schema: Option<&Schema>, values: &Pool, findings: &mut Findings) {
    let Some(schema) = schema else { return };
    for fact in facts.of(|id| id == Names::PARENT) {
        let [View::Entity(child, _), View::Entity(parent, _)] =
            fact.row.iter().map(|value| values.view(*value)).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let Some(of) = schema.entity_type(child) else { continue };
        let (below, above) = (values.name(child), values.name(parent));
        if !of.parents.contains(&parent) {
            let message = format!("an entity of type {below} cannot be in one of type {above}");
            let finding = Finding::new(Code::ParentNotAllowed, fact.span, message);
            findings.push(finding.help(format!("declare it: `entity {below} in [{above}];`")));
        } else if of.is_live && !is_test {
            let message = format!("{below} is live: the parents of its entities come through the API alone");
            let finding = Finding::new(Code::Ownership, fact.span, message);
            findings.push(finding.help("take the row away, or `@live` from its type in the schema"));
        }
    }
}
