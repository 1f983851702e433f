//! Entities: read from TOML and JSON, typed by the schema, each known once.

use std::collections::BTreeMap;

use super::meant;
use crate::{
    base::{FileId, Span, Symbol, Value, Values, View, value::cut},
    diag::{Code, Finding, Findings},
    schema::{
        Schema,
        conform::{Misfit, Reader, Undeclared, is_type_name, looks_like_entity},
        is_action_type,
    },
    syntax::{Key, Node, Shape},
};

/// An entity as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedEntity {
    /// The entity.
    pub uid: Value,
    /// Its attributes, a record.
    pub attributes: Value,
    /// Its tags, a record.
    pub tags: Value,
    /// Its parents, sorted and distinct.
    pub parents: Vec<Value>,
    /// Where it is written; none for the actions of a schema.
    pub span: Option<Span>,
}

/// An entity as it is written, in either notation.
struct Written<'n> {
    kind: String,
    kind_span: std::ops::Range<usize>,
    id: String,
    span: std::ops::Range<usize>,
    attributes: Vec<&'n (Key, Node)>,
    tags: Vec<&'n (Key, Node)>,
    parents: Vec<&'n Node>,
}

/// Checks the entities of `[entities]` sections (`tables`) and `*.entities.json` files (`lists`), and adds the actions of
/// the schema.
///
/// Those of a test may be of types whose entities otherwise come through the API.
pub fn check(
    tables: &[(FileId, Node)],
    lists: &[(FileId, Node)],
    is_test: bool,
    schema: Option<&Schema>,
    values: &mut impl Values,
    findings: &mut Findings,
) -> Vec<CheckedEntity> {
    let mut checker = Checker { schema, values, findings, is_test, entities: BTreeMap::new() };
    checker.add_actions();
    for (file, table) in tables {
        checker.table(*file, table);
    }
    for (file, list) in lists {
        checker.list(*file, list);
    }
    checker.entities.into_values().collect()
}

/// Checks an entity that comes through the API, written as in a `*.entities.json` file. `place` is where findings are said to be.
pub fn check_live(
    entity: &Node,
    place: FileId,
    schema: Option<&Schema>,
    values: &mut impl Values,
    findings: &mut Findings,
) -> Option<CheckedEntity> {
    let mut checker = Checker { schema, values, findings, is_test: true, entities: BTreeMap::new() };
    let written = checker.json(place, entity)?;
    checker.entity(place, &written);
    checker.entities.into_values().next()
}

struct Checker<'a, V> {
    schema: Option<&'a Schema>,
    values: &'a mut V,
    findings: &'a mut Findings,
    is_test: bool,
    entities: BTreeMap<Value, CheckedEntity>,
}

const SHORT_FORM: &str =
    "an entity is written `User.ada = { level = 3, in = ['Group::\"eng\"'], tags = { team = \"a\" } }`";
const LONG_FORM: &str =
    "an attribute of that name needs the long form: `User.ada = { attrs = { … }, in = [ … ], tags = { … } }`";
const JSON_FORM: &str =
    r#"an entity is written `{ "uid": { "type": "User", "id": "ada" }, "attrs": {}, "parents": [] }`"#;

