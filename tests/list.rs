//! Lists against decisions: whoever permits and forbids, a list has those for whom the request is allowed, one by one.

#![expect(clippy::expect_used, reason = "a panic is how a test reports")]

use std::fmt::Write as _;

use rune_core::{Engine, EntityRef, List, Options, Program, Request, Sources, Why};

const USERS: usize = 24;
const DOCUMENTS: usize = 400;

/// Documents in folders, users in groups, grants on both; and what decides.
fn engine(rules: &str, policies: &str) -> Engine {
    let mut text = "version = \"rune/1.0\"\n\n[data]\n".to_owned();
    let mut rows = |name: &str, rows: &mut dyn Iterator<Item = String>| {
        let rows: Vec<String> = rows.collect();
        writeln!(text, "{name} = [{}]", rows.join(", ")).expect("a string takes all");
    };
    let pair = |a: usize, b: usize| format!("[\"{a}\", \"{b}\"]");
    // A tree: what is below 8 is a folder, and documents are named so that their order is not that of numbers.
    rows("below", &mut (1..DOCUMENTS).map(|n| pair(n, n / 5)));
    rows("document", &mut (8..DOCUMENTS).map(|n| format!("\"{n}\"")));
    rows("member", &mut (0..USERS).map(|n| pair(n, n % 7)));
    rows("granted", &mut (0..7).map(|n| pair(n * 3, n)));
    rows("denied_at", &mut (0..USERS).step_by(3).map(|n| pair(n, 5 + n)));
    rows("blocked", &mut (0..USERS).step_by(11).map(|n| format!("\"{n}\"")));
    rows("rank", &mut (8..DOCUMENTS).step_by(9).map(|n| format!("[\"{n}\", {n}]")));
    text.push_str(
        "[rules]
relation below(Doc, Doc).
relation document(Doc).
relation member(User, Group).
relation granted(Doc, Group).
relation denied_at(User, Doc).
relation blocked(User).
relation rank(Doc, Long).
@attribute relation may(User, Doc).
relation denied(User, Doc).
may(U, D) :- granted(D, G), member(U, G).
may(U, D) :- may(U, F), below(D, F).
denied(U, D) :- denied_at(U, D).
denied(U, D) :- denied(U, F), below(D, F).
",
    );
    write!(text, "{rules}\n[policies]\n{policies}\n").expect("a string takes all");
    let program = Program::build(Sources::single("a.rune", &text), Options::default());
    Engine::new(program.map_err(|report| report.to_string()).expect("it is a ruleset"))
}

/// Lists with either side open have whom decisions allow; says how many these are, and how many could not be decided about.
fn check(rules: &str, policies: &str) -> (usize, usize) {
    let engine = engine(rules, policies);
    let entity = |kind: &str, n: usize| EntityRef::new(kind, n.to_string());
    let read = || EntityRef::new("Action", "read");
    let (mut n_listed, mut n_undecided) = (0, 0);
    let mut compare = |list: List, mut requests: Vec<(EntityRef, Request)>| {
        requests.sort_by(|(a, _), (b, _)| a.cmp(b));
        let decided: Vec<Why> = requests.iter().map(|(_, request)| engine.decide(request).why).collect();
        let allowed: Vec<EntityRef> =
            requests.iter().zip(&decided).filter(|(_, why)| why.is_allowed()).map(|((of, _), _)| of.clone()).collect();
        let listed = engine.list(&list).expect("it can be asked");
        assert!(!listed.is_incomplete);
        assert_eq!(listed.entities.to_vec(), allowed, "{list:?}\n{rules}{policies}");
        assert_eq!((listed.candidates, listed.considered), (requests.len(), requests.len()), "{list:?}");
        // Whom no permit proposes nobody decides about.
        let errors = decided.iter().filter(|why| matches!(why, Why::Error(_))).count();
        assert!(listed.undecided <= errors && (errors == 0 || listed.error.is_some() || listed.undecided == 0));
        n_listed += allowed.len();
        n_undecided += listed.undecided;
        let Some(middle) = allowed.get(allowed.len() / 2) else { return };
        let rest = engine.list(&list.after(middle.clone())).expect("it can be asked");
        assert_eq!(rest.entities.to_vec(), allowed.iter().skip(allowed.len() / 2 + 1).cloned().collect::<Vec<_>>());
    };
    for user in 0..USERS {
        let request = |n| (entity("Doc", n), Request::new(entity("User", user), read(), entity("Doc", n)));
        compare(List::resources(entity("User", user), read()).of_type("Doc"), (0..DOCUMENTS).map(request).collect());
    }
    for document in (0..DOCUMENTS).step_by(17) {
        let request = |n| (entity("User", n), Request::new(entity("User", n), read(), entity("Doc", document)));
        compare(List::principals(read(), entity("Doc", document)).of_type("User"), (0..USERS).map(request).collect());
    }
    (n_listed, n_undecided)
}

