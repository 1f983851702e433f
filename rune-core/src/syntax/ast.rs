//! Expressions as they are written: the one tree for the conditions of policies and the guards of rules.
//!
//! What Cedar's own tree leaves out is left out here: `a > b` is `!(a <= b)`, `a != b` is `!(a == b)`, and a chain of `&&` or
//! `||` is a list.

use std::ops::Range;

/// An expression and the bytes that it was read from; none known where Cedar's tree has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// Bytes of the text it was read from.
    pub span: Range<usize>,
    /// What it is.
    pub kind: ExprKind,
}

/// A part of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Var {
    /// Who asks.
    Principal,
    /// To do what.
    Action,
    /// To what.
    Resource,
    /// Under which circumstances.
    Context,
}

/// A function of an extension type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the function of Cedar's that has its name")]
pub enum Method {
    Decimal,
    Ip,
    Datetime,
    Duration,
    IsIpv4,
    IsIpv6,
    IsLoopback,
    IsMulticast,
    IsInRange,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    Offset,
    DurationSince,
    ToDate,
    ToTime,
    ToMilliseconds,
    ToSeconds,
    ToMinutes,
    ToHours,
    ToDays,
}

impl Method {
    /// Every function with its name and how many arguments it takes, the receiver included (`cedar-policy-core`,
    /// `extensions`). The first four are called by name, the others on a receiver.
    pub const ALL: [(&'static str, Self, usize); 22] = [
        ("decimal", Self::Decimal, 1),
        ("ip", Self::Ip, 1),
        ("datetime", Self::Datetime, 1),
        ("duration", Self::Duration, 1),
        ("isIpv4", Self::IsIpv4, 1),
        ("isIpv6", Self::IsIpv6, 1),
        ("isLoopback", Self::IsLoopback, 1),
        ("isMulticast", Self::IsMulticast, 1),
        ("isInRange", Self::IsInRange, 2),
        ("lessThan", Self::LessThan, 2),
        ("lessThanOrEqual", Self::LessThanOrEqual, 2),
        ("greaterThan", Self::GreaterThan, 2),
        ("greaterThanOrEqual", Self::GreaterThanOrEqual, 2),
        ("offset", Self::Offset, 2),
        ("durationSince", Self::DurationSince, 2),
        ("toDate", Self::ToDate, 1),
        ("toTime", Self::ToTime, 1),
        ("toMilliseconds", Self::ToMilliseconds, 1),
        ("toSeconds", Self::ToSeconds, 1),
        ("toMinutes", Self::ToMinutes, 1),
        ("toHours", Self::ToHours, 1),
        ("toDays", Self::ToDays, 1),
    ];
}

/// An operation on two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the operator or method of Cedar's that has its name")]
pub enum Binary {
    Equal,
    Less,
    LessEqual,
    Add,
    Subtract,
    Multiply,
    In,
    Contains,
    ContainsAll,
    ContainsAny,
    GetTag,
    HasTag,
    Call(Method),
}

/// An operation on one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the operator or method of Cedar's that has its name")]
pub enum Unary {
    Not,
    Negate,
    IsEmpty,
    Call(Method),
}

/// An element of a pattern of `like`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glob {
    /// This character.
    Char(char),
    /// Any number of characters.
    Wild,
}

/// What an [`Expr`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExprKind {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Long(i64),
    /// A string.
    Text(String),
    /// An entity: its type and its id.
    Entity(String, String),
    /// A part of the request.
    Var(Var),
    /// A variable of a rule, or a bare word in a fact. Policies have none.
    Name(String),
    /// All are true.
    All(Vec<Expr>),
    /// One is true.
    Any(Vec<Expr>),
    /// If the first, then the second, else the third.
    If(Box<[Expr; 3]>),
    /// An operation on one operand.
    Unary(Unary, Box<Expr>),
    /// An operation on two operands.
    Binary(Binary, Box<[Expr; 2]>),
    /// Whether an entity is of a type.
    Is(Box<Expr>, String),
    /// An attribute of an entity or record.
    Attribute(Box<Expr>, String),
    /// Whether an entity or record has an attribute, and that one the next.
    Has(Box<Expr>, Vec<String>),
    /// Whether a string matches a pattern.
    Like(Box<Expr>, Vec<Glob>),
    /// A set.
    Set(Vec<Expr>),
    /// A record; its names are distinct.
    Record(Vec<(String, Expr)>),
    /// A call that Cedar takes and that fails whenever it is reached, in words.
    Fail(String),
}

impl Expr {
    /// An expression at this place.
    #[must_use]
    pub fn new(span: Range<usize>, kind: ExprKind) -> Self {
        Self { span, kind }
    }

