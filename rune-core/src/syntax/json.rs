//! JSON to [`Node`]s, with no member named twice.
//!
//! `serde_json` does the reading. For files, whose findings have places, it reads one level at a time: each value is first
//! taken as the text it stands for, whose address gives its place. A request is read once, and has no places.

use std::{borrow::Cow, fmt, ops::Range};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    height,
    tree::{Key, Node, Shape},
};
use crate::base::character_at;

/// A place where JSON is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

/// Reads one JSON value, with nothing but white space around it, and gives every part its place.
///
/// # Errors
///
/// Names the place: of the fault, or of the value that holds a member twice or is nested beyond the limit.
pub fn parse_with_places(text: &str) -> Result<Node, JsonError> {
    if let Err(excess) = height::measure(text, height::Notation::Json) {
        return Err(JsonError { span: excess.place(text), message: excess.to_string() });
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(text, &error))?;
    node(text, raw)
}

/// Reads one JSON value, with nothing but white space around it, in one pass; its parts have no places.
///
/// # Errors
///
/// If the text is not JSON, gives a member twice or is nested beyond the limit.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    if let Err(excess) = height::measure(text, height::Notation::Json) {
        return Err(JsonError { span: excess.place(text), message: excess.to_string() });
    }
    let Placeless(shape) = serde_json::from_str(text).map_err(|error| syntax_error(text, &error))?;
    Ok(Node { span: 0..0, shape })
}

fn syntax_error(text: &str, error: &serde_json::Error) -> JsonError {
    // serde_json counts lines from 1 and columns in bytes, up to and including the byte it stumbled over.
    let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let at = line + error.column().saturating_sub(1);
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned();
    JsonError { span: character_at(text, at), message }
}

fn node(text: &str, raw: &RawValue) -> Result<Node, JsonError> {
    let part = raw.get();
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    let span = start..start + part.len();
    let fail = |error: serde_json::Error| JsonError { span: span.clone(), message: describe(&error) };
    let shape = match part.as_bytes().first() {
        Some(b'n') => Shape::Null,
        Some(b't') => Shape::Bool(true),
        Some(b'f') => Shape::Bool(false),
        Some(b'"') => Shape::Text(serde_json::from_str(part).map_err(fail)?),
        Some(b'[') => {
            let elements: Elements<'_> = serde_json::from_str(part).map_err(fail)?;
            Shape::List(elements.0.into_iter().map(|element| node(text, element)).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(part).map_err(fail)?;
            if let Some(twice) = twice(&members.0.iter().map(|(name, _)| &**name).collect::<Vec<_>>()) {
                return Err(JsonError { span, message: format!("member \"{twice}\" is given twice") });
            }
            let member = |(name, raw): (Cow<'_, str>, &RawValue)| {
                let node = node(text, raw)?;
                Ok((Key { span: node.span.clone(), name: name.into_owned() }, node))
            };
            Shape::Table(members.0.into_iter().map(member).collect::<Result<_, JsonError>>()?)
        }
        // A negative zero is no integer, as Cedar reads it.
        _ => match part.parse() {
            Ok(number) if part != "-0" => Shape::Long(number),
            _ => {
                serde_json::from_str::<f64>(part).map_err(fail)?;
                Shape::Float(part.to_owned())
            }
        },
    };
    Ok(Node { span, shape })
}

/// What is wrong, without the line and column that serde counts from the start of a part.
fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).to_owned()
}

/// A value without places.
struct Placeless(Shape);

impl<'de> Deserialize<'de> for Placeless {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlacelessVisitor)
    }
}

struct PlacelessVisitor;

