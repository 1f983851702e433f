//! Live facts that stay where they are when another program takes the place of the one that they came to.
//!
//! | what | stays |
//! |---|---|
//! | values | with their ids; what the program names now too is renamed in all that names it |
//! | live rows and entities | in their tables |
//! | known entities, stored attributes, parents | in their tables, where files give the rows that they gave |
//! | what is kept derived | where rules are the same, and follows where what they read is not |
//!
//! That needs a program whose pool was grown from that of the one before, and declarations that are the same. Where anything is not so
//! live facts are carried.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::{
    base::{
        LivePool, Symbol, Value, Values, View as Datum, limits,
        value::{each_entity, member},
    },
    check::rules::{Names, Predicate, PredicateId, PredicateKind},
    datalog::{Changes, Maintained},
    facts::{Facts, Relation, Store as _, Table},
    program::Program,
};

use super::{
    changes::{Kept, Live, WHOLE, derive_anew},
    hierarchy::{self, Parents},
};

/// What is live, under the program that takes the place of another; none if it has to be carried. What was kept derived is gone from
/// `before` then.
pub(super) fn go_on(before: &mut Live, old: &Program, new: &Program) -> Option<Live> {
    let mut step = Step::between(before, old, new)?;
    step.share_live()?;
    step.share_given()?;
    step.rename();
    step.note_changes();
    step.keep_derived()?;
    step.derive_others()?;
    let mut live = step.live;
    live.values.settle();
    live.make_ready(new);
    Some(live)
}

/// From one program to the next.
struct Step<'s> {
    before: &'s mut Live,
    programs: [&'s Program; 2],
    live: Live,
    /// Relations as both programs declare them: the place of each in the second, and in the first.
    same: BTreeMap<PredicateId, PredicateId>,
    /// Live values that the program has under other ids, and those that are made of them.
    renamed: HashMap<Value, Value>,
    /// The relations in which what is live and what files say were put together anew.
    filled: BTreeSet<PredicateId>,
    /// What came and went of given rows.
    given: Changes,
    /// The relations that were kept derived and are, by their places in the first program.
    still_kept: BTreeSet<PredicateId>,
}

impl<'s> Step<'s> {
    fn between(before: &'s mut Live, old: &'s Program, new: &'s Program) -> Option<Self> {
        let values = new.facts().values();
        let is_next = values.is_grown_from(old.facts().values()) && old.schema() == new.schema();
        let mut live = Live::bare(new).filter(|_| is_next)?;
        live.values = before.values.moved(values.clone());
        let same = named_alike([old, new]).filter(|(id, was)| is_same(predicate(old, *was), predicate(new, *id)));
        Some(Self {
            before,
            programs: [old, new],
            live,
            same: same.collect(),
            renamed: HashMap::new(),
            filled: BTreeSet::new(),
            given: Changes::default(),
            still_kept: BTreeSet::new(),
        })
    }

    /// Live rows and entities stay in their tables.
    fn share_live(&mut self) -> Option<()> {
        let Self { before, live, same, .. } = self;
        live.facts.share_live_entities(&before.facts);
        for (id, was) in same {
            let rows = before.facts.relation(*was).filter(|relation| relation.is_live).map(|relation| &relation.rows);
            if let (Some(rows), Some(relation)) = (rows, live.facts.relation_mut(*id)) {
                relation.rows = rows.clone();
            }
        }
        // What has no place is told where live facts are carried.
        (live.facts.relations.live_rows() == before.facts.relations.live_rows()).then_some(())
    }

