//! Whole programs of other engines: their declarations, how they read rows, the rules, and how they tell what came of them.

use std::{fmt::Write as _, fs, path::Path};

use crate::bulk::outputs;

use super::dialects::{Dialect, Rules};

/// A path in quotes of Python, Prolog and Souffle alike: our folders have no quotes in their names.
fn rows(dir: &Path, name: &str) -> String {
    dir.join(format!("{name}.tsv")).display().to_string()
}

pub fn souffle(rules: &Rules, dir: &Path) -> String {
    let mut text = String::new();
    for (name, n_columns) in &rules.n_columns {
        let columns: Vec<_> = (0..*n_columns).map(|n| format!("a{n}:number")).collect();
        writeln!(text, ".decl {name}({})", columns.join(",")).unwrap();
    }
    for name in &rules.given {
        writeln!(text, ".input {name}(IO=file, filename=\"{}\")", rows(dir, name)).unwrap();
    }
    if rules.program == "agg" {
        text += "grp(g) :- member(_,g,_).\ncnt(g,n) :- grp(g), n = count : { member(_,g,_) }.\n\
                 mx(g,n) :- grp(g), n = max l : { member(_,g,l) }.\n.decl total(n:number)\n\
                 total(x+y) :- x = sum n : { cnt(_,n) }, y = sum n : { mx(_,n) }.\n.output total(IO=stdout)\n";
    } else {
        for output in outputs(&rules.program) {
            writeln!(text, ".printsize {output}").unwrap();
        }
    }
    text + &rules.write(&Dialect { variable: str::to_lowercase, not: "!", differ: "!=" }, ".")
}

/// It has no strata, and so no negation, and no aggregates.
pub fn datatoad(rules: &Rules, dir: &Path) -> Option<String> {
    if ["neg", "authz", "agg"].contains(&&*rules.program) {
        return None;
    }
    let mut text = String::new();
    for name in &rules.given {
        let columns: Vec<_> = (0..rules.n_columns[name]).map(|n| format!("(?P<u32_c{n}>[0-9]+)")).collect();
        writeln!(text, ".load {name} {} {}", columns.join("\\s"), rows(dir, name)).unwrap();
    }
    let written = rules.write(&Dialect { variable: str::to_lowercase, not: "!", differ: "!=" }, ".");
    // It has no `_`, and says that two differ by a relation of its own.
    let (mut n_fresh, mut line) = (0, String::new());
    for character in written.chars() {
        match character {
            '\n' => line.push(' '),
            '_' if line.ends_with(['(', ',']) => {
                n_fresh += 1;
                write!(line, "w{n_fresh}").unwrap();
            }
            _ => line.push(character),
        }
    }
    let line = line.replace("x != y", ":noteq(x,y)");
    Some(format!("{text}{line}\n.list\n.quit\n"))
}

pub fn nemo(rules: &Rules, dir: &Path) -> String {
    let mut text = String::new();
    for name in &rules.given {
        let columns = vec!["int"; rules.n_columns[name]].join(",");
        writeln!(text, "@import {name} :- tsv{{resource=\"{}\", format=({columns})}} .", rows(dir, name)).unwrap();
    }
    let counted: Vec<String> = if rules.program == "agg" {
        text += "cnt(?g,#count(?u,?l)) :- member(?u,?g,?l) .\nmx(?g,#max(?l)) :- member(?u,?g,?l) .\n\
                 total(#sum(?c,?g)) :- cnt(?g,?c) .\ntotal(#sum(?c,?g)) :- mx(?g,?c) .\n@output total .\n";
        vec!["total".to_owned()]
    } else {
        text += &rules.write(&Dialect { variable: |name| format!("?{name}"), not: "~", differ: "!=" }, " .");
        let outputs = outputs(&rules.program).iter();
        for output in outputs.clone() {
            let columns: Vec<_> = (0..rules.n_columns[*output]).map(|n| format!("?v{n}")).collect();
            let columns = columns.join(",");
            writeln!(text, "n_{output}(#count({columns})) :- {output}({columns}) .\n@output n_{output} .").unwrap();
        }
        outputs.map(|output| format!("n_{output}")).collect()
    };
    format!(
        "import time, nmo_python as nemo\nbegun = time.time()\nengine = nemo.NemoEngine(nemo.load_string('''{text}'''))\n\
         engine.reason()\nended = time.time()\ncount = sum(int(row[0]) for of in {counted:?} for row in engine.result(of))\n\
         print(f'count={{count}}')\n"
    )
}

