//! Which relations there are, and what a name means.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    base::{FileId, Pool, Span, Symbol, Values, View},
    diag::{Code, Finding, Findings, nearest},
    schema::{self, Schema, Type, Types, conform::is_type_name, is_action_type},
    syntax::rules::{ClauseKind, Declaration, Name, Rulelike, TypeName, is_variable},
};

use super::{Column, Key, Predicate, PredicateId, PredicateKind, Written};

/// The relations of a ruleset by name, and the entity types that names may mean.
#[derive(Debug, Default)]
pub struct Names {
    pub(super) predicates: Vec<Predicate>,
    pub(super) by_name: BTreeMap<String, PredicateId>,
    /// Entity types that are in use where no schema lists them.
    pub(super) types: BTreeSet<String>,
}

impl Names {
    /// `parent(child, parent)`.
    pub const PARENT: PredicateId = PredicateId(0);
    /// `in`, which has no name that an atom could have.
    pub const IN: PredicateId = PredicateId(1);
    /// What is stored of entities, as expressions ask for it: no relation, and none has this place.
    pub const STORED: PredicateId = PredicateId(usize::MAX);
    /// `permit(principal, action, resource)`.
    pub const PERMIT: PredicateId = PredicateId(2);
    /// `forbid(principal, action, resource)`.
    pub const FORBID: PredicateId = PredicateId(3);

    /// The relations that clauses declare. `used` are entity types that are in use besides.
    pub fn declare(
        clauses: &[Written],
        schema: Option<&Schema>,
        used: impl IntoIterator<Item = String>,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Self {
        let mut names = Self { predicates: Vec::new(), by_name: BTreeMap::new(), types: used.into_iter().collect() };
        for (name, kind) in [("parent", PredicateKind::Parent), ("in", PredicateKind::In)] {
            names.add(name, kind, vec![Column { name: None, types: Types::Any }; 2], None);
        }
        for (name, kind) in [("permit", PredicateKind::Permit), ("forbid", PredicateKind::Forbid)] {
            names.add(name, kind, decision(schema, values), None);
        }
        let types = entity_types(schema, values);
        for (file, clause) in clauses {
            if let ClauseKind::Declaration(declaration) = &clause.kind {
                let predicate =
                    Declarer { file: *file, schema, types: &types, values, findings }.predicate(declaration, clause);
                if let Some(predicate) = predicate {
                    names.put(predicate, Span::new(*file, declaration.name.span.clone()), findings);
                }
            }
        }
        let used = names.predicates.iter().flat_map(|predicate| &predicate.columns);
        let used: Vec<_> = used.filter_map(|column| column.types.entities()).flatten().collect();
        names.types.extend(used.into_iter().map(|name| values.name(name).to_owned()));
        for (file, clause) in clauses {
            match &clause.kind {
                ClauseKind::Rule(rule) if !rule.body.is_empty() => names.note_head(*file, rule),
                _ => {}
            }
        }
        names
    }

    /// A relation that rules derive is known by them, declared or not.
    fn note_head(&mut self, file: FileId, rule: &Rulelike) {
        let name = &rule.head.name;
        match self.by_name.get(&name.text).and_then(|id| self.predicates.get_mut(id.0)) {
            Some(known) if known.kind == PredicateKind::Base => known.kind = PredicateKind::Derived,
            Some(_) => {}
            None if is_variable(&name.text) || name.text.contains("::") || is_reserved(&name.text) => {}
            None => {
                let columns = vec![Column { name: None, types: Types::NONE }; rule.head.args.len()];
                self.add(&name.text, PredicateKind::Derived, columns, Some(Span::new(file, name.span.clone())));
            }
        }
    }

    fn put(&mut self, predicate: Predicate, place: Span, findings: &mut Findings) {
        let Some(known) = self.by_name.get(&predicate.name).and_then(|id| self.predicates.get(id.0)) else {
            self.by_name.insert(predicate.name.clone(), PredicateId(self.predicates.len()));
            self.predicates.push(predicate);
            return;
        };
        let columns = known.columns.iter().zip(&predicate.columns);
        let is_same = known.columns.len() == predicate.columns.len()
            && columns.clone().all(|(a, b)| a.name == b.name && a.types.is_same(&b.types))
            && known.key == predicate.key
            && known.kind == predicate.kind
            && known.is_attribute == predicate.is_attribute
            && known.template == predicate.template;
        if is_same {
            return;
        }
        let message = format!("`{}` is declared twice, and differently", predicate.name);
        let finding = Finding::new(Code::RelationForm, place, message);
        findings.push(match known.span {
            Some(span) => finding.related(span, "the other declaration"),
            None => finding.help("the name is taken: `parent`, `permit` and `forbid` are the language's own"),
        });
    }

    pub(super) fn add(
        &mut self,
        name: &str,
        kind: PredicateKind,
        columns: Vec<Column>,
        span: Option<Span>,
    ) -> PredicateId {
        let id = PredicateId(self.predicates.len());
        let predicate = Predicate {
            name: name.to_owned(),
            kind,
            columns,
            key: None,
            span,
            is_declared: false,
            is_attribute: false,
            template: None,
            is_per_request: false,
            is_materialized: false,
        };
        self.predicates.push(predicate);
        self.by_name.insert(name.to_owned(), id);
        id
    }

    /// A relation that is known by now.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<PredicateId> {
        self.by_name.get(name).copied()
    }

