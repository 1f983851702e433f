//! differential-dataflow: dataflows by hand that can take changes.

use std::{cell::Cell, rc::Rc, time::Instant};

use differential_dataflow::{input::Input as _, operators::iterate::Iterate as _};
use timely::dataflow::operators::probe::Handle;

use crate::{change::Changed, data::Tables};

use super::Clock;

type Pair = (u32, u32);

fn pairs(given: &Tables, name: &str) -> Vec<Pair> {
    given.rows(name).map(|[a, b]| (a, b)).collect()
}

/// What the outputs come to, if the program is one of these.
pub fn run(program: &str, given: Tables, clock: &mut Clock) -> Option<u64> {
    match program {
        "tc" => Some(closure(pairs(&given, "edge"), 0, || clock.loaded()).0),
        "authz" => Some(authz(given, clock)),
        _ => None,
    }
}

/// The pairs of the closure, and what changing `n_changes` of its edges takes.
pub fn closure(edges: Vec<Pair>, n_changes: usize, loaded: impl FnOnce()) -> (u64, Changed) {
    loaded();
    timely::execute_directly(move |worker| {
        let (total, probe) = (Rc::new(Cell::new(0)), Handle::new());
        let counted = total.clone();
        let mut input = worker.dataflow::<u32, _, _>(|scope| {
            let (input, edge) = scope.new_collection::<Pair, isize>();
            let base = edge.clone();
            let path = edge.clone().map(|(x, y)| (y, x)).iterate(|scope, path| {
                let edge = base.clone().enter(scope);
                let first = base.clone().map(|(x, y)| (y, x)).enter(scope);
                path.join_map(edge, |_y, &x, &z| (z, x)).concat(first).distinct()
            });
            path.map(|_| ()).inspect(move |row| counted.set(counted.get() + row.2)).probe_with(&probe);
            input
        });
        edges.iter().for_each(|edge| input.insert(*edge));
        let mut time = 1;
        input.advance_to(time);
        input.flush();
        worker.step_while(|| probe.less_than(input.time()));
        let count = total.get();
        let mut changes = Changed::default();
        for n in 0..n_changes {
            for change in [-1, 1] {
                let begun = Instant::now();
                input.update(edges[n * edges.len() / n_changes], change);
                time += 1;
                input.advance_to(time);
                input.flush();
                worker.step_while(|| probe.less_than(input.time()));
                let took = begun.elapsed().as_secs_f64() * 1e3;
                if change < 0 { &mut changes.delete_ms } else { &mut changes.insert_ms }.push(took);
                changes.counts.push(total.get() as u64);
            }
        }
        assert_eq!(total.get(), count, "what was deleted and put back is there");
        (count as u64, changes)
    })
}

fn authz(given: Tables, clock: &mut Clock) -> u64 {
    let [member, subgroup, below, role_includes, deny] =
        ["member", "subgroup", "below", "role_includes", "deny"].map(|name| pairs(&given, name));
    let [doc, blocked] = ["doc", "blocked"].map(|name| given.rows(name).map(|[a]| a).collect::<Vec<u32>>());
    let [by_group, by_user] = ["grant_group", "grant_user"].map(|name| given.rows(name).collect::<Vec<[u32; 3]>>());
    clock.loaded();
    timely::execute_directly(move |worker| {
        let (total, probe) = (Rc::new(Cell::new(0)), Handle::new());
        let counted = total.clone();
        worker.dataflow::<u32, _, _>(|scope| {
            let (_, member) = scope.new_collection_from(member);
            let (_, subgroup) = scope.new_collection_from(subgroup);
            let (_, below) = scope.new_collection_from(below);
            let (_, doc) = scope.new_collection_from(doc);
            let (_, by_group) = scope.new_collection_from(by_group.into_iter().map(|[x, r, g]| (g, (x, r))));
            let (_, by_user) = scope.new_collection_from(by_user.into_iter().map(|[x, r, u]| (x, (r, u))));
            let (_, role_includes) = scope.new_collection_from(role_includes);
            let (_, deny) = scope.new_collection_from(deny);
            let (_, blocked) = scope.new_collection_from(blocked);
            let member = member.map(|(u, g)| (g, u));
            let in_group = member.clone().iterate(|scope, in_group| {
                let next = in_group.join_map(subgroup.clone().enter(scope), |_g, &u, &p| (p, u));
                next.concat(member.clone().enter(scope)).distinct()
            });
            let children = below.map(|(c, p)| (p, c));
            let granted = by_group.join_map(in_group, |_g, &(x, r), &u| (x, (r, u))).concat(by_user);
            let has_role = granted.clone().iterate(|scope, has_role| {
                let down = has_role.clone().join_map(children.clone().enter(scope), |_x, &(r, u), &c| (c, (r, u)));
                let by_role = has_role.map(|(x, (r, u))| (r, (x, u)));
                let included = by_role.join_map(role_includes.clone().enter(scope), |_r, &(x, u), &s| (x, (s, u)));
                down.concat(included).concat(granted.clone().enter(scope)).distinct()
            });
            let deny = deny.map(|(u, x)| (x, u));
            let denied = deny.clone().iterate(|scope, denied| {
                let down = denied.join_map(children.clone().enter(scope), |_x, &u, &c| (c, u));
                down.concat(deny.clone().enter(scope)).distinct()
            });
            let views = has_role.filter(|row| row.1.0 == 0).map(|(x, (_, u))| (x, u)).semijoin(doc);
            let may = views.map(|row| (row, ())).antijoin(denied).map(|((d, u), ())| (u, d)).antijoin(blocked);
            may.map(|_| ()).inspect(move |row| counted.set(counted.get() + row.2)).probe_with(&probe);
        });
        worker.step_while(|| !probe.done());
        total.get() as u64
    })
}
