//! Random rules: recursion of all kinds, absence, aggregates, tests, and who is in what.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

use std::fmt::Write as _;

/// Users, and the ids of the base relations' rows.
pub const NAMES: usize = 6;

/// Numbers that a seed has.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        (crate::seeds::next(&mut self.0) % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A relation and how many columns it has.
type Named = (String, usize);

/// Base relations `e0…` and derived ones `p0…`, each over those before it and itself; of integers sums are taken, or not.
pub fn rules(random: &mut Random, has_sums: bool) -> String {
    let mut text = String::from("version = \"rune/1.0\"\n[entities]\n");
    for n in 0..NAMES {
        let above: Vec<String> =
            (n + 1..NAMES).filter(|_| random.chance(25)).map(|of| format!("'User::\"u{of}\"'")).collect();
        writeln!(text, "User.u{n} = {{ in = [{}] }}", above.join(", ")).expect("text");
    }
    text.push_str("[rules]\nrelation level(User, Long).\n");
    for _ in 0..NAMES {
        writeln!(text, "level(\"u{}\", {}).", random.below(NAMES), random.below(4)).expect("text");
    }
    let mut relations: Vec<(String, usize)> = Vec::new();
    for n in 0..3 {
        let arity = 1 + random.below(3);
        let columns = vec!["User"; arity].join(", ");
        writeln!(text, "relation e{n}({columns}).").expect("text");
        for _ in 0..2 + random.below(14) {
            let row: Vec<String> = (0..arity).map(|_| format!("\"u{}\"", random.below(NAMES))).collect();
            writeln!(text, "e{n}({}).", row.join(", ")).expect("text");
        }
        relations.push((format!("e{n}"), arity));
    }
    let derived: Vec<(String, usize)> =
        (0..1 + random.below(5)).map(|n| (format!("p{n}"), 1 + random.below(3))).collect();
    for (n, (_, arity)) in derived.iter().enumerate() {
        let arity = *arity;
        writeln!(text, "relation p{n}({}).", vec!["User"; arity].join(", ")).expect("text");
        if random.chance(30) {
            let row: Vec<String> = (0..arity).map(|_| format!("\"u{}\"", random.below(NAMES))).collect();
            writeln!(text, "p{n}({}).", row.join(", ")).expect("text");
        }
        for _ in 0..1 + random.below(3) {
            rule(random, &mut text, (&format!("p{n}"), arity), (&relations, Read::Derived(&derived)), has_sums);
        }
        relations.push((format!("p{n}"), arity));
    }
    if random.chance(40) {
        mates(random, &mut text, &mut relations);
    }
    if random.chance(40) {
        walks(random, &mut text, &relations);
    }
    text
}