    /// The relation.
    #[must_use]
    pub fn predicate(&self, id: PredicateId) -> Option<&Predicate> {
        self.predicates.get(id.0)
    }

    /// The relations, by their places.
    #[must_use]
    pub fn predicates(&self) -> &[Predicate] {
        &self.predicates
    }

    /// The relation that a name means in a body: one that is declared or derived, the known entities of a type, or a stored
    /// attribute.
    ///
    /// # Errors
    ///
    /// What is wrong with the name, and what to do about it.
    pub(super) fn read(
        &mut self,
        name: &Name,
        schema: Option<&Schema>,
        values: &mut Pool,
        findings: &Findings,
    ) -> Result<PredicateId, (Code, String, String)> {
        if let Some(id) = self.get(&name.text) {
            if [Self::PERMIT, Self::FORBID].contains(&id) {
                let message = format!("`{}` is a decision and cannot be read", name.text);
                let help = "derive a relation of your own, and the decision from it".to_owned();
                return Err((Code::UnknownRelation, message, help));
            }
            return Ok(id);
        }
        if Self::is_entity_type(&name.text, schema, values) {
            let kind = values.symbol(&name.text);
            let columns = vec![Column { name: None, types: Types::one(Type::Entity(kind)) }];
            return Ok(self.add(&name.text, PredicateKind::Known(kind), columns, None));
        }
        if let Some((kind, attribute)) = name.text.rsplit_once('.')
            && Self::is_entity_type(kind, schema, values)
            // One letter is a variable, rather than a type that nothing is of.
            && (schema.is_some() || 1 < kind.len() || self.types.contains(kind))
        {
            return self.stored(kind, attribute, schema, values);
        }
        Err(self.unknown(&name.text, schema, values, findings))
    }

    /// `Type.attribute`, a relation of entities and values.
    fn stored(
        &mut self,
        kind: &str,
        attribute: &str,
        schema: Option<&Schema>,
        values: &mut Pool,
    ) -> Result<PredicateId, (Code, String, String)> {
        let (kind_name, attribute_name) = (values.symbol(kind), values.symbol(attribute));
        let types = match schema.and_then(|schema| schema.entity_type(kind_name)) {
            None => Types::Any,
            Some(of) => match of.attributes.field(attribute_name) {
                Some(field) => Types::one(field.kind.clone()),
                None => {
                    let known = of.attributes.fields().map(|(name, _)| values.name(name));
                    let help = match nearest(attribute, known) {
                        Some(near) => format!("did you mean `{kind}.{near}`?"),
                        None => format!("declare it: `entity {kind} {{ {attribute}: String }};`"),
                    };
                    return Err((Code::UnknownAttribute, format!("{kind} has no attribute `{attribute}`"), help));
                }
            },
        };
        let columns =
            vec![Column { name: None, types: Types::one(Type::Entity(kind_name)) }, Column { name: None, types }];
        let kind = PredicateKind::Stored(kind_name, attribute_name);
        Ok(self.add(&format!("{}.{attribute}", values.name(kind_name)), kind, columns, None))
    }