impl<V: Values> Checker<'_, V> {
    fn add_actions(&mut self) {
        let Some(schema) = self.schema else { return };
        let nothing = self.values.record(Vec::new());
        for (uid, action) in schema.actions() {
            let parents = action.ancestors.clone();
            let entity = CheckedEntity { uid, attributes: nothing, tags: nothing, parents, span: None };
            self.entities.insert(uid, entity);
        }
    }

    fn refuse(&mut self, file: FileId, span: &std::ops::Range<usize>, message: impl Into<String>, help: &str) {
        self.findings.push(Finding::new(Code::EntityForm, Span::new(file, span.clone()), message).help(help));
    }

    /// `Type.id = { … }`, as many as there are.
    fn table(&mut self, file: FileId, table: &Node) {
        let Shape::Table(types) = &table.shape else { return };
        for (kind, ids) in types {
            let Shape::Table(entities) = &ids.shape else {
                self.refuse(
                    file,
                    &ids.span,
                    format!("`{}` is a type, and its entities are tables", kind.name),
                    SHORT_FORM,
                );
                continue;
            };
            for (id, node) in entities {
                let Shape::Table(members) = &node.shape else {
                    let message = format!("the entity {}::\"{}\" is not a table", kind.name, id.name);
                    self.refuse(file, &node.span, message, SHORT_FORM);
                    continue;
                };
                if let Some(written) = self.short_or_long(file, kind, id, node, members) {
                    self.entity(file, &written);
                }
            }
        }
    }

    fn short_or_long<'n>(
        &mut self,
        file: FileId,
        kind: &Key,
        id: &Key,
        node: &'n Node,
        members: &'n [(Key, Node)],
    ) -> Option<Written<'n>> {
        // A type is written as Cedar writes it; what is not such a name would be a type that nothing can mention.
        if !is_type_name(&kind.name) {
            self.refuse(file, &kind.span, format!("`{}` is not the name of a type", kind.name), SHORT_FORM);
            return None;
        }
        let is_long = node.member("attrs").is_some_and(|attrs| matches!(attrs.shape, Shape::Table(_)))
            && members.iter().all(|(key, _)| ["attrs", "in", "tags"].contains(&&*key.name));
        let attributes = match node.member("attrs").map(|attrs| &attrs.shape) {
            Some(Shape::Table(attributes)) if is_long => attributes.iter().collect(),
            _ => members.iter().filter(|(key, _)| key.name != "in" && key.name != "tags").collect(),
        };
        let has_long_part = node.member("attrs").is_some_and(|attrs| matches!(attrs.shape, Shape::Table(_)));
        if !is_long && has_long_part && !self.has_attribute(&kind.name, "attrs") {
            let message = "`attrs` holds all attributes, and others stand beside it".to_owned();
            self.refuse(file, &node.span, message, LONG_FORM);
            return None;
        }
        if !is_long {
            for name in ["in", "tags"] {
                if let Some(node) = node.member(name)
                    && self.has_attribute(&kind.name, name)
                {
                    self.refuse(
                        file,
                        &node.span,
                        format!("`{name}` could be an attribute of {} here", kind.name),
                        LONG_FORM,
                    );
                    return None;
                }
            }
        }
        let tags = match node.member("tags").map(|tags| (&tags.shape, &tags.span)) {
            None => Vec::new(),
            Some((Shape::Table(tags), _)) => tags.iter().collect(),
            Some((_, span)) => {
                self.refuse(file, span, "`tags` is not a table", SHORT_FORM);
                return None;
            }
        };
        let parents = match node.member("in").map(|parents| (&parents.shape, parents)) {
            None => Vec::new(),
            Some((Shape::List(parents), _)) => parents.iter().collect(),
            Some((_, parent)) => vec![parent],
        };
        let span = id.span.start..node.span.end;
        let kind_span = kind.span.clone();
        Some(Written { kind: kind.name.clone(), kind_span, id: id.name.clone(), span, attributes, tags, parents })
    }

    fn has_attribute(&mut self, kind: &str, name: &str) -> bool {
        let (kind, name) = (self.values.symbol(kind), self.values.symbol(name));
        self.schema.and_then(|schema| schema.entity_type(kind)).is_some_and(|of| of.attributes.field(name).is_some())
    }

    /// Cedar's JSON: `[{ "uid", "attrs", "parents", "tags" }]`.
    fn list(&mut self, file: FileId, list: &Node) {
        let Shape::List(nodes) = &list.shape else {
            self.refuse(file, &list.span, format!("expected a list of entities, found {}", list.kind()), JSON_FORM);
            return;
        };
        for node in nodes {
            if let Some(written) = self.json(file, node) {
                self.entity(file, &written);
            }
        }
    }

    fn json<'n>(&mut self, file: FileId, node: &'n Node) -> Option<Written<'n>> {
        let Shape::Table(members) = &node.shape else {
            self.refuse(file, &node.span, format!("expected an entity, found {}", node.kind()), JSON_FORM);
            return None;
        };
        for (key, _) in members {
            if !["uid", "attrs", "parents", "tags"].contains(&&*key.name) {
                self.refuse(file, &key.span, format!("an entity has no member `{}`", key.name), JSON_FORM);
                return None;
            }
        }
        let Some(uid) = node.member("uid") else {
            self.refuse(file, &node.span, "the entity has no `uid`", JSON_FORM);
            return None;
        };
        let entity = Reader { schema: None, undeclared: Undeclared::Refuse }.entity(self.values, uid);
        let entity = self.keep(file, entity)?;
        let View::Entity(kind, id) = self.values.view(entity) else { return None };
        let (kind, id) = (self.values.name(kind).to_owned(), self.values.name(id).to_owned());
        let table = |name| match node.member(name).map(|node| (&node.shape, &node.span)) {
            None => Ok(Vec::new()),
            Some((Shape::Table(members), _)) => Ok(members.iter().collect()),
            Some((_, span)) => Err(span),
        };
        let (attributes, tags) = match (table("attrs"), table("tags")) {
            (Ok(attributes), Ok(tags)) => (attributes, tags),
            (Err(span), _) | (_, Err(span)) => {
                self.refuse(file, span, "this is not an object", JSON_FORM);
                return None;
            }
        };
        let parents = match node.member("parents").map(|node| (&node.shape, &node.span)) {
            None => Vec::new(),
            Some((Shape::List(parents), _)) => parents.iter().collect(),
            Some((_, span)) => {
                self.refuse(file, span, "`parents` is not a list", JSON_FORM);
                return None;
            }
        };
        let kind_span = uid.member("type").map_or(&uid.span, |kind| &kind.span).clone();
        Some(Written { kind, kind_span, id, span: uid.span.clone(), attributes, tags, parents })
    }

    /// Turns a misfit into a finding.
    fn keep<T>(&mut self, file: FileId, result: Result<T, Misfit>) -> Option<T> {
        match result {
            Ok(kept) => Some(kept),
            Err(misfit) => {
                let finding = meant::misfit(file, misfit, self.schema, self.values, self.findings);
                self.findings.push(finding);
                None
            }
        }
    }

    fn entity(&mut self, file: FileId, written: &Written<'_>) {
        let span = Span::new(file, written.span.clone());
        let uid = self.values.entity(&written.kind, &written.id);
        let kind = self.values.symbol(&written.kind);
        let is_action = is_action_type(&written.kind);
        let entity_type = self.schema.and_then(|schema| schema.entity_type(kind));
        if let Some(schema) = self.schema
            && !self.is_declared(schema, uid, span, Span::new(file, written.kind_span.clone()))
        {
            return;
        }
        if !self.is_test && entity_type.is_some_and(|of| of.is_live) {
            let message = format!("{} is live: its entities come through the API alone", written.kind);
            let finding = Finding::new(Code::Ownership, span, message);
            self.findings.push(finding.help("take the entity away, or `@live` from its type in the schema"));
            return;
        }
        let reader = Reader { schema: self.schema, undeclared: Undeclared::Refuse };
        if entity_type.is_none() {
            written.attributes.iter().for_each(|(_, node)| self.warn_of_looks(file, node));
        }
        let (span_of, attributes) = (&written.span, written.attributes.iter().copied());
        let attributes = reader.record(self.values, span_of, attributes, entity_type.map(|of| &of.attributes));
        let attributes = self.keep(file, attributes);
        let tags = match entity_type.map(|of| &of.tags) {
            Some(None) if !written.tags.is_empty() => {
                let message = format!("entities of type {} have no tags", written.kind);
                self.findings.push(
                    Finding::new(Code::UnknownAttribute, span, message).help("declare them: `entity … tags String;`"),
                );
                None
            }
            Some(Some(kind)) => {
                let members = written.tags.iter().map(|(key, node)| {
                    let value =
                        reader.value(self.values, node, Some(kind)).map_err(|misfit| misfit.below(&key.name))?;
                    Ok((self.values.symbol(&key.name), value))
                });
                let members: Result<Vec<_>, _> = members.collect();
                self.keep(file, members).map(|members| self.values.record(members))
            }
            _ => {
                let tags = reader.record(self.values, span_of, written.tags.iter().copied(), None);
                self.keep(file, tags)
            }
        };
        let parents = self.parents(file, written, kind, is_action);
        let (Some(attributes), Some(tags), Some(parents)) = (attributes, tags, parents) else { return };
        self.add(CheckedEntity { uid, attributes, tags, parents, span: Some(span) });
    }

    /// Whether the schema has the entity's type, and the entity if the type lists its ids. `kind_span` is where the type stands.
    fn is_declared(&mut self, schema: &Schema, uid: Value, span: Span, kind_span: Span) -> bool {
        let View::Entity(kind, id) = self.values.view(uid) else { return true };
        let kind_name = self.values.name(kind);
        let near = || meant::entity(uid, schema, self.values, self.findings);
        let (code, place, message, help) = match schema.entity_type(kind) {
            _ if is_action_type(kind_name) => {
                if schema.action(uid).is_some() {
                    return true;
                }
                let message = format!("the schema has no action {}", self.values.show_briefly(uid));
                let help = near().unwrap_or_else(|| "with a schema, actions come from the schema".to_owned());
                (Code::UnknownEntity, span, message, Some(help))
            }
            Some(of) if of.choices.as_ref().is_none_or(|choices| choices.contains(&id)) => return true,
            Some(_) => {
                let shown = self.values.show_briefly(uid);
                let message = format!("the schema lists the ids of its type, and {shown} is not one");
                (Code::UnknownEntity, span, message, near())
            }
            None => {
                let message = format!("the schema has no entity type {}", cut(kind_name));
                let near = meant::entity_type(kind_name, schema, self.values, self.findings);
                let help = near.map(|near| format!("did you mean `{near}`?"));
                (Code::UnknownEntityType, kind_span, message, help)
            }
        };
        self.findings.push(Finding { help, ..Finding::new(code, place, message) });
        false
    }

    fn parents(&mut self, file: FileId, written: &Written<'_>, kind: Symbol, is_action: bool) -> Option<Vec<Value>> {
        let reader = Reader { schema: self.schema, undeclared: Undeclared::Refuse };
        let mut parents = Vec::with_capacity(written.parents.len());
        let mut is_right = true;
        for node in &written.parents {
            let parent = reader.entity(self.values, node);
            let Some(parent) = self.keep(file, parent) else {
                is_right = false;
                continue;
            };
            let View::Entity(parent_kind, _) = self.values.view(parent) else { continue };
            let is_allowed = match self.schema.and_then(|schema| schema.entity_type(kind)) {
                Some(of) => of.parents.contains(&parent_kind),
                None => !is_action || is_action_type(self.values.name(parent_kind)),
            };
            let span = Span::new(file, node.span.clone());
            if let Some(schema) = self.schema.filter(|_| !is_allowed)
                && !self.is_declared(schema, parent, span, span)
            {
                is_right = false;
            } else if !is_allowed {
                let (below, above) = (&written.kind, self.values.name(parent_kind));
                let message = format!("an entity of type {below} cannot be in one of type {above}");
                let finding = Finding::new(Code::ParentNotAllowed, span, message);
                self.findings.push(finding.help(format!("declare it: `entity {below} in [{above}];`")));
                is_right = false;
            }
            parents.push(parent);
        }
        parents.sort_unstable();
        parents.dedup();
        is_right.then_some(parents)
    }

    fn add(&mut self, entity: CheckedEntity) {
        let Some(known) = self.entities.get(&entity.uid) else {
            self.entities.insert(entity.uid, entity);
            return;
        };
        let Some(span) = entity.span else { return };
        if known.span.is_none() {
            // An action of the schema, written out: its groups are those of the schema, and it has nothing else.
            let is_same = known.attributes == entity.attributes
                && known.tags == entity.tags
                && entity.parents.iter().all(|parent| known.parents.contains(parent));
            if !is_same {
                let message = format!("{} is not as the schema says", self.values.show_briefly(entity.uid));
                let finding = Finding::new(Code::DuplicateEntity, span, message);
                self.findings.push(finding.help("with a schema, actions come from the schema: leave it out here"));
            }
        } else if (known.attributes, known.tags, &known.parents) != (entity.attributes, entity.tags, &entity.parents) {
            let message = format!("{} is written twice, and differently", self.values.show_briefly(entity.uid));
            let finding = Finding::new(Code::DuplicateEntity, span, message);
            let first = known.span.unwrap_or(span);
            self.findings.push(finding.related(first, "the other one"));
        }
    }

    /// Without a schema a text is a text; one that looks like an entity is probably meant as one.
    fn warn_of_looks(&mut self, file: FileId, node: &Node) {
        match &node.shape {
            Shape::Text(text) if looks_like_entity(text) => {
                let message = "this is a string, not an entity: there is no schema that says otherwise";
                let finding = Finding::new(Code::LooksLikeEntity, Span::new(file, node.span.clone()), message);
                self.findings.push(
                    finding.help("declare the attribute, or write `{ __entity = { type = \"…\", id = \"…\" } }`"),
                );
            }
            Shape::List(nodes) => nodes.iter().for_each(|node| self.warn_of_looks(file, node)),
            Shape::Table(members) => members.iter().for_each(|(_, node)| self.warn_of_looks(file, node)),
            _ => {}
        }
    }
}
