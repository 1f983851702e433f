//! Random rulesets: entities, relations with rows, rules in strata, policies and requests, all from a seed.
//!
//! The same few users, groups and documents are used everywhere, so that rules meet rows. Attributes are missing here and
//! there and numbers are near the largest, so that guards fail; a rule reads completely what comes before its own relation,
//! and row by row what comes before, its own relation and now and then a later one.

use std::fmt;

use super::draft::Draft;

/// What is decided about.
#[derive(Clone)]
pub struct World {
    pub entities: Vec<Entity>,
    /// Declarations, facts and rules.
    pub clauses: Vec<String>,
    pub policies: Vec<Policy>,
}

#[derive(Clone)]
pub struct Entity {
    pub kind: &'static str,
    pub id: String,
    pub numbers: Vec<(&'static str, i64)>,
    /// Attributes that are entities: the name, the type and the id.
    pub links: Vec<(&'static str, &'static str, String)>,
    pub parents: Vec<(&'static str, String)>,
}

#[derive(Clone)]
pub struct Policy {
    pub id: String,
    pub permits: bool,
    pub condition: String,
}

/// A request: a user, a document, and the number in the context.
#[derive(Clone)]
pub struct Ask {
    pub user: String,
    pub doc: String,
    pub n: i64,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version = \"rune/1.0\"\n[entities]")?;
        for Entity { kind, id, numbers, links, parents } in &self.entities {
            let numbers = numbers.iter().map(|(name, n)| format!("{name} = {n}"));
            let parents: Vec<_> = parents.iter().map(|(kind, id)| format!("'{}'", literal(kind, id))).collect();
            let link = |(name, kind, id): &(_, _, _)| {
                format!("{name} = {{ __entity = {{ type = \"{kind}\", id = \"{id}\" }} }}")
            };
            let links = links.iter().map(link);
            let members: Vec<_> = numbers.chain(links).chain([format!("in = [{}]", parents.join(", "))]).collect();
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
        write!(f, "{} {} with n = {}", literal("User", &self.user), literal("Doc", &self.doc), self.n)
    }
}

fn literal(kind: &str, id: &str) -> String {
    format!("{kind}::\"{id}\"")
}

/// A relation: its name, its columns, and what stands before and within its declaration.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
    pub(super) is_attribute: bool,
    pub(super) choice: Option<&'static str>,
}

