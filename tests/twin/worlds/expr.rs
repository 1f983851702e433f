//! Expressions in Cedar's notation, of every operator and function. Each can be an operand of any other.

use std::fmt::Write;

use super::{
    DATETIMES, DECIMALS, DURATIONS, FIELDS, Field, GEO, IPS, KINDS, Kind, Kind as K, LONGS, MODES, Maker, SPOT, TAGS,
    TEXTS, literal, quote,
};

/// The kinds that need no data.
const PLAIN_KINDS: [Kind; 9] =
    [K::Long, K::Text, K::Longs, K::Nets, K::Decimal, K::Ip, K::Datetime, K::Duration, K::Duration];

/// What constructors do not take, or only just.
const BAD_DECIMALS: [&str; 9] =
    ["", "-", "1", "1.", ".5", "1.23456", "-.5", "922337203685477.5808", "-922337203685477.5809"];
const BAD_IPS: [&str; 8] =
    ["", "10.0.0.256", "10.0.0", "10.0.0.1/33", "10.0.0.1/08", "::1/129", "::ffff:1.2.3.4", "10.0.0.1/"];
const BAD_DATETIMES: [&str; 12] = [
    "",
    "2023-02-29",
    "2100-02-29",
    "2000-02-29",
    "2024-13-01",
    "2024-01-00",
    "2024-10-15T24:00:00Z",
    "2024-10-15T23:60:00Z",
    "2024-10-15T23:59:60Z",
    "2024-10-15T00:00:00+2400",
    "2024-10-15T00:00:00-2359",
    "2024-10-15T00:00:00",
];
const BAD_DURATIONS: [&str; 8] =
    ["", "-", "1", "1s1m", "1d1d", "9223372036854775808ms", "-9223372036854775809ms", "106751991168d"];
/// Characters that turn one into the other.
const STRANGE: [char; 15] = ['0', '1', '9', '-', '+', '.', ':', '/', 'T', 'Z', 'd', 'm', 's', ' ', '٣'];

impl Maker {
    /// An expression that is mostly of a kind.
    pub(super) fn expr(&mut self, kind: Kind, depth: usize) -> String {
        let kind = if self.percent(2) { self.kind() } else { kind };
        if depth == 0 || self.percent(20) {
            return if self.percent(40) { self.constant(kind) } else { self.path(kind, depth) };
        }
        let depth = depth - 1;
        if self.percent(6) {
            let (test, yes, no) = (self.expr(K::Bool, depth), self.expr(kind, depth), self.expr(kind, depth));
            return format!("(if {test} then {yes} else {no})");
        }
        match kind {
            K::Bool => self.test(depth),
            K::Long => match self.below(5) {
                0 | 1 => {
                    let method = self.pick(&["toMilliseconds", "toSeconds", "toMinutes", "toHours", "toDays"]);
                    format!("{}.{method}()", self.expr(K::Duration, depth))
                }
                2 => format!("({}{})", self.pick(&["-", "--", "----"]), self.expr(K::Long, depth)),
                3 if self.has_data => self.tag("getTag", depth),
                _ => self.chain(K::Long, &["+", "-", "*"], depth),
            },
            K::Text if self.has_data && self.percent(50) => self.tag("getTag", depth),
            K::Texts if self.has_data && self.percent(30) => self.tag("getTag", depth),
            K::Entity | K::Text | K::Mode | K::Geo => self.path(kind, depth),
            K::Texts | K::Longs | K::Entities | K::Nets => {
                let elements: Vec<_> = (0..self.below(4)).map(|_| self.expr(kind.element(), depth)).collect();
                self.set(&elements)
            }
            K::Spot => self.record_expr(&SPOT, depth),
            K::Decimal | K::Ip if self.percent(80) => self.constant(kind),
            K::Decimal => format!("decimal({})", self.expr(K::Text, depth)),
            K::Ip => format!("ip({})", self.expr(K::Text, depth)),
            K::Datetime if self.percent(40) => format!("{}.toDate()", self.expr(K::Datetime, depth)),
            K::Datetime => {
                format!("{}.offset({})", self.expr(K::Datetime, depth), self.expr(K::Duration, depth))
            }
            K::Duration if self.percent(40) => format!("{}.toTime()", self.expr(K::Datetime, depth)),
            K::Duration => {
                format!("{}.durationSince({})", self.expr(K::Datetime, depth), self.expr(K::Datetime, depth))
            }
        }
    }

