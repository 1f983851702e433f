//! Plain data to values, as a type says or, where there is none, as it looks.
//!
//! ```text
//!   the type       written as
//!   User           'User::"ada"', { type = "User", id = "ada" }, { __entity = { type, id } }
//!   decimal, …     "1.5", { fn = "decimal", arg = "1.5" }, { __extn = { fn, arg } }
//!   String, …      as TOML and JSON write it
//!   none           as TOML and JSON write it; entities and extensions by their `__` forms
//! ```
//!
//! The forms in tables are those of Cedar's JSON (`cedar-policy-core`, `entities/json/value.rs`).

use std::ops::Range;

use crate::{
    base::{Datum, Symbol, Value, Values, View, value::cut},
    diag::{Code, nearest},
    expr::{Failure, extension},
    syntax::{Key, Node, Shape, ast::Method, toml},
};

use super::{RecordType, Required, Schema, Type, is_of};

/// Data that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What kind of fault.
    pub code: Code,
    /// Bytes of the text it was read from.
    pub span: Range<usize>,
    /// Where in the data, from its root: `addr.street`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: Option<String>,
    /// The entity that the schema does not have, if that is the fault.
    pub unknown: Option<Value>,
}

impl Misfit {
    fn new(code: Code, node: &Node, message: impl Into<String>) -> Self {
        Self { code, span: node.span.clone(), path: String::new(), message: message.into(), help: None, unknown: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Below the member `name`.
    #[must_use]
    pub fn below(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// The message with its place in the data.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("`{}`: {}", cut(&self.path), self.message) }
    }
}

/// What becomes of members that a record type does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undeclared {
    /// They are a fault: files are checked whole.
    Refuse,
    /// They are left out: a request may say more than this ruleset reads.
    Drop,
}

/// Reads values for one schema, or for none.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'s> {
    /// The schema, if there is one.
    pub schema: Option<&'s Schema>,
    /// What becomes of members that a record type does not have.
    pub undeclared: Undeclared,
}