    /// Who is known, what is stored and who is above whom by files and live facts together.
    fn share_given(&mut self) -> Option<()> {
        let Self { before, programs, live, same, filled, .. } = self;
        let [old, new] = *programs;
        let kinds = |program: &Program| program.rules().known.iter().map(|of| of.kind).collect::<BTreeSet<_>>();
        live.n_named = if kinds(old) == kinds(new) { before.n_named.clone() } else { live.count_named(new) };
        let [files_before, files] = [old, new].map(|program| &program.facts().facts().relations);
        for id in new.rules().changing.keys().filter(|id| **id != Names::STORED) {
            let kind = predicate(new, *id).map(|of| of.kind);
            let was = same.get(id).filter(|was| files_before.given_of(**was).eq(files.given_of(*id)));
            let rows = was.and_then(|was| table(&before.facts, *was)).filter(|rows| rows.is_shared());
            // Parents are rows where rules read them.
            let (had, has) = (before.facts.relations.keeps_parents, live.facts.relations.keeps_parents);
            match (kind, rows.filter(|_| had || *id != Names::PARENT)) {
                (Some(PredicateKind::Live), _) => continue,
                (Some(PredicateKind::Parent), _) if !has => continue,
                (_, Some(rows)) => {
                    if let Some(place) = table_mut(&mut live.facts, *id) {
                        *place = rows.clone();
                    }
                    continue;
                }
                (Some(PredicateKind::Known(kind)), None) => live.fill_known(*id, kind),
                (Some(PredicateKind::Stored(kind, name)), None) => live.fill_stored(*id, kind, name),
                _ => live.fill_parents(),
            }
            filled.insert(*id);
        }
        let have_parents_changed = !old.facts().facts().has_same_parents(new.facts().facts())
            || !files_before.given_of(Names::PARENT).eq(files.given_of(Names::PARENT));
        (!have_parents_changed || live.has_no_circle()).then_some(())
    }

    /// What the program names too has the program's id in all rows.
    fn rename(&mut self) {
        self.renamed = self.live.values.renamed();
        if self.renamed.is_empty() {
            return;
        }
        let Self { programs: [_, new], live, renamed, given, .. } = self;
        for [old, new] in renamed_rows(live.facts.live_entities(), renamed) {
            live.facts.replace_live_entity(&old, &new);
            name_instead(&mut live.values, &new, &old);
        }
        for id in new.rules().changing.keys() {
            let is_live = predicate(new, *id).is_some_and(|of| of.kind == PredicateKind::Live);
            let Some(rows) = table_mut(&mut live.facts, *id) else { continue };
            for [old, new] in renamed_rows(rows.rows(), renamed) {
                rows.remove(&old);
                rows.insert(&new);
                given.delete(*id, &old);
                given.insert(*id, &new);
                if is_live {
                    name_instead(&mut live.values, &new, &old);
                }
            }
        }
        let named: Vec<_> = renamed.iter().filter_map(|(old, new)| Some((*new, live.n_named.remove(old)?))).collect();
        live.n_named.extend(named);
    }

    /// Notes what files say otherwise, for what is kept derived from it.
    fn note_changes(&mut self) {
        let Self { before, programs, live, filled, given, .. } = self;
        let [old, new] = *programs;
        let [files_before, files] = [old, new].map(|program| &program.facts().facts().relations);
        for (id, was) in named_alike([old, new]) {
            let does_change = new.rules().changing.contains_key(&id) && old.rules().changing.contains_key(&was);
            if filled.contains(&id) {
                let tables = [table(&before.facts, was), table(&live.facts, id)];
                if let [Some(was), Some(is)] = tables {
                    was.rows().filter(|row| is.find(row).is_none()).for_each(|row| given.delete(id, row));
                    is.rows().filter(|row| was.find(row).is_none()).for_each(|row| given.insert(id, row));
                }
            } else if !does_change && !files_before.given_of(was).eq(files.given_of(id)) {
                let gone = files_before.given_of(was).filter(|row| !files.is_given(id, row));
                gone.for_each(|row| given.delete(id, row));
                let come = files.given_of(id).filter(|row| !files_before.is_given(was, row));
                come.for_each(|row| given.insert(id, row));
            }
        }
    }