const PERMIT: &str = "@id(\"may\") permit(U, Action::\"read\", D) :- may(U, D), document(D).\n";
const OWN: &str = "@id(\"own\") permit (principal, action, resource) when { principal.may.contains(resource) };";

#[test]
fn a_list_of_what_rules_permit_has_what_they_permit() {
    let (n_listed, n_undecided) = check(PERMIT, "");
    assert!(1_000 < n_listed && n_undecided == 0, "{n_listed} {n_undecided}");
}

#[test]
fn who_is_permitted_whatever_there_is_has_all_of_it_in_the_list() {
    let (few, _) = check(PERMIT, "");
    let (more, _) = check(&format!("{PERMIT}@id(\"blocked\") permit(U, _, _) :- blocked(U).\n"), "");
    let (most, _) =
        check("@id(\"public\") permit(_, _, D) :- rank(D, _).\n@id(\"all\") permit(_, _, D) :- document(D).\n", "");
    assert!(few < more && more < most, "{few} {more} {most}");
}

#[test]
fn what_a_rule_forbids_is_in_no_list() {
    let (all, _) = check(PERMIT, "");
    let denied = "@id(\"denied\") forbid(U, _, D) :- denied(U, D).\n";
    // Whoever is blocked is so for whatever there is, which no list of it can be.
    let blocked = "@id(\"blocked\") forbid(U, _, _) :- blocked(U).\n";
    for forbids in [denied.to_owned(), blocked.to_owned(), format!("{denied}{blocked}")] {
        let (n_listed, n_undecided) = check(&format!("{PERMIT}{forbids}"), "");
        assert!(100 < n_listed && n_listed < all && n_undecided == 0, "{forbids}{n_listed} of {all}");
    }
}

#[test]
fn what_policies_decide_is_listed_as_they_decide() {
    let (all, _) = check("", OWN);
    let few = check("@id(\"denied\") forbid(U, _, D) :- denied(U, D).\n", OWN);
    let forbid = "@id(\"no\") forbid (principal, action, resource) when { principal == User::\"3\" };";
    let fewer = check("@id(\"denied\") forbid(U, _, D) :- denied(U, D).\n", &format!("{OWN}\n{forbid}"));
    assert!(0 < fewer.0 && fewer.0 < few.0 && few.0 < all, "{fewer:?} {few:?} {all}");
    let both = check(PERMIT, &format!("{OWN}\n{forbid}"));
    assert!(0 < both.0 && both.0 < all, "{both:?} of {all}");
}

#[test]
fn of_whom_a_forbid_is_undetermined_nobody_is_in_a_list() {
    let fails = "@id(\"high\") forbid(_, _, D) :- rank(D, N), N * 9223372036854775807 > 5.\n";
    for permits in [(PERMIT, ""), ("", OWN)] {
        let (n_listed, n_undecided) = check(&format!("{}{fails}", permits.0), permits.1);
        assert!(100 < n_listed && 10 < n_undecided, "{n_listed} {n_undecided}");
    }
}

/// What one page had no steps left for is the first of the next one.
#[test]
fn a_list_that_runs_out_of_steps_goes_on_where_it_ended() {
    let mut text = "version = \"rune/1.0\"\n[rules]\nrelation q(Long).\nrelation us(User, Long).\n".to_owned();
    text.push_str(
        "@id(\"p\") permit(U, Action::\"0\", D) :- D is Doc, us(U, K), N = count { X, Y : q(X), q(Y), X + Y > K }, N > 0.\n",
    );
    (0..300).for_each(|n| writeln!(text, "q({n}).").expect("a string takes all"));
    (0..598).for_each(|n| writeln!(text, "us(\"{n:03}\", {n}).").expect("a string takes all"));
    let program = Program::build(Sources::single("a.rune", &text), Options::default()).expect("it is right");
    let snapshot = Engine::new(program).snapshot();
    let mut list = List::principals(EntityRef::new("Action", "0"), EntityRef::new("Doc", "d"));
    let (mut all, mut n_pages) = (Vec::new(), 0);
    loop {
        let page = snapshot.list(&list).expect("a list");
        assert_eq!((page.undecided, &page.error), (0, &None));
        all.extend(page.entities.to_vec());
        n_pages += 1;
        match page.next {
            Some(next) => list = list.after(next),
            None => break,
        }
    }
    let expected: Vec<EntityRef> = (0..598).map(|n| EntityRef::new("User", format!("{n:03}"))).collect();
    assert!(all == expected && 1 < n_pages, "{n_pages} pages, {all:?}");
}