impl<'de> Visitor<'de> for PlacelessVisitor {
    type Value = Placeless;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Placeless, E> {
        Ok(Placeless(Shape::Null))
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Placeless, E> {
        Ok(Placeless(Shape::Bool(truth)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Placeless, E> {
        Ok(Placeless(Shape::Long(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Placeless, E> {
        Ok(Placeless(i64::try_from(number).map_or_else(|_| Shape::Float(number.to_string()), Shape::Long)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Placeless, E> {
        Ok(Placeless(Shape::Float(number.to_string())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Placeless, E> {
        Ok(Placeless(Shape::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Placeless, A::Error> {
        let mut elements = Vec::new();
        while let Some(Placeless(shape)) = seq.next_element()? {
            elements.push(Node { span: 0..0, shape });
        }
        Ok(Placeless(Shape::List(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Placeless, A::Error> {
        let mut members = Vec::new();
        while let Some((name, Placeless(shape))) = map.next_entry::<String, _>()? {
            members.push((Key { span: 0..0, name }, Node { span: 0..0, shape }));
        }
        match twice(&members.iter().map(|(key, _)| &*key.name).collect::<Vec<_>>()) {
            Some(name) => Err(de::Error::custom(format!("member \"{name}\" is given twice"))),
            None => Ok(Placeless(Shape::Table(members))),
        }
    }
}

/// A name that is there twice.
fn twice(names: &[&str]) -> Option<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    let pair = names.windows(2).find(|pair| pair.first() == pair.last());
    pair.and_then(|pair| pair.first()).map(|name| (*name).to_owned())
}

struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Elements<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let text = r#" {"a": [1, "x\n"], "b": {"c": null}} "#;
        let root = parse_with_places(text).unwrap();
        let list = root.member("a").unwrap();
        assert_eq!(text.get(list.span.clone()).unwrap(), r#"[1, "x\n"]"#);
        assert_eq!(root.member("b").unwrap().member("c").unwrap().shape, Shape::Null);
    }

    /// What both ways of reading say, apart from places.
    fn shape(text: &str) -> Result<Shape, String> {
        let plain = parse(text).map(|node| node.shape).map_err(|error| error.message);
        let placed = parse_with_places(text).map(|node| without_places(node).shape).map_err(|error| error.message);
        assert_eq!(plain, placed, "{text}");
        plain
    }

    fn without_places(node: Node) -> Node {
        let shape = match node.shape {
            Shape::List(nodes) => Shape::List(nodes.into_iter().map(without_places).collect()),
            Shape::Table(members) => {
                let plain = |(key, node): (Key, Node)| (Key { span: 0..0, name: key.name }, without_places(node));
                Shape::Table(members.into_iter().map(plain).collect())
            }
            shape => shape,
        };
        Node { span: 0..0, shape }
    }

    #[test]
    fn both_ways_of_reading_agree() {
        for text in [
            "[1, \"a\", null, {\"b\": [true, {}]}]",
            "{\"a\": {\"b\": 1, \"b\": 2}}",
            "-9223372036854775808",
            "-0",
            "[1, 1e999]",
        ] {
            drop(shape(text));
        }
    }

    #[test]
    fn a_member_given_twice_is_refused_at_any_depth() {
        assert_eq!(parse_with_places(r#"{"a": {"b": 1, "b": 2}}"#).unwrap_err().message, "member \"b\" is given twice");
        assert_eq!(parse_with_places(r#"{"a": 1, "\u0061": 2}"#).unwrap_err().message, "member \"a\" is given twice");
    }

    #[test]
    fn what_is_not_json_is_refused_where_it_stops_being_json() {
        let error = parse_with_places("[1,\n 2,, 3]").unwrap_err();
        assert_eq!(error.span.start, 7, "{error:?}");
        assert!(parse_with_places("").is_err());
        assert!(parse_with_places("{} {}").is_err());
        assert!(parse_with_places(r#"{"a": "\ud800"}"#).is_err(), "an unpaired surrogate");
        assert_eq!(parse_with_places("[1, é]").unwrap_err().span, 4..6);
    }

    #[test]
    fn numbers_that_are_not_64_bit_integers_stay_as_written() {
        for number in ["1.5", "1e3", "9223372036854775808", "-0.0"] {
            assert_eq!(parse_with_places(number).unwrap().shape, Shape::Float(number.to_owned()));
        }
        assert_eq!(parse_with_places("-9223372036854775808").unwrap().shape, Shape::Long(i64::MIN));
    }

    #[test]
    fn deep_nesting_is_refused_before_anything_recursive_sees_it() {
        assert!(parse_with_places(&"[".repeat(1_000_000)).unwrap_err().message.contains("nested"));
    }
}
