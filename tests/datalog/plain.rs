//! Rules as the twin reads them: arguments are variables, what binds is an atom, and a condition says what it waits for.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use rune_core::syntax::{
    ast::{Binary, Expr, ExprKind, Unary},
    rules::{Clause, ClauseKind, Declaration, Fold, Literal, LiteralKind, Name, Rulelike, TypeName},
};

/// What is declared of relations, and whether policies read them as attributes.
pub type Declared = BTreeMap<String, (Declaration, bool)>;
type Names = BTreeSet<String>;

pub struct Rule {
    /// Where it begins in the text of all clauses.
    pub at: usize,
    pub head: String,
    pub args: Vec<String>,
    /// The types that the columns of the head take.
    pub fits: Vec<Vec<TypeName>>,
    pub body: Body,
}

#[derive(Default)]
pub struct Body {
    pub goals: Vec<Goal>,
    /// For each variable, the types of each of the columns that it stands in.
    pub columns: BTreeMap<String, Vec<Vec<TypeName>>>,
}

impl Body {
    /// The variables that have their values from here, other than by `in`.
    fn gives(&self) -> Names {
        let mut given = Names::new();
        for goal in &self.goals {
            match &goal.kind {
                Kind::Atom(name, args) if name != "in" => given.extend(args.iter().cloned()),
                Kind::Bind(name, _) => drop(given.insert(name.clone())),
                Kind::Aggregate { result, .. } => drop(given.insert(result.clone())),
                Kind::Atom(..) | Kind::Not(..) | Kind::Guard(_) => {}
            }
        }
        given
    }

    /// Who is in what may be a set waits for the set. Around an aggregate there are variables with values of their own.
    fn wait_for_sets(&mut self, outer: &Names, typed: &Self) {
        let given: Names = outer.union(&self.gives()).cloned().collect();
        let is_entity = |types: &Vec<TypeName>| {
            let is_it =
                |of: &TypeName| matches!(of, TypeName::Named(of) if !["Long", "String"].contains(&of.text.as_str()));
            types.iter().all(is_it)
        };
        let may_be_set =
            |name: &str| given.contains(name) && !typed.columns.get(name).into_iter().flatten().any(is_entity);
        for goal in &mut self.goals {
            match &mut goal.kind {
                Kind::Atom(name, args) if name == "in" && may_be_set(&args[1]) => {
                    goal.needs = vec![Names::from([args[1].clone()])];
                }
                Kind::Aggregate { body, .. } => body.wait_for_sets(&given, typed),
                _ => {}
            }
        }
    }

    pub fn open(&self) -> Vec<&Goal> {
        self.goals.iter().collect()
    }
}

pub struct Goal {
    /// Where it stands in the text of all clauses.
    pub at: Range<usize>,
    /// It can be asked once all variables of one of these sets have values.
    pub needs: Vec<Names>,
    pub kind: Kind,
}

pub enum Kind {
    Atom(String, Vec<String>),
    Not(String, Vec<String>),
    Guard(Expr),
    Bind(String, Expr),
    Aggregate { result: String, fold: Fold, tuple: Vec<String>, body: Body },
}

/// Whether a rule permits or forbids, if that is what a clause does, and its id.
pub fn decision(clause: &Clause) -> Option<(bool, &str)> {
    let ClauseKind::Rule(rule) = &clause.kind else { return None };
    let permits = rule.head.name.text == "permit";
    let id = || clause.annotations.iter().find(|of| of.name.text == "id").map(|of| of.value.as_str());
    (permits || rule.head.name.text == "forbid").then(id).flatten().map(|id| (permits, id))
}