    /// What was kept derived follows, and what is to be from now on is derived.
    fn keep_derived(&mut self) -> Option<()> {
        let Self { before, programs: [old, new], live, renamed, given, still_kept, .. } = self;
        let (engine, ahead) = (new.rules(), live.ahead().clone());
        // Sums are made by rules, and no given row leads to where one has another id.
        let has_made = renamed.keys().any(|value| matches!(live.values.view(*value), Datum::Long(_)));
        let kept = before.kept.take().filter(|_| !has_made);
        if ahead.is_empty() {
            return Some(());
        }
        let (store, nothing) = (live.given_alone(engine), BTreeSet::new());
        let wanted = (&*ahead, &nothing);
        let (derived, changes, was_kept) = match kept {
            Some(Kept { derived, relations, .. }) => {
                let (derived, changes) =
                    derived.under((engine, &store), &mut live.values, wanted, given, WHOLE).ok()?;
                (derived, changes, relations)
            }
            None => {
                let derived = Maintained::of((engine, &store), &mut live.values, wanted, WHOLE).ok()?;
                (derived, Changes::default(), BTreeSet::new())
            }
        };
        let kept = Kept::of(derived, engine, &ahead);
        let was_kept: BTreeMap<_, _> = was_kept.into_iter().map(|id| (old.rules().name(id), id)).collect();
        for id in &kept.relations {
            let arity = engine.arity(*id);
            let was = was_kept.get(&engine.name(*id)).filter(|was| old.rules().arity(**was) == arity);
            let mut relation = Relation::shared(arity);
            let (come, gone): (Vec<_>, Vec<_>) = match was {
                Some(was) => {
                    relation.rows = before.facts.relation(*was)?.rows.clone();
                    still_kept.insert(*was);
                    let change = changes.of(*id).into_iter();
                    (
                        change.clone().flat_map(|change| change.inserted.iter()).collect(),
                        change.flat_map(|change| change.deleted.iter()).collect(),
                    )
                }
                None => (kept.derived.rows(*id).collect(), Vec::new()),
            };
            for row in &gone {
                relation.rows.remove(row);
            }
            for row in &come {
                relation.rows.insert(row);
            }
            if *id != Names::IN {
                come.into_iter().flatten().for_each(|value| live.values.hold(*value));
                gone.into_iter().flatten().for_each(|value| live.values.release(*value));
            }
            live.facts.relations.put(*id, relation);
        }
        let n_rows = |id: &PredicateId| live.facts.relation(*id).map_or(0, |relation| u64::from(relation.rows.len()));
        let is_within = kept.relations.iter().map(n_rows).sum::<u64>() <= limits::ROWS_MAX;
        live.kept = (!kept.relations.is_empty()).then_some(kept);
        is_within.then_some(())
    }

    /// What is derived ahead and cannot be kept is derived anew.
    fn derive_others(&mut self) -> Option<()> {
        let Self { before, programs: [_, new], live, renamed, filled, still_kept, .. } = self;
        let kept = live.kept.as_ref().map(|kept| kept.relations.clone()).unwrap_or_default();
        let these: BTreeSet<PredicateId> = live.ahead().difference(&kept).copied().collect();
        let is_followed = live.facts.relations.keeps_parents
            && new.rules().changing.contains_key(&Names::PARENT)
            && !kept.contains(&Names::IN)
            && !these.contains(&Names::PARENT);
        if is_followed {
            // Who is in what is not derived: each batch brings it up to date with parents.
            if filled.contains(&Names::PARENT) || before.ahead().contains(&Names::PARENT) {
                live.close_parents()?;
            } else {
                let rows = &before.facts.relation(Names::IN)?.rows;
                let place = &mut live.facts.relation_mut(Names::IN)?.rows;
                *place = rows.clone();
                for [old, new] in renamed_rows(rows.rows(), renamed) {
                    place.remove(&old);
                    place.insert(&new);
                }
            }
        }
        if !these.is_empty() {
            derive_anew(new, (&mut live.facts, &mut live.values), &these, WHOLE).ok()?;
        }
        let values = |facts: &Facts, id: &PredicateId, visit: &mut dyn FnMut(Value)| {
            let relation = facts.relation(*id).filter(|_| *id != Names::IN);
            relation.into_iter().flat_map(Relation::values).for_each(visit);
        };
        for id in &these {
            values(&live.facts, id, &mut |value| live.values.hold(value));
        }
        for was in before.ahead().iter().filter(|was| !still_kept.contains(*was)) {
            values(&before.facts, was, &mut |value| live.values.release(value));
        }
        Some(())
    }
}

/// Relations of two programs with one name and as many columns: the place of each in the second, and in the first.
fn named_alike([old, new]: [&Program; 2]) -> impl Iterator<Item = (PredicateId, PredicateId)> {
    let name_of = |of: &Predicate| (of.name.clone(), of.columns.len());
    let was = old.relations().predicates.iter().enumerate().map(|(at, of)| (name_of(of), PredicateId(at)));
    let was: BTreeMap<_, _> = was.collect();
    let is = new.relations().predicates.iter().enumerate();
    is.filter_map(move |(at, of)| Some((PredicateId(at), *was.get(&name_of(of))?)))
}

