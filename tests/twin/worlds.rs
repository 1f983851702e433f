//! Random worlds: policies, links, entities and requests, all from a seed.
//!
//! ```text
//!   seed ─▶ Maker ─▶ World  policies and templates, links, entities; with the schema or without
//!              └───▶ Asks   principal, action, resource, context
//! ```
//!
//! The same few names, ids and values are used everywhere, so that policies meet requests. Most expressions have the types
//! that they should have; some do not, some constructors get strings that they do not take, and a third of all attributes
//! is missing. Cedar parses every policy, and under the schema it accepts every entity and every request.

mod expr;

use std::{
    fmt::{self, Write},
    str::FromStr,
    sync::LazyLock,
};

use cedar_policy::Schema;
use serde_json::{Map, Value as Json, json};

/// A type and an id.
pub type Uid = (String, String);

/// What is decided about.
#[derive(Clone, Default)]
pub struct World {
    /// Whether [`SCHEMA_TEXT`] is part of it.
    pub has_schema: bool,
    /// Policies and templates in Cedar's notation.
    pub policies: Vec<String>,
    /// Links of the templates.
    pub links: Vec<Link>,
    /// Entities in Cedar's JSON.
    pub entities: Vec<Json>,
}

/// A template with entities for its slots.
#[derive(Clone)]
pub struct Link {
    /// The `@id` of the template.
    pub template: String,
    /// The id of the policy that this makes.
    pub id: String,
    /// An entity for `?principal`, for `?resource`, or for both.
    pub slots: Vec<(&'static str, Uid)>,
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    /// Who asks.
    pub principal: Uid,
    /// To do what.
    pub action: Uid,
    /// To what.
    pub resource: Uid,
    /// Under which circumstances, in Cedar's JSON.
    pub context: Json,
}

impl World {
    /// The links in the notation of Cedar's command line.
    pub fn links_json(&self) -> Json {
        let link = |Link { template, id, slots }: &Link| {
            let args: Map<_, _> = slots.iter().map(|(slot, uid)| ((*slot).to_owned(), json!(literal(uid)))).collect();
            json!({ "template_id": template, "link_id": id, "args": args })
        };
        self.links.iter().map(link).collect()
    }

    /// The entities, one in a line.
    pub fn entities_json(&self) -> String {
        let lines: Vec<_> = self.entities.iter().map(Json::to_string).collect();
        format!("[\n{}\n]", lines.join(",\n"))
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_schema {
            writeln!(f, "s.cedarschema:\n{}", *SCHEMA_TEXT)?;
        }
        writeln!(f, "p.cedar:\n{}", self.policies.join("\n"))?;
        write!(f, "x.links.json: {}\ne.entities.json: {}", self.links_json(), self.entities_json())
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, action, resource, context } = self;
        write!(f, "{} {} {} {context}", literal(principal), literal(action), literal(resource))
    }
}

/// An entity in Cedar's notation.
pub fn literal((kind, id): &Uid) -> String {
    format!("{kind}::{}", quote(id))
}

/// A string in Cedar's notation.
pub fn quote(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// What a value or an expression is meant to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Long,
    Text,
    Entity,
    Mode,
    Texts,
    Longs,
    Entities,
    Nets,
    Spot,
    Geo,
    Decimal,
    Ip,
    Datetime,
    Duration,
}

use Kind as K;

const KINDS: [Kind; 15] = [
    K::Bool,
    K::Long,
    K::Text,
    K::Entity,
    K::Mode,
    K::Texts,
    K::Longs,
    K::Entities,
    K::Nets,
    K::Spot,
    K::Geo,
    K::Decimal,
    K::Ip,
    K::Datetime,
    K::Duration,
];

impl Kind {
    /// The type in the schema.
    fn type_name(self) -> &'static str {
        match self {
            K::Bool => "Bool",
            K::Long => "Long",
            K::Text => "String",
            K::Entity => "User",
            K::Mode => "Mode",
            K::Texts => "Set<String>",
            K::Longs => "Set<Long>",
            K::Entities => "Set<User>",
            K::Nets => "Set<ipaddr>",
            K::Spot => "Spot",
            K::Geo => "Geo",
            K::Decimal => "decimal",
            K::Ip => "ipaddr",
            K::Datetime => "datetime",
            K::Duration => "duration",
        }
    }

    /// What a set of this kind is made of.
    fn element(self) -> Self {
        match self {
            K::Texts => K::Text,
            K::Longs => K::Long,
            K::Nets => K::Ip,
            _ => K::Entity,
        }
    }
}

