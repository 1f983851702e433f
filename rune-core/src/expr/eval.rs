//! Evaluation of an [`Expr`] for one request.

use crate::{
    base::{
        Symbol, Value, Values, View, limits,
        value::{is_within_height, member},
    },
    syntax::ast::Var,
};

use super::{Attribute, Derived, Expr, Form, Item, ListId, Node, NodeId, Source, World, extension, like};

/// Why an expression has no value. A few words wide: its text is made when somebody reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Failure {
    /// An operand of another type.
    Type {
        /// What the operation takes.
        expected: &'static str,
        /// What it got.
        found: &'static str,
    },
    /// An attribute or tag was asked of an entity that is not known.
    NoEntity(Value),
    /// An entity or record has no such attribute.
    NoAttribute(Value, Symbol),
    /// An entity has no such tag.
    NoTag(Value, Value),
    /// A result beyond 64 bits; the operation.
    Overflow(&'static str),
    /// A string that is not what a constructor takes.
    Malformed {
        /// The constructor.
        function: &'static str,
        /// Its argument.
        argument: Value,
        /// What it takes.
        form: &'static str,
    },
    /// A call with too few or too many arguments: which, as a string.
    WrongArity(Value),
    /// A value of more sets and records within one another than [`limits::NESTING_MAX`].
    TooHigh,
    /// A rule whose condition has no value decides it; which, as a string.
    Undetermined(Value),
    /// More steps than a decision may take.
    TooManySteps,
}

impl Failure {
    /// The failure in a sentence.
    #[must_use]
    pub fn describe(&self, values: &impl Values) -> String {
        match *self {
            Self::Type { expected, found } => format!("expected {expected}, found {found}"),
            Self::NoEntity(entity) => format!("the entity {} does not exist", values.show_briefly(entity)),
            Self::NoAttribute(owner, name) => {
                let name = values.name(name);
                match values.view(owner) {
                    View::Entity(..) => format!("{} has no attribute `{name}`", values.show_briefly(owner)),
                    _ => format!("the record has no attribute `{name}`"),
                }
            }
            Self::NoTag(entity, tag) => {
                format!("{} has no tag {}", values.show_briefly(entity), values.show_briefly(tag))
            }
            Self::Overflow(operation) => format!("{operation} goes beyond 64 bits"),
            Self::Malformed { function, argument, form } => {
                format!("{} is not what `{function}` takes: {form}", values.show_briefly(argument))
            }
            Self::WrongArity(call) => match values.view(call) {
                View::Text(call) => format!("a call of {call}"),
                _ => "a call with the wrong number of arguments".to_owned(),
            },
            Self::Undetermined(cause) => match values.view(cause) {
                View::Text(cause) => cause.to_owned(),
                _ => "a rule is undetermined".to_owned(),
            },
            Self::TooHigh => {
                format!("a value has more than {} sets and records within one another", limits::NESTING_MAX)
            }
            Self::TooManySteps => "the decision takes more steps than it may".to_owned(),
        }
    }
}

/// What a value is, for messages.
pub(crate) fn kind(view: View<'_>) -> &'static str {
    match view {
        View::Bool(_) => "a boolean",
        View::Long(_) => "an integer",
        View::Text(_) => "a string",
        View::Entity(..) => "an entity",
        View::Set(_) => "a set",
        View::Record(_) => "a record",
        View::Decimal(_) => "a decimal",
        View::Datetime(_) => "a datetime",
        View::Duration(_) => "a duration",
        View::Ip(_) => "an IP address",
    }
}

type Outcome = Result<Value, Failure>;

/// Evaluates expressions for one request.
#[derive(Debug)]
pub struct Evaluator<'a, V, W> {
    values: &'a mut V,
    world: &'a W,
    /// Principal, action, resource and context.
    request: [Value; 4],
    /// The variables of a rule.
    locals: &'a [Value],
    steps_left: u64,
}

impl<'a, V: Values, W: World> Evaluator<'a, V, W> {
    /// An evaluator for a request whose parts are values of `values`, in the order of [`Var`].
    pub fn new(values: &'a mut V, world: &'a W, request: [Value; 4], steps_max: u64) -> Self {
        Self { values, world, request, locals: &[], steps_left: steps_max }
    }

    /// With the values of a rule's variables.
    #[must_use]
    pub fn with_locals(mut self, locals: &'a [Value]) -> Self {
        self.locals = locals;
        self
    }