    /// A set of these elements, some of them twice.
    fn set(&mut self, elements: &[String]) -> String {
        let mut written = elements.to_vec();
        for element in elements {
            if self.percent(30) {
                let at = self.below(written.len() + 1);
                written.insert(at, element.clone());
            }
        }
        format!("[{}]", written.join(", "))
    }

    /// A condition on constants.
    pub(super) fn calculation(&mut self) -> String {
        let (kind, depth) = (self.kind(), self.below(3));
        let operand = self.expr(kind, depth);
        self.relation(kind, &operand, depth)
    }

    fn kind(&mut self) -> Kind {
        self.pick(if self.has_data { &KINDS } else { &PLAIN_KINDS })
    }

    /// A boolean that has to be worked out.
    fn test(&mut self, depth: usize) -> String {
        match self.below(12) {
            0 => format!("({}{})", self.pick(&["!", "!!", "!!!!"]), self.expr(K::Bool, depth)),
            1 | 2 => self.chain(K::Bool, &["&&"], depth),
            3 => self.chain(K::Bool, &["||"], depth),
            4 | 5 => {
                // What careful people write: the attribute is asked for before it is read.
                let kind = self.kind();
                let (owner, way) = (self.owner(depth), self.way(kind));
                let relation = self.relation(kind, &access(&owner, &way), depth);
                format!("({} && {relation})", has(&owner, &way))
            }
            6 => {
                let (owner, tag) = (self.owner(depth), quote(self.pick(&TAGS)));
                let kind = self.pick(&[K::Text, K::Long, K::Texts]);
                let relation = self.relation(kind, &format!("{owner}.getTag({tag})"), depth);
                format!("({owner}.hasTag({tag}) && {relation})")
            }
            7 => self.tag("hasTag", depth),
            8 if self.percent(10) => self.wrong_arity(depth),
            9 if self.percent(30) => {
                // Two ways to write a set, or nearly so.
                let kind = self.pick(&[K::Texts, K::Longs, K::Entities, K::Nets]);
                let mut elements: Vec<_> = (0..=self.below(3)).map(|_| self.expr(kind.element(), 0)).collect();
                let one = self.set(&elements);
                elements.reverse();
                if self.percent(20) {
                    elements.pop();
                }
                format!("({one} {} {})", self.pick(&["==", "!="]), self.set(&elements))
            }
            _ => {
                let kind = self.kind();
                let operand = self.expr(kind, depth);
                self.relation(kind, &operand, depth)
            }
        }
    }

