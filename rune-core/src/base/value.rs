//! Values as 32-bit ids.
//!
//! ```text
//!   1 iiiiiii iiiiiiii iiiiiiii iiiiiiii    a small integer, 31 bits, signed
//!   0 0 0xxxx xxxxxxxx xxxxxxxx xxxxxxxx    a place in a Pool: what a program and its facts hold
//!   0 0 1xxxx xxxxxxxx xxxxxxxx xxxxxxxx    a place in a LivePool: what live facts brought along, whatever the program
//!   0 1 ixxxx xxxxxxxx xxxxxxxx xxxxxxxx    a place in a Scratch: what one request brought along
//! ```
//!
//! Equal values have equal ids: a pool holds each value once, and a scratch first asks its pool. So `==` on ids is Cedar's
//! `==`, sets are sorted ids, and a request never grows the pool.

use std::{borrow::Cow, cmp::Ordering, net::IpAddr, sync::Arc};

use hashbrown::HashMap;
use smol_str::SmolStr;

use super::limits;

/// The id of a value, meaningful to the [`Values`] that gave it out. Its order is arbitrary but fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub(super) u32);

pub(super) const INLINE: u32 = 1 << 31;
pub(super) const LOCAL: u32 = 1 << 30;
pub(super) const LIVE: u32 = 1 << 29;
const INLINE_MIN: i64 = -(1 << 30);
const INLINE_MAX: i64 = (1 << 30) - 1;

impl Value {
    /// The boolean `false`, in every pool.
    pub const FALSE: Self = Self(0);
    /// The boolean `true`, in every pool.
    pub const TRUE: Self = Self(1);
    /// The record without members, in every pool.
    pub const NO_MEMBERS: Self = Self(2);
    /// Stands for a value that is not known, in rows that are undetermined. No store gives it out.
    pub const UNKNOWN: Self = Self(INLINE - 1);

    /// Whether a request brought the value along: nothing that it is decided by has it.
    #[must_use]
    pub fn is_local(self) -> bool {
        self.0 & (INLINE | LOCAL) == LOCAL
    }

    /// Whether live facts brought the value along.
    #[must_use]
    pub fn is_live(self) -> bool {
        self.0 & (INLINE | LOCAL | LIVE) == LIVE
    }

    /// Where it is in the store that gave it out.
    pub(crate) fn place(self) -> usize {
        (self.0 & !(LOCAL | LIVE)) as usize
    }

    /// The id itself, to be hashed.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// What has these bits: an id, or a number that is kept in the place of one.
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The integer, unless it is larger than most.
    pub(crate) fn small(number: usize) -> Option<Self> {
        i64::try_from(number).ok().and_then(Self::inline)
    }

    /// Whether it is an integer that is no larger than most.
    pub(crate) fn is_small_integer(self) -> bool {
        self.0 & INLINE != 0 && self != Self::UNKNOWN
    }

    pub(super) fn inline(number: i64) -> Option<Self> {
        if !(INLINE_MIN..=INLINE_MAX).contains(&number) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low 31 bits, checked above")]
        let bits = number as u32;
        Some(Self(bits | INLINE))
    }

    pub(super) fn as_inline(self) -> Option<i64> {
        // Shifting the tag out and back in copies the sign bit of the 31-bit number.
        (self.0 & INLINE != 0).then(|| i64::from((self.0 << 1).cast_signed() >> 1))
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        if truth { Self::TRUE } else { Self::FALSE }
    }
}

/// An interned string that is used as a name: a type, an attribute, an action. The [`Value`] of that string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub(super) Value);

impl Symbol {
    /// The string as a value.
    #[must_use]
    pub fn value(self) -> Value {
        self.0
    }
}

/// An IP address with the length of its prefix, not masked: `10.0.0.1/8` and `10.0.0.0/8` differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpNet {
    /// The address as written.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

/// The content of a value, to be interned. A copy shares what is large; most names are small.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Datum {
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Long(i64),
    /// A string.
    Text(SmolStr),
    /// An entity: its type and its id, two names.
    Entity(Symbol, Symbol),
    /// Elements, sorted and distinct. Made by [`Values::set`].
    Set(Arc<[Value]>),
    /// Members, sorted by name and distinct. Made by [`Values::record`].
    Record(Arc<[(Symbol, Value)]>),
    /// A decimal number, in units of 10⁻⁴.
    Decimal(i64),
    /// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
    Datetime(i64),
    /// A length of time, in milliseconds.
    Duration(i64),
    /// An IP address or range.
    Ip(IpNet),
}

