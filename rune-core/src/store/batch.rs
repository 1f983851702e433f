//! Changes of live facts as they are written, and what they mean to a program: every change, or every reason why not.

use std::{fmt, slice, str::FromStr};

use crate::{
    base::{EntityRef, LivePool, Span, Symbol, Value, Values, View, limits, value::cut},
    check::{
        CheckedEntity, entities,
        rules::{Predicate, PredicateId, PredicateKind},
    },
    diag::{Findings, nearest},
    program::Program,
    schema::{
        Schema, Type, Types,
        conform::{Misfit, Reader, Undeclared, looks_like_entity, parse_entity},
    },
    syntax::{
        Node, Shape,
        json::{self, JsonError},
    },
};

/// Changes of live facts that take effect together or not at all, in their order.
///
/// ```
/// use rune_core::{Batch, EntityRef};
///
/// let ada = EntityRef::new("User", "ada");
/// let batch = Batch::default().insert("suspended", [ada.into(), "left".into()]);
/// // The same, from JSON: removals come first.
/// let read: Batch = r#"{ "insert": { "suspended": [[{ "type": "User", "id": "ada" }, "left"]] } }"#.parse()?;
/// assert_eq!((batch.len(), read.len()), (1, 1));
/// # Ok::<(), rune_core::BatchError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Insert(String, Vec<Node>),
    Delete(String, Vec<Node>),
    Put(Node),
    Remove(Node),
}

/// Why a batch was not applied. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplyError {
    /// Some changes cannot be made, each with why; at most [`limits::FINDINGS_MAX`] are told, and how many there are besides.
    Changes {
        /// Those that are told.
        faults: Vec<ChangeFault>,
        /// How many more there are.
        n_more: usize,
    },
    /// There are more changes than one batch may have.
    TooManyChanges(usize),
    /// There would be more live rows than there may be.
    TooManyRows(u64),
    /// There would be more distinct values than there may be.
    TooManyValues(usize),
    /// What follows from the facts would take more steps or rows than it may.
    Derivation(String),
}

/// Why one change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeFault {
    /// Which change of the batch, from 0.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
}

/// Why a text is no batch.
#[derive(Debug)]
pub enum BatchError {
    /// It is no JSON.
    Json(JsonError),
    /// It is JSON of another form.
    Form(String),
}

/// A change as it is made.
#[derive(Debug)]
pub(super) enum Op {
    Insert(PredicateId, Vec<Value>),
    Delete(PredicateId, Vec<Value>),
    Put(CheckedEntity),
    Remove(Value),
}

impl Batch {
    /// With a row that is to be there afterwards. In a functional relation it replaces the one with the same key.
    #[must_use]
    pub fn insert(mut self, relation: &str, row: impl IntoIterator<Item = Node>) -> Self {
        self.changes.push(Change::Insert(relation.to_owned(), row.into_iter().collect()));
        self
    }

    /// With a row that is not to be there afterwards.
    #[must_use]
    pub fn delete(mut self, relation: &str, row: impl IntoIterator<Item = Node>) -> Self {
        self.changes.push(Change::Delete(relation.to_owned(), row.into_iter().collect()));
        self
    }

    /// With an entity, in Cedar's JSON form: `{ "uid", "attrs", "parents", "tags" }`. It replaces the one that was there.
    #[must_use]
    pub fn put(mut self, entity: Node) -> Self {
        self.changes.push(Change::Put(entity));
        self
    }

    /// With an entity that is not to be stored afterwards.
    #[must_use]
    pub fn remove(mut self, entity: EntityRef) -> Self {
        self.changes.push(Change::Remove(entity.into()));
        self
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the changes mean to a program.
    pub(super) fn read(&self, program: &Program, values: &mut LivePool) -> Result<Vec<Op>, ApplyError> {
        if limits::BATCH_CHANGES_MAX < self.changes.len() {
            return Err(ApplyError::TooManyChanges(limits::BATCH_CHANGES_MAX));
        }
        let mut reading = Reading { program, values };
        let (mut ops, mut faults, mut n_more) = (Vec::with_capacity(self.changes.len()), Vec::new(), 0);
        for (at, change) in self.changes.iter().enumerate() {
            match reading.change(change) {
                Ok(op) => ops.push(op),
                Err(_) if limits::FINDINGS_MAX <= faults.len() => n_more += 1,
                Err((message, help)) => faults.push(ChangeFault { at, message, help }),
            }
        }
        if faults.is_empty() { Ok(ops) } else { Err(ApplyError::Changes { faults, n_more }) }
    }
}

const FORM: &str = r#"a batch is written `{ "remove": [entity…], "delete": { "relation": [row…] }, "put": [entity…], "insert": { "relation": [row…] } }`"#;

/// Members are taken in this order, whatever theirs is: `remove`, `delete`, `put`, `insert`.
impl FromStr for Batch {
    type Err = BatchError;