/// Whether rows of the one can be rows of the other.
fn is_same(a: Option<&Predicate>, b: Option<&Predicate>) -> bool {
    let types = |of: &Predicate| of.columns.iter().map(|column| column.types.clone()).collect::<Vec<_>>();
    a.zip(b).is_some_and(|(a, b)| a.kind == b.kind && a.key == b.key && types(a) == types(b))
}

fn predicate(program: &Program, id: PredicateId) -> Option<&Predicate> {
    program.relations().predicate(id)
}

/// The rows of a relation that are given, where rules may add others.
fn table(facts: &Facts, id: PredicateId) -> Option<&Table> {
    facts.relations.given(id).or_else(|| facts.relation(id)).map(|relation| &relation.rows)
}

fn table_mut(facts: &mut Facts, id: PredicateId) -> Option<&mut Table> {
    let relation = match facts.relations.given(id) {
        Some(_) => facts.relations.given_mut(id),
        None => facts.relation_mut(id),
    };
    relation.map(|relation| &mut relation.rows)
}

/// The rows that name what has another id, each with what it is.
fn renamed_rows<'r>(rows: impl Iterator<Item = &'r [Value]>, renamed: &HashMap<Value, Value>) -> Vec<[Vec<Value>; 2]> {
    let is_renamed = |value: &Value| value.is_live() && renamed.contains_key(value);
    let named = rows.filter(|row| row.iter().any(is_renamed));
    let new = |value: &Value| renamed.get(value).copied().unwrap_or(*value);
    named.map(|row| [row.to_vec(), row.iter().map(new).collect()]).collect()
}

/// Notes that a row names values, and that another does no longer.
fn name_instead(values: &mut LivePool, new: &[Value], old: &[Value]) {
    for value in new {
        values.hold(*value);
    }
    for value in old {
        values.release(*value);
    }
}

impl Live {
    /// How often live facts name each entity of the types whose entities rules ask for.
    fn count_named(&self, program: &Program) -> HashMap<Value, u32> {
        let known: BTreeSet<_> = program.rules().known.iter().map(|of| of.kind).collect();
        let mut named = HashMap::new();
        if known.is_empty() {
            return named;
        }
        let live = self.facts.relations.all_live().flat_map(|(_, relation)| relation.rows.rows());
        for value in live.chain(self.facts.live_entities()).flatten() {
            each_entity(&self.values, *value, &mut |kind, entity| {
                if known.contains(&kind) {
                    *named.entry(entity).or_default() += 1;
                }
            });
        }
        named
    }

    /// Adds the entities of a type that live facts name to those that files do.
    fn fill_known(&mut self, id: PredicateId, kind: Symbol) {
        let is_of = |entity: &&Value| matches!(self.values.view(**entity), Datum::Entity(of, _) if of == kind);
        let named: Vec<Value> = self.n_named.keys().filter(is_of).copied().collect();
        if let Some(rows) = table_mut(&mut self.facts, id) {
            for entity in named {
                rows.insert(&[entity]);
            }
        }
    }

    /// Adds the parents of live entities to those that files give.
    fn fill_parents(&mut self) {
        let all = self.facts.live_entities().filter_map(|row| row.first().copied());
        let of =
            |child: Value| self.facts.stored_parents(&self.values, child).iter().map(move |parent| [child, *parent]);
        let parents: Vec<[Value; 2]> = all.flat_map(of).collect();
        if let Some(rows) = table_mut(&mut self.facts, Names::PARENT) {
            for row in parents {
                rows.insert(&row);
            }
        }
    }

    /// Finds who is in what by the parents of live entities.
    fn close_parents(&mut self) -> Option<()> {
        let mut parents = Parents::default();
        self.facts.live_entities().filter_map(<[Value]>::first).for_each(|entity| parents.note(*entity));
        parents.settle(&mut self.facts).is_ok().then_some(())
    }

    /// Whether no live entity is in itself.
    fn has_no_circle(&self) -> bool {
        let all = self.facts.live_entities().filter_map(|row| Some((*row.first()?, 0))).collect();
        hierarchy::check((&self.facts, &self.file_parents), &self.values, &all).is_ok()
    }