/// The content of a value, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are those of Datum")]
pub enum View<'a> {
    Bool(bool),
    Long(i64),
    Text(&'a str),
    Entity(Symbol, Symbol),
    Set(&'a [Value]),
    Record(&'a [(Symbol, Value)]),
    Decimal(i64),
    Datetime(i64),
    Duration(i64),
    Ip(IpNet),
}

/// What stands behind an id that no store gave out. There is none; should there be, it is nothing that could be true.
pub(super) const NOTHING: View<'static> = View::Record(&[]);

impl Datum {
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Bool(truth) => View::Bool(*truth),
            Self::Long(number) => View::Long(*number),
            Self::Text(text) => View::Text(text),
            Self::Entity(kind, id) => View::Entity(*kind, *id),
            Self::Set(elements) => View::Set(elements),
            Self::Record(members) => View::Record(members),
            Self::Decimal(units) => View::Decimal(*units),
            Self::Datetime(ms) => View::Datetime(*ms),
            Self::Duration(ms) => View::Duration(*ms),
            Self::Ip(net) => View::Ip(*net),
        }
    }
}

/// Something that interns values and reads them back. Several threads may read at once.
pub trait Values: Sync {
    /// The id of a value. The parts of `datum` are ids of this store.
    fn intern(&mut self, datum: Datum) -> Value;

    /// The content behind an id of this store.
    fn view(&self, value: Value) -> View<'_>;

    /// How many values are held.
    fn n_values(&self) -> usize;

    /// The id of a string.
    fn text(&mut self, text: &str) -> Value {
        self.intern(Datum::Text(text.into()))
    }

    /// The id of an integer.
    fn long(&mut self, number: i64) -> Value {
        Value::inline(number).unwrap_or_else(|| self.intern(Datum::Long(number)))
    }

    /// The name that a string is.
    fn symbol(&mut self, name: &str) -> Symbol {
        Symbol(self.text(name))
    }

    /// An entity that is held, where its texts find it sooner than their ids do.
    fn find_entity(&self, _kind: &str, _id: &str) -> Option<Value> {
        None
    }

    /// The id of an entity.
    fn entity(&mut self, kind: &str, id: &str) -> Value {
        self.find_entity(kind, id).unwrap_or_else(|| {
            let kind = self.symbol(kind);
            self.entity_of(kind, id)
        })
    }

    /// The id of an entity of a type that is known.
    fn entity_of(&mut self, kind: Symbol, id: &str) -> Value {
        let id = self.symbol(id);
        self.intern(Datum::Entity(kind, id))
    }

    /// The id of the set of these elements, in any order, with duplicates.
    fn set(&mut self, mut elements: Vec<Value>) -> Value {
        elements.sort_unstable();
        elements.dedup();
        self.intern(Datum::Set(elements.into()))
    }

    /// The id of the record with these members, in any order; of two with one name the last counts.
    fn record(&mut self, mut members: Vec<(Symbol, Value)>) -> Value {
        if members.is_empty() {
            return Value::NO_MEMBERS;
        }
        members.sort_by_key(|(name, _)| *name);
        members.reverse();
        members.dedup_by_key(|(name, _)| *name);
        members.reverse();
        self.intern(Datum::Record(members.into()))
    }

    /// The string that a name is.
    fn name(&self, symbol: Symbol) -> &str {
        match self.view(symbol.0) {
            View::Text(text) => text,
            _ => "",
        }
    }

    /// The name that a value is, if it is a string.
    fn as_symbol(&self, value: Value) -> Option<Symbol> {
        matches!(self.view(value), View::Text(_)).then_some(Symbol(value))
    }

    /// The value in Cedar's notation, for people.
    fn show(&self, value: Value) -> String
    where
        Self: Sized,
    {
        show(self, value)
    }