/// A name, and what is meant to be there.
type Field = (&'static str, Kind);

/// Attributes of every entity and members of every context. Texts are required, everything else is optional.
const FIELDS: [Field; 16] = [
    ("when", K::Bool),
    ("level", K::Long),
    ("name", K::Text),
    ("owner", K::Entity),
    ("mode", K::Mode),
    ("labels", K::Texts),
    ("nums", K::Longs),
    ("peers", K::Entities),
    ("nets", K::Nets),
    ("spot", K::Spot),
    ("score", K::Decimal),
    ("home", K::Ip),
    ("since", K::Datetime),
    ("span", K::Duration),
    ("an \"odd\" name", K::Bool),
    ("if", K::Long),
];
const SPOT: [Field; 4] = [("city", K::Text), ("zip", K::Long), ("geo", K::Geo), ("boss", K::Entity)];
const GEO: [Field; 3] = [("lat", K::Decimal), ("open", K::Bool), ("", K::Datetime)];

/// The types of entities, each with those that its parents may have.
const TYPES: [(&str, &[&str]); 4] = [
    ("Org::Team", &["Org::Team"]),
    ("User", &["Org::Team"]),
    ("Folder", &["Folder", "Org::Team"]),
    ("Doc", &["Folder"]),
];
const IDS: [&str; 4] = ["0", "1", "2", "é \"3\"\n"];
const MODES: [&str; 2] = ["on", "off"];

/// The actions, each with the groups that it is in.
const ACTIONS: [(&str, &[&str]); 5] =
    [("all", &[]), ("edit", &["all"]), ("read", &["all"]), ("write", &["edit"]), ("share", &["edit", "read"])];
/// The actions that can be asked for: the others are groups.
const ASKABLE: [&str; 3] = ["read", "write", "share"];

const TEXTS: [&str; 9] = ["", "a", "ab", "abc", "ä*b", "a\"\\\n", "b😀b", "User::\"0\"", "10.0.0.1"];
const TAGS: [&str; 3] = ["k", "a", ""];
const LONGS: [i64; 12] = [0, 0, 1, 1, 2, 3, -1, 7, i64::MAX, i64::MIN, 1 << 30, -(1 << 30) - 1];
const DECIMALS: [&str; 9] =
    ["0.0", "-0.0", "1.5", "1.50", "01.5000", "1.4999", "-0.5", "922337203685477.5807", "-922337203685477.5808"];
const IPS: [&str; 15] = [
    "10.0.0.1",
    "10.0.0.1/32",
    "10.0.0.1/8",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "127.0.0.1",
    "127.0.0.0/7",
    "224.0.0.9",
    "224.0.0.0/3",
    "::1",
    "::1/127",
    "::/0",
    "ff00::1/8",
    "ff00::1/7",
    "0:0::a00:1",
];
/// Several of them are one point in time, or near another.
const DATETIMES: [&str; 11] = [
    "1970-01-01",
    "1969-12-31",
    "1969-12-31T12:00:00.001Z",
    "2024-02-29",
    "2024-02-29T00:00:00Z",
    "2024-02-29T01:30:00+0130",
    "2024-02-28T22:30:00.000-0130",
    "2024-02-28T23:59:59.999Z",
    "2024-03-01",
    "0000-01-01",
    "9999-12-31T23:59:59Z",
];
/// Several of them are equally long.
const DURATIONS: [&str; 12] = [
    "0ms",
    "1d",
    "24h",
    "0d1440m",
    "86400s",
    "1d2h3m4s5ms",
    "-1s",
    "-24h",
    "-36h",
    "-1ms",
    "9223372036854775807ms",
    "-9223372036854775808ms",
];

/// The schema of every world that has one.
pub static SCHEMA_TEXT: LazyLock<String> = LazyLock::new(|| {
    let shape = |fields: &[Field]| {
        let member = |(name, kind): &Field| {
            let mark = if *kind == K::Text { "" } else { "?" };
            format!("{}{mark}: {}", quote(name), kind.type_name())
        };
        fields.iter().map(member).collect::<Vec<_>>().join(", ")
    };
    let fields = shape(&FIELDS);
    let mut text = format!(
        r#"
type Geo = {{ {} }};
type Spot = {{ {} }};
type Circumstances = {{ {fields} }};
entity Mode enum ["on", "off"];
entity User in [Org::Team] = {{ {fields} }} tags String;
entity Folder in [Folder, Org::Team] = {{ {fields} }};
entity Doc in [Folder] = {{ {fields} }} tags Set<String>;
namespace Org {{
    entity Team in [Team] = {{ {fields} }} tags Long;
    action audit in [Action::"all"] appliesTo {{ principal: [Team, Mode], resource: Doc, context: Circumstances }};
}}
"#,
        shape(&GEO),
        shape(&SPOT)
    );
    for (action, groups) in ACTIONS {
        let groups = if groups.is_empty() { String::new() } else { format!(" in {groups:?}") };
        let applies = "appliesTo { principal: [User, Org::Team], resource: [Doc, Folder], context: Circumstances }";
        let applies = if ASKABLE.contains(&action) { applies } else { "" };
        let _ = writeln!(text, "action {action}{groups} {applies};");
    }
    text
});

/// [`SCHEMA_TEXT`], as Cedar has it.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::from_str(&SCHEMA_TEXT).expect("the schema is one"));

/// Makes a world from a seed.
pub struct Maker {
    state: u64,
    has_schema: bool,
    /// Whether there is anything but constants.
    has_data: bool,
}

impl Maker {
    /// Every second seed has the schema.
    pub fn new(seed: u64) -> Self {
        Self { state: seed, has_schema: seed % 2 == 1, has_data: true }
    }

    /// A world, and as many requests as there should be.
    pub fn world(mut self, n_asks: usize) -> (World, Vec<Ask>) {
        let mut world = World { has_schema: self.has_schema, ..World::default() };
        let n_policies = 1 + self.below(12).max(self.below(12));
        for at in 0..n_policies {
            let id = format!("{}{at}", self.pick(&["p", "p", "p", "a b", "é\"", "p.cedar:policy"]));
            let (text, slots) = self.statement(&id);
            world.policies.push(text);
            let n_links = if slots.is_empty() { 0 } else { self.below(5) };
            for link in 0..n_links {
                let slots = slots.iter().map(|slot| (*slot, self.anyone(*slot == "?principal"))).collect();
                world.links.push(Link { template: id.clone(), id: format!("{id} {link}"), slots });
            }
        }
        world.entities = self.entities();
        let asks = (0..n_asks).map(|_| self.ask(&world.links)).collect();
        (world, asks)
    }

    /// A world of so many policies, each with one condition on constants, and no data.
    pub fn calculations(mut self, n_policies: usize) -> World {
        (self.has_schema, self.has_data) = (false, false);
        let policy =
            |(at, condition)| format!("@id(\"p{at}\") permit (principal, action, resource) when {{ {condition} }};");
        let policies = (0..n_policies).map(|at| (at, self.calculation())).map(policy).collect();
        World { policies, ..World::default() }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(crate::seeds::next(&mut self.state) % n as u64).expect("less than n")
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

// Policies and requests.
impl Maker {
    /// A policy or template and the slots that it has.
    fn statement(&mut self, id: &str) -> (String, Vec<&'static str>) {
        let mut slots = Vec::new();
        if self.percent(35) {
            slots = self.pick(&[&["?principal"][..], &["?resource"], &["?principal", "?resource"]]).to_vec();
        }
        let note = self.pick(&["", "", "@note(\"!\") ", "@empty "]);
        let effect = if self.percent(70) { "permit" } else { "forbid" };
        let principal = self.scope("principal", slots.contains(&"?principal"));
        let resource = self.scope("resource", slots.contains(&"?resource"));
        let action = self.action_scope();
        let mut text = format!("{note}@id({}) {effect} ({principal}, {action}, {resource})", quote(id));
        for _ in 0..self.pick(&[0, 0, 1, 1, 1, 2, 3]) {
            let depth = self.below(4);
            let condition = self.expr(K::Bool, depth);
            let _ = match self.below(8) {
                0 => write!(text, " unless {{ {condition} }}"),
                1 => write!(text, " unless {{ !({condition}) }}"),
                _ => write!(text, " when {{ {condition} }}"),
            };
        }
        text.push(';');
        (text, slots)
    }

    fn scope(&mut self, var: &str, has_slot: bool) -> String {
        let is_principal = var == "principal";
        let entity = if has_slot { format!("?{var}") } else { literal(&self.anyone(is_principal)) };
        let kind = self.anyone(is_principal).0;
        match self.below(if has_slot { 4 } else { 14 }) {
            0 => format!("{var} == {entity}"),
            1 | 2 => format!("{var} in {entity}"),
            3 => format!("{var} is {kind} in {entity}"),
            4 | 5 => format!("{var} is {kind}"),
            _ => var.to_owned(),
        }
    }

    fn action_scope(&mut self) -> String {
        match self.below(7) {
            0 => format!("action == {}", self.action()),
            1 => format!("action in {}", self.action()),
            2 => {
                let several: Vec<_> = (0..self.below(4)).map(|_| self.action()).collect();
                format!("action in [{}]", several.join(", "))
            }
            _ => "action".to_owned(),
        }
    }

    fn action(&mut self) -> String {
        let (action, _) = self.pick(&ACTIONS);
        if self.percent(5) { "Org::Action::\"audit\"".to_owned() } else { format!("Action::\"{action}\"") }
    }

    /// Somebody or something that may well be part of a request.
    fn likely(&mut self, is_principal: bool) -> Uid {
        let kinds = match (is_principal, self.has_schema) {
            (true, true) => &["User", "User", "User", "Org::Team"][..],
            (false, true) => &["Doc", "Doc", "Folder"],
            (true, false) => &["User", "User", "User", "User", "User", "Org::Team", "Folder", "Ghost"],
            (false, false) => &["Doc", "Doc", "Doc", "Doc", "Folder", "User", "Action"],
        };
        (self.pick(kinds).to_owned(), self.pick(&IDS).to_owned())
    }

    /// The same, or now and then what a schema does not have.
    fn anyone(&mut self, is_principal: bool) -> Uid {
        if self.percent(3) { ("Ghost".to_owned(), "0".to_owned()) } else { self.likely(is_principal) }
    }

    fn ask(&mut self, links: &[Link]) -> Ask {
        let context = self.record(&FIELDS);
        let of = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
        if self.percent(5) {
            let principal = if self.percent(50) { of("Mode", "on") } else { of("Org::Team", self.pick(&IDS)) };
            let resource = of("Doc", self.pick(&IDS));
            return Ask { principal, action: of("Org::Action", "audit"), resource, context };
        }
        let kind = if self.has_schema || self.percent(95) { "Action" } else { "Ghost" };
        let action = of(kind, self.pick(&ASKABLE));
        let (mut principal, mut resource) = (self.likely(true), self.likely(false));
        if !links.is_empty() && self.percent(50) {
            // Those whom a link names ask more often than chance would have it.
            for (slot, uid) in links[self.below(links.len())].slots.iter().filter(|(_, uid)| uid.0 != "Ghost") {
                let part = if *slot == "?principal" { &mut principal } else { &mut resource };
                part.clone_from(uid);
            }
        }
        Ask { principal, action, resource, context }
    }
}

// Entities and values, in Cedar's JSON.
impl Maker {
    fn entities(&mut self) -> Vec<Json> {
        let mut entities = Vec::new();
        for (kind, above) in TYPES {
            for (at, id) in IDS.iter().enumerate() {
                if self.percent(20) {
                    continue;
                }
                let parents = (0..self.below(4)).filter_map(|_| self.parent(kind, at, above)).collect::<Vec<_>>();
                let tags = match kind {
                    "User" => self.tags(K::Text),
                    "Doc" => self.tags(K::Texts),
                    "Org::Team" => self.tags(K::Long),
                    _ if self.has_schema => json!({}),
                    _ => self.tags(K::Spot),
                };
                let attrs = self.record(&FIELDS);
                let uid = self.reference(kind, id);
                entities.push(json!({ "uid": uid, "attrs": attrs, "parents": parents, "tags": tags }));
            }
        }
        if self.percent(5) {
            // The same twice is the same.
            entities.extend(entities.first().cloned());
        }
        if !self.has_schema {
            for (action, groups) in ACTIONS {
                if self.percent(85) {
                    let uid = self.reference("Action", action);
                    let parents: Vec<_> = groups.iter().map(|group| self.reference("Action", group)).collect();
                    let attrs = if self.percent(20) { self.record(&FIELDS) } else { json!({}) };
                    entities.push(json!({ "uid": uid, "attrs": attrs, "parents": parents }));
                }
            }
        }
        entities
    }

    /// A parent for the entity with one of the ids; within one type always with a later id, so that there is no cycle.
    fn parent(&mut self, kind: &str, at: usize, above: &[&str]) -> Option<Json> {
        let parent_kind = self.pick(above);
        let ids = if parent_kind == kind { &IDS[at + 1..] } else { &IDS[..] };
        if ids.is_empty() {
            return None;
        }
        let id = self.pick(ids);
        Some(self.reference(parent_kind, id))
    }

    /// An entity where nothing else can stand, in either form.
    fn reference(&mut self, kind: &str, id: &str) -> Json {
        let plain = json!({ "type": kind, "id": id });
        if self.percent(50) { plain } else { json!({ "__entity": plain }) }
    }

    fn tags(&mut self, kind: Kind) -> Json {
        let tags: Map<_, _> = (0..self.below(3)).map(|_| (self.pick(&TAGS).to_owned(), self.value(kind))).collect();
        tags.into()
    }

    fn record(&mut self, fields: &[Field]) -> Json {
        let mut members = Map::new();
        for (name, kind) in fields {
            if self.percent(65) || (self.has_schema && *kind == K::Text) {
                let value = if !self.has_schema && self.percent(5) { self.stranger(2) } else { self.value(*kind) };
                members.insert((*name).to_owned(), value);
            }
        }
        members.into()
    }

    fn value(&mut self, kind: Kind) -> Json {
        match kind {
            K::Bool => self.percent(60).into(),
            K::Long => self.pick(&LONGS).into(),
            K::Text => self.pick(&TEXTS).into(),
            K::Entity | K::Mode => {
                let id = if kind == K::Mode { self.pick(&MODES) } else { self.pick(&IDS) };
                if self.has_schema {
                    return self.reference(kind.type_name(), id);
                }
                // Without a schema the short form is a record.
                json!({ "__entity": { "type": self.anyone(true).0, "id": id } })
            }
            K::Texts | K::Longs | K::Entities | K::Nets => {
                (0..self.below(4)).map(|_| self.value(kind.element())).collect()
            }
            K::Spot => self.record(&SPOT),
            K::Geo => self.record(&GEO),
            K::Decimal => self.extension("decimal", &DECIMALS),
            K::Ip => self.extension("ip", &IPS),
            K::Datetime if self.percent(10) => {
                let call = |function, argument| json!({ "__extn": { "fn": function, "arg": argument } });
                let (day, by) = (call("datetime", "2024-02-28"), call("duration", self.pick(&["1d", "-36h"])));
                json!({ "__extn": { "fn": "offset", "args": [day, by] } })
            }
            K::Datetime => self.extension("datetime", &DATETIMES),
            K::Duration => self.extension("duration", &DURATIONS),
        }
    }

    fn extension(&mut self, function: &str, arguments: &[&str]) -> Json {
        let argument = self.pick(arguments);
        let call = json!({ "fn": function, "arg": argument });
        match self.below(if self.has_schema { 4 } else { 2 }) {
            0 => json!({ "__extn": call }),
            1 => json!({ "__extn": { "fn": function, "args": [argument] } }),
            2 => call,
            _ => argument.into(),
        }
    }

    /// A value of no particular type, for where there is no schema.
    fn stranger(&mut self, depth: usize) -> Json {
        match self.below(if depth == 0 { 1 } else { 4 }) {
            1 => (0..self.below(4)).map(|_| self.stranger(depth - 1)).collect(),
            2 => {
                let names = ["type", "id", "fn", "arg", "city", "level", "an \"odd\" name"];
                let member = |maker: &mut Self| (maker.pick(&names).to_owned(), maker.stranger(depth - 1));
                (0..self.below(4)).map(|_| member(self)).collect::<Map<_, _>>().into()
            }
            _ => {
                let kind = self.pick(&KINDS);
                self.value(kind)
            }
        }
    }
}