    /// Something that is asked of an operand of a kind.
    fn relation(&mut self, kind: Kind, operand: &str, depth: usize) -> String {
        if self.percent(25) {
            let operator = if self.percent(50) { "==" } else { "!=" };
            return format!("({operand} {operator} {})", self.expr(kind, depth));
        }
        match kind {
            K::Bool => operand.to_owned(),
            K::Long | K::Datetime | K::Duration => {
                format!("({operand} {} {})", self.pick(&["<", "<=", ">", ">="]), self.expr(kind, depth))
            }
            K::Text => format!("({operand} like \"{}\")", self.pattern()),
            K::Entity | K::Mode => {
                let of = self.anyone(true).0;
                match self.below(6) {
                    0 => format!("({operand} in {})", self.expr(K::Entity, depth)),
                    1 => format!("({operand} in {})", self.expr(K::Entities, depth)),
                    2 => format!("({operand} is {of})"),
                    3 => format!("({operand} is {of} in {})", self.expr(K::Entity, depth)),
                    4 => format!("({operand} is {of} in {})", self.expr(K::Entities, depth)),
                    _ => self.has(operand),
                }
            }
            K::Texts | K::Longs | K::Entities | K::Nets => match self.below(4) {
                0 => format!("{operand}.contains({})", self.expr(kind.element(), depth)),
                1 => format!("{operand}.containsAll({})", self.expr(kind, depth)),
                2 => format!("{operand}.containsAny({})", self.expr(kind, depth)),
                _ => format!("{operand}.isEmpty()"),
            },
            K::Spot | K::Geo => self.has(operand),
            K::Decimal => {
                let method = self.pick(&["lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"]);
                format!("{operand}.{method}({})", self.expr(kind, depth))
            }
            K::Ip if self.percent(50) => format!("{operand}.isInRange({})", self.expr(kind, depth)),
            K::Ip => format!("{operand}.{}()", self.pick(&["isIpv4", "isIpv6", "isLoopback", "isMulticast"])),
        }
    }

    /// Cedar parses a call of a function with too few or too many arguments, and it fails when it is reached.
    fn wrong_arity(&mut self, depth: usize) -> String {
        let operand = self.expr(K::Ip, depth);
        match self.below(4) {
            0 => format!("{operand}.isInRange()"),
            1 => format!("{operand}.isLoopback({operand})"),
            2 => "(ip() has when)".to_owned(),
            _ => "(decimal(\"1.0\", 2) == 1)".to_owned(),
        }
    }

    fn has(&mut self, operand: &str) -> String {
        let kind = self.kind();
        let mut way = self.way(kind);
        match self.below(4) {
            // Through another entity, or from within a record.
            0 => way.insert(0, "owner"),
            1 => drop(way.drain(..way.len() - 1)),
            _ => {}
        }
        has(operand, &way)
    }

    fn chain(&mut self, kind: Kind, operators: &[&str], depth: usize) -> String {
        let mut text = self.expr(kind, depth);
        for _ in 0..=self.below(3) {
            let _ = write!(text, " {} {}", self.pick(operators), self.expr(kind, depth));
            if self.percent(20) {
                text = format!("({text})");
            }
        }
        format!("({text})")
    }

    fn tag(&mut self, method: &str, depth: usize) -> String {
        let owner = self.owner(depth);
        let tag = if self.percent(80) { quote(self.pick(&TAGS)) } else { self.expr(K::Text, depth) };
        format!("{owner}.{method}({tag})")
    }

    /// The attribute of something.
    fn path(&mut self, kind: Kind, depth: usize) -> String {
        if !self.has_data {
            return self.constant(kind);
        }
        if kind == K::Entity && self.percent(60) {
            return self.owner(depth);
        }
        let (owner, way) = (self.owner(depth), self.way(kind));
        access(&owner, &way)
    }