impl Reader<'_> {
    /// The value of `node` as `kind`, or as it looks.
    ///
    /// # Errors
    ///
    /// If the data is not of the type, or has no meaning as a value.
    pub fn value(&self, values: &mut impl Values, node: &Node, kind: Option<&Type>) -> Result<Value, Misfit> {
        match kind {
            None => self.untyped(values, node),
            Some(kind) => self.typed(values, node, kind),
        }
    }

    fn typed(&self, values: &mut impl Values, node: &Node, kind: &Type) -> Result<Value, Misfit> {
        match (kind, &node.shape) {
            (Type::Entity(of), Shape::Text(text)) if parse_entity(text).is_none() && !text.contains(['"', ':']) => {
                let misfit = Misfit::new(Code::WrongType, node, format!("\"{}\" does not name an entity", cut(text)));
                Err(misfit.help(format!("write `{}`", toml::entity(values.name(*of), text))))
            }
            (Type::Entity(of), _) => {
                let entity = self.entity(values, node)?;
                let View::Entity(found, id) = values.view(entity) else { return Ok(entity) };
                if found == *of {
                    return Ok(entity);
                }
                let misfit = wrong(values, node, kind, &values.show_briefly(entity));
                let is_known = self.schema.is_none_or(|schema| schema.entity_type(found).is_some());
                let help = format!("write `{}`", toml::entity(values.name(*of), values.name(id)));
                Err(if is_known { misfit } else { misfit.help(help) })
            }
            (Type::Set(element), Shape::List(nodes)) => {
                let element =
                    |(at, node)| self.typed(values, node, element).map_err(|misfit| misfit.below(&format!("[{at}]")));
                let elements = nodes.iter().enumerate().map(element).collect::<Result<_, _>>()?;
                Ok(values.set(elements))
            }
            (Type::Record(fields), Shape::Table(members)) => self.record(values, &node.span, members, Some(fields)),
            (Type::Decimal | Type::Ip | Type::Datetime | Type::Duration, shape) => {
                let value = match shape {
                    Shape::Text(text) => {
                        let text = values.text(text);
                        construct(values, node, constructor_of(kind), text)?
                    }
                    Shape::Datetime(text) => Self::datetime(values, node, text)?,
                    Shape::Table(_) => {
                        let inner = node.member("__extn").unwrap_or(node);
                        self.call(values, inner)?
                    }
                    _ => return Err(wrong(values, node, kind, node.kind())),
                };
                if is_of(values, value, kind) {
                    Ok(value)
                } else {
                    Err(wrong(values, node, kind, &values.show_briefly(value)))
                }
            }
            _ => {
                let value = self.untyped(values, node)?;
                if is_of(values, value, kind) { Ok(value) } else { Err(wrong(values, node, kind, node.kind())) }
            }
        }
    }

    fn untyped(&self, values: &mut impl Values, node: &Node) -> Result<Value, Misfit> {
        match &node.shape {
            Shape::Bool(truth) => Ok((*truth).into()),
            Shape::Long(number) => Ok(values.long(*number)),
            Shape::Text(text) => Ok(values.text(text)),
            Shape::Datetime(text) => Self::datetime(values, node, text),
            Shape::List(nodes) => {
                let element =
                    |(at, node)| self.untyped(values, node).map_err(|misfit| misfit.below(&format!("[{at}]")));
                let elements = nodes.iter().enumerate().map(element).collect::<Result<_, _>>()?;
                Ok(values.set(elements))
            }
            Shape::Table(members) => {
                if let [(key, inner)] = members.as_slice() {
                    match key.name.as_str() {
                        "__entity" if inner.member("type").is_some() => return self.entity(values, inner),
                        "__entity" => {
                            let misfit =
                                Misfit::new(Code::WrongType, node, "`__entity` is a table with a type and an id");
                            return Err(misfit.help("write `{ __entity = { type = \"User\", id = \"ada\" } }`"));
                        }
                        "__extn" => return self.call(values, inner),
                        "__expr" => {
                            return Err(Misfit::new(Code::WrongType, node, "`__expr` is no longer a form of Cedar's"));
                        }
                        _ => {}
                    }
                }
                self.record(values, &node.span, members, None)
            }
            Shape::Null => {
                Err(Misfit::new(Code::WrongType, node, "`null` is not a value").help("leave the member out"))
            }
            Shape::Float(number) => {
                let misfit = Misfit::new(Code::WrongType, node, format!("`{number}` is not a 64-bit integer"));
                Err(misfit.help("a number with a fraction is a `decimal`, written as a string: \"1.5\""))
            }
        }
    }

    /// The record with these members: typed and complete as `fields` says, or as they look.
    ///
    /// # Errors
    ///
    /// At the first member that is missing, of another type, or not declared where that counts; what is missing, is missing
    /// at `span`.
    pub fn record<'n>(
        &self,
        values: &mut impl Values,
        span: &Range<usize>,
        nodes: impl IntoIterator<Item = &'n (Key, Node)>,
        fields: Option<&RecordType>,
    ) -> Result<Value, Misfit> {
        let mut members = Vec::new();
        for (key, node) in nodes {
            let name = values.symbol(&key.name);
            let field = fields.map(|fields| fields.field(name));
            let kind = match field {
                None => None,
                Some(Some(field)) => Some(&field.kind),
                Some(None) if self.undeclared == Undeclared::Drop => continue,
                Some(None) => return Err(undeclared(values, key, node, fields)),
            };
            let value = self.value(values, node, kind).map_err(|misfit| misfit.below(&key.name))?;
            members.push((name, value));
        }
        for (name, field) in fields.into_iter().flat_map(RecordType::fields) {
            if field.required == Required::Yes && !members.iter().any(|(given, _)| *given == name) {
                return Err(Misfit {
                    code: Code::MissingAttribute,
                    span: span.clone(),
                    path: String::new(),
                    message: format!("the attribute `{}` is missing", values.name(name)),
                    help: Some(format!("its type is {}", field.kind.show(values))),
                    unknown: None,
                });
            }
        }
        Ok(values.record(members))
    }

    /// The entity that `node` names, in any of its forms.
    ///
    /// # Errors
    ///
    /// If it names none, or one that the schema's lists of ids or actions do not have.
    pub fn entity(&self, values: &mut impl Values, node: &Node) -> Result<Value, Misfit> {
        let malformed = || {
            let message = format!("expected an entity, found {}", node.kind());
            Misfit::new(Code::WrongType, node, message).help("an entity is written `User::\"ada\"`")
        };
        let (kind, id) = match &node.shape {
            Shape::Text(text) => parse_entity(text).ok_or_else(|| {
                let message = format!("\"{}\" does not name an entity", cut(text));
                Misfit::new(Code::WrongType, node, message).help("an entity is written `User::\"ada\"`")
            })?,
            Shape::Table(_) => {
                let inner = node.member("__entity").unwrap_or(node);
                let text = |name| inner.member(name).and_then(Node::as_text).map(str::to_owned);
                let (kind, id) = text("type").zip(text("id")).ok_or_else(malformed)?;
                if !is_type_name(&kind) {
                    return Err(Misfit::new(Code::WrongType, node, format!("`{kind}` is not the name of a type")));
                }
                (kind, id)
            }
            _ => return Err(malformed()),
        };
        let entity = values.entity(&kind, &id);
        self.check_known(values, node, entity)?;
        Ok(entity)
    }

    /// Whether an entity is one that the schema's lists of ids, or its actions, have.
    fn check_known(&self, values: &impl Values, node: &Node, entity: Value) -> Result<(), Misfit> {
        if self.schema.is_none_or(|schema| schema.may_have(values, entity)) {
            return Ok(());
        }
        let message = format!("the schema does not have {}", values.show_briefly(entity));
        Err(Misfit { unknown: Some(entity), ..Misfit::new(Code::UnknownEntity, node, message) })
    }

    /// `{ fn = "ip", arg = "10.0.0.1" }`, or with `args`: any function of an extension type. A string stands for the value of
    /// the type that the function takes there.
    fn call(&self, values: &mut impl Values, node: &Node) -> Result<Value, Misfit> {
        let malformed = || {
            Misfit::new(Code::WrongType, node, "this is not a call of an extension's function")
                .help("write `{ fn = \"ip\", arg = \"10.0.0.1\" }`")
        };
        let name = node.member("fn").and_then(Node::as_text).ok_or_else(malformed)?;
        let nodes: &[Node] = match (node.member("arg"), node.member("args").map(|args| &args.shape)) {
            (Some(argument), None) => std::slice::from_ref(argument),
            (None, Some(Shape::List(arguments))) => arguments,
            _ => return Err(malformed()),
        };
        let is_it = |(known, _, arity): &&(&str, Method, usize)| *known == name && *arity == nodes.len();
        let (_, method, _) = Method::ALL.iter().find(is_it).ok_or_else(malformed)?;
        let kind = receiver(*method);
        let mut arguments = Vec::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            let kind = if at == 1 && *method == Method::Offset { &Type::Duration } else { &kind };
            arguments.push(match &node.shape {
                Shape::Text(_) => self.typed(values, node, kind)?,
                _ => self.untyped(values, node)?,
            });
        }
        let result = match arguments.as_slice() {
            [argument] => extension::call(values, *method, *argument),
            [left, right] => extension::call2(values, *method, *left, *right),
            _ => return Err(malformed()),
        };
        result.map_err(|failure| failed(values, node, &failure))
    }

    /// A date and time as TOML writes it.
    fn datetime(values: &mut impl Values, node: &Node, text: &str) -> Result<Value, Misfit> {
        // TOML's offsets have a colon, Cedar's have none.
        let text = match text.split_at_checked(text.len().saturating_sub(3)) {
            Some((before, after)) if after.starts_with(':') && text.contains('T') && 20 < text.len() => {
                format!("{before}{}", &after.replace(':', ""))
            }
            _ => text.to_owned(),
        };
        let text = values.intern(Datum::Text(text.into()));
        construct(values, node, Method::Datetime, text)
    }
}