    fn unknown(
        &self,
        name: &str,
        schema: Option<&Schema>,
        values: &Pool,
        findings: &Findings,
    ) -> (Code, String, String) {
        let known = self.by_name.keys().map(String::as_str).filter(|known| *known != "in");
        let of_schema = schema.into_iter().flat_map(Schema::entity_types).map(|(name, _)| values.name(name));
        let in_use = self.types.iter().map(String::as_str).filter(|_| schema.is_none());
        let help = match findings.nearest(name, known.chain(of_schema).chain(in_use)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if is_variable(name) => "an entity type must be in the schema, or in use".to_owned(),
            None => format!("declare it, `relation {name}(…).`, or derive it by a rule"),
        };
        (Code::UnknownRelation, format!("there is no relation `{name}`"), help)
    }

    /// Whether a name is an entity type: of the schema, or in use where there is none.
    pub(super) fn is_entity_type(name: &str, schema: Option<&Schema>, values: &mut Pool) -> bool {
        match schema {
            Some(schema) => {
                let symbol = values.symbol(name);
                schema.entity_type(symbol).is_some() || is_action_of(schema, name, values)
            }
            // Whether anything is of a type depends on rows, and what a name means does not.
            None => may_be_type(name),
        }
    }

    /// Whether something is of an entity type, or is said to be.
    pub(super) fn is_in_use(&self, kind: &str) -> bool {
        self.types.contains(kind)
    }

    /// The entity types that are in use.
    pub(super) fn types_in_use(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(String::as_str)
    }

    /// Notes that an entity type is in use.
    pub(super) fn note_type(&mut self, name: &str) {
        self.types.insert(name.to_owned());
    }
}

/// The names of a schema's entity types, and of the types of its actions.
fn entity_types(schema: Option<&Schema>, values: &Pool) -> BTreeSet<String> {
    let actions = schema.into_iter().flat_map(Schema::actions).filter_map(|(action, _)| match values.view(action) {
        View::Entity(kind, _) => Some(kind),
        _ => None,
    });
    let types = schema.into_iter().flat_map(Schema::entity_types).map(|(name, _)| name);
    types.chain(actions).map(|kind| values.name(kind).to_owned()).collect()
}

/// The columns of a decision: whatever may ask, be done, and have it done to it.
fn decision(schema: Option<&Schema>, values: &Pool) -> Vec<Column> {
    let mut kinds = [const { BTreeSet::new() }; 3];
    for (action, of) in schema.into_iter().flat_map(Schema::actions) {
        let [principals, actions, resources] = &mut kinds;
        principals.extend(&of.principals);
        resources.extend(&of.resources);
        if let View::Entity(kind, _) = values.view(action) {
            actions.insert(kind);
        }
    }
    let types = |kinds: BTreeSet<Symbol>| {
        // Symbols have no order that people know.
        let mut kinds: Vec<Symbol> = kinds.into_iter().collect();
        kinds.sort_by_key(|kind| values.name(*kind));
        let all = kinds.iter().fold(Types::NONE, |all, kind| all.or(&Types::one(Type::Entity(*kind))));
        if kinds.is_empty() { Types::Any } else { all }
    };
    kinds.map(|kinds| Column { name: None, types: types(kinds) }).into()
}

fn is_action_of(schema: &Schema, name: &str, values: &Pool) -> bool {
    is_action_type(name)
        && schema.actions().any(|(action, _)| match values.view(action) {
            View::Entity(kind, _) => values.name(kind) == name,
            _ => false,
        })
}

const BUILTIN: [&str; 7] = ["Bool", "Long", "String", "decimal", "ipaddr", "datetime", "duration"];

/// Whether a name may be an entity type where no schema lists those.
fn may_be_type(name: &str) -> bool {
    let is_other = NOT_TYPES.iter().any(|(other, _)| *other == name);
    is_type_name(name) && is_variable(name.rsplit("::").next().unwrap_or(name)) && !BUILTIN.contains(&name) && !is_other
}

