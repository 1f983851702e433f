//! The types of expressions, and what can never be true or never has a value.

use crate::{
    base::{Pool, Span, Symbol, Values, View, value::brief},
    diag::{Code, Finding, Findings},
    schema::{Required, Schema, Type, Types},
    syntax::{
        ast::{Binary, Expr, ExprKind, Method, Unary, Var},
        slips,
    },
};

use super::{CheckedRules, Guard, Predicate};

/// The types of expressions, given those of a rule's variables.
pub struct ExprTypes<'a> {
    pub(super) checked: &'a CheckedRules,
    pub(super) schema: Option<&'a Schema>,
    pub(super) types: &'a [Types],
    pub(super) guard: &'a Guard,
}

/// What an attribute is, as far as is known.
pub(super) struct Looked {
    /// Its types.
    pub(super) types: Types,
    /// Whether the schema shows that an entity or record may be without it.
    pub(super) may_be_missing: bool,
    /// Why there is none, and what there is instead.
    pub(super) unknown: Option<(String, Vec<Symbol>)>,
}

impl ExprTypes<'_> {
    /// The types of an expression; nothing is reported.
    pub(super) fn of(&self, expr: &Expr, values: &mut Pool) -> Types {
        self.checked(expr, Span::NOWHERE, values, &mut Findings::default())
    }

    // Recurses once per level of the expression, whose height was limited.
    pub(super) fn checked(&self, expr: &Expr, goal: Span, values: &mut Pool, findings: &mut Findings) -> Types {
        let bool_type = Types::one(Type::Bool);
        match &expr.kind {
            ExprKind::Bool(_) => bool_type,
            ExprKind::Long(_) => Types::one(Type::Long),
            ExprKind::Text(_) => Types::one(Type::Text),
            ExprKind::Entity(kind, _) => Types::one(Type::Entity(values.symbol(kind))),
            ExprKind::Var(var) => self.var(*var, values),
            ExprKind::Name(name) => {
                let slot = self.guard.slots.iter().find(|(known, _)| known == name).map(|(_, slot)| slot.0);
                slot.and_then(|slot| self.types.get(slot)).cloned().unwrap_or(Types::Any)
            }
            ExprKind::All(parts) | ExprKind::Any(parts) => {
                for part in parts {
                    let of = self.checked(part, goal, values, findings);
                    expect(&of, part, &[Type::Bool], "`&&` and `||` take true and false", goal, values, findings);
                }
                bool_type
            }
            ExprKind::If(parts) => {
                let [test, yes, no] = parts.each_ref().map(|part| self.checked(part, goal, values, findings));
                let [test_part, ..] = &**parts;
                expect(&test, test_part, &[Type::Bool], "`if` takes true and false", goal, values, findings);
                yes.or(&no)
            }
            ExprKind::Unary(operation, part) => self.unary(*operation, part, goal, values, findings),
            ExprKind::Binary(operation, parts) => self.binary(*operation, parts, goal, values, findings),
            ExprKind::Is(part, kind) => {
                let of = self.checked(part, goal, values, findings);
                check_is(&of, kind, Span::new(goal.file, expr.span.clone()), values, findings);
                bool_type
            }
            ExprKind::Has(part, path) => {
                let of = self.checked(part, goal, values, findings);
                if let Some(name) = path.first() {
                    let looked = self.attribute(part, &of, name, values);
                    tell_unknown(looked.unknown, name, expr, goal, values, findings);
                }
                bool_type
            }
            ExprKind::Like(part, _) => {
                let of = self.checked(part, goal, values, findings);
                expect(&of, part, &[Type::Text], "`like` takes a string", goal, values, findings);
                bool_type
            }
            ExprKind::Attribute(owner, name) => {
                let of = self.checked(owner, goal, values, findings);
                let looked = self.attribute(owner, &of, name, values);
                tell_unknown(looked.unknown, name, expr, goal, values, findings);
                looked.types
            }
            ExprKind::Set(parts) => {
                let mut element = Types::NONE;
                for part in parts {
                    element = element.or(&self.checked(part, goal, values, findings));
                }
                element.single().map_or(Types::Any, |kind| Types::one(Type::Set(Box::new(kind.clone()))))
            }
            ExprKind::Record(members) => {
                for (_, part) in members {
                    self.checked(part, goal, values, findings);
                }
                Types::Any
            }
            ExprKind::Fail(_) => Types::Any,
        }
    }

    /// Whether what stands at the right of `in` or `contains` can be there at all.
    fn check_operand(
        operation: Binary,
        [left, right]: [&Types; 2],
        part: &Expr,
        goal: Span,
        values: &Pool,
        findings: &mut Findings,
    ) {
        let Types::OneOf(kinds) = right else { return };
        let message = match operation {
            Binary::In => {
                let may_hold = |kind: &Type| match kind {
                    Type::Entity(_) => true,
                    Type::Set(element) => matches!(**element, Type::Entity(_)),
                    _ => false,
                };
                let is_right = kinds.is_empty() || kinds.iter().any(may_hold);
                (!is_right)
                    .then(|| format!("something is in an entity or a set of them, and this is {}", right.show(values)))
            }
            Binary::Contains => match left.single() {
                Some(Type::Set(element)) if !kinds.is_empty() && !kinds.contains(element) => {
                    Some(format!("the set has {}, and this is {}", element.show(values), right.show(values)))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(message) = message {
            let span = Span::new(goal.file, part.span.clone());
            let element = match &part.kind {
                ExprKind::Set(parts) => parts.first(),
                _ => Some(part),
            };
            let entity = element.and_then(|part| as_entity(left, part, values));
            let help = entity.unwrap_or_else(|| "this can never be true".to_owned());
            findings.push(Finding::new(Code::WrongType, span, message).help(help));
        }
    }

    fn var(&self, var: Var, values: &Pool) -> Types {
        let Some(schema) = self.schema else { return Types::Any };
        let mut kinds: Vec<Type> = Vec::new();
        for (id, action) in schema.actions() {
            match (var, values.view(id)) {
                (Var::Principal, _) => kinds.extend(action.principals.iter().map(|kind| Type::Entity(*kind))),
                (Var::Resource, _) => kinds.extend(action.resources.iter().map(|kind| Type::Entity(*kind))),
                (Var::Action, View::Entity(kind, _)) => kinds.push(Type::Entity(kind)),
                (Var::Action | Var::Context, _) => return Types::Any,
            }
        }
        kinds.iter().fold(Types::NONE, |all, kind| all.or(&Types::one(kind.clone())))
    }

    /// What the attribute `name` of `owner` is.
    pub(super) fn attribute(&self, owner: &Expr, of: &Types, name: &str, values: &mut Pool) -> Looked {
        let symbol = values.symbol(name);
        let anything = Looked { types: Types::Any, may_be_missing: false, unknown: None };
        let Some(schema) = self.schema else { return anything };
        if matches!(owner.kind, ExprKind::Var(Var::Context)) {
            let fields = schema.actions().map(|(_, action)| action.context.field(symbol));
            let known = schema.actions().flat_map(|(_, action)| action.context.fields().map(|(name, _)| name));
            return looked(fields, known.collect(), || format!("no action has `{name}` in its context"));
        }
        let Types::OneOf(kinds) = of else { return anything };
        if let [Type::Record(record)] = kinds.as_slice() {
            let known = record.fields().map(|(name, _)| name).collect();
            return looked(std::iter::once(record.field(symbol)), known, || format!("the record has no `{name}`"));
        }
        let Some(entities) = of.entities().filter(|entities| !entities.is_empty() && entities.len() == kinds.len())
        else {
            let shown = of.show(values);
            let unknown = (!of.is_none()).then(|| (format!("`.{name}` is asked of {shown}"), Vec::new()));
            return Looked { types: Types::Any, may_be_missing: true, unknown };
        };
        let derived = |kind: Symbol| {
            self.checked.attributes.iter().find(|of| of.kind == kind && of.name == symbol).map(|of| of.predicate)
        };
        let mut types = Types::NONE;
        let (mut may_be_missing, mut n_known, mut known) = (false, 0, Vec::new());
        for kind in &entities {
            if let Some(predicate) = derived(*kind).and_then(|id| self.checked.predicate(id)) {
                n_known += 1;
                may_be_missing |= predicate.key.is_some();
                types = types.or(&attribute_types(predicate));
                continue;
            }
            let Some(entity) = schema.entity_type(*kind) else { continue };
            known.extend(entity.attributes.fields().map(|(name, _)| name));
            known.extend(self.checked.attributes.iter().filter(|of| of.kind == *kind).map(|of| of.name));
            match entity.attributes.field(symbol) {
                Some(field) => {
                    n_known += 1;
                    may_be_missing |= field.required == Required::No;
                    types = types.or(&Types::one(field.kind.clone()));
                }
                None => may_be_missing = true,
            }
        }
        if n_known == 0 {
            let message = format!("{} has no attribute `{name}`", of.show(values));
            return Looked { types: Types::Any, may_be_missing: true, unknown: Some((message, known)) };
        }
        Looked { types, may_be_missing, unknown: None }
    }

    fn unary(&self, operation: Unary, part: &Expr, goal: Span, values: &mut Pool, findings: &mut Findings) -> Types {
        let of = self.checked(part, goal, values, findings);
        let (wanted, why, result): (&[Type], _, _) = match operation {
            Unary::Not => (&[Type::Bool], "`!` takes true and false", Type::Bool),
            Unary::Negate => (&[Type::Long], "`-` takes an integer", Type::Long),
            Unary::IsEmpty => return Types::one(Type::Bool),
            Unary::Call(method) => return Types::one(result_of(method)),
        };
        expect(&of, part, wanted, why, goal, values, findings);
        Types::one(result)
    }

    fn binary(
        &self,
        operation: Binary,
        parts: &[Expr; 2],
        goal: Span,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Types {
        let [left, right] = parts.each_ref().map(|part| self.checked(part, goal, values, findings));
        let longs = [Type::Long];
        let ordered = [Type::Long, Type::Datetime, Type::Duration];
        match operation {
            Binary::Equal => {
                if left.and(&right).is_none() && !left.is_none() && !right.is_none() {
                    let (of_left, of_right) = (left, right);
                    let (left, right) = (of_left.show(values), of_right.show(values));
                    let span = Span::new(goal.file, parts[0].span.start..parts[1].span.end);
                    let message = format!("{left} and {right} are never equal");
                    let [first, second] = parts;
                    let entity = as_entity(&of_left, second, values).or_else(|| as_entity(&of_right, first, values));
                    let help = entity.unwrap_or_else(|| "compare values of one type".to_owned());
                    findings.push(Finding::new(Code::WrongType, span, message).help(help));
                }
                Types::one(Type::Bool)
            }
            Binary::Less | Binary::LessEqual => {
                for (of, part) in [&left, &right].into_iter().zip(parts) {
                    expect(of, part, &ordered, "`<` compares integers and times", goal, values, findings);
                }
                Types::one(Type::Bool)
            }
            Binary::Add | Binary::Subtract | Binary::Multiply => {
                for (of, part) in [&left, &right].into_iter().zip(parts) {
                    expect(of, part, &longs, "arithmetic takes integers", goal, values, findings);
                }
                Types::one(Type::Long)
            }
            Binary::GetTag => match left.entity().and_then(|kind| self.schema?.entity_type(kind)?.tags.clone()) {
                Some(tags) => Types::one(tags),
                None => Types::Any,
            },
            Binary::Call(method) => Types::one(result_of(method)),
            Binary::In | Binary::Contains | Binary::ContainsAll | Binary::ContainsAny | Binary::HasTag => {
                let [part, _] = parts;
                let is_entity = |kind: &Type| matches!(kind, Type::Entity(_));
                let is_set = |kind: &Type| matches!(kind, Type::Set(_));
                let (is_right, why): (fn(&Type) -> bool, _) = match operation {
                    Binary::In | Binary::HasTag => (is_entity, "`in` and tags are asked of an entity"),
                    _ => (is_set, "`contains` is asked of a set"),
                };
                if let Types::OneOf(kinds) = &left
                    && !kinds.is_empty()
                    && !kinds.iter().any(is_right)
                {
                    let span = Span::new(goal.file, part.span.clone());
                    let message = format!("{why}, and this is {}", left.show(values));
                    findings.push(Finding::new(Code::WrongType, span, message));
                } else {
                    Self::check_operand(operation, [&left, &right], &parts[1], goal, values, findings);
                }
                Types::one(Type::Bool)
            }
        }
    }
}

/// How a string is written that was meant to be an entity of these types.
fn as_entity(of: &Types, part: &Expr, values: &Pool) -> Option<String> {
    let ExprKind::Text(id) = &part.kind else { return None };
    let kind = of.entities()?.first().copied()?;
    Some(slips::with_its_type(&format!("{}::{}", values.name(kind), brief(id))))
}

/// Reports a test for a type that what is tested can never be of.
fn check_is(of: &Types, kind: &str, span: Span, values: &mut Pool, findings: &mut Findings) {
    if !of.is_none() && of.and(&Types::one(Type::Entity(values.symbol(kind)))).is_none() {
        let message = format!("this can never be {kind}: it is {}", of.show(values));
        findings.push(Finding::new(Code::WrongType, span, message));
    }
}

/// Reports an attribute that nothing has.
fn tell_unknown(
    unknown: Option<(String, Vec<Symbol>)>,
    name: &str,
    expr: &Expr,
    goal: Span,
    values: &Pool,
    findings: &mut Findings,
) {
    let Some((message, known)) = unknown else { return };
    let help = match findings.nearest(name, known.iter().map(|known| values.name(*known))) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "see the schema for the attributes that there are".to_owned(),
    };
    let span = Span::new(goal.file, expr.span.clone());
    findings.push(Finding::new(Code::UnknownAttribute, span, message).help(help));
}

fn looked<'f>(
    fields: impl Iterator<Item = Option<&'f crate::schema::Field>>,
    known: Vec<Symbol>,
    message: impl Fn() -> String,
) -> Looked {
    let (mut types, mut may_be_missing, mut n_known) = (Types::NONE, false, 0);
    for field in fields {
        match field {
            Some(field) => {
                n_known += 1;
                may_be_missing |= field.required == Required::No;
                types = types.or(&Types::one(field.kind.clone()));
            }
            None => may_be_missing = true,
        }
    }
    let unknown = (n_known == 0).then(|| (message(), known));
    Looked { types: if n_known == 0 { Types::Any } else { types }, may_be_missing, unknown }
}

/// The type of a derived attribute, by the columns of its relation.
fn attribute_types(predicate: &Predicate) -> Types {
    let of = |at: usize| predicate.columns.get(at).and_then(|column| column.types.single()).cloned();
    match (predicate.columns.len(), predicate.key) {
        (1, _) => Types::one(Type::Bool),
        (2, Some(_)) => of(1).map_or(Types::Any, Types::one),
        (2, None) => of(1).map_or(Types::Any, |kind| Types::one(Type::Set(Box::new(kind)))),
        _ => Types::Any,
    }
}

fn result_of(method: Method) -> Type {
    match method {
        Method::Decimal => Type::Decimal,
        Method::Ip => Type::Ip,
        Method::Datetime | Method::Offset | Method::ToDate => Type::Datetime,
        Method::Duration | Method::DurationSince | Method::ToTime => Type::Duration,
        Method::ToMilliseconds | Method::ToSeconds | Method::ToMinutes | Method::ToHours | Method::ToDays => Type::Long,
        _ => Type::Bool,
    }
}

/// Reports an expression that can be of none of the types wanted.
pub(super) fn expect(
    of: &Types,
    part: &Expr,
    wanted: &[Type],
    why: &str,
    goal: Span,
    values: &Pool,
    findings: &mut Findings,
) {
    if of.is_none() || !of.and(&Types::OneOf(wanted.to_vec())).is_none() {
        return;
    }
    let span = Span::new(goal.file, part.span.clone());
    findings.push(Finding::new(Code::WrongType, span, format!("{why}, and this is {}", of.show(values))));
}
