//! Expressions: pairs of the grammar to the tree that policies are read into.

use std::{collections::BTreeMap, ops::Range};

use pest::iterators::Pair;

use super::{Name, Reader, Rule};
use crate::{
    diag::{Code, nearest},
    syntax::ast::{Binary, Expr, ExprKind, Glob, Method, Unary, Var},
};

/// Methods that are no functions of extension types: name and number of arguments.
const METHODS: [(&str, usize); 6] =
    [("contains", 1), ("containsAll", 1), ("containsAny", 1), ("isEmpty", 0), ("getTag", 1), ("hasTag", 1)];

fn is_method(name: &str) -> bool {
    METHODS.iter().any(|(known, _)| *known == name) || Method::ALL.iter().skip(4).any(|(known, ..)| *known == name)
}

fn is_function(name: &str) -> bool {
    Method::ALL.iter().take(4).any(|(known, ..)| *known == name)
}

/// The words and the arguments of an expression that is nothing but a call, and not one of Cedar's functions or methods:
/// `can_read(U, D)`, `agent.tools(T)`, `App::User.level(U, N)`.
pub(in crate::syntax) fn lone_call<'i>(pair: &Pair<'i, Rule>) -> Option<(Vec<Pair<'i, Rule>>, Pair<'i, Rule>)> {
    let mut pair = pair.clone();
    while pair.as_rule() != Rule::member {
        pair = single(&pair)?;
    }
    let mut parts = pair.into_inner();
    let base = single(&parts.next()?)?;
    let accesses: Vec<_> = parts.collect();
    if base.as_rule() == Rule::call {
        let mut parts = base.into_inner();
        let (path, arguments) = (parts.next()?, parts.next()?);
        return (accesses.is_empty() && !is_function(path.as_str().trim())).then(|| (vec![path], arguments));
    }
    let (last, before) = accesses.split_last()?;
    if base.as_rule() != Rule::bare {
        return None;
    }
    let mut names = vec![base];
    for access in before {
        names.push(single(access).filter(|name| name.as_rule() == Rule::word)?);
    }
    let mut parts = last.clone().into_inner();
    let (name, arguments) = (parts.next()?, parts.next()?);
    if is_method(name.as_str()) {
        return None;
    }
    names.push(name);
    Some((names, arguments))
}

/// The only part that a pair has.
pub(in crate::syntax) fn single<'i>(pair: &Pair<'i, Rule>) -> Option<Pair<'i, Rule>> {
    let mut parts = pair.clone().into_inner();
    let first = parts.next()?;
    parts.next().is_none().then_some(first)
}