    fn from_str(text: &str) -> Result<Self, BatchError> {
        let root = json::parse(text).map_err(BatchError::Json)?;
        let Shape::Table(members) = &root.shape else { return Err(BatchError::Form(FORM.to_owned())) };
        let known = ["remove", "delete", "put", "insert"];
        if let Some((key, _)) = members.iter().find(|(key, _)| !known.contains(&&*key.name)) {
            return Err(BatchError::Form(format!("a batch has no member `{}`: {FORM}", cut(&key.name))));
        }
        let mut changes = Vec::new();
        for (name, change) in [("remove", Change::Remove as fn(Node) -> Change), ("put", Change::Put)] {
            changes.push((name, list(root.member(name), name)?.iter().cloned().map(change).collect::<Vec<_>>()));
        }
        for (name, change) in
            [("delete", Change::Delete as fn(String, Vec<Node>) -> Change), ("insert", Change::Insert)]
        {
            let mut of_kind = Vec::new();
            match root.member(name).map(|node| &node.shape) {
                None => {}
                Some(Shape::Table(relations)) => {
                    for (relation, rows) in relations {
                        for row in list(Some(rows), name)? {
                            of_kind.push(change(relation.name.clone(), list(Some(row), name)?.to_vec()));
                        }
                    }
                }
                Some(_) => return Err(BatchError::Form(format!("`{name}` is no object: {FORM}"))),
            }
            changes.push((name, of_kind));
        }
        changes.sort_by_key(|(name, _)| known.iter().position(|of| of == name));
        Ok(Self { changes: changes.into_iter().flat_map(|(_, changes)| changes).collect() })
    }
}

fn list<'n>(node: Option<&'n Node>, name: &str) -> Result<&'n [Node], BatchError> {
    match node.map(|node| &node.shape) {
        None => Ok(&[]),
        Some(Shape::List(nodes)) => Ok(nodes),
        Some(_) => Err(BatchError::Form(format!("what stands in `{name}` is no list: {FORM}"))),
    }
}

/// Reads entities of whatever types.
const PLAIN: Reader<'static> = Reader { schema: None, undeclared: Undeclared::Refuse };

type Fault = (String, Option<String>);

struct Reading<'r> {
    program: &'r Program,
    values: &'r mut LivePool,
}