/// What rules of a relation read besides what is below it.
#[derive(Clone, Copy)]
enum Read<'r> {
    /// Mostly itself, and others that may read it.
    Derived(&'r [Named]),
    /// One of these, once.
    Mates(&'r [Named]),
}

/// Relations that derive one another, each rule from one of them at most.
fn mates(random: &mut Random, text: &mut String, below: &mut Vec<Named>) {
    let mates: Vec<Named> = (0..2 + random.below(2)).map(|n| (format!("m{n}"), 1 + random.below(3))).collect();
    for (name, arity) in &mates {
        writeln!(text, "relation {name}({}).", vec!["User"; *arity].join(", ")).expect("text");
        let row: Vec<String> = (0..*arity).map(|_| format!("\"u{}\"", random.below(NAMES))).collect();
        if random.chance(60) {
            writeln!(text, "{name}({}).", row.join(", ")).expect("text");
        }
        for _ in 0..1 + random.below(3) {
            rule(random, text, (name, *arity), (below, Read::Mates(&mates)), false);
        }
    }
    below.extend(mates);
}

/// A relation of paths, written in one of the ways that there are, and one that goes along them.
fn walks(random: &mut Random, text: &mut String, below: &[Named]) {
    let is_wide = random.chance(30);
    let (columns, other) = if is_wide { ("User, User, User", "C, ") } else { ("User, User", "") };
    writeln!(text, "relation path({columns}).\nrelation walk(User, User).").expect("text");
    // A way from one variable to another, in a relation that has that many columns.
    let edge = |random: &mut Random, from: &str, to: &str, of: &str| {
        let (name, n) = &below[random.0 as usize % below.len()];
        let first = if is_wide && 2 < *n { of } else { "_" };
        let args: Vec<&str> = match n {
            1 => return format!("{name}({from}), {from} in {to}"),
            2 => vec![from, to],
            _ => vec![from, first, to],
        };
        let text = format!("{name}({})", args.join(", "));
        if is_wide && *n < 3 { format!("{text}, level({of}, _)") } else { text }
    };
    let of = if is_wide { "C" } else { "_" };
    let n_edges = 1 + random.below(2);
    let forms = random.below(4);
    for _ in 0..n_edges {
        random.below(2);
        // The same relation in both rules: what an edge is does not change between them.
        let (exit, right, left) = (edge(random, "A", "B", of), edge(random, "A", "M", of), edge(random, "M", "B", of));
        writeln!(text, "path({other}A, B) :- {exit}.").expect("text");
        match forms {
            0 => writeln!(text, "path({other}A, B) :- {right}, path({other}M, B)."),
            1 => writeln!(text, "path({other}A, B) :- path({other}A, M), {left}."),
            _ => Ok(()),
        }
        .expect("text");
    }
    if 2 <= forms {
        writeln!(text, "path({other}A, B) :- path({other}A, M), path({other}M, B).").expect("text");
    }
    if random.chance(20) {
        writeln!(text, "path({other}A, A) :- level(A, _){}.", if is_wide { ", level(C, _)" } else { "" })
            .expect("text");
    }
    let start = edge(random, "A", "B", "C").replace("(C, _)", "(A, _)").replace('C', "_");
    writeln!(text, "walk(A, B) :- {start}.").expect("text");
    let wide = if is_wide { ["_, ", "A, ", "User::\"u1\", "][random.below(3)] } else { "" };
    let along = [format!("path({wide}M, B)"), format!("path({wide}B, M)")][random.below(2)].clone();
    let also = ["", ", level(A, _)", ", not level(B, 1)", ", A != M"][random.below(7).saturating_sub(3)];
    writeln!(text, "walk(A, B) :- walk(A, M), {along}{also}.").expect("text");
    if random.chance(30) {
        writeln!(text, "walk(A, B) :- walk(M, B), path({wide}A, M).").expect("text");
    }
}

fn any<'n>(random: &mut Random, of: &'n [Named]) -> (&'n str, usize) {
    let (name, arity) = &of[random.below(of.len())];
    (name, *arity)
}