    fn way(&mut self, kind: Kind) -> Vec<&'static str> {
        let mut ways = ways(kind);
        let at = self.below(ways.len());
        ways.swap_remove(at)
    }

    /// Something that has attributes, or nearly always so.
    fn owner(&mut self, depth: usize) -> String {
        match self.below(24) {
            0 | 1 => literal(&self.anyone(true)),
            2 => self.action(),
            3..6 => "context".to_owned(),
            6 => "action".to_owned(),
            7 if 0 < depth => {
                let kind = self.kind();
                self.path(kind, depth - 1)
            }
            8 | 9 if 0 < depth => format!("{}.owner", self.owner(depth - 1)),
            10 if 0 < depth => self.record_expr(&FIELDS, depth - 1),
            11..16 => "resource".to_owned(),
            _ => "principal".to_owned(),
        }
    }

    fn record_expr(&mut self, fields: &[Field], depth: usize) -> String {
        let mut members = Vec::new();
        for (name, kind) in fields {
            if self.percent(40) {
                let name = if is_identifier(name) && self.percent(50) { (*name).to_owned() } else { quote(name) };
                members.push(format!("{name}: {}", self.expr(*kind, depth.min(1))));
            }
        }
        format!("{{{}}}", members.join(", "))
    }

    fn constant(&mut self, kind: Kind) -> String {
        match kind {
            K::Bool => self.percent(60).to_string(),
            K::Long => match self.pick(&LONGS) {
                negative @ ..0 => format!("({negative})"),
                number => number.to_string(),
            },
            K::Text => quote(self.pick(&TEXTS)),
            K::Entity => literal(&self.anyone(true)),
            K::Mode => format!("Mode::{}", quote(self.pick(&MODES))),
            K::Texts | K::Longs | K::Entities | K::Nets => {
                let elements: Vec<_> = (0..self.below(4)).map(|_| self.constant(kind.element())).collect();
                self.set(&elements)
            }
            K::Spot => self.record_expr(&SPOT, 0),
            K::Geo => self.record_expr(&GEO, 0),
            K::Decimal => self.call("decimal", &DECIMALS, &BAD_DECIMALS),
            K::Ip => self.call("ip", &IPS, &BAD_IPS),
            K::Datetime => self.call("datetime", &DATETIMES, &BAD_DATETIMES),
            K::Duration => self.call("duration", &DURATIONS, &BAD_DURATIONS),
        }
    }

    /// A constructor with what it takes, and now and then with what it does not, or only just.
    fn call(&mut self, constructor: &str, good: &[&str], bad: &[&str]) -> String {
        let mut text = self.pick(good).to_owned();
        let at = self.below(text.len());
        match self.below(24) {
            0 => self.pick(bad).clone_into(&mut text),
            1 => drop(text.remove(at)),
            2 => text.insert(at, self.pick(&STRANGE)),
            3 => text.push(self.pick(&STRANGE)),
            _ => {}
        }
        format!("{constructor}({})", quote(&text))
    }

    fn pattern(&mut self) -> String {
        let pieces = ["*", "*", "a", "b", "\\*", "ä", "\\u{1F600}", "\\u{2a}", "\\\"", "::", "0"];
        (0..self.below(4)).map(|_| self.pick(&pieces)).collect()
    }
}

/// `owner.a["b c"]`
fn access(owner: &str, way: &[&str]) -> String {
    way.iter().fold(owner.to_owned(), |owner, name| {
        if is_identifier(name) { format!("{owner}.{name}") } else { format!("{owner}[{}]", quote(name)) }
    })
}

/// `owner has a.b`, as far as the names on the way can be written so.
fn has(owner: &str, way: &[&str]) -> String {
    let plain: Vec<_> = way.iter().copied().take_while(|name| is_identifier(name)).collect();
    match way.get(plain.len()) {
        Some(odd) if plain.is_empty() => format!("({owner} has {})", quote(odd)),
        Some(odd) => format!("({owner} has {} && {} has {})", plain.join("."), access(owner, &plain), quote(odd)),
        None => format!("({owner} has {})", plain.join(".")),
    }
}

/// The ways to something of a kind, from an entity or a context. There is one to every kind.
fn ways(kind: Kind) -> Vec<Vec<&'static str>> {
    let of = |fields: &[Field], way: &[&'static str]| {
        let named = |(name, _): &Field| [way, &[*name]].concat();
        fields.iter().filter(|field| field.1 == kind).map(named).collect::<Vec<_>>()
    };
    [of(&FIELDS, &[]), of(&SPOT, &["spot"]), of(&GEO, &["spot", "geo"])].concat()
}

/// Whether a name can stand after a dot.
fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name != "if" && name.chars().all(|c| c.is_ascii_lowercase())
}