const fn form(name: &'static str, columns: &'static [&'static str], is_attribute: bool) -> Form {
    Form { name, columns, is_attribute, choice: None }
}

const BASE: [Form; 9] = [
    form("member", &["User", "Group"], false),
    form("owns", &["User", "Doc"], false),
    form("knows", &["User", "User"], false),
    form("sub", &["Group", "Group"], false),
    form("score", &["User", "Long"], false),
    form("tagged", &["Doc", "Group"], false),
    form("flagged", &["User"], false),
    form("next", &["Doc", "Doc"], false),
    form("shares", &["User", "Doc", "User"], false),
];

const DERIVED: [Form; 14] = [
    form("busy", &["User"], true),
    form("known", &["User"], true),
    form("open", &["Doc"], true),
    form("can", &["User", "Doc"], true),
    form("trusts", &["User", "User"], true),
    form("seen", &["Doc", "User"], true),
    form("near", &["Group", "Group"], false),
    form("big", &["Group"], true),
    form("points", &["User", "Long"], false),
    form("reach", &["User", "Group"], true),
    form("path", &["Doc", "Doc"], false),
    Form { name: "best", columns: &["User", "Long"], is_attribute: true, choice: Some("max") },
    Form { name: "least", columns: &["Doc", "Long"], is_attribute: false, choice: Some("min") },
    form("parent", &["User", "Group"], false),
];

const NUMBERS: [i64; 10] = [0, 1, 2, 3, 4, 5, i64::MAX - 1, i64::MAX, -3, i64::MIN + 1];
pub(super) const KINDS: [(&str, usize, [&str; 3]); 3] =
    [("User", 5, ["U", "V", "W"]), ("Group", 4, ["G", "H", "I"]), ("Doc", 4, ["D", "E", "F"])];

/// Makes worlds.
pub struct Maker {
    state: u64,
    pub(super) base: Vec<Form>,
    pub(super) derived: Vec<Form>,
    /// The derived relations that may depend on the request.
    pub(super) per_request: Vec<&'static str>,
    pub(super) n_aggregates: usize,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        let (base, derived, per_request) = Default::default();
        Self { state: seed.wrapping_mul(0x9E37_79B9).wrapping_add(1), base, derived, per_request, n_aggregates: 0 }
    }

    /// The next random number (SplitMix64; Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).expect("less than n")
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
        if self.percent(85) { self.pick(&NUMBERS[..6]) } else { self.pick(&NUMBERS[6..]) }
    }

    fn id(&mut self, kind: &str) -> String {
        let (_, n, _) = KINDS.iter().find(|(name, ..)| *name == kind).expect("an entity type");
        format!("{}{}", kind[..1].to_lowercase(), self.below(*n))
    }

    /// A constant of a type.
    pub(super) fn constant(&mut self, kind: &str) -> String {
        if kind == "Long" {
            return self.number().to_string();
        }
        let id = self.id(kind);
        literal(kind, &id)
    }

    pub fn asks(&mut self, n: usize) -> Vec<Ask> {
        let mut asks = Vec::new();
        for _ in 0..n {
            // Now and then about somebody or something that nothing else names.
            let [user, doc] =
                ["User", "Doc"].map(|kind| if self.percent(10) { "new".to_owned() } else { self.id(kind) });
            asks.push(Ask { user, doc, n: self.number() });
        }
        asks
    }

    pub fn world(&mut self) -> World {
        let n = 3 + self.below(4);
        self.base = self.some(&BASE, n);
        let n = 2 + self.below(4);
        self.derived = self.some(&DERIVED, n);
        if self.percent(25) && self.derived.iter().all(|of| of.name != "parent") {
            self.derived.insert(0, DERIVED[DERIVED.len() - 1]);
        }
        let names: Vec<_> = self.derived.iter().map(|of| of.name).filter(|name| *name != "parent").collect();
        let n = self.below(2).min(names.len());
        self.per_request = self.some(&names, n);
        let mut clauses = Vec::new();
        for form in self.base.iter().chain(&self.derived).filter(|form| form.name != "parent") {
            clauses.push(declaration(form));
        }
        let derived = self.derived.iter().filter(|form| form.choice.is_none() && form.name != "parent").copied();
        let with_rows: Vec<_> = self.base.iter().map(|form| (*form, 6)).chain(derived.map(|form| (form, 2))).collect();
        for (form, n_rows) in with_rows {
            for _ in 0..self.below(n_rows) {
                let row: Vec<_> = form.columns.iter().map(|kind| self.constant(kind)).collect();
                clauses.push(format!("{}({}).", form.name, row.join(", ")));
            }
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
        for n in 0..1 + self.below(3) {
            let effect = if self.percent(65) { "permit" } else { "forbid" };
            let at = self.derived.len();
            let rule = Draft::new(self, at, false).decision(effect);
            clauses.push(format!("@id(\"r{n}\") {rule}"));
        }
        let policies = (0..1 + self.below(4)).map(|n| self.policy(n)).collect();
        World { entities: self.entities(), clauses, policies }
    }

    fn entities(&mut self) -> Vec<Entity> {
        let mut entities = Vec::new();
        for (kind, n, _) in KINDS {
            for at in 0..n {
                if self.percent(8) {
                    continue;
                }
                let mut numbers = Vec::new();
                if self.percent(80) {
                    numbers.push(("level", self.number()));
                }
                if self.percent(60) {
                    numbers.push(("quota", self.number()));
                }
                let mut links = Vec::new();
                for (name, other) in [("boss", "User"), ("team", "Group")] {
                    if kind == "User" && self.percent(65) {
                        links.push((name, other, self.id(other)));
                    }
                }
                let mut parents = Vec::new();
                let (above, first) = if kind == "User" { ("Group", 0) } else { (kind, at + 1) };
                for other in first..4 {
                    if self.percent(30) {
                        parents.push((above, format!("{}{other}", above[..1].to_lowercase())));
                    }
                }
                entities.push(Entity {
                    kind,
                    id: format!("{}{at}", kind[..1].to_lowercase()),
                    numbers,
                    links,
                    parents,
                });
            }
        }
        entities
    }

    fn policy(&mut self, n: usize) -> Policy {
        let parts: Vec<_> = (0..1 + self.below(2)).map(|_| self.policy_part()).collect();
        let condition = parts.join(if self.percent(60) { " && " } else { " || " });
        Policy { id: format!("c{n}"), permits: self.percent(70), condition }
    }

    fn policy_part(&mut self) -> String {
        let attributes: Vec<_> = self.derived.iter().filter(|of| of.is_attribute).copied().collect();
        let part = match self.below(10) {
            0 => format!("context.n > {}", self.below(4)),
            1 => format!("resource.level > {}", self.below(4)),
            2 => format!("principal in {}", self.constant("Group")),
            3 => format!("principal.level + context.n > {}", self.below(5)),
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

    /// A read of a derived attribute; `others` are a user and a document.
    pub(super) fn attribute(&mut self, form: &Form, owner: &str, others: &[String; 2]) -> String {
        let name = form.name;
        match form.columns.get(1) {
            Some(&("User" | "Group")) if self.percent(25) => format!("{} in {owner}.{name}", others[0]),
            None => format!("{owner}.{name}"),
            Some(&"User") => format!("{owner}.{name}.contains({})", others[0]),
            Some(&"Doc") => format!("{owner}.{name}.contains({})", others[1]),
            Some(&"Long") => format!("{owner}.{name} > {}", self.below(4)),
            Some(kind) => {
                let other = self.constant(kind);
                if self.percent(80) {
                    format!("{owner}.{name}.contains({other})")
                } else {
                    format!("{owner}.{name} == [{other}]")
                }
            }
        }
    }
}

fn declaration(form: &Form) -> String {
    let attribute = if form.is_attribute { "@attribute " } else { "" };
    let columns = match form.choice {
        Some(choice) => format!("{} -> {choice} {}", form.columns[0], form.columns[1]),
        None => form.columns.join(", "),
    };
    format!("{attribute}relation {}({columns}).", form.name)
}