fn rule(
    random: &mut Random,
    text: &mut String,
    (name, arity): (&str, usize),
    (below, read): (&[Named], Read<'_>),
    has_sums: bool,
) {
    let mut bound: Vec<String> = Vec::new();
    let term = |random: &mut Random, bound: &mut Vec<String>, is_new_allowed: bool| match random.below(10) {
        0 => format!("User::\"u{}\"", random.below(NAMES)),
        1 if is_new_allowed => "_".to_owned(),
        2..=5 if !bound.is_empty() || !is_new_allowed => bound[random.below(bound.len())].clone(),
        _ if is_new_allowed => {
            bound.push(format!("V{}", bound.len()));
            bound[bound.len() - 1].clone()
        }
        _ => bound[random.below(bound.len())].clone(),
    };
    let mut body: Vec<String> = Vec::new();
    let n_literals = 1 + random.below(3);
    let recursive = random.chance(55).then(|| random.below(n_literals));
    for at in 0..n_literals {
        let (of, n) = match recursive {
            Some(recursive) if recursive == at => match read {
                Read::Derived(_) => (name, arity),
                Read::Mates(mates) => any(random, mates),
            },
            // Relations that derive one another, and more than one recursive condition.
            Some(_) if matches!(read, Read::Derived(_)) && random.chance(20) => match read {
                Read::Derived(derived) | Read::Mates(derived) => any(random, derived),
            },
            _ => any(random, below),
        };
        let args: Vec<String> = (0..n).map(|_| term(random, &mut bound, true)).collect();
        body.push(format!("{of}({})", args.join(", ")));
    }
    if bound.is_empty() {
        let (of, n) = &below[0];
        bound.push("V0".to_owned());
        body.push(format!("{of}({})", vec!["V0"; *n].join(", ")));
    }
    if random.chance(25) {
        let (of, n) = &below[random.below(below.len())];
        let args: Vec<String> = (0..*n).map(|_| term(random, &mut bound, false)).collect();
        body.push(format!("not {of}({})", args.join(", ")));
    }
    about_places(random, &mut body, &mut bound);
    let folded = aggregate(random, &mut body, &bound, below, has_sums);
    if random.chance(20) && !folded {
        let (left, right) = (bound[random.below(bound.len())].clone(), term(random, &mut bound, false));
        body.push(format!("{left} {} {right}", if random.chance(70) { "!=" } else { "==" }));
    }
    let head: Vec<String> = (0..arity).map(|_| term(random, &mut bound, false)).collect();
    let mut written = format!("{name}({}) :- {}.", head.join(", "), body.join(", "));
    // A variable that stands in one place only is a slip, and refused.
    for variable in bound {
        if written.matches(&variable).count() == 1 {
            written = written.replace(&variable, "_");
        }
    }
    writeln!(text, "{written}").expect("text");
}

/// Sometimes what is made of several rows; says whether.
fn aggregate(random: &mut Random, body: &mut Vec<String>, bound: &[String], below: &[Named], has_sums: bool) -> bool {
    if !random.chance(20) {
        return false;
    }
    let (of, n) = &below[random.below(below.len())];
    let term = |random: &mut Random| match random.below(10) {
        0 => format!("User::\"u{}\"", random.below(NAMES)),
        _ => bound[random.below(bound.len())].clone(),
    };
    let mut args: Vec<String> = (0..*n).map(|_| term(random)).collect();
    args[0] = "F0".to_owned();
    let longs = random.chance(30).then(|| format!("F1 : level({}, F1)", bound[random.below(bound.len())]));
    let fold = longs.unwrap_or_else(|| format!("F0 : {of}({})", args.join(", ")));
    let is_about_longs = fold.starts_with("F1");
    let names = ["min", "max", "count", "sum"];
    let name = if is_about_longs { names[random.below(3 + usize::from(has_sums))] } else { "count" };
    let test = ["N0 > 0", "N0 < 2", "N0 == 1", "N0 != 2"][random.below(4)];
    body.push(format!("N0 = {name} {{ {fold} }}, {test}"));
    true
}

/// Who is in what, and integers that are compared.
fn about_places(random: &mut Random, body: &mut Vec<String>, bound: &mut Vec<String>) {
    if random.chance(25) {
        let low = bound[random.below(bound.len())].clone();
        let high = match random.below(3) {
            0 => "_".to_owned(),
            1 => bound[random.below(bound.len())].clone(),
            _ => {
                bound.push(format!("V{}", bound.len()));
                bound[bound.len() - 1].clone()
            }
        };
        let (low, high) = if random.chance(50) && high != "_" { (low, high) } else { (high, low) };
        body.push(format!("{low} in {high}"));
    }
    if random.chance(15) {
        let (low, high) = (bound[random.below(bound.len())].clone(), bound[random.below(bound.len())].clone());
        body.push(format!("not ({low} in {high})"));
    }
    if random.chance(20) {
        let of = bound[random.below(bound.len())].clone();
        let tests = ["1 < L0", "L0 >= 2", "L0 == 1 || L0 > 2", "!(L0 < 2)", "L0 != 3 && L0 <= 2"];
        body.push(format!("level({of}, L0), {}", tests[random.below(tests.len())]));
    }
}