/// What recursive queries of SQL can say.
pub fn duckdb(rules: &Rules, dir: &Path) -> Option<String> {
    let query = match &*rules.program {
        "tc" | "tcr" => {
            "with recursive p(a,b) as (select a0, a1 from edge union select p.a, e.a1 from p join edge e on p.b = e.a0) \
             select count(*) from p"
        }
        "sg" => {
            "with recursive s(x,y) as (select a.a0, b.a0 from below a join below b on a.a1 = b.a1 where a.a0 <> b.a0 \
             union select a.a0, b.a0 from s join below a on a.a1 = s.x join below b on b.a1 = s.y) select count(*) from s"
        }
        "tri" => "select count(*) from edge x join edge y on x.a1 = y.a0 join edge z on z.a0 = x.a0 and z.a1 = y.a1",
        "agg" => {
            "select (select sum(n) from (select count(*) n from member group by a1)) + \
             (select sum(n) from (select max(a2) n from member group by a1))"
        }
        _ => return None,
    };
    let mut text = "import time, duckdb\ndb = duckdb.connect()\ndb.execute('pragma threads=1')\n".to_owned();
    for name in &rules.given {
        let columns: Vec<_> = (0..rules.n_columns[name]).map(|n| format!("'a{n}': 'INT'")).collect();
        let (columns, path) = (columns.join(", "), rows(dir, name));
        writeln!(
            text,
            "db.execute(\"\"\"create table {name} as select * from read_csv('{path}', delim='\\t', header=false, \
             columns={{{columns}}})\"\"\")"
        )
        .unwrap();
    }
    Some(format!(
        "{text}begun = time.time()\ncount = db.execute(\"\"\"{query}\"\"\").fetchone()[0]\n\
         print(f'count={{count}} eval={{time.time() - begun:.4f}}')\n"
    ))
}

/// Tabled predicates, in the order in which the rules have their conditions.
pub fn swipl(rules: &Rules, dir: &Path, facts: &Path) -> Option<String> {
    if rules.program == "agg" {
        return None;
    }
    let mut given = String::new();
    for name in &rules.given {
        for row in fs::read_to_string(rows(dir, name)).ok()?.lines() {
            writeln!(given, "{name}({}).", row.replace('\t', ",")).unwrap();
        }
    }
    fs::write(facts, given).ok()?;
    let mut text = String::new();
    for name in &rules.derived {
        writeln!(text, ":- table {name}/{}.", rules.n_columns[name]).unwrap();
    }
    for name in &rules.given {
        writeln!(text, ":- dynamic {name}/{}.", rules.n_columns[name]).unwrap();
    }
    text += &rules.write(&Dialect { variable: str::to_owned, not: "\\+ ", differ: "=\\=" }, ".");
    let outputs = outputs(&rules.program);
    let count = |(n, output): (usize, &&str)| {
        let columns = vec!["_"; rules.n_columns[*output]].join(",");
        format!("aggregate_all(count,{output}({columns}),N{n})")
    };
    let counts: Vec<_> = outputs.iter().enumerate().map(count).collect();
    let sum: Vec<_> = (0..outputs.len()).map(|n| format!("N{n}")).collect();
    writeln!(
        text,
        ":- load_files('{}',[silent(true)]), get_time(A), {}, get_time(B), N is {}, E is B-A, \
         format('count=~w eval=~4f~n',[N,E]), halt.",
        facts.display(),
        counts.join(", "),
        sum.join(" + ")
    )
    .unwrap();
    Some(text)
}