/// Whether a name is a word of the language, so that no relation has it.
fn is_reserved(name: &str) -> bool {
    const WORDS: [&str; 15] = [
        "principal",
        "action",
        "resource",
        "context",
        "relation",
        "not",
        "in",
        "is",
        "has",
        "like",
        "if",
        "then",
        "else",
        "true",
        "false",
    ];
    const FUNCTIONS: [&str; 4] = ["decimal", "ip", "datetime", "duration"];
    WORDS.contains(&name) || FUNCTIONS.contains(&name)
}

/// Names that other languages have for types.
const NOT_TYPES: [(&str, &str); 12] = [
    ("string", "String"),
    ("str", "String"),
    ("Text", "String"),
    ("int", "Long"),
    ("Int", "Long"),
    ("Integer", "Long"),
    ("integer", "Long"),
    ("long", "Long"),
    ("bool", "Bool"),
    ("Boolean", "Bool"),
    ("boolean", "Bool"),
    ("Decimal", "decimal"),
];

struct Declarer<'a> {
    file: FileId,
    schema: Option<&'a Schema>,
    /// The entity types of the schema, actions among them.
    types: &'a BTreeSet<String>,
    values: &'a mut Pool,
    findings: &'a mut Findings,
}

impl Declarer<'_> {
    fn refuse(&mut self, code: Code, span: &std::ops::Range<usize>, message: String, help: &str) {
        let finding = Finding::new(code, Span::new(self.file, span.clone()), message);
        self.findings.push(if help.is_empty() { finding } else { finding.help(help) });
    }

    fn predicate(&mut self, declaration: &Declaration, clause: &crate::syntax::rules::Clause) -> Option<Predicate> {
        let n_errors = self.findings.n_errors();
        let columns: Vec<_> = declaration.columns.iter().map(|column| self.column(column)).collect();
        let mut predicate = Predicate {
            name: declaration.name.text.clone(),
            kind: PredicateKind::Base,
            columns: columns
                .into_iter()
                .map(|types| types.unwrap_or(Types::Any))
                .zip(&declaration.columns)
                .map(|(types, column)| Column {
                    name: column.name.as_ref().map(|name| name.text.as_str().into()),
                    types,
                })
                .collect(),
            key: self.key(declaration),
            span: Some(Span::new(self.file, declaration.name.span.clone())),
            is_declared: true,
            is_attribute: false,
            template: None,
            is_per_request: false,
            is_materialized: false,
        };
        for (at, annotation) in clause.annotations.iter().enumerate() {
            let is_repeated = clause.annotations.iter().take(at).any(|other| other.name.text == annotation.name.text);
            match annotation.name.text.as_str() {
                text if is_repeated => {
                    let message = format!("`@{text}` stands twice");
                    self.refuse(Code::UnknownAnnotation, &annotation.name.span, message, "take one of them away");
                }
                "attribute" => predicate.is_attribute = true,
                "live" => predicate.kind = PredicateKind::Live,
                "template" => predicate.template = Some(Arc::from(annotation.value.as_str())),
                "materialize" => predicate.is_materialized = true,
                "doc" => {}
                other => self.unknown_annotation(&annotation.name, other),
            }
        }
        if predicate.is_attribute {
            self.check_attribute(declaration, &predicate);
        }
        let (text, span) = (&declaration.name.text, &declaration.name.span);
        if text.contains("::") || is_variable(text) {
            let message = format!("`{text}` is not a name for a relation");
            self.refuse(Code::RelationForm, span, message, "a relation's name begins with a small letter");
        } else if is_reserved(text) {
            let message = format!("`{text}` is a word of the language");
            self.refuse(Code::RelationForm, span, message, "give the relation another name");
        }
        if predicate.template.is_some() && predicate.kind == PredicateKind::Live {
            let message = format!("`{text}` is live, and links of a template stand in files");
            self.refuse(Code::Ownership, span, message, "take `@live` or `@template` away");
        }
        (n_errors == self.findings.n_errors()).then_some(predicate)
    }

    fn unknown_annotation(&mut self, name: &Name, text: &str) {
        let known = ["attribute", "live", "template", "doc", "materialize"];
        let help = match nearest(text, known) {
            Some(near) => format!("did you mean `@{near}`?"),
            None => format!("a relation has @{}", known.join(", @")),
        };
        self.refuse(Code::UnknownAnnotation, &name.span, format!("a relation has no `@{text}`"), &help);
    }

    fn key(&mut self, declaration: &Declaration) -> Option<Key> {
        let choices =
            declaration.columns.iter().enumerate().filter_map(|(at, column)| Some((at, column, column.choice?)));
        let choices: Vec<_> = choices.collect();
        let Some(n_columns) = declaration.n_keys else {
            if let Some((_, column, _)) = choices.first() {
                let message = "`min` and `max` choose among the values of a key".to_owned();
                self.refuse(Code::RelationForm, &column.span, message, "write `relation level(User -> max Long).`");
            }
            return None;
        };
        let n_values = declaration.columns.len() - n_columns;
        if n_columns == 0 || n_values == 0 {
            let message = "a functional relation has a key and a value".to_owned();
            self.refuse(Code::RelationForm, &declaration.name.span, message, "write `relation level(User -> Long).`");
        }
        if let Some((at, column, _)) = choices.first()
            && (*at < n_columns || 1 < n_values)
        {
            let message = "`min` and `max` choose one value, and stand before it".to_owned();
            self.refuse(Code::RelationForm, &column.span, message, "write `relation level(User -> max Long).`");
        }
        Some(Key { n_columns, choice: choices.first().map(|(.., choice)| *choice) })
    }

    fn column(&mut self, column: &crate::syntax::rules::Column) -> Option<Types> {
        let (schema, types) = (self.schema, self.types);
        let is_entity = |name: &str| match schema {
            Some(_) => types.contains(name),
            None => may_be_type(name),
        };
        match schema::resolve(&column.types, self.values, &is_entity) {
            Ok(types) => Some(types),
            Err(schema::UnknownType(TypeName::Named(name))) => {
                let other = NOT_TYPES.iter().find(|(other, _)| *other == name.text).map(|(_, known)| *known);
                let near = other
                    .or_else(|| self.findings.nearest(&name.text, types.iter().map(String::as_str).chain(BUILTIN)));
                let help = near.map_or_else(
                    || format!("types are {} and those of the schema", BUILTIN.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                self.refuse(Code::UnknownType, &name.span, format!("there is no type `{}`", name.text), &help);
                None
            }
            Err(_) => {
                let message = "a union of types stands in no set or record".to_owned();
                self.refuse(Code::RelationForm, &column.span, message, "");
                None
            }
        }
    }

    fn check_attribute(&mut self, declaration: &Declaration, predicate: &Predicate) {
        let is_single = |column: &&Column| column.types.single().is_some();
        let span = &declaration.name.span;
        let owner = predicate.columns.first().and_then(|column| column.types.entity());
        if owner.is_some_and(|kind| is_action_type(self.values.name(kind))) {
            let message = format!("`{}` is no attribute: Cedar's actions have none", predicate.name);
            self.refuse(Code::AttributeForm, span, message, "take `@attribute` away and read the relation in rules");
        } else if owner.is_none() {
            let message = format!("`{}` is no attribute: its first column is not one entity type", predicate.name);
            self.refuse(Code::AttributeForm, span, message, "write `@attribute relation banned(User).`");
        } else if predicate.columns.iter().filter(is_single).count() < predicate.columns.len() {
            let message = format!("`{}` is no attribute: a column has several types", predicate.name);
            self.refuse(Code::AttributeForm, span, message, "the columns of an attribute have one type each");
        } else if predicate.name.contains('.') {
            let message = format!("`{}` is no attribute: its name has a period", predicate.name);
            self.refuse(Code::AttributeForm, span, message, "give it a name of one word");
        } else if predicate.key.is_some_and(|key| key.n_columns != 1) {
            let message = format!("`{}` is no attribute: its key is more than the entity", predicate.name);
            self.refuse(
                Code::AttributeForm,
                span,
                message,
                "a functional attribute has one key: `level(User -> Long)`",
            );
        } else if 2 < predicate.columns.len() {
            let names: BTreeSet<_> =
                predicate.columns.iter().skip(1).filter_map(|column| column.name.clone()).collect();
            if names.len() + 1 < predicate.columns.len() {
                let message = format!("the records of `{}` need a name for each column", predicate.name);
                let help = "write `@attribute relation grants(User, what: Document, how: String).`";
                self.refuse(Code::AttributeForm, span, message, help);
            }
        }
    }
}