impl Reading<'_> {
    fn change(&mut self, change: &Change) -> Result<Op, Fault> {
        let nodes = match change {
            Change::Insert(_, row) | Change::Delete(_, row) => row,
            Change::Put(entity) | Change::Remove(entity) => slice::from_ref(entity),
        };
        if !nodes.iter().all(|node| node.is_within(limits::NESTING_MAX)) {
            return Err((format!("this is nested more than {} deep", limits::NESTING_MAX), None));
        }
        match change {
            Change::Insert(relation, row) => self.row(relation, row).map(|(id, row)| Op::Insert(id, row)),
            Change::Delete(relation, row) => self.row(relation, row).map(|(id, row)| Op::Delete(id, row)),
            Change::Put(entity) => self.entity(entity).map(Op::Put),
            Change::Remove(entity) => {
                let entity = PLAIN.entity(self.values, entity).map_err(fault)?;
                let View::Entity(kind, _) = self.values.view(entity) else { return Err(no_entity()) };
                self.live_type(kind).map(|()| Op::Remove(entity))
            }
        }
    }

    fn row(&mut self, relation: &str, row: &[Node]) -> Result<(PredicateId, Vec<Value>), Fault> {
        let relations = self.program.relations();
        let named = relations.predicates.iter().position(|of| of.name == relation && of.is_own());
        let Some((id, predicate)) = named.and_then(|at| Some((PredicateId(at), relations.predicates.get(at)?))) else {
            let live = relations.predicates.iter().filter(|of| of.kind == PredicateKind::Live);
            let near = nearest(relation, live.map(|of| of.name.as_str())).map(|near| format!("did you mean `{near}`?"));
            return Err((format!("there is no relation `{}`", cut(relation)), near));
        };
        if predicate.kind != PredicateKind::Live {
            let help = "its rows come from files and rules; one that is declared `@live` takes rows here";
            return Err((format!("`{relation}` is not live"), Some(help.to_owned())));
        }
        if row.len() != predicate.columns.len() {
            let message = format!("`{relation}` has {} columns, and this row {}", predicate.columns.len(), row.len());
            return Err((message, None));
        }
        let cells = predicate.columns.iter().zip(row).enumerate();
        let cells = cells.map(|(at, (column, cell))| {
            let named = |(message, help): Fault| (format!("{}: {message}", column_name(predicate, at)), help);
            self.cell(&column.types, cell).map_err(named)
        });
        Ok((id, cells.collect::<Result<_, _>>()?))
    }

    /// The value of a cell, as rows of files have it: in a column of one entity type a text is the id.
    fn cell(&mut self, types: &Types, node: &Node) -> Result<Value, Fault> {
        let reader = Reader { schema: self.program.schema(), undeclared: Undeclared::Refuse };
        let is_ref = || node.member("type").is_some() && node.member("id").is_some();
        let value = match (&node.shape, types) {
            (Shape::Text(text), _) if types.entity().is_some() => self.id(types, text)?,
            (Shape::Text(text), Types::OneOf(kinds)) if 1 < kinds.len() && parse_entity(text).is_some() => {
                reader.entity(self.values, node).map_err(fault)?
            }
            // Where it can be nothing else, an object with a type and an id is an entity.
            (Shape::Table(_), _) if is_ref() && types.are_entities() && *types != Types::NONE => {
                reader.entity(self.values, node).map_err(fault)?
            }
            (_, Types::OneOf(kinds)) => {
                let kind: Option<&Type> = match kinds.as_slice() {
                    [kind] => Some(kind),
                    _ => None,
                };
                reader.value(self.values, node, kind).map_err(fault)?
            }
            (_, Types::Any) => reader.value(self.values, node, None).map_err(fault)?,
        };
        if types.has(self.values, value) {
            return Ok(value);
        }
        let (wanted, found) = (types.show(self.values), self.values.show_briefly(value));
        Err((format!("expected {wanted}, found {found}"), None))
    }

    fn id(&mut self, types: &Types, text: &str) -> Result<Value, Fault> {
        let Some(kind) = types.entity() else { return Err(no_entity()) };
        let kind = self.values.name(kind).to_owned();
        if looks_like_entity(text) {
            let message = format!("this text is the id of a {kind}, and looks like an entity");
            return Err((message, Some("write the id alone, or `{ \"type\", \"id\" }`".to_owned())));
        }
        let entity = self.values.entity(&kind, text);
        if self.program.schema().is_none_or(|schema| schema.may_have(self.values, entity)) {
            return Ok(entity);
        }
        Err((format!("the schema does not have {}", self.values.show_briefly(entity)), None))
    }

    fn entity(&mut self, node: &Node) -> Result<CheckedEntity, Fault> {
        let uid = node.member("uid").unwrap_or(node);
        let uid = PLAIN.entity(self.values, uid).map_err(fault)?;
        let View::Entity(kind, _) = self.values.view(uid) else { return Err(no_entity()) };
        self.live_type(kind)?;
        let mut findings = Findings::default();
        let (place, schema) = (Span::NOWHERE.file, self.program.schema());
        let checked = entities::check_live(node, place, schema, self.values, &mut findings);
        match findings.errors().next() {
            Some(finding) => Err((finding.message.clone(), finding.help.clone())),
            None => checked.ok_or_else(no_entity),
        }
    }

    /// Whether entities of a type come through the API.
    fn live_type(&self, kind: Symbol) -> Result<(), Fault> {
        let name = self.values.name(kind);
        match self.program.schema().map(|schema: &Schema| schema.entity_type(kind)) {
            Some(Some(of)) if of.is_live => Ok(()),
            Some(None) => Err((format!("the schema has no entity type {}", cut(name)), None)),
            _ => {
                let help = format!("declare the type so in the schema: `@live entity {name} …;`");
                Err((format!("{} is not live: its entities come from files", cut(name)), Some(help)))
            }
        }
    }
}

fn column_name(predicate: &Predicate, at: usize) -> String {
    match predicate.columns.get(at).and_then(|column| column.name.as_deref()) {
        Some(name) => format!("the column `{name}` of `{}`", predicate.name),
        None => format!("column {} of `{}`", at + 1, predicate.name),
    }
}

fn fault(misfit: Misfit) -> Fault {
    (misfit.describe(), misfit.help)
}

fn no_entity() -> Fault {
    ("this is no entity".to_owned(), Some("an entity is written `{ \"type\": \"User\", \"id\": \"ada\" }`".to_owned()))
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changes { faults, n_more } => {
                for (at, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if at == 0 { "" } else { "\n" })?;
                }
                if 0 < *n_more {
                    write!(f, "\nand {n_more} more")?;
                }
                Ok(())
            }
            Self::TooManyChanges(n) => write!(f, "a batch has at most {n} changes"),
            Self::TooManyValues(n) => write!(f, "there would be more than {n} distinct values"),
            Self::TooManyRows(n) => write!(f, "there would be more than {n} live rows"),
            Self::Derivation(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ApplyError {}

impl fmt::Display for ChangeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change {}: {}", self.at, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Form(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for BatchError {}
