//! Evaluation of an [`Expr`] for one request.

use crate::{
    base::{Scratch, Symbol, Value, Values, View, value::member},
    syntax::ast::Var,
};

use super::{Expr, Item, ListId, Node, NodeId, extension};

/// What an expression can ask about entities.
pub trait World {
    /// The attribute of an entity.
    fn attribute(&self, entity: Value, name: Symbol) -> Member;
    /// The tag of an entity.
    fn tag(&self, entity: Value, name: Symbol) -> Member;
    /// Whether `entity` is `ancestor`, or below it.
    fn is_in(&self, entity: Value, ancestor: Value) -> bool;
}

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
            Self::TooManySteps => "the decision takes more steps than it may".to_owned(),
        }
    }
}

/// What a value is, for messages.
pub(super) fn kind(view: View<'_>) -> &'static str {
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
pub struct Evaluator<'a, 'p, W> {
    values: &'a mut Scratch<'p>,
    world: &'a W,
    /// Principal, action, resource and context.
    request: [Value; 4],
    steps_left: u64,
}

impl<'a, 'p, W: World> Evaluator<'a, 'p, W> {
    /// An evaluator for a request whose parts are values of `values`, in the order of [`Var`].
    pub fn new(values: &'a mut Scratch<'p>, world: &'a W, request: [Value; 4], steps_max: u64) -> Self {
        Self { values, world, request, steps_left: steps_max }
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
    pub fn values(&self) -> &Scratch<'p> {
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
            Node::Attribute(a, name) => {
                let owner = self.node(expr, a)?;
                match self.member_of(owner, name)? {
                    Member::Is(value) => Ok(value),
                    Member::Missing => Err(Failure::NoAttribute(owner, name)),
                    Member::NoEntity => Err(Failure::NoEntity(owner)),
                }
            }
            Node::Has(a, path) => {
                let mut owner = self.node(expr, a)?;
                for item in expr.list(path) {
                    let Item::Name(name) = item else { continue };
                    match self.member_of(owner, *name)? {
                        Member::Is(value) => owner = value,
                        Member::Missing | Member::NoEntity => return Ok(Value::FALSE),
                    }
                }
                Ok(Value::TRUE)
            }
            Node::Like(a, pattern) => {
                let a = self.node(expr, a)?;
                match self.values.view(a) {
                    View::Text(text) => matches(expr.list(pattern), text, &mut self.steps_left).map(Value::from),
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
                Ok(self.values.set(elements))
            }
            Node::Record(list) => {
                let mut members = Vec::with_capacity(list.len as usize / 2);
                for pair in expr.list(list).chunks_exact(2) {
                    if let [Item::Name(name), Item::Node(id)] = pair {
                        members.push((*name, self.node(expr, *id)?));
                    }
                }
                Ok(self.values.record(members))
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
            View::Entity(..) => Ok(self.world.is_in(a, b).into()),
            View::Set(ancestors) => {
                for ancestor in ancestors {
                    self.entity(*ancestor)?;
                }
                Ok(ancestors.iter().any(|ancestor| self.world.is_in(a, *ancestor)).into())
            }
            other => Err(Failure::Type { expected: "an entity or a set of entities", found: kind(other) }),
        }
    }

    /// The member `name` of an entity or record.
    fn member_of(&self, owner: Value, name: Symbol) -> Result<Member, Failure> {
        match self.values.view(owner) {
            View::Record(members) => Ok(Member::of(members, name)),
            View::Entity(..) => Ok(self.world.attribute(owner, name)),
            other => Err(Failure::Type { expected: "an entity or a record", found: kind(other) }),
        }
    }

    /// The tag `tag` of an entity.
    fn tag_of(&self, entity: Value, tag: Value) -> Result<Member, Failure> {
        self.entity(entity)?;
        match self.values.as_symbol(tag) {
            Some(name) => Ok(self.world.tag(entity, name)),
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

fn spend(steps_left: &mut u64, n_steps: usize) -> Result<(), Failure> {
    *steps_left = steps_left.checked_sub(n_steps as u64).ok_or(Failure::TooManySteps)?;
    Ok(())
}

/// Whether `text` matches a pattern of characters and wildcards.
///
/// A wildcard first takes nothing and, whenever the rest does not fit, one character more. Only the last wildcard passed
/// needs to be tried again: what an earlier one could take, it can take too.
fn matches(pattern: &[Item], text: &str, steps_left: &mut u64) -> Result<bool, Failure> {
    let (mut rest, mut at) = (text.chars(), 0);
    let mut last_wild: Option<(std::str::Chars<'_>, usize)> = None;
    loop {
        spend(steps_left, 1)?;
        match pattern.get(at) {
            Some(Item::Wild) => {
                at += 1;
                last_wild = Some((rest.clone(), at));
                continue;
            }
            Some(Item::Char(wanted)) => {
                let mut ahead = rest.clone();
                if ahead.next() == Some(*wanted) {
                    rest = ahead;
                    at += 1;
                    continue;
                }
            }
            Some(_) => return Ok(false),
            None if rest.as_str().is_empty() => return Ok(true),
            None => {}
        }
        let Some((tried, after)) = &mut last_wild else { return Ok(false) };
        if tried.next().is_none() {
            return Ok(false);
        }
        (rest, at) = (tried.clone(), *after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, text: &str, steps_max: u64) -> Result<bool, Failure> {
        let items: Vec<_> = pattern.chars().map(|c| if c == '*' { Item::Wild } else { Item::Char(c) }).collect();
        matches(&items, text, &mut { steps_max })
    }

    #[test]
    fn patterns_match_over_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "äöü", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*.jpg", "a.jpg.jpg", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("**a**", "bab", true),
            ("ä", "ä", true),
        ] {
            assert_eq!(like(pattern, text, 1_000), Ok(expected), "{pattern} like {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_ends_at_the_limit() {
        let (pattern, text) = (format!("*{}b", "a".repeat(5_000)), "a".repeat(100_000));
        assert_eq!(like(&pattern, &text, 1_000_000), Err(Failure::TooManySteps));
    }
}