fn undeclared(values: &impl Values, key: &Key, node: &Node, fields: Option<&RecordType>) -> Misfit {
    let misfit = Misfit::new(Code::UnknownAttribute, node, format!("there is no attribute `{}`", cut(&key.name)));
    let known = fields.into_iter().flat_map(RecordType::fields).map(|(name, _)| values.name(name));
    match nearest(&key.name, known) {
        Some(near) => misfit.help(format!("did you mean `{near}`?")),
        None => misfit,
    }
}

fn construct(values: &mut impl Values, node: &Node, method: Method, argument: Value) -> Result<Value, Misfit> {
    extension::call(values, method, argument).map_err(|failure| failed(values, node, &failure))
}

fn failed(values: &impl Values, node: &Node, failure: &Failure) -> Misfit {
    Misfit::new(Code::WrongType, node, failure.describe(values))
}

/// The type that a function of an extension is called on.
fn receiver(method: Method) -> Type {
    match method {
        Method::Decimal | Method::Ip | Method::Datetime | Method::Duration => Type::Text,
        Method::IsIpv4 | Method::IsIpv6 | Method::IsLoopback | Method::IsMulticast | Method::IsInRange => Type::Ip,
        Method::LessThan | Method::LessThanOrEqual | Method::GreaterThan | Method::GreaterThanOrEqual => Type::Decimal,
        Method::Offset | Method::DurationSince | Method::ToDate | Method::ToTime => Type::Datetime,
        Method::ToMilliseconds | Method::ToSeconds | Method::ToMinutes | Method::ToHours | Method::ToDays => {
            Type::Duration
        }
    }
}

