//! Random rulesets: entities, relations with rows, rules in strata, policies and requests, all from a seed.
//!
//! The same few users, groups and documents are used everywhere, so that rules meet rows. Attributes are missing here and
//! there and numbers are near the largest, so that guards fail; a rule reads completely what comes before its own relation,
//! and row by row what comes before, its own relation and now and then a later one. Some worlds have a schema, some have
//! relations whose rows only a test gives.

use std::fmt;

use super::draft::Draft;

/// What is decided about.
#[derive(Clone)]
pub struct World {
    pub has_schema: bool,
    pub entities: Vec<Entity>,
    /// Declarations, facts and rules.
    pub clauses: Vec<String>,
    pub policies: Vec<Policy>,
}

#[derive(Clone)]
pub struct Entity {
    pub kind: &'static str,
    pub id: String,
    pub attributes: Vec<(&'static str, Datum)>,
    pub tags: Vec<(&'static str, Datum)>,
    pub parents: Vec<(&'static str, String)>,
}

/// The value of an attribute.
#[derive(Clone)]
pub enum Datum {
    Long(i64),
    Text(&'static str),
    Entity(&'static str, String),
    Set(Vec<Self>),
    Record(Vec<(&'static str, Self)>),
}

#[derive(Clone)]
pub struct Policy {
    pub id: String,
    pub permits: bool,
    pub condition: String,
}

/// A request: a user, a document, the number in the context and the attributes that are supplied for the user; and the facts
/// that hold in a test of it.
#[derive(Clone)]
pub struct Ask {
    pub user: String,
    pub doc: String,
    pub n: i64,
    pub supplied: Vec<(&'static str, Datum)>,
    pub facts: Vec<String>,
}

/// What requests may supply is `quota` alone.
const SCHEMA: &str = "[schema]
entity Group in [Group] { level: Long, quota?: Long };
entity User in [Group] {
    level: Long, @request quota?: Long, boss?: User, team?: Group,
    name: String, roles: Set<String>, spot: { x: Long, y?: Long },
} tags Long;
entity Doc in [Doc] { level: Long, quota?: Long } tags Long;
action read appliesTo { principal: [User], resource: [Doc], context: { n: Long } };
";

impl Datum {
    /// As TOML, where a key and its value are joined by ` = `, or as JSON, where they are by `: `.
    pub fn data(&self, joint: &str) -> String {
        match self {
            Self::Long(_) | Self::Text(_) => self.to_string(),
            Self::Entity(kind, id) => {
                let inner = format!("\"type\"{joint}\"{kind}\", \"id\"{joint}\"{id}\"");
                format!("{{ \"__entity\"{joint}{{ {inner} }} }}")
            }
            Self::Set(elements) => {
                format!("[{}]", elements.iter().map(|of| of.data(joint)).collect::<Vec<_>>().join(", "))
            }
            Self::Record(members) => table(members, joint),
        }
    }
}

/// Members as a table of TOML or JSON.
pub fn table(members: &[(&'static str, Datum)], joint: &str) -> String {
    let members = members.iter().map(|(name, of)| format!("\"{name}\"{joint}{}", of.data(joint)));
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

/// As an expression.
impl fmt::Display for Datum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Entity(kind, id) => f.write_str(&literal(kind, id)),
            Self::Set(elements) => {
                write!(f, "[{}]", elements.iter().map(Self::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::Record(members) => {
                let members: Vec<_> = members.iter().map(|(name, of)| format!("{name}: {of}")).collect();
                write!(f, "{{{}}}", members.join(", "))
            }
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version = \"rune/1.0\"\n{}[entities]", if self.has_schema { SCHEMA } else { "" })?;
        for Entity { kind, id, attributes, tags, parents } in &self.entities {
            let parents: Vec<_> = parents.iter().map(|(kind, id)| format!("'{}'", literal(kind, id))).collect();
            let mut members: Vec<_> =
                attributes.iter().map(|(name, of)| format!("{name} = {}", of.data(" = "))).collect();
            if !tags.is_empty() {
                members.push(format!("tags = {}", table(tags, " = ")));
            }
            members.push(format!("in = [{}]", parents.join(", ")));
            writeln!(f, "{kind}.{id} = {{ {} }}", members.join(", "))?;
        }
        writeln!(f, "[rules]\n{}\n[policies]", self.clauses.join("\n"))?;
        for Policy { id, permits, condition } in &self.policies {
            let effect = if *permits { "permit" } else { "forbid" };
            writeln!(f, "@id(\"{id}\") {effect} (principal, action, resource) when {{ {condition} }};")?;
        }
        Ok(())
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, doc, n, supplied, facts } = self;
        write!(f, "{} {} with n = {n}", literal("User", user), literal("Doc", doc))?;
        write!(f, ", supplied {}, in a test {}", table(supplied, ": "), facts.join(" "))
    }
}

pub fn literal(kind: &str, id: &str) -> String {
    format!("{kind}::\"{id}\"")
}

/// A relation: its name, its columns, and what is said of it.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) name: &'static str,
    /// Each a type, or several with ` | ` between them.
    pub(super) columns: &'static [&'static str],
    pub(super) is_attribute: bool,
    pub(super) is_live: bool,
    /// What stands before the values of a functional relation: `-> `, `-> max `.
    pub(super) function: Option<&'static str>,
}

impl Form {
    /// The columns where a variable of a type may stand.
    pub(super) fn places(&self, kind: &str) -> Vec<usize> {
        let is_place = |at: &usize| self.columns[*at].split(" | ").any(|of| of == kind);
        (0..self.columns.len()).filter(is_place).collect()
    }

    pub(super) fn is_chosen(&self) -> bool {
        self.function.is_some_and(|function| function != "-> ")
    }

    fn declaration(&self) -> String {
        let annotation = match (self.is_attribute, self.is_live) {
            (true, _) => "@attribute ",
            (_, true) => "@live ",
            _ => "",
        };
        let column = |(at, kind): (usize, &&str)| {
            let name = if at == 0 || self.columns.len() < 3 { String::new() } else { format!("c{at}: ") };
            if let (1, Some(function)) = (at, self.function) { format!("{function}{name}{kind}") } else { name + kind }
        };
        let columns: Vec<_> = self.columns.iter().enumerate().map(column).collect();
        format!("{annotation}relation {}({}).", self.name, columns.join(", ").replace(", ->", " ->"))
    }
}

const fn form(name: &'static str, columns: &'static [&'static str]) -> Form {
    Form { name, columns, is_attribute: false, is_live: false, function: None }
}

const fn attribute(name: &'static str, columns: &'static [&'static str]) -> Form {
    Form { is_attribute: true, ..form(name, columns) }
}

const BASE: [Form; 14] = [
    form("member", &["User", "Group"]),
    form("owns", &["User", "Doc"]),
    form("knows", &["User", "User"]),
    form("sub", &["Group", "Group"]),
    form("score", &["User", "Long"]),
    form("tagged", &["Doc", "Group"]),
    form("flagged", &["User"]),
    form("next", &["Doc", "Doc"]),
    form("shares", &["User", "Doc", "User"]),
    form("viewer", &["User | Group", "Doc"]),
    form("label", &["User", "String"]),
    form("caps", &["User", "Set<String>"]),
    Form { is_live: true, ..form("suspended", &["User"]) },
    Form { function: Some("-> "), ..attribute("seat", &["User", "Group", "Long"]) },
];

const DERIVED: [Form; 17] = [
    attribute("busy", &["User"]),
    attribute("known", &["User"]),
    attribute("open", &["Doc"]),
    attribute("can", &["User", "Doc"]),
    attribute("trusts", &["User", "User"]),
    attribute("seen", &["Doc", "User"]),
    form("near", &["Group", "Group"]),
    attribute("big", &["Group"]),
    form("points", &["User", "Long"]),
    attribute("reach", &["User", "Group"]),
    form("path", &["Doc", "Doc"]),
    form("party", &["User | Group", "Group"]),
    attribute("called", &["User", "String"]),
    attribute("rated", &["User", "Doc", "Long"]),
    Form { function: Some("-> max "), ..attribute("best", &["User", "Long"]) },
    Form { function: Some("-> min "), ..form("least", &["Doc", "Long"]) },
    form("parent", &["User", "Group"]),
];

const NUMBERS: [i64; 10] = [0, 1, 2, 3, 4, 5, i64::MAX - 1, i64::MAX, -3, i64::MIN + 1];
const TEXTS: [&str; 4] = ["a", "ab", "b", "ba"];
const ENTITIES: [(&str, usize); 3] = [("User", 5), ("Group", 4), ("Doc", 4)];
/// The names of variables, by type.
pub(super) const VARIABLES: [(&str, [&str; 3]); 6] = [
    ("User", ["U", "V", "W"]),
    ("Group", ["G", "H", "I"]),
    ("Doc", ["D", "E", "F"]),
    ("Long", ["N", "M", "K"]),
    ("String", ["S", "T", "P"]),
    ("Set<String>", ["A", "B", "C"]),
];

/// Makes worlds.
pub struct Maker {
    state: u64,
    pub(super) has_schema: bool,
    pub(super) base: Vec<Form>,
    pub(super) derived: Vec<Form>,
    /// The derived relations that may depend on the request.
    pub(super) per_request: Vec<&'static str>,
    pub(super) n_aggregates: usize,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9E37_79B9).wrapping_add(1);
        let (base, derived, per_request) = Default::default();
        Self { state, has_schema: false, base, derived, per_request, n_aggregates: 0 }
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(crate::seeds::next(&mut self.state) % n as u64).expect("less than n")
    }

    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn some<T: Clone>(&mut self, from: &[T], n: usize) -> Vec<T> {
        let mut all = from.to_vec();
        self.shuffle(&mut all);
        all.truncate(n);
        all
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            let other = self.below(at + 1);
            all.swap(at, other);
        }
    }

    fn number(&mut self) -> i64 {
        if self.percent(80) { self.pick(&NUMBERS[..6]) } else { self.pick(&NUMBERS[6..]) }
    }

    fn id(&mut self, kind: &str) -> String {
        let (_, n) = ENTITIES.iter().find(|(name, ..)| *name == kind).expect("an entity type");
        format!("{}{}", kind[..1].to_lowercase(), self.below(*n))
    }

    /// A constant of a type, or of one of several.
    pub(super) fn constant(&mut self, kind: &str) -> String {
        match self.pick(&kind.split(" | ").collect::<Vec<_>>()) {
            "Long" => self.number().to_string(),
            "String" => Datum::Text(self.pick(&TEXTS)).to_string(),
            "Set<String>" => self.texts().to_string(),
            kind => {
                let id = self.id(kind);
                literal(kind, &id)
            }
        }
    }

    fn texts(&mut self) -> Datum {
        let n = self.below(3);
        Datum::Set(self.some(&TEXTS, n).into_iter().map(Datum::Text).collect())
    }

    pub fn asks(&mut self, n: usize) -> Vec<Ask> {
        (0..n).map(|_| self.ask()).collect()
    }

    fn ask(&mut self) -> Ask {
        let mut supplied = Vec::new();
        for name in ["level", "quota"] {
            if self.percent(20) {
                supplied.push((name, Datum::Long(self.number())));
            }
        }
        let live: Vec<_> = self.base.iter().filter(|form| form.is_live).copied().collect();
        let facts = live.iter().flat_map(|form| self.rows(form, 3)).collect();
        // Now and then about somebody or something that nothing else names.
        let [user, doc] = ["User", "Doc"].map(|kind| if self.percent(10) { "new".to_owned() } else { self.id(kind) });
        Ask { user, doc, n: self.number(), supplied, facts }
    }

    pub fn world(&mut self) -> World {
        self.has_schema = self.percent(30);
        let n = 3 + self.below(4);
        self.base = self.some(&BASE, n);
        let n = 2 + self.below(4);
        self.derived = self.some(&DERIVED, n);
        if self.percent(25) && self.derived.iter().all(|of| of.name != "parent") {
            self.derived.insert(0, DERIVED[DERIVED.len() - 1]);
        }
        let names: Vec<_> = self.derived.iter().map(|of| of.name).filter(|name| *name != "parent").collect();
        let n = self.below(3).min(names.len());
        self.per_request = self.some(&names, n);
        let mut clauses = Vec::new();
        for form in self.base.iter().chain(&self.derived).filter(|form| form.name != "parent") {
            clauses.push(form.declaration());
        }
        let base = self.base.iter().filter(|form| !form.is_live).map(|form| (*form, 6));
        let derived = self.derived.iter().filter(|form| form.function.is_none() && form.name != "parent");
        for (form, n_max) in base.chain(derived.map(|form| (*form, 2))).collect::<Vec<_>>() {
            clauses.extend(self.rows(&form, n_max));
        }
        for at in 0..self.derived.len() {
            for n in 0..1 + self.below(2) {
                let form = self.derived[at];
                // Groups get parents too.
                let columns =
                    if form.name == "parent" && self.percent(40) { &["Group", "Group"] } else { form.columns };
                clauses.push(Draft::new(self, at, n == 0).rule(form.name, columns));
            }
        }
        for n in 0..2 + self.below(3) {
            let effect = if self.percent(65) { "permit" } else { "forbid" };
            let at = self.derived.len();
            let rule = Draft::new(self, at, false).decision(effect);
            clauses.push(format!("@id(\"r{n}\") {rule}"));
        }
        let policies = (0..1 + self.below(3)).map(|n| self.policy(n)).collect();
        World { has_schema: self.has_schema, entities: self.entities(), clauses, policies }
    }

    /// Fewer than `n_max` rows of a relation; of a functional one, one for each key.
    fn rows(&mut self, form: &Form, n_max: usize) -> Vec<String> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for _ in 0..self.below(n_max) {
            let row: Vec<_> = form.columns.iter().map(|kind| self.constant(kind)).collect();
            if form.function.is_none() || rows.iter().all(|other| other[0] != row[0]) {
                rows.push(row);
            }
        }
        rows.iter().map(|row| format!("{}({}).", form.name, row.join(", "))).collect()
    }

    fn entities(&mut self) -> Vec<Entity> {
        let mut entities = Vec::new();
        for (kind, n) in ENTITIES {
            for at in 0..n {
                if self.percent(8) {
                    continue;
                }
                let mut parents = Vec::new();
                let (above, first) = if kind == "User" { ("Group", 0) } else { (kind, at + 1) };
                for other in first..4 {
                    if self.percent(30) {
                        parents.push((above, format!("{}{other}", above[..1].to_lowercase())));
                    }
                }
                let id = format!("{}{at}", kind[..1].to_lowercase());
                let tags = if kind == "Group" { Vec::new() } else { self.members(&[("k", 40), ("m", 30)]) };
                entities.push(Entity { kind, id, attributes: self.attributes(kind), tags, parents });
            }
        }
        entities
    }

    /// Numbers, each with so many percent.
    fn members(&mut self, of: &[(&'static str, usize)]) -> Vec<(&'static str, Datum)> {
        let mut members = Vec::new();
        for (name, percent) in of {
            if self.percent(*percent) {
                // Without a schema, anything may stand there.
                let is_odd = !self.has_schema && self.percent(3);
                members.push((*name, if is_odd { Datum::Text("a") } else { Datum::Long(self.number()) }));
            }
        }
        members
    }

    fn attributes(&mut self, kind: &str) -> Vec<(&'static str, Datum)> {
        // What the schema wants is there.
        let often = if self.has_schema { 100 } else { 80 };
        let mut attributes = self.members(&[("level", often), ("quota", 60)]);
        if kind != "User" {
            return attributes;
        }
        for (name, other) in [("boss", "User"), ("team", "Group")] {
            if self.percent(65) {
                let other = if !self.has_schema && self.percent(5) { "Doc" } else { other };
                attributes.push((name, Datum::Entity(other, self.id(other))));
            }
        }
        if self.percent(often) {
            attributes.push(("name", Datum::Text(self.pick(&TEXTS))));
        }
        if self.percent(often) {
            attributes.push(("roles", self.texts()));
        }
        if self.percent(often) {
            attributes.push(("spot", Datum::Record(self.members(&[("x", 100), ("y", 60)]))));
        }
        attributes
    }

    fn policy(&mut self, n: usize) -> Policy {
        let parts: Vec<_> = (0..1 + self.below(2)).map(|_| self.policy_part()).collect();
        let condition = parts.join(if self.percent(60) { " && " } else { " || " });
        Policy { id: format!("c{n}"), permits: self.percent(70), condition }
    }

    fn policy_part(&mut self) -> String {
        let all = self.base.iter().chain(&self.derived);
        let attributes: Vec<_> = all.filter(|of| of.is_attribute).copied().collect();
        let has_parents = self.derived.iter().any(|of| of.name == "parent");
        let part = match self.below(11) {
            5 | 6 if has_parents => format!("principal in {}", self.constant("Group")),
            0 => format!("context.n > {}", self.below(4)),
            1 => format!("resource.level > {}", self.below(4)),
            2 => format!("principal in {}", self.constant("Group")),
            3 => format!("principal.level + context.n > {}", self.below(5)),
            4 => self.of_user("principal"),
            _ if attributes.is_empty() => "principal.level < 3".to_owned(),
            _ => {
                let form = self.pick(&attributes);
                let owner = match form.columns[0] {
                    "User" => "principal".to_owned(),
                    "Doc" => "resource".to_owned(),
                    kind => self.constant(kind),
                };
                self.attribute(&form, &owner, &["principal".to_owned(), "resource".to_owned()])
            }
        };
        if self.percent(25) { format!("!({part})") } else { part }
    }

    /// A condition on what is stored of a user.
    pub(super) fn of_user(&mut self, user: &str) -> String {
        let (n, text, texts) = (self.below(4), self.constant("String"), self.constant("Set<String>"));
        match self.below(13) {
            0 => format!("{user}.name like \"{}\"", self.pick(&["a*", "*b", "*", "b", "*a*"])),
            1 => format!("{user}.roles.contains({text})"),
            2 => format!("{user}.roles.{}({texts})", self.pick(&["containsAny", "containsAll"])),
            3 => format!("{user}.roles.isEmpty()"),
            4 => format!("{user}.spot.x > {n}"),
            5 => format!("{user} has spot.y && {user}.spot.y > {n}"),
            6 => format!("{user}.hasTag(\"k\") && {user}.getTag(\"k\") > {n}"),
            7 => format!("{user}.getTag(\"m\") > {n}"),
            8 => format!("{user} has {}", self.pick(&["quota", "boss", "team", "spot.y", "boss.quota"])),
            9 => format!("(if {user} has quota then {user}.quota > {n} else {user}.name == {text})"),
            10 => format!("{user} has boss && {user}.boss.level > {n}"),
            11 => format!("{text} == {user}.name"),
            _ => format!("[{text}, \"a\"].contains({user}.name)"),
        }
    }

    /// A read of a derived attribute; `others` are a user and a document.
    pub(super) fn attribute(&mut self, form: &Form, owner: &str, others: &[String; 2]) -> String {
        let Form { name, columns, .. } = *form;
        let n = self.below(4);
        match columns {
            [_, "Group", "Long"] => {
                let group = self.constant("Group");
                let read = self.pick(&[format!(".c2 > {n}"), format!(".c1 == {group}")]);
                let has = self.pick(&["", "c1", "c2"]);
                match has {
                    "" => format!("{owner}.{name}{read}"),
                    "c1" => format!("{owner} has {name} && {owner}.{name}{read}"),
                    _ => format!("{owner} has {name}.{has}"),
                }
            }
            [_, "Doc", "Long"] => format!("{owner}.{name}.contains({{c1: {}, c2: {n}}})", others[1]),
            [_, "Long"] => {
                let read = format!("{owner}.{name} > {n}");
                let has = format!("{owner} has {name}");
                self.pick(&[read.clone(), has.clone(), format!("{has} && {read}")])
            }
            [_, "User" | "Group"] if self.percent(25) => format!("{} in {owner}.{name}", others[0]),
            [_, "User"] => format!("{owner}.{name}.contains({})", others[0]),
            [_, "Doc"] => format!("{owner}.{name}.contains({})", others[1]),
            [_, kind] => {
                let other = self.constant(kind);
                if self.percent(80) {
                    format!("{owner}.{name}.contains({other})")
                } else {
                    format!("{owner}.{name} == [{other}]")
                }
            }
            _ => format!("{owner}.{name}"),
        }
    }
}
