//! Clauses to rules with slots: what each name in them stands for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use crate::{
    base::{FileId, Pool, Span, Value, Values, View, limits, value::brief},
    check::meant,
    diag::{Code, Finding, Findings, Severity, nearest},
    expr,
    schema::{Schema, Types, conform::looks_like_entity},
    syntax::{
        ast::{Expr, ExprKind},
        rules::{Atom, Clause, ClauseKind, Literal, Name, Rulelike, as_name, is_variable},
        slips,
    },
};

use super::{
    Attribute, CheckedRules, CheckedTest, Column, Fact, FactList, Goal, GoalKind, Names, Predicate, PredicateId,
    PredicateKind, Rule, TestText, Written,
    body::is_constant,
    scope::{Scope, level_names, names_in, ordered_names},
};

pub(super) struct Resolver<'a> {
    pub(super) names: Names,
    pub(super) schema: Option<&'a Schema>,
    pub(super) values: &'a mut Pool,
    pub(super) findings: &'a mut Findings,
    pub(super) file: FileId,
    rules: Vec<Rule>,
    facts: FactList,
    ids: BTreeMap<String, Span>,
    /// Whether what is read belongs to a test, which may give rows to live relations.
    is_test: bool,
    /// Whether what is read is a rule that decides.
    pub(super) is_decision: bool,
    /// The entity types that are asked for, each where it first is.
    pub(super) types_asked: BTreeMap<PredicateId, Span>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        names: Names,
        schema: Option<&'a Schema>,
        values: &'a mut Pool,
        findings: &'a mut Findings,
    ) -> Self {
        let file = Span::NOWHERE.file;
        Self {
            names,
            schema,
            values,
            findings,
            file,
            rules: Vec::new(),
            facts: FactList::default(),
            ids: BTreeMap::new(),
            is_test: false,
            is_decision: false,
            types_asked: BTreeMap::new(),
        }
    }

    pub(super) fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.file, range.clone())
    }

    pub(super) fn refuse(
        &mut self,
        code: Code,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let finding = Finding::new(code, self.span(span), message);
        self.findings.push(finding.help(help));
    }

    pub(super) fn clauses(&mut self, clauses: &[Written], paths: &impl Fn(FileId) -> String) {
        let mut n_rules: HashMap<FileId, usize> = HashMap::new();
        for (file, clause) in clauses {
            self.file = *file;
            let ClauseKind::Rule(rule) = &clause.kind else { continue };
            if rule.body.is_empty() && !matches!(rule.head.name.text.as_str(), "permit" | "forbid") {
                self.fact(clause, &rule.head);
            } else {
                let n = n_rules.entry(*file).or_default();
                let fallback = format!("{}:rule{n}", paths(*file));
                *n += 1;
                self.rule(clause, rule, fallback);
            }
        }
    }

    /// The facts and the question of a test.
    pub(super) fn test(&mut self, test: &TestText) -> CheckedTest {
        let before = std::mem::take(&mut self.facts);
        self.is_test = true;
        for (file, clause) in &test.facts {
            self.file = *file;
            match &clause.kind {
                ClauseKind::Rule(rule) if rule.body.is_empty() => self.fact(clause, &rule.head),
                _ => {
                    self.refuse(
                        Code::TestForm,
                        &clause.span,
                        "a test gives facts, no rules and no declarations",
                        "write `facts = 'viewer(\"ada\", \"plan\").'`",
                    );
                }
            }
        }
        self.is_test = false;
        let query = test.query.as_ref().and_then(|(file, goal)| self.query(*file, goal));
        CheckedTest { facts: std::mem::replace(&mut self.facts, before), query, is_about_request: false }
    }

    /// A question as a rule whose head has its variables, in the order in which they are written.
    fn query(&mut self, file: FileId, goal: &[Literal]) -> Option<Rule> {
        self.file = file;
        let span = goal.first()?.span.start..goal.last()?.span.end;
        let mut names = Vec::new();
        ordered_names(goal, &mut names);
        let arg = |name: &String| Expr::new(span.clone(), ExprKind::Name(name.clone()));
        let args: Vec<Expr> =
            names.iter().filter(|name| is_variable(name) && !name.starts_with('_')).map(arg).collect();
        let name = format!("?{}", self.names.predicates.len());
        let columns = vec![Column { name: None, types: Types::NONE }; args.len()];
        let head = self.names.add(&name, PredicateKind::Derived, columns, None);
        let atom = Atom { span: span.clone(), name: Name { span: span.clone(), text: name }, args };
        let n_errors = self.findings.n_errors();
        let mut scope = Scope::default();
        scope.levels.push(HashMap::new());
        let mut body = Vec::new();
        let args = self.args(head, &atom, &mut scope, &mut body, false)?;
        for literal in goal {
            self.literal(literal, &mut scope, &mut body);
        }
        self.check_length(&body, &span);
        let rule = Rule {
            id: "the query".into(),
            span: self.span(&span),
            annotations: Arc::default(),
            head,
            args,
            body,
            variables: scope.variables,
        };
        (n_errors == self.findings.n_errors()).then_some(rule)
    }

    /// Where there is no schema, a type that nothing is of is a slip, or has lost its last entity.
    fn tell_unused_types(&mut self) {
        for (id, span) in std::mem::take(&mut self.types_asked) {
            let kind = match self.names.predicate(id).map(|predicate| predicate.kind) {
                Some(PredicateKind::Known(kind) | PredicateKind::Stored(kind, _)) => self.values.name(kind),
                _ => continue,
            };
            if self.names.is_in_use(kind) {
                continue;
            }
            let finding = Finding::new(Code::UnknownEntityType, span, format!("nothing is of the type {kind}"));
            let help = match nearest(kind, self.names.types_in_use()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "an entity, a fact or a declaration would name it".to_owned(),
            };
            self.findings.push(Finding { severity: Severity::Warning, ..finding }.help(help));
        }
    }

    pub(super) fn finish(mut self) -> CheckedRules {
        if self.schema.is_none() {
            self.tell_unused_types();
        }
        let mut attributes = Vec::new();
        for (at, predicate) in self.names.predicates.iter().enumerate().filter(|(_, predicate)| predicate.is_attribute)
        {
            if let Some(kind) = predicate.columns.first().and_then(|column| column.types.entity()) {
                let name = self.values.symbol(&predicate.name);
                attributes.push(Attribute { kind, name, predicate: PredicateId(at) });
            }
        }
        let Self { names, rules, facts, .. } = self;
        let types_in_use = names.types_in_use().map(str::to_owned).collect();
        CheckedRules { predicates: names.predicates, rules, facts, attributes, types_in_use, ..CheckedRules::default() }
    }

    /// The relation of a head, if rules or files may give it rows.
    fn head(&mut self, head: &Atom, is_fact: bool) -> Option<PredicateId> {
        let name = &head.name;
        let declared = self.names.get(&name.text).and_then(|id| Some((id, self.names.predicate(id)?)));
        let may_be_given = |of: &Predicate| !is_fact || of.is_declared || of.kind != PredicateKind::Derived;
        let Some((id, predicate)) = declared.filter(|(_, predicate)| may_be_given(predicate)) else {
            if is_fact && !is_type_like(&name.text) {
                let types: Vec<_> = head.args.iter().map(guess).collect();
                let message = format!("`{}` has rows and no declaration", name.text);
                let given = self.names.predicates().iter().filter(|of| of.is_declared).map(|of| of.name.as_str());
                let help = match self.findings.nearest(&name.text, given) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        let types = types.join(", ");
                        format!("declare it, so that it may lose its last row: `relation {}({types}).`", name.text)
                    }
                };
                self.refuse(Code::UndeclaredRelation, &name.span, message, help);
            } else {
                let message = format!("`{}` is no relation that can be given rows here", name.text);
                self.refuse(
                    Code::Ownership,
                    &name.span,
                    message,
                    "entities and their attributes belong in `[entities]`",
                );
            }
            return None;
        };
        let (is_live, declared, kind) = (predicate.kind == PredicateKind::Live, predicate.span, predicate.kind);
        if predicate.template.is_some() && !is_fact {
            let message =
                format!("`{}` holds links of a template, which stand in files: no rule derives them", name.text);
            self.refuse(Code::Ownership, &name.span, message, "write the policy over a derived attribute instead");
            return None;
        }
        if is_live && !self.is_test {
            let message = format!("`{}` is live: its rows come through the API alone", name.text);
            let finding = Finding::new(Code::Ownership, self.span(&name.span), message);
            let finding = finding.help("use a second relation, and a rule for each that derives a third");
            self.findings.push(match declared {
                Some(span) => finding.related(span, "declared `@live` here"),
                None => finding,
            });
            return None;
        }
        if matches!(kind, PredicateKind::Known(_) | PredicateKind::Stored(..) | PredicateKind::In) {
            let message = format!("`{}` is given by the entities", name.text);
            self.refuse(Code::Ownership, &name.span, message, "entities and their attributes belong in `[entities]`");
            return None;
        }
        self.check_arity(id, head)?;
        Some(id)
    }

    pub(super) fn check_arity(&mut self, id: PredicateId, atom: &Atom) -> Option<()> {
        let predicate = self.names.predicate(id)?;
        let (n, declared) = (predicate.columns.len(), predicate.span);
        if n == atom.args.len() {
            return Some(());
        }
        let message = format!("`{}` has {}, not {}", atom.name.text, columns(n), atom.args.len());
        let finding = Finding::new(Code::RelationArity, self.span(&atom.span), message);
        let name = &atom.name.text;
        let is_decision = [Names::PERMIT, Names::FORBID].contains(&id);
        self.findings.push(match declared {
            Some(span) => finding.related(span, "known from here"),
            None if is_decision => finding.help(format!("write `{name}(U, A, R)`: who, what it does, and to what")),
            None => finding,
        });
        None
    }

    fn fact(&mut self, clause: &Clause, head: &Atom) {
        for annotation in clause.annotations.iter().filter(|annotation| annotation.name.text != "doc") {
            self.refuse(
                Code::UnknownAnnotation,
                &annotation.name.span,
                "a fact has no annotation but `@doc`",
                "take it away",
            );
        }
        let Some(id) = self.head(head, true) else { return };
        let Some(predicate) = self.names.predicate(id) else { return };
        if predicate.kind == PredicateKind::Derived && predicate.key.is_some() {
            let message = format!("`{}` is functional and derived by rules", head.name.text);
            self.refuse(
                Code::Ownership,
                &head.span,
                message,
                "give the rows to a relation of their own, and derive from it",
            );
            return;
        }
        let types: Vec<_> = predicate.columns.iter().map(|column| column.types.clone()).collect();
        let row: Vec<_> = head.args.iter().zip(types).map(|(arg, types)| self.constant(arg, &types, true)).collect();
        if let Some(row) = row.into_iter().collect::<Option<Vec<_>>>() {
            let is_entity = |value: &Value| matches!(self.values.view(*value), View::Entity(..));
            if id == Names::PARENT && !row.iter().all(is_entity) {
                let help = "write `parent(User::\"ada\", Group::\"eng\").`";
                self.refuse(Code::WrongType, &head.span, "a parent and its child are entities", help);
                return;
            }
            let span = self.span(&clause.span);
            self.facts.push(Fact { predicate: id, row: &row, span });
        }
    }

    /// The value that an argument is. Bare words are strings in facts only.
    pub(super) fn constant(&mut self, arg: &Expr, types: &Types, is_fact: bool) -> Option<Value> {
        let text = match &arg.kind {
            ExprKind::Name(name) if is_fact && !is_variable(name) && !name.contains("::") => Some(name),
            ExprKind::Text(text) => Some(text),
            _ => None,
        };
        if let Some(text) = text {
            if let Some(kind) = types.entity() {
                if looks_like_entity(text) {
                    let kind = self.values.name(kind);
                    let message = format!("this text is the id of a {kind}, and looks like an entity");
                    self.refuse(
                        Code::EntityAsId,
                        &arg.span,
                        message,
                        "write the id alone, or the entity without quotes around it",
                    );
                    return None;
                }
                let kind = self.values.name(kind).to_owned();
                let entity = Expr::new(arg.span.clone(), ExprKind::Entity(kind.clone(), text.clone()));
                self.entities(&entity)?;
                return Some(self.values.entity(&kind, text));
            }
            let value = self.values.text(text);
            return self.checked(value, arg, types);
        }
        self.entities(arg)?;
        let compiled = is_constant(arg).then(|| expr::compile(arg, self.values).ok()).flatten();
        let value = match compiled.as_ref().map(expr::Expr::as_constant) {
            Some(Some(Ok(value))) => value,
            Some(Some(Err(failure))) => {
                let message = failure.describe(self.values);
                self.refuse(Code::WrongType, &arg.span, message, "this never has a value");
                return None;
            }
            _ => {
                let what = as_name(arg).map_or("this expression".to_owned(), |name| format!("`{name}`"));
                let message = format!("{what} is not a constant");
                let help = "a fact has no variables: write strings in quotes or as words with a small letter";
                self.refuse(Code::NotConstant, &arg.span, message, help);
                return None;
            }
        };
        self.checked(value, arg, types)
    }

    fn checked(&mut self, value: Value, arg: &Expr, types: &Types) -> Option<Value> {
        if types.has(self.values, value) || types.is_none() {
            return Some(value);
        }
        let (found, wanted) = (self.values.show_briefly(value), types.show(self.values));
        let help = match meant::of_types(value, types, self.values, self.findings) {
            Some((kind, id)) => slips::with_its_type(&format!("{kind}::{}", brief(id))),
            None => "see the declaration of the relation".to_owned(),
        };
        self.refuse(Code::WrongType, &arg.span, format!("expected {wanted}, found {found}"), help);
        None
    }

    fn rule(&mut self, clause: &Clause, rule: &Rulelike, fallback: String) {
        let n_errors = self.findings.n_errors();
        let Some(head) = self.head(&rule.head, false) else { return };
        let is_decision = [Names::PERMIT, Names::FORBID].contains(&head);
        self.is_decision = is_decision;
        let annotations = self.annotations(clause);
        let id = annotations.get("id").filter(|id| !id.is_empty()).cloned();
        if is_decision && id.is_none() {
            let message = "a rule that decides has an id";
            self.refuse(Code::MissingId, &rule.head.span, message, "write `@id(\"…\")` before it");
        }
        if let Some(id) = &id {
            let place = self.span(&clause.span);
            if let Some(other) = self.ids.insert(id.clone(), place) {
                let finding = Finding::new(
                    Code::DuplicatePolicyId,
                    place,
                    format!("`@id(\"{id}\")` is also the id of another rule"),
                );
                self.findings.push(finding.related(other, "the other rule").help("give each rule an id of its own"));
            }
        }
        let mut scope = Scope::default();
        scope.levels.push(HashMap::new());
        let mut outer = HashSet::new();
        rule.head.args.iter().for_each(|arg| names_in(arg, &mut outer));
        level_names(&rule.body, &mut outer);
        let mut body = Vec::new();
        let args = self.args(head, &rule.head, &mut scope, &mut body, is_decision);
        scope.reserve(outer, self.span(&rule.head.span));
        for literal in &rule.body {
            self.literal(literal, &mut scope, &mut body);
        }
        self.check_length(&body, &rule.head.span);
        if is_decision {
            self.check_decision(rule);
        }
        self.is_decision = false;
        // What else there would be to say of a rule that is wrong would be a consequence.
        let Some(args) = args.filter(|_| n_errors == self.findings.n_errors()) else { return };
        self.rules.push(Rule {
            id: id.unwrap_or(fallback).into(),
            span: self.span(&clause.span),
            annotations: Arc::new(annotations),
            head,
            args,
            body,
            variables: scope.variables,
        });
    }

    /// Whether a body has no more conditions than evaluation, which recurses once for each, may take.
    fn check_length(&mut self, body: &[Goal], span: &Range<usize>) {
        let n = n_conditions(body);
        if limits::CONDITIONS_MAX < n {
            let message = format!("the rule has {n} conditions, more than {}", limits::CONDITIONS_MAX);
            self.refuse(Code::TooManyConditions, span, message, "give some of them a relation of their own");
        }
    }

    fn annotations(&mut self, clause: &Clause) -> BTreeMap<String, String> {
        let known = ["id", "doc", "reason"];
        let mut annotations = BTreeMap::new();
        for annotation in &clause.annotations {
            let name = &annotation.name.text;
            if !known.contains(&name.as_str()) {
                let help = match nearest(name, known) {
                    Some(near) => format!("did you mean `@{near}`?"),
                    None => "a rule has @id, @doc and @reason; @attribute, @live and @template belong to a `relation`"
                        .to_owned(),
                };
                self.refuse(Code::UnknownAnnotation, &annotation.name.span, format!("a rule has no `@{name}`"), help);
            }
            if annotations.insert(name.clone(), annotation.value.clone()).is_some() {
                let message = format!("`@{name}` stands twice");
                self.refuse(Code::UnknownAnnotation, &annotation.name.span, message, "take one of them away");
            }
        }
        annotations
    }
}

// Recurses once per aggregate within another, whose nesting was limited.
fn n_conditions(body: &[Goal]) -> usize {
    let of = |goal: &Goal| match &goal.kind {
        GoalKind::Aggregate(aggregate) => 1 + n_conditions(&aggregate.body),
        _ => 1,
    };
    body.iter().map(of).sum()
}

fn columns(n: usize) -> String {
    if n == 1 { "1 column".to_owned() } else { format!("{n} columns") }
}

/// Whether a name looks like a type or an attribute of one.
fn is_type_like(name: &str) -> bool {
    name.contains("::") || is_variable(name)
}

/// The type that a constant seems to have, for advice.
fn guess(arg: &Expr) -> String {
    match &arg.kind {
        ExprKind::Long(_) => "Long".to_owned(),
        ExprKind::Bool(_) => "Bool".to_owned(),
        ExprKind::Entity(kind, _) => kind.clone(),
        ExprKind::Set(_) => "Set<String>".to_owned(),
        _ => "String".to_owned(),
    }
}