fn constructor_of(kind: &Type) -> Method {
    match kind {
        Type::Decimal => Method::Decimal,
        Type::Ip => Method::Ip,
        Type::Datetime => Method::Datetime,
        _ => Method::Duration,
    }
}

fn wrong(values: &impl Values, node: &Node, kind: &Type, found: &str) -> Misfit {
    Misfit::new(Code::WrongType, node, format!("expected {}, found {found}", kind.show(values)))
}

/// The type and id that a text like `App::User::"ada"` names.
#[must_use]
pub fn parse_entity(text: &str) -> Option<(String, String)> {
    let (kind, quoted) = text.split_once("::\"")?;
    let id = quoted.strip_suffix('"')?;
    Some((kind.to_owned(), unescape(id)?)).filter(|(kind, _)| is_type_name(kind))
}

/// What stands between the quotes of a Cedar string, with Cedar's escapes, which are Rust's and `\*` not among them.
fn unescape(text: &str) -> Option<String> {
    // Digits and nothing else: a sign is not one.
    let hexadecimal = |digits: &str| u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '"' => return None,
            '\\' => match rest.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                c @ ('\\' | '\'' | '"') => c,
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    char::from_u32(hexadecimal(&digits)?).filter(|c| c.is_ascii() && digits.len() == 2)?
                }
                'u' => {
                    let (digits, after) = rest.as_str().strip_prefix('{')?.split_once('}')?;
                    rest = after.chars();
                    char::from_u32(hexadecimal(digits).filter(|_| digits.len() <= 6)?)?
                }
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

/// Whether a text is the name of a type as Cedar writes it: identifiers with `::` between them and nothing else.
///
/// Another spelling of a name would be another type, one that no policy can mention.
#[must_use]
pub fn is_type_name(text: &str) -> bool {
    const RESERVED: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];
    text.split("::").all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !RESERVED.contains(&part)
            && part != "__cedar"
    })
}