impl Reader<'_> {
    pub(super) fn name_of_call(&mut self, parts: &[Pair<'_, Rule>], base: usize) -> Name {
        let names: Vec<Name> = parts.iter().map(|part| self.name(part, base)).collect();
        let text = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(".");
        let start = names.first().map_or(0, |name| name.span.start);
        let end = names.last().map_or(0, |name| name.span.end);
        Name { span: start..end, text }
    }

    pub(super) fn arguments(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Vec<Expr>> {
        pair.into_inner().map(|part| self.expr(part, base)).collect()
    }

    pub(super) fn string(&mut self, pair: &Pair<'_, Rule>, base: usize) -> Option<String> {
        let text = inside(pair.as_str());
        match unescaped(text) {
            Ok(text) => Some(text.into_iter().map(|(c, _)| c).collect()),
            Err(at) => {
                self.bad_escape(self.place(pair, base), at);
                None
            }
        }
    }

    fn bad_escape(&mut self, span: Range<usize>, at: usize) {
        let span = span.start + 1 + at..span.end;
        let help = r#"the escapes are \n \r \t \0 \\ \" \' \x41 \u{41}, and \* in a pattern"#;
        self.refuse(Code::RuleSyntax, span, "this is not an escape of a string", help);
    }

    // Recurses once per level of the expression, whose height was limited.
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Expr> {
        let span = self.place(&pair, base);
        let kind = match pair.as_rule() {
            Rule::expr | Rule::primary => return self.expr(pair.into_inner().next()?, base),
            Rule::group => {
                let inner = self.expr(pair.into_inner().next()?, base)?;
                inner.kind
            }
            Rule::choose => {
                let parts: Option<Vec<_>> = pair
                    .into_inner()
                    .filter(|part| part.as_rule() == Rule::expr)
                    .map(|part| self.expr(part, base))
                    .collect();
                ExprKind::If(Box::new(<[Expr; 3]>::try_from(parts?).ok()?))
            }
            Rule::or | Rule::and => {
                let is_or = pair.as_rule() == Rule::or;
                let mut operands: Vec<_> =
                    pair.into_inner().map(|part| self.expr(part, base)).collect::<Option<_>>()?;
                match operands.len() {
                    1 => return operands.pop(),
                    _ if is_or => Expr::any(operands),
                    _ => Expr::all(operands),
                }
            }
            Rule::relation => return self.relation(pair, base, span),
            Rule::add | Rule::multiply => return self.chain(pair, base),
            Rule::unary => return self.unary(pair, base, span),
            Rule::member => return self.member(pair, base),
            Rule::number => self.number(pair.as_str(), false, span.clone())?,
            Rule::truth => ExprKind::Bool(pair.as_str() == "true"),
            Rule::string => ExprKind::Text(self.string(&pair, base)?),
            Rule::entity => {
                let mut parts = pair.into_inner();
                let kind = self.name(&parts.next()?, base).text;
                ExprKind::Entity(kind, self.string(&parts.next()?, base)?)
            }
            Rule::call => return self.call(pair, base, span),
            Rule::bare => {
                let name = self.name(&pair, base).text;
                match name.as_str() {
                    "principal" => ExprKind::Var(Var::Principal),
                    "action" => ExprKind::Var(Var::Action),
                    "resource" => ExprKind::Var(Var::Resource),
                    "context" => ExprKind::Var(Var::Context),
                    _ => ExprKind::Name(name),
                }
            }
            Rule::set => ExprKind::Set(pair.into_inner().map(|part| self.expr(part, base)).collect::<Option<_>>()?),
            Rule::record => self.record(pair, base)?,
            _ => return None,
        };
        Some(Expr::new(span, kind))
    }

    fn record(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<ExprKind> {
        // In the order of their names, as Cedar keeps them.
        let mut members = BTreeMap::new();
        for member in pair.into_inner() {
            let mut parts = member.into_inner();
            let key = parts.next()?;
            let name = if key.as_rule() == Rule::string { self.string(&key, base)? } else { key.as_str().to_owned() };
            let value = self.expr(parts.next()?, base)?;
            if members.contains_key(&name) {
                let message = format!("the record has two members `{name}`");
                self.refuse(Code::RuleSyntax, self.place(&key, base), message, "a member has one value");
                return None;
            }
            members.insert(name, value);
        }
        Some(ExprKind::Record(members.into_iter().collect()))
    }

    fn number(&mut self, digits: &str, is_negative: bool, span: Range<usize>) -> Option<ExprKind> {
        let text = if is_negative { format!("-{digits}") } else { digits.to_owned() };
        match text.parse() {
            Ok(number) => Some(ExprKind::Long(number)),
            Err(_) => {
                let message = format!("{text} goes beyond 64 bits");
                self.refuse(Code::RuleSyntax, span, message, "integers lie between -2⁶³ and 2⁶³ - 1");
                None
            }
        }
    }

    /// A sum or product, from left to right.
    fn chain(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Expr> {
        let is_product = pair.as_rule() == Rule::multiply;
        let mut left: Option<Expr> = None;
        let mut operation = if is_product { Binary::Multiply } else { Binary::Add };
        for part in pair.into_inner() {
            if part.as_rule() == Rule::sign {
                operation = if part.as_str().trim() == "+" { Binary::Add } else { Binary::Subtract };
                continue;
            }
            let right = self.expr(part, base)?;
            left = Some(match left {
                None => right,
                Some(left) => {
                    let span = left.span.start..right.span.end;
                    Expr::new(span, ExprKind::Binary(operation, Box::new([left, right])))
                }
            });
        }
        left
    }

    fn unary(&mut self, pair: Pair<'_, Rule>, base: usize, span: Range<usize>) -> Option<Expr> {
        let parts: Vec<_> = pair.into_inner().collect();
        let (member, signs) = parts.split_last()?;
        let is_minus = signs.first().is_some_and(|sign| sign.as_rule() == Rule::minus);
        if 4 < signs.len() {
            self.refuse(Code::RuleSyntax, span, "more than four signs in a row", "two of them cancel each other");
            return None;
        }
        // The sign of a number belongs to it: the smallest integer has no positive counterpart.
        let digits = single(member).and_then(|primary| single(&primary)).filter(|part| part.as_rule() == Rule::number);
        let (mut expr, n_left) = match digits {
            Some(digits) if is_minus => {
                (Expr::new(span.clone(), self.number(digits.as_str(), true, span.clone())?), signs.len() - 1)
            }
            _ => (self.expr(member.clone(), base)?, signs.len()),
        };
        let operation = if is_minus { Unary::Negate } else { Unary::Not };
        for _ in 0..n_left {
            expr = Expr::new(span.clone(), ExprKind::Unary(operation, Box::new(expr)));
        }
        Some(expr)
    }

    fn relation(&mut self, pair: Pair<'_, Rule>, base: usize, span: Range<usize>) -> Option<Expr> {
        let mut parts = pair.into_inner();
        let left = self.expr(parts.next()?, base)?;
        let Some(part) = parts.next() else { return Some(left) };
        let kind = match part.as_rule() {
            Rule::has => {
                let mut path = Vec::new();
                for part in part.into_inner() {
                    match part.as_rule() {
                        Rule::string => path.push(self.string(&part, base)?),
                        Rule::word => path.push(part.as_str().to_owned()),
                        _ => {}
                    }
                }
                ExprKind::Has(Box::new(left), path)
            }
            Rule::like => {
                let pattern = part.into_inner().find(|part| part.as_rule() == Rule::string)?;
                ExprKind::Like(Box::new(left), self.pattern(&pattern, base)?)
            }
            Rule::is => {
                let (mut kind, mut ancestor) = (None, None);
                for part in part.into_inner() {
                    match part.as_rule() {
                        Rule::path => kind = Some(self.name(&part, base).text),
                        Rule::add => ancestor = Some(self.expr(part, base)?),
                        _ => {}
                    }
                }
                let is = ExprKind::Is(Box::new(left.clone()), kind?);
                match ancestor {
                    None => is,
                    Some(ancestor) => Expr::all(vec![
                        Expr::new(left.span.clone(), is),
                        Expr::new(span.clone(), ExprKind::Binary(Binary::In, Box::new([left, ancestor]))),
                    ]),
                }
            }
            _ => {
                let mut parts = part.into_inner();
                let (operator, right) = (parts.next()?, self.expr(parts.next()?, base)?);
                let pair = Box::new([left, right]);
                match operator.as_str().trim() {
                    "<" => ExprKind::Binary(Binary::Less, pair),
                    "<=" => ExprKind::Binary(Binary::LessEqual, pair),
                    "==" => ExprKind::Binary(Binary::Equal, pair),
                    "!=" => negated(&span, Binary::Equal, pair),
                    // `a > b` is `!(a <= b)`: the operands keep their order, and so do their failures.
                    ">" => negated(&span, Binary::LessEqual, pair),
                    ">=" => negated(&span, Binary::Less, pair),
                    _ => ExprKind::Binary(Binary::In, pair),
                }
            }
        };
        Some(Expr::new(span, kind))
    }

    fn pattern(&mut self, pair: &Pair<'_, Rule>, base: usize) -> Option<Vec<Glob>> {
        let text = inside(pair.as_str());
        match unescaped(text) {
            Ok(chars) => {
                let glob = |(c, is_escaped): (char, bool)| match (c, is_escaped) {
                    ('*', false) => Glob::Wild,
                    (c, _) => Glob::Char(c),
                };
                Some(chars.into_iter().map(glob).collect())
            }
            Err(at) => {
                self.bad_escape(self.place(pair, base), at);
                None
            }
        }
    }

    fn member(&mut self, pair: Pair<'_, Rule>, base: usize) -> Option<Expr> {
        let mut parts = pair.into_inner();
        let mut expr = self.expr(parts.next()?, base)?;
        for access in parts {
            let place = self.place(&access, base);
            let span = expr.span.start..place.end;
            let mut parts = access.into_inner();
            let name = parts.next()?;
            let kind = if name.as_rule() == Rule::string {
                ExprKind::Attribute(Box::new(expr), self.string(&name, base)?)
            } else if let Some(arguments) = parts.next() {
                let arguments = self.arguments(arguments, base)?;
                self.method(expr, name.as_str(), arguments, place)?
            } else {
                ExprKind::Attribute(Box::new(expr), name.as_str().to_owned())
            };
            expr = Expr::new(span, kind);
        }
        Some(expr)
    }

    fn method(&mut self, on: Expr, name: &str, mut arguments: Vec<Expr>, span: Range<usize>) -> Option<ExprKind> {
        let n_given = arguments.len();
        let other = Method::ALL.into_iter().skip(4).find(|(known, ..)| *known == name);
        let n_wanted = METHODS.iter().find(|(known, _)| *known == name).map(|(_, n)| *n);
        let Some(n_wanted) = n_wanted.or(other.map(|(.., n)| n - 1)) else {
            let known =
                METHODS.iter().map(|(known, _)| *known).chain(Method::ALL.iter().skip(4).map(|(name, ..)| *name));
            let help = match nearest(name, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "a relation is read by a condition of its own: `p(X, Y)`".to_owned(),
            };
            self.refuse(Code::RuleSyntax, span, format!("there is no method `{name}`"), help);
            return None;
        };
        if n_given != n_wanted {
            let message = format!("`{name}` takes {n_wanted} arguments, not {n_given}");
            self.refuse(Code::RuleSyntax, span, message, "see the methods of Cedar's types");
            return None;
        }
        let Some(argument) = arguments.pop() else {
            return Some(ExprKind::Unary(
                other.map_or(Unary::IsEmpty, |(_, method, _)| Unary::Call(method)),
                Box::new(on),
            ));
        };
        let operation = match (name, other) {
            (_, Some((_, method, _))) => Binary::Call(method),
            ("contains", _) => Binary::Contains,
            ("containsAll", _) => Binary::ContainsAll,
            ("containsAny", _) => Binary::ContainsAny,
            ("getTag", _) => Binary::GetTag,
            _ => Binary::HasTag,
        };
        Some(ExprKind::Binary(operation, Box::new([on, argument])))
    }

    /// A call of one of Cedar's functions; any other name is a relation, which has no place within an expression.
    fn call(&mut self, pair: Pair<'_, Rule>, base: usize, span: Range<usize>) -> Option<Expr> {
        let mut parts = pair.into_inner();
        let name = self.name(&parts.next()?, base);
        self.refuse_negation(&name)?;
        let mut arguments = self.arguments(parts.next()?, base)?;
        let Some((_, method, _)) = Method::ALL.into_iter().take(4).find(|(known, ..)| *known == name.text) else {
            let message = format!("`{}` is not a function", name.text);
            let help = "a relation is read by a condition of its own, `p(X, Y), …`, or as an attribute, `X.p`";
            self.refuse(Code::RuleSyntax, span, message, help);
            return None;
        };
        match (arguments.pop(), arguments.is_empty()) {
            (Some(argument), true) => Some(Expr::new(span, ExprKind::Unary(Unary::Call(method), Box::new(argument)))),
            _ => {
                self.refuse(
                    Code::RuleSyntax,
                    span,
                    format!("`{}` takes one argument", name.text),
                    "write it as in Cedar",
                );
                None
            }
        }
    }
}

fn negated(span: &Range<usize>, operation: Binary, pair: Box<[Expr; 2]>) -> ExprKind {
    let inner = Expr::new(span.clone(), ExprKind::Binary(operation, pair));
    ExprKind::Unary(Unary::Not, Box::new(inner))
}

/// What stands between the quotes.
fn inside(quoted: &str) -> &str {
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted)
}

/// The characters that a string means, each with whether it was escaped; the byte of what is no escape.
fn unescaped(text: &str) -> Result<Vec<(char, bool)>, usize> {
    let mut chars = Vec::with_capacity(text.len());
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        if c != '\\' {
            chars.push((c, false));
            continue;
        }
        let (_, escape) = rest.next().ok_or(at)?;
        let hexadecimal = |digits: &str| {
            let number = u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
            number.and_then(char::from_u32).ok_or(at)
        };
        let escaped = match escape {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            '\\' | '"' | '\'' | '*' => escape,
            'x' => {
                let digits: String = rest.by_ref().take(2).map(|(_, c)| c).collect();
                let c = hexadecimal(&digits)?;
                if digits.len() != 2 || !c.is_ascii() {
                    return Err(at);
                }
                c
            }
            'u' => {
                if rest.next().is_none_or(|(_, c)| c != '{') {
                    return Err(at);
                }
                let digits: String = rest.by_ref().map(|(_, c)| c).take_while(|c| *c != '}').collect();
                if 6 < digits.len() {
                    return Err(at);
                }
                hexadecimal(&digits)?
            }
            _ => return Err(at),
        };
        chars.push((escaped, true));
    }
    Ok(chars)
}