/// The rule that a clause is, if it is one. One that decides derives the one row of a relation that is named by its id.
pub fn rule(clause: &Clause, declared: &Declared, has_schema: bool) -> Option<Rule> {
    let ClauseKind::Rule(rule) = &clause.kind else { return None };
    if rule.body.is_empty() {
        return None;
    }
    let mut scope = level_names(&rule.body);
    rule.head.args.iter().for_each(|arg| names(arg, &mut scope));
    let (mut plain, mut body) = (Plain { declared, has_schema, typed: Body::default(), n_fresh: 0 }, Body::default());
    plain.type_by_head(rule);
    // What is read like an atom gives types too, by which others are read like atoms.
    let mut before = None;
    while before != Some(plain.typed.columns.clone()) {
        before = Some(plain.typed.columns.clone());
        plain.type_all(&rule.body, &Names::new());
    }
    let (head, args) = if let Some((_, id)) = decision(clause) {
        plain.atom(("request", clause.span.clone()), &rule.head.args, false, &mut body);
        (format!("decision {id}"), Vec::new())
    } else {
        (rule.head.name.text.clone(), plain.args(&rule.head.args, &mut body))
    };
    plain.body(&rule.body, &scope, &mut body);
    let given = body.gives();
    if !has_schema {
        body.wait_for_sets(&Names::new(), &plain.typed);
    }
    let fits = plain.fit(&head, &args, &given, &mut body);
    Some(Rule { at: clause.span.start, head, args, fits, body })
}

struct Plain<'p> {
    declared: &'p Declared,
    has_schema: bool,
    /// The columns of the variables, those of aggregates among them.
    typed: Body,
    n_fresh: usize,
}