/// Whether a text looks like an entity: `User::"ada"`.
#[must_use]
pub fn looks_like_entity(text: &str) -> bool {
    let text = text.trim();
    text.ends_with('"') && text.contains("::\"") && parse_entity(text).is_some()
}

/// Attributes that a request supplies for an entity.
#[derive(Debug, Default)]
pub struct SuppliedAttributes {
    /// Those that are taken.
    pub taken: Vec<(Symbol, Value)>,
    /// The names of those that are not.
    pub ignored: Vec<String>,
}

/// The attributes that a request supplies for an entity.
///
/// With a schema only attributes marked `@request` are taken; without one all are.
///
/// # Errors
///
/// If an attribute that is taken is not of its type.
pub fn supplied(
    reader: Reader<'_>,
    values: &mut impl Values,
    node: &Node,
    entity: Value,
) -> Result<SuppliedAttributes, Misfit> {
    let Shape::Table(nodes) = &node.shape else {
        return Err(Misfit::new(Code::WrongType, node, format!("expected an object, found {}", node.kind())));
    };
    let mut supplied = SuppliedAttributes::default();
    for (key, node) in nodes {
        let name = values.symbol(&key.name);
        let kind = match (reader.schema, values.view(entity)) {
            (Some(schema), View::Entity(of, _)) => {
                let field = schema.entity_type(of).and_then(|entity_type| entity_type.attributes.field(name));
                match field {
                    Some(field) if field.supplied == super::Supplied::ByRequest => Some(&field.kind),
                    _ => {
                        supplied.ignored.push(key.name.clone());
                        continue;
                    }
                }
            }
            _ => None,
        };
        let value = reader.value(values, node, kind).map_err(|misfit| misfit.below(&key.name))?;
        supplied.taken.push((name, value));
    }
    Ok(supplied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_read_as_it_was_written() {
        for id in ["ada", "o'neil", "a\"b", "a\\b", "a\\'b", "a\nb\u{200b}", "'", ""] {
            let node = toml::parse(&format!("x = {}", toml::entity("App::User", id))).unwrap();
            let text = node.member("x").and_then(Node::as_text).unwrap().to_owned();
            let expected = Some(("App::User".to_owned(), id.to_owned()));
            assert_eq!(parse_entity(&text), expected, "{text}");
        }
        assert_eq!(toml::entity("User", "ada"), "'User::\"ada\"'");
        assert_eq!(toml::entity("User", "o'neil"), "\"User::\\\"o'neil\\\"\"");
        assert_eq!(toml::entity("User", &"a".repeat(1_000)), "'User::\"…\"'");
    }

    #[test]
    fn entities_are_read_with_any_id_and_one_spelling_of_a_type() {
        let id = |text: &str| parse_entity(text).map(|(_, id)| id);
        assert_eq!(parse_entity(r#"App::User::"ada""#), Some(("App::User".to_owned(), "ada".to_owned())));
        assert_eq!(id(r#"User::"o'brien""#), Some("o'brien".to_owned()));
        assert_eq!(id(r#"User::"\u{41}\x42\n\"\'\\""#), Some("AB\n\"'\\".to_owned()));
        assert_eq!(id(r#"User::"a::"b""#), None);
        for text in [
            "ada",
            "User::ada",
            r#"User :: "a""#,
            r#"if::"a""#,
            r#"::"a""#,
            r#"User::"\q""#,
            r#"User::"\xff""#,
            r#"User::"\x4""#,
            r#"User::"\x+4""#,
            r#"User::"\u{+41}""#,
            r#"User::"\u{0000041}""#,
            r#"User::"a"#,
        ] {
            assert_eq!(parse_entity(text), None, "{text}");
        }
    }
}