    /// The value in Cedar's notation, cut where it gets too long for a message.
    fn show_briefly(&self, value: Value) -> String
    where
        Self: Sized,
    {
        let size = match self.view(value) {
            View::Text(text) => text.len(),
            View::Set(elements) => elements.len(),
            View::Record(members) => members.len(),
            _ => 0,
        };
        // A value that is large at its root is not written out to be cut.
        if limits::SHOWN_CHARS_MAX < size {
            return match self.view(value) {
                View::Text(text) => {
                    let head: String = text.chars().take(limits::SHOWN_CHARS_MAX).collect();
                    format!("{}…", quote(&head))
                }
                View::Set(_) => format!("a set of {size} elements"),
                _ => format!("a record of {size} members"),
            };
        }
        let shown = show(self, value);
        cut(&shown).into_owned()
    }
}

/// The member of a record by name.
#[must_use]
pub fn member(members: &[(Symbol, Value)], name: Symbol) -> Option<Value> {
    // Most records have a handful of members, where walking beats halving.
    if members.len() <= 8 {
        return members.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    }
    let at = members.binary_search_by_key(&name, |(key, _)| *key).ok()?;
    members.get(at).map(|(_, value)| *value)
}

/// Whether a value is at most this many sets and records high.
// Recurses once per level, up to the bound.
#[must_use]
pub fn is_within_height(values: &impl Values, value: Value, n_levels: usize) -> bool {
    let is_lower =
        |member: Value| n_levels.checked_sub(1).is_some_and(|n_levels| is_within_height(values, member, n_levels));
    match values.view(value) {
        View::Set(members) => members.iter().all(|member| is_lower(*member)),
        View::Record(members) => members.iter().all(|(_, member)| is_lower(*member)),
        _ => true,
    }
}

/// Visits the entities in a value with their types, however deep in sets and records.
// Recurses once per level of a value, whose number is limited.
pub fn each_entity(values: &impl Values, value: Value, visit: &mut dyn FnMut(Symbol, Value)) {
    match values.view(value) {
        View::Entity(kind, _) => visit(kind, value),
        View::Set(members) => members.iter().for_each(|member| each_entity(values, *member, visit)),
        View::Record(members) => members.iter().for_each(|(_, member)| each_entity(values, *member, visit)),
        _ => {}
    }
}

/// Brings values of one store to another, each once.
#[derive(Debug)]
pub struct Carrier<'f, V> {
    from: &'f V,
    /// What each value has become.
    carried: HashMap<Value, Value>,
}

impl<'f, V: Values> Carrier<'f, V> {
    /// That has brought nothing yet.
    #[must_use]
    pub fn new(from: &'f V) -> Self {
        Self { from, carried: HashMap::new() }
    }

    /// A value in the other store, which is the same each time.
    // Recurses once per level of a value, whose number is limited.
    pub fn carry(&mut self, value: Value, to: &mut impl Values) -> Value {
        if let Some(carried) = self.carried.get(&value) {
            return *carried;
        }
        let carried = match self.from.view(value) {
            View::Bool(truth) => truth.into(),
            View::Long(number) => to.long(number),
            View::Text(text) => to.text(text),
            View::Entity(kind, id) => {
                let [kind, id] = [kind, id].map(|name| Symbol(self.carry(name.value(), to)));
                to.intern(Datum::Entity(kind, id))
            }
            View::Set(elements) => {
                let elements = elements.iter().map(|element| self.carry(*element, to)).collect();
                to.set(elements)
            }
            View::Record(members) => {
                let mut member =
                    |(name, value): &(Symbol, Value)| (Symbol(self.carry(name.value(), to)), self.carry(*value, to));
                let members = members.iter().map(&mut member).collect();
                to.record(members)
            }
            View::Decimal(units) => to.intern(Datum::Decimal(units)),
            View::Datetime(ms) => to.intern(Datum::Datetime(ms)),
            View::Duration(ms) => to.intern(Datum::Duration(ms)),
            View::Ip(net) => to.intern(Datum::Ip(net)),
        };
        self.carried.insert(value, carried);
        carried
    }
}