impl Plain<'_> {
    fn body(&mut self, literals: &[Literal], scope: &Names, body: &mut Body) {
        for literal in literals {
            self.literal(literal, scope, body);
        }
        // What binds nothing comes first: it only leaves less to look at.
        body.goals.sort_by_key(|goal| matches!(goal.kind, Kind::Atom(..)));
    }

    fn literal(&mut self, literal: &Literal, scope: &Names, body: &mut Body) {
        let at = literal.span.clone();
        let of = |expr: &Expr| {
            let mut needs = Names::new();
            names(expr, &mut needs);
            vec![needs]
        };
        let (needs, kind) = match &literal.kind {
            LiteralKind::Atom(atom) => return self.atom((&atom.name.text, at), &atom.args, literal.is_negated, body),
            LiteralKind::Guard(expr) => match self.read(expr) {
                Some((name, args)) => return self.atom((name, at), &args, literal.is_negated, body),
                None if literal.is_negated => {
                    let not = ExprKind::Unary(Unary::Not, Box::new(expr.clone()));
                    (of(expr), Kind::Guard(Expr::placeless(not)))
                }
                None => (of(expr), Kind::Guard(expr.clone())),
            },
            LiteralKind::Binding(name, expr) => (of(expr), Kind::Bind(self.variable(&name.text), expr.clone())),
            LiteralKind::Aggregate(aggregate) => {
                let (mut inner, mut needs) = (Body::default(), Names::new());
                let inner_scope = scope.union(&level_names(&aggregate.body)).cloned().collect();
                self.body(&aggregate.body, &inner_scope, &mut inner);
                all_names(&aggregate.body, &mut needs);
                needs.retain(|name| scope.contains(name) && name != "_");
                let tuple = aggregate.tuple.iter().map(|name| name.text.clone()).collect();
                let result = self.variable(&aggregate.result.text);
                (vec![needs], Kind::Aggregate { result, fold: aggregate.fold, tuple, body: inner })
            }
        };
        body.goals.push(Goal { at, needs, kind });
    }

    fn atom(&mut self, (name, at): (&str, Range<usize>), args: &[Expr], is_negated: bool, body: &mut Body) {
        let args = self.args(args, body);
        let known = args.iter().filter(|arg| !arg.starts_with('_')).cloned();
        let goal = if is_negated {
            Goal { at, needs: vec![known.collect()], kind: Kind::Not(name.to_owned(), args) }
        } else {
            self.note(name, &args, body);
            // Who is in what can be told of either side.
            let needs = if name == "in" { known.map(|arg| Names::from([arg])).collect() } else { vec![Names::new()] };
            Goal { at, needs, kind: Kind::Atom(name.to_owned(), args) }
        };
        body.goals.push(goal);
    }

    /// Notes the types of the columns of the head for what `in` alone binds: of that what fits is taken.
    fn type_by_head(&mut self, rule: &Rulelike) {
        let Some((head, _)) = self.declared.get(&rule.head.name.text) else { return };
        for (arg, column) in rule.head.args.iter().zip(&head.columns) {
            let ExprKind::Name(name) = &arg.kind else { continue };
            let is_in = rule.body.iter().filter(|literal| !literal.is_negated).any(|literal| match &literal.kind {
                LiteralKind::Guard(Expr { kind: ExprKind::Binary(Binary::In, sides), .. }) => {
                    sides.iter().any(|side| is_name(side, name))
                }
                _ => false,
            });
            if is_in && !gives(&rule.body, name) {
                self.typed.columns.entry(name.clone()).or_default().push(column.types.clone());
            }
        }
    }

    /// Notes the types that conditions give to variables; within an aggregate, to those that are its own.
    fn type_all(&mut self, literals: &[Literal], outer: &Names) {
        for literal in literals.iter().filter(|literal| !literal.is_negated) {
            let name = |arg: &Expr| match &arg.kind {
                ExprKind::Name(name) if !outer.contains(name) => name.clone(),
                _ => "_".to_owned(),
            };
            let (kind, args) = match &literal.kind {
                LiteralKind::Atom(atom) => (&*atom.name.text, atom.args.iter().map(name).collect()),
                LiteralKind::Guard(Expr { kind: ExprKind::Is(part, kind), .. }) => (kind.as_str(), vec![name(part)]),
                LiteralKind::Guard(expr) if let Some((kind, args)) = self.read(expr) => {
                    (kind, args.iter().map(name).collect())
                }
                LiteralKind::Aggregate(aggregate) => {
                    let outer = outer.union(&level_names(literals)).cloned().collect();
                    self.type_all(&aggregate.body, &outer);
                    continue;
                }
                _ => continue,
            };
            let mut typed = std::mem::take(&mut self.typed);
            self.note(kind, &args, &mut typed);
            self.typed = typed;
        }
    }

    /// Whether something is of the type that has an attribute, for sure; where there is a schema, nothing else has one of the
    /// name.
    fn has(&self, owner: &Expr, attribute: &Declaration) -> bool {
        let Some([TypeName::Named(kind)]) = attribute.columns.first().map(|column| &column.types[..]) else {
            return false;
        };
        match &owner.kind {
            ExprKind::Entity(of, _) => *of == kind.text,
            ExprKind::Name(name) => match self.typed.columns.get(name) {
                Some(columns) => {
                    let is_it = |of: &TypeName| matches!(of, TypeName::Named(of) if of.text == kind.text);
                    columns.iter().any(|types| types.iter().all(is_it))
                }
                None => self.has_schema,
            },
            _ => self.has_schema,
        }
    }

    /// The atom that an expression is at the top of a body: `X in Y`, `X.p`, `X.p.contains(Y)`.
    fn read<'e>(&self, expr: &'e Expr) -> Option<(&'e str, Vec<Expr>)> {
        let is_attribute = |owner: &Expr, name: &str, n_columns: usize| {
            let is_it = |of: &Declaration| of.n_keys.is_none() && of.columns.len() == n_columns && self.has(owner, of);
            self.declared.get(name).is_some_and(|(of, is_attribute)| *is_attribute && is_it(of))
        };
        match &expr.kind {
            ExprKind::Binary(Binary::In, sides)
                if matches!(sides[1].kind, ExprKind::Name(_) | ExprKind::Entity(..) | ExprKind::Var(_)) =>
            {
                Some(("in", sides.to_vec()))
            }
            ExprKind::Attribute(owner, name) if is_attribute(owner, name, 1) => Some((name, vec![(**owner).clone()])),
            ExprKind::Binary(Binary::Contains, sides) => match &sides[0].kind {
                ExprKind::Attribute(owner, name) if is_attribute(owner, name, 2) => {
                    Some((name, vec![(**owner).clone(), sides[1].clone()]))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// What a head takes: of what `in` alone binds that which fits, of all else nothing but that.
    fn fit(&mut self, head: &str, args: &[String], given: &Names, body: &mut Body) -> Vec<Vec<TypeName>> {
        let columns = self.declared.get(head).into_iter().flat_map(|(of, _)| &of.columns);
        for (arg, column) in args.iter().zip(columns.clone()) {
            let is_in =
                |goal: &Goal| matches!(&goal.kind, Kind::Atom(name, args) if name == "in" && args.contains(arg));
            if body.goals.iter().any(is_in) && !given.contains(arg) {
                body.columns.insert(arg.clone(), vec![column.types.clone()]);
            }
        }
        columns.map(|column| column.types.clone()).collect()
    }

    /// Gives each argument that is an expression a name.
    fn args(&mut self, args: &[Expr], body: &mut Body) -> Vec<String> {
        let mut named = Vec::new();
        for arg in args {
            let ExprKind::Name(name) = &arg.kind else {
                self.n_fresh += 1;
                let name = format!("#{}", self.n_fresh);
                let mut needs = Names::new();
                names(arg, &mut needs);
                body.goals.push(Goal {
                    at: arg.span.clone(),
                    needs: vec![needs],
                    kind: Kind::Bind(name.clone(), arg.clone()),
                });
                named.push(name);
                continue;
            };
            named.push(self.variable(name));
        }
        named
    }

    /// Each `_` is its own variable.
    fn variable(&mut self, name: &str) -> String {
        self.n_fresh += 1;
        if name == "_" { format!("_{}", self.n_fresh) } else { name.to_owned() }
    }

    /// Variables are of the types of the columns that they stand in.
    fn note(&self, name: &str, args: &[String], body: &mut Body) {
        let of_entity = name.split('.').next().filter(|kind| kind.starts_with(char::is_uppercase));
        let of_entity = of_entity.map(|kind| vec![TypeName::Named(Name { span: 0..0, text: kind.to_owned() })]);
        let declared =
            self.declared.get(name).into_iter().flat_map(|(of, _)| &of.columns).map(|column| column.types.clone());
        for (arg, types) in args.iter().zip(declared.chain(of_entity)) {
            let known = body.columns.entry(arg.clone()).or_default();
            if !known.contains(&types) {
                known.push(types);
            }
        }
    }
}

fn is_name(expr: &Expr, name: &str) -> bool {
    matches!(&expr.kind, ExprKind::Name(of) if of == name)
}

/// Whether a variable has its values from conditions other than `in`.
fn gives(body: &[Literal], name: &str) -> bool {
    body.iter().filter(|literal| !literal.is_negated).any(|literal| match &literal.kind {
        LiteralKind::Atom(atom) => atom.args.iter().any(|arg| is_name(arg, name)),
        LiteralKind::Binding(of, _) => of.text == name,
        LiteralKind::Aggregate(of) => of.result.text == name,
        LiteralKind::Guard(_) => false,
    })
}

/// The names in an expression.
fn names(expr: &Expr, found: &mut Names) {
    if let ExprKind::Name(name) = &expr.kind {
        found.insert(name.clone());
    }
    expr.for_each_part(&mut |part| names(part, found));
}

/// The names in a body, those within its aggregates not among them.
fn level_names(body: &[Literal]) -> Names {
    let mut found = Names::new();
    for literal in body {
        match &literal.kind {
            LiteralKind::Atom(atom) => atom.args.iter().for_each(|arg| names(arg, &mut found)),
            LiteralKind::Guard(expr) => names(expr, &mut found),
            LiteralKind::Binding(name, expr) => {
                found.insert(name.text.clone());
                names(expr, &mut found);
            }
            LiteralKind::Aggregate(aggregate) => drop(found.insert(aggregate.result.text.clone())),
        }
    }
    found
}

/// The names in a body and in its aggregates.
fn all_names(body: &[Literal], found: &mut Names) {
    found.extend(level_names(body));
    for literal in body {
        if let LiteralKind::Aggregate(aggregate) = &literal.kind {
            all_names(&aggregate.body, found);
        }
    }
}