    /// Puts an attribute of live entities of a type in its rows.
    fn fill_stored(&mut self, id: PredicateId, kind: Symbol, name: Symbol) {
        let stored = |row: &[Value]| match *row {
            [uid, attributes, ..] => match (self.values.view(uid), self.values.view(attributes)) {
                (Datum::Entity(of, _), Datum::Record(members)) if of == kind => Some([uid, member(members, name)?]),
                _ => None,
            },
            _ => None,
        };
        let stored: Vec<[Value; 2]> = self.facts.live_entities().filter_map(stored).collect();
        if let Some(rows) = table_mut(&mut self.facts, id) {
            for row in stored {
                rows.insert(&row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{Batch, FactStore},
        *,
    };
    use crate::{
        base::Sources,
        program::{BuildError, Options},
    };

    const TEXT: &str = r#"
version = "rune/1.0"
[schema]
@live entity User in [Group] { level: Long };
entity Group in [Group];
entity Document;
action read appliesTo { principal: [User], resource: [Document] };
[entities]
Group.all = {}
Group.staff = { in = ['Group::"all"'] }
[data]
link = [["x", "y"]]
[rules]
@live relation member(User, Group).
@live relation limit(User -> Long).
relation link(Document, Document).
@materialize relation among(User, Group).
among(U, G) :- member(U, G).
among(U, H) :- among(U, G), G in H, Group(H).
@id("read") permit(U, Action::"read", _) :- among(U, Group::"all").
"#;

    /// Whether live facts stay where they are when one text takes the place of another.
    fn stays(from: &str, to: &str) -> bool {
        let sources = |text: &str| Sources::single("a.rune", text);
        let right = |built: Result<Program, _>| built.unwrap_or_else(|error: BuildError| panic!("{error}"));
        let old = Arc::new(right(Program::build(sources(from), Options::default())));
        let (store, _) = FactStore::new(old.clone(), 1);
        let ada = r#"{"uid":{"type":"User","id":"ada"},"attrs":{"level":3},"parents":[{"type":"Group","id":"staff"}]}"#;
        let node = |text: &str| text.parse().expect("JSON");
        let batch = Batch::default().put(node(ada)).insert("member", ["\"bob\"", "\"staff\""].map(node));
        let batch = batch.insert("limit", ["\"bob\"", "3"].map(node));
        store.apply(&batch).expect("it fits");
        let new = right(old.build_next(sources(to), Options::default()));
        let mut state = store.state();
        let live = go_on(state.live.as_mut().expect("it has live facts"), &old, &new);
        live.inspect(|live| assert!(live.is_counted(), "values are not held as they are named under {to}")).is_some()
    }

    #[test]
    fn live_facts_stay_where_they_are_under_most_edits() {
        let with = |line: &str| format!("{TEXT}{line}\n");
        let edits = [
            with(""),
            with("far(U) :- User(U), not among(U, Group::\"all\")."),
            with("@materialize relation high(User).\nhigh(U) :- User(U), U.level > 2."),
            with("relation noted(User, Long).\nnoted(\"bob\", 1)."),
            TEXT.replace("link = [[\"x\", \"y\"]]", "link = [[\"x\", \"staff\"], [\"y\", \"bob\"]]"),
            TEXT.replace("among(U, H) :- among(U, G), G in H, Group(H).", "among(U, Group::\"all\") :- among(U, _)."),
            TEXT.replace("@materialize ", ""),
            TEXT.replace("@id(\"read\") permit", "@id(\"bob\") permit"),
            TEXT.replace("{ in = ['Group::\"all\"'] }", "{}"),
            with("parent(Group::\"staff\", Group::\"bob\")."),
            with("parent(U, G) :- member(U, G)."),
            with("relation up(Group, Group).\nup(\"staff\", \"all\").\nparent(G, H) :- up(G, H)."),
        ];
        for text in &edits {
            assert!(stays(TEXT, text), "live facts are carried to\n{text}");
            assert!(stays(text, TEXT), "live facts are carried from\n{text}");
        }
        let others = [
            TEXT.replace("level: Long", "level: Long, boss?: User"),
            TEXT.replace("limit(User -> Long)", "limit(User, Long)"),
        ];
        for text in &others {
            assert!(!stays(TEXT, text), "live facts stay where they are under\n{text}");
        }
    }
}