/// Cedar's notation, with members and elements in the order of their text so that equal values read alike.
fn show(values: &impl Values, value: Value) -> String {
    match values.view(value) {
        View::Bool(truth) => truth.to_string(),
        View::Long(number) => number.to_string(),
        View::Text(text) => quote(text),
        View::Entity(kind, id) => format!("{}::{}", values.name(kind), quote(values.name(id))),
        View::Set(elements) => {
            let mut shown: Vec<_> = elements.iter().map(|element| show(values, *element)).collect();
            shown.sort();
            format!("[{}]", shown.join(", "))
        }
        View::Record(members) => {
            let mut shown: Vec<_> =
                members.iter().map(|(name, value)| (values.name(*name), show(values, *value))).collect();
            shown.sort();
            let shown: Vec<_> = shown.into_iter().map(|(name, value)| format!("{}: {value}", quote(name))).collect();
            format!("{{{}}}", shown.join(", "))
        }
        View::Decimal(units) => {
            let sign = if units < 0 { "-" } else { "" };
            let units = units.unsigned_abs();
            format!("decimal(\"{sign}{}.{:04}\")", units / 10_000, units % 10_000)
        }
        View::Datetime(ms) => match ms.cmp(&0) {
            Ordering::Equal => "datetime(\"1970-01-01\")".to_owned(),
            _ => format!("datetime(\"1970-01-01\").offset(duration(\"{ms}ms\"))"),
        },
        View::Duration(ms) => format!("duration(\"{ms}ms\")"),
        View::Ip(IpNet { address, prefix }) => {
            let full = if address.is_ipv4() { 32 } else { 128 };
            if prefix == full { format!("ip(\"{address}\")") } else { format!("ip(\"{address}/{prefix}\")") }
        }
    }
}

/// A string in Cedar's notation.
#[must_use]
pub fn quote(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// A string in Cedar's notation for advice: what is too long for a message is `"…"`, since a part of it would be another.
#[must_use]
pub fn brief(text: &str) -> String {
    match text.char_indices().nth(limits::SHOWN_CHARS_MAX) {
        Some(_) => "\"…\"".to_owned(),
        None => quote(text),
    }
}

/// A text as a message shows it: its beginning where it is too long.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(limits::SHOWN_CHARS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Pool, Scratch},
        *,
    };

    #[test]
    fn equal_values_have_equal_ids_across_a_pool_and_its_scratch() {
        let mut pool = Pool::default();
        let ada = pool.entity("User", "ada");
        let one = pool.long(1);
        let set = pool.set(vec![ada, one, ada]);
        let mut scratch = Scratch::new(&pool);
        assert_eq!(scratch.entity("User", "ada"), ada);
        assert_eq!(scratch.set(vec![one, ada]), set);
        let eve = scratch.entity("User", "eve");
        assert_eq!(scratch.entity("User", "eve"), eve);
        assert_ne!(eve, ada);
        assert_eq!(scratch.show(eve), "User::\"eve\"");
        let mixed = scratch.set(vec![eve, ada]);
        assert_eq!(scratch.set(vec![ada, eve]), mixed);
    }

    #[test]
    fn a_value_takes_three_words() {
        assert_eq!(size_of::<Option<Datum>>(), 24);
    }

    #[test]
    fn integers_keep_their_value_inline_and_not() {
        let mut pool = Pool::default();
        for number in [0, 1, -1, INLINE_MIN, INLINE_MAX, INLINE_MIN - 1, INLINE_MAX + 1, i64::MIN, i64::MAX] {
            let value = pool.long(number);
            assert_eq!(pool.view(value), View::Long(number));
            assert_eq!(pool.intern(Datum::Long(number)), value);
        }
    }

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        let mut pool = Pool::default();
        let name = pool.symbol("a");
        let (one, two) = (pool.long(1), pool.long(2));
        let record = pool.record(vec![(name, one), (name, two)]);
        assert_eq!(pool.show(record), "{\"a\": 2}");
    }

    #[test]
    fn values_are_shown_as_cedar_writes_them() {
        let mut pool = Pool::default();
        let shown = |pool: &mut Pool, datum| {
            let value = pool.intern(datum);
            pool.show(value)
        };
        assert_eq!(shown(&mut pool, Datum::Decimal(-5_000)), "decimal(\"-0.5000\")");
        assert_eq!(shown(&mut pool, Datum::Duration(7)), "duration(\"7ms\")");
        let net = IpNet { address: "10.0.0.1".parse().unwrap(), prefix: 8 };
        assert_eq!(shown(&mut pool, Datum::Ip(net)), "ip(\"10.0.0.1/8\")");
    }
}