    /// How many more steps may be taken.
    #[must_use]
    pub fn steps_left(&self) -> u64 {
        self.steps_left
    }

    /// The value of an expression.
    ///
    /// # Errors
    ///
    /// The first failure, in the order of evaluation.
    pub fn value(&mut self, expr: &Expr) -> Outcome {
        self.node(expr, expr.root)
    }

    /// The part of the request.
    #[must_use]
    pub fn var(&self, var: Var) -> Value {
        let [principal, action, resource, context] = self.request;
        match var {
            Var::Principal => principal,
            Var::Action => action,
            Var::Resource => resource,
            Var::Context => context,
        }
    }

    /// What can be asked about entities.
    #[must_use]
    pub fn world(&self) -> &'a W {
        self.world
    }

    /// Where values are read.
    #[must_use]
    pub fn values(&self) -> &V {
        self.values
    }

    /// The value of an expression that must be a boolean.
    ///
    /// # Errors
    ///
    /// The first failure, in the order of evaluation.
    pub fn test(&mut self, expr: &Expr) -> Result<bool, Failure> {
        let value = self.node(expr, expr.root)?;
        self.truth(value)
    }

    /// The value of one part of an expression, which must be a boolean.
    ///
    /// # Errors
    ///
    /// The first failure, in the order of evaluation.
    pub(crate) fn test_part(&mut self, expr: &Expr, part: NodeId) -> Result<bool, Failure> {
        let value = self.node(expr, part)?;
        self.truth(value)
    }

    /// The value of one part of an expression, if it has one.
    pub(super) fn value_of(&mut self, expr: &Expr, part: NodeId) -> Option<Value> {
        self.node(expr, part).ok()
    }

    /// Counts so many steps.
    ///
    /// # Errors
    ///
    /// If the decision has taken as many as it may.
    pub fn spend(&mut self, n_steps: usize) -> Result<(), Failure> {
        spend(&mut self.steps_left, n_steps)
    }

    /// Counts as many steps as a set has elements or a text has bytes, before they are looked at.
    fn spend_size(&mut self, value: Value) -> Result<(), Failure> {
        let size = match self.values.view(value) {
            View::Set(elements) => elements.len(),
            View::Text(text) => text.len(),
            _ => 0,
        };
        self.spend(size)
    }

    // Recurses once per level of the expression, whose height is limited when it is built.
    #[expect(clippy::too_many_lines, reason = "one arm for each kind of node, and nothing else")]
    fn node(&mut self, expr: &Expr, id: NodeId) -> Outcome {
        self.spend(1)?;
        match expr.node(id) {
            Node::Constant(value) => Ok(value),
            Node::Fail(at) => Err(expr.failure(at)),
            Node::Var(var) => Ok(self.var(var)),
            Node::Local(slot) => Ok(self.locals.get(slot as usize).copied().unwrap_or(Value::UNKNOWN)),
            Node::All(list) => self.chain(expr, list, false),
            Node::Any(list) => self.chain(expr, list, true),
            Node::If(test, yes, no) => {
                let test = self.node(expr, test)?;
                let branch = if self.truth(test)? { yes } else { no };
                self.node(expr, branch)
            }
            Node::Not(a) => {
                let a = self.node(expr, a)?;
                Ok((!self.truth(a)?).into())
            }
            Node::Negate(a) => {
                let a = self.node(expr, a)?;
                let number = self.number(a)?.checked_neg();
                self.long(number, "the negation")
            }
            Node::IsEmpty(a) => {
                let a = self.node(expr, a)?;
                Ok(self.elements(a)?.is_empty().into())
            }
            Node::Equal(a, b) => self.pair(expr, a, b).map(|(a, b)| (a == b).into()),
            Node::Less(a, b) => self.compare(expr, a, b, i64::lt),
            Node::LessEqual(a, b) => self.compare(expr, a, b, i64::le),
            Node::Add(a, b) => self.arithmetic(expr, a, b, i64::checked_add, "the sum"),
            Node::Subtract(a, b) => self.arithmetic(expr, a, b, i64::checked_sub, "the difference"),
            Node::Multiply(a, b) => self.arithmetic(expr, a, b, i64::checked_mul, "the product"),
            Node::In(a, b) => self.pair(expr, a, b).and_then(|(a, b)| self.is_in(a, b)),
            Node::Is(a, kind) => {
                let a = self.node(expr, a)?;
                self.entity(a).map(|(of, _)| (of == kind).into())
            }
            Node::Contains(a, b) => {
                let (a, b) = self.pair(expr, a, b)?;
                Ok(self.elements(a)?.binary_search(&b).is_ok().into())
            }
            Node::ContainsAll(a, b) => {
                let (a, b) = self.pair(expr, a, b)?;
                self.spend_size(b)?;
                let (all, some) = (self.elements(a)?, self.elements(b)?);
                Ok(some.iter().all(|element| all.binary_search(element).is_ok()).into())
            }
            Node::ContainsAny(a, b) => {
                let (a, b) = self.pair(expr, a, b)?;
                self.spend_size(b)?;
                let (a, b) = (self.elements(a)?, self.elements(b)?);
                let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
                Ok(few.iter().any(|element| many.binary_search(element).is_ok()).into())
            }
            Node::GetTag(a, b) => {
                let (entity, tag) = self.pair(expr, a, b)?;
                match self.tag_of(entity, tag)? {
                    Member::Is(value) => Ok(value),
                    Member::Missing => Err(Failure::NoTag(entity, tag)),
                    Member::NoEntity => Err(Failure::NoEntity(entity)),
                }
            }
            Node::HasTag(a, b) => {
                let (entity, tag) = self.pair(expr, a, b)?;
                Ok(matches!(self.tag_of(entity, tag)?, Member::Is(_)).into())
            }
            Node::ContainsIn(attribute, b) => self.contains_in(expr, attribute, b),
            Node::InAttribute(a, attribute) => self.in_attribute(expr, a, attribute),
            Node::Attribute(attribute) => {
                let owner = self.node(expr, attribute.owner)?;
                self.attribute(owner, attribute)
            }
            Node::Has(a, source, path) => {
                let mut owner = self.node(expr, a)?;
                for item in expr.list(path) {
                    let Item::Name(name) = item else { continue };
                    match self.member_of(owner, source, *name)? {
                        Member::Is(value) => owner = value,
                        Member::Missing | Member::NoEntity => return Ok(Value::FALSE),
                    }
                }
                Ok(Value::TRUE)
            }
            Node::Like(a, pattern) => {
                let a = self.node(expr, a)?;
                match self.values.view(a) {
                    View::Text(text) => like::matches(expr.list(pattern), text, &mut self.steps_left).map(Value::from),
                    other => Err(Failure::Type { expected: "a string", found: kind(other) }),
                }
            }
            Node::Set(list) => {
                let mut elements = Vec::with_capacity(list.len as usize);
                for item in expr.list(list) {
                    if let Item::Node(id) = item {
                        elements.push(self.node(expr, *id)?);
                    }
                }
                let set = self.values.set(elements);
                self.bounded(set)
            }
            Node::Record(list) => {
                let mut members = Vec::with_capacity(list.len as usize / 2);
                for pair in expr.list(list).chunks_exact(2) {
                    if let [Item::Name(name), Item::Node(id)] = pair {
                        members.push((*name, self.node(expr, *id)?));
                    }
                }
                let record = self.values.record(members);
                self.bounded(record)
            }
            Node::Call(method, a) => {
                let a = self.node(expr, a)?;
                self.spend_size(a)?;
                extension::call(self.values, method, a)
            }
            Node::Call2(method, a, b) => {
                let (a, b) = self.pair(expr, a, b)?;
                extension::call2(self.values, method, a, b)
            }
        }
    }

    fn pair(&mut self, expr: &Expr, a: NodeId, b: NodeId) -> Result<(Value, Value), Failure> {
        let a = self.node(expr, a)?;
        Ok((a, self.node(expr, b)?))
    }

    /// `&&` (stops at false) or `||` (stops at true).
    fn chain(&mut self, expr: &Expr, list: ListId, stop: bool) -> Outcome {
        for item in expr.list(list) {
            let Item::Node(id) = item else { continue };
            let value = self.node(expr, *id)?;
            if self.truth(value)? == stop {
                return Ok(stop.into());
            }
        }
        Ok((!stop).into())
    }

    fn compare(&mut self, expr: &Expr, a: NodeId, b: NodeId, holds: fn(&i64, &i64) -> bool) -> Outcome {
        let (a, b) = self.pair(expr, a, b)?;
        let expected = "two integers, two datetimes or two durations";
        match (self.values.view(a), self.values.view(b)) {
            (View::Long(a), View::Long(b))
            | (View::Datetime(a), View::Datetime(b))
            | (View::Duration(a), View::Duration(b)) => Ok(holds(&a, &b).into()),
            (View::Long(_) | View::Datetime(_) | View::Duration(_), found) | (found, _) => {
                Err(Failure::Type { expected, found: kind(found) })
            }
        }
    }

    fn arithmetic(
        &mut self,
        expr: &Expr,
        a: NodeId,
        b: NodeId,
        operation: fn(i64, i64) -> Option<i64>,
        name: &'static str,
    ) -> Outcome {
        let (a, b) = self.pair(expr, a, b)?;
        let number = operation(self.number(a)?, self.number(b)?);
        self.long(number, name)
    }

    fn long(&mut self, number: Option<i64>, operation: &'static str) -> Outcome {
        Ok(self.values.long(number.ok_or(Failure::Overflow(operation))?))
    }

    fn truth(&self, value: Value) -> Result<bool, Failure> {
        match value {
            Value::TRUE => Ok(true),
            Value::FALSE => Ok(false),
            other => Err(Failure::Type { expected: "a boolean", found: kind(self.values.view(other)) }),
        }
    }

    fn number(&self, value: Value) -> Result<i64, Failure> {
        match self.values.view(value) {
            View::Long(number) => Ok(number),
            other => Err(Failure::Type { expected: "an integer", found: kind(other) }),
        }
    }

    fn entity(&self, value: Value) -> Result<(Symbol, Symbol), Failure> {
        match self.values.view(value) {
            View::Entity(of, id) => Ok((of, id)),
            other => Err(Failure::Type { expected: "an entity", found: kind(other) }),
        }
    }

    fn elements(&self, value: Value) -> Result<&[Value], Failure> {
        match self.values.view(value) {
            View::Set(elements) => Ok(elements),
            other => Err(Failure::Type { expected: "a set", found: kind(other) }),
        }
    }

    /// Whether an entity is another or below it, or that for one of a set, all of which must be entities.
    fn is_in(&mut self, a: Value, b: Value) -> Outcome {
        self.entity(a)?;
        self.spend_size(b)?;
        match self.values.view(b) {
            View::Entity(..) => self.world.is_in(self.values, a, b).map(Value::from),
            View::Set(ancestors) => {
                for ancestor in ancestors {
                    self.entity(*ancestor)?;
                }
                let mut undetermined = None;
                for ancestor in ancestors {
                    match self.world.is_in(self.values, a, *ancestor) {
                        Ok(true) => return Ok(Value::TRUE),
                        Ok(false) => {}
                        Err(failure) => undetermined = Some(failure),
                    }
                }
                undetermined.map_or(Ok(Value::FALSE), Err)
            }
            other => Err(Failure::Type { expected: "an entity or a set of entities", found: kind(other) }),
        }
    }

    fn attribute(&mut self, owner: Value, attribute: Attribute) -> Outcome {
        match self.member_of(owner, attribute.source, attribute.name)? {
            Member::Is(value) => Ok(value),
            Member::Missing => Err(Failure::NoAttribute(owner, attribute.name)),
            Member::NoEntity => Err(Failure::NoEntity(owner)),
        }
    }

    /// The member `name` of an entity or record.
    fn member_of(&mut self, owner: Value, source: Source, name: Symbol) -> Result<Member, Failure> {
        let kind = match self.values.view(owner) {
            View::Record(members) => return Ok(Member::of(members, name)),
            View::Entity(kind, _) => kind,
            other => return Err(Failure::Type { expected: "an entity or a record", found: self::kind(other) }),
        };
        match self.world.derived(kind, name) {
            Some(derived) => self.derived(derived, owner),
            None if source == Source::Request => Ok(self.world.attribute(self.values, owner, name)),
            None => Ok(self.world.stored(self.values, owner, name)),
        }
    }

    /// A value that was made, if it is not too high: what walks values recurses.
    fn bounded(&self, value: Value) -> Outcome {
        if is_within_height(self.values, value, limits::NESTING_MAX) { Ok(value) } else { Err(Failure::TooHigh) }
    }

    /// What rules derive for an entity, as the value of an attribute.
    fn derived(&mut self, derived: &Derived, owner: Value) -> Result<Member, Failure> {
        if derived.form == Form::Flag {
            return self.world.holds(self.values, derived, &[owner]).map(|holds| Member::Is(holds.into()));
        }
        let rows = self.world.rows_of(self.values, derived, owner)?;
        self.spend(rows.len())?;
        let record = |values: &mut V, names: &[Symbol], row: &[Value]| {
            values.record(names.iter().copied().zip(row.iter().copied()).collect())
        };
        let first = |row: &Vec<Value>| row.first().copied();
        Ok(match &derived.form {
            Form::Set | Form::Flag => {
                let elements = rows.iter().filter_map(first).collect();
                Member::Is(self.values.set(elements))
            }
            Form::Records(names) => {
                let elements = rows.iter().map(|row| record(self.values, names, row)).collect();
                Member::Is(self.values.set(elements))
            }
            Form::Value => rows.iter().find_map(first).map_or(Member::Missing, Member::Is),
            Form::Record(names) => match rows.first() {
                Some(row) => Member::Is(record(self.values, names, row)),
                None => Member::Missing,
            },
        })
    }

    /// The derived attribute that is a set, if that is what an attribute of `owner` is.
    pub(super) fn derived_set(&self, owner: Value, attribute: Attribute) -> Option<&'a Derived> {
        match self.values.view(owner) {
            View::Entity(kind, _) => {
                self.world.derived(kind, attribute.name).filter(|derived| derived.form == Form::Set)
            }
            _ => None,
        }
    }

    /// `e.p.contains(x)`.
    fn contains_in(&mut self, expr: &Expr, attribute: Attribute, element: NodeId) -> Outcome {
        let owner = self.node(expr, attribute.owner)?;
        if let Some(derived) = self.derived_set(owner, attribute) {
            let element = self.node(expr, element)?;
            return self.world.holds(self.values, derived, &[owner, element]).map(Value::from);
        }
        let set = self.attribute(owner, attribute)?;
        let element = self.node(expr, element)?;
        Ok(self.elements(set)?.binary_search(&element).is_ok().into())
    }

    /// `x in e.p`.
    fn in_attribute(&mut self, expr: &Expr, below: NodeId, attribute: Attribute) -> Outcome {
        let below = self.node(expr, below)?;
        let owner = self.node(expr, attribute.owner)?;
        let Some(derived) = self.derived_set(owner, attribute) else {
            let ancestor = self.attribute(owner, attribute)?;
            return self.is_in(below, ancestor);
        };
        self.entity(below)?;
        // One that is there counts, whatever is undetermined of the others.
        let (ancestors, open) = self.world.ancestors(self.values, below);
        let mut undetermined = None;
        self.spend(ancestors.len())?;
        for ancestor in ancestors {
            match self.world.holds(self.values, derived, &[owner, ancestor]) {
                Ok(true) => return Ok(Value::TRUE),
                Ok(false) => {}
                Err(failure) => undetermined = Some(failure),
            }
        }
        // Whatever else may be above it matters if the set has it, or may have it.
        if let (None, Some(failure)) = (undetermined, open) {
            let elements = self.world.elements(self.values, derived, owner);
            self.spend(elements.len())?;
            let may_be_in = |element: &Value| {
                *element == Value::UNKNOWN || self.world.is_in(self.values, below, *element) != Ok(false)
            };
            undetermined = elements.iter().any(may_be_in).then_some(failure);
        }
        undetermined.map_or(Ok(Value::FALSE), Err)
    }

    /// The tag `tag` of an entity.
    fn tag_of(&self, entity: Value, tag: Value) -> Result<Member, Failure> {
        self.entity(entity)?;
        match self.values.as_symbol(tag) {
            Some(name) => Ok(self.world.tag(self.values, entity, name)),
            None => Err(Failure::Type { expected: "a string", found: kind(self.values.view(tag)) }),
        }
    }
}

/// What is found under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// A value.
    Is(Value),
    /// Nothing.
    Missing,
    /// The entity is not known, so it has nothing.
    NoEntity,
}

impl Member {
    /// The member of a record.
    #[must_use]
    pub fn of(members: &[(Symbol, Value)], name: Symbol) -> Self {
        member(members, name).map_or(Self::Missing, Self::Is)
    }
}

pub(super) fn spend(steps_left: &mut u64, n_steps: usize) -> Result<(), Failure> {
    *steps_left = steps_left.checked_sub(n_steps as u64).ok_or(Failure::TooManySteps)?;
    Ok(())
}