    /// An expression that Cedar's tree gave, without a place.
    #[must_use]
    pub fn placeless(kind: ExprKind) -> Self {
        Self { span: 0..0, kind }
    }

    /// What the expression asks of entities and of the request.
    #[must_use]
    pub fn mentions(&self) -> Mentions<'_> {
        let mut mentions = Mentions::default();
        self.note(&mut mentions);
        mentions
    }

    // Recurses once per level of the expression, whose number was limited.
    fn note<'e>(&'e self, mentions: &mut Mentions<'e>) {
        match &self.kind {
            ExprKind::Attribute(_, name) => {
                mentions.attributes.push(name);
                mentions.stored = true;
            }
            ExprKind::Has(_, path) => {
                mentions.attributes.extend(path.iter().map(String::as_str));
                mentions.stored = true;
            }
            ExprKind::Binary(Binary::GetTag | Binary::HasTag, _) => mentions.stored = true,
            ExprKind::Binary(Binary::In, _) => mentions.hierarchy = true,
            ExprKind::Var(_) => mentions.request = true,
            _ => {}
        }
        self.for_each_part(&mut |part| part.note(mentions));
    }

    /// Visits each expression directly within this one.
    pub fn for_each_part<'e>(&'e self, visit: &mut dyn FnMut(&'e Self)) {
        match &self.kind {
            ExprKind::Bool(_)
            | ExprKind::Long(_)
            | ExprKind::Text(_)
            | ExprKind::Entity(..)
            | ExprKind::Var(_)
            | ExprKind::Name(_)
            | ExprKind::Fail(_) => {}
            ExprKind::All(parts) | ExprKind::Any(parts) | ExprKind::Set(parts) => parts.iter().for_each(visit),
            ExprKind::If(parts) => parts.iter().for_each(visit),
            ExprKind::Binary(_, parts) => parts.iter().for_each(visit),
            ExprKind::Unary(_, part)
            | ExprKind::Is(part, _)
            | ExprKind::Attribute(part, _)
            | ExprKind::Has(part, _)
            | ExprKind::Like(part, _) => visit(part),
            ExprKind::Record(members) => members.iter().for_each(|(_, part)| visit(part)),
        }
    }

    /// Takes the places away, so that expressions can be compared for what they say.
    pub fn forget_places(&mut self) {
        self.span = 0..0;
        match &mut self.kind {
            ExprKind::Bool(_)
            | ExprKind::Long(_)
            | ExprKind::Text(_)
            | ExprKind::Entity(..)
            | ExprKind::Var(_)
            | ExprKind::Name(_)
            | ExprKind::Fail(_) => {}
            ExprKind::All(parts) | ExprKind::Any(parts) | ExprKind::Set(parts) => {
                parts.iter_mut().for_each(Self::forget_places);
            }
            ExprKind::If(parts) => parts.iter_mut().for_each(Self::forget_places),
            ExprKind::Binary(_, parts) => parts.iter_mut().for_each(Self::forget_places),
            ExprKind::Unary(_, part)
            | ExprKind::Is(part, _)
            | ExprKind::Attribute(part, _)
            | ExprKind::Has(part, _)
            | ExprKind::Like(part, _) => part.forget_places(),
            ExprKind::Record(members) => members.iter_mut().for_each(|(_, part)| part.forget_places()),
        }
    }

    /// The conjunction of operands. Those that are conjunctions are taken apart: nested either way, the same operands are
    /// looked at in the same order, and each must be a boolean when it is.
    #[must_use]
    pub fn all(operands: Vec<Self>) -> ExprKind {
        Self::chain(operands, ExprKind::All, |kind| match kind {
            ExprKind::All(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// The disjunction of operands, flat like [`Self::all`].
    #[must_use]
    pub fn any(operands: Vec<Self>) -> ExprKind {
        Self::chain(operands, ExprKind::Any, |kind| match kind {
            ExprKind::Any(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn chain(
        operands: Vec<Self>,
        whole: fn(Vec<Self>) -> ExprKind,
        inner: fn(ExprKind) -> Result<Vec<Self>, ExprKind>,
    ) -> ExprKind {
        let mut flat = Vec::with_capacity(operands.len());
        for operand in operands {
            match inner(operand.kind) {
                Ok(operands) => flat.extend(operands),
                Err(kind) => flat.push(Self { span: operand.span, kind }),
            }
        }
        whole(flat)
    }
}

/// What an expression asks of entities and of the request.
#[derive(Debug, Clone, Default)]
pub struct Mentions<'e> {
    /// The attributes that it names, whatever has them.
    pub attributes: Vec<&'e str>,
    /// Whether it asks what is in what.
    pub hierarchy: bool,
    /// Whether it asks for attributes or tags, which may be those of an entity.
    pub stored: bool,
    /// Whether it names a part of the request.
    pub request: bool,
}
