//! Rulesets with live facts, each with what is asked of it.

/// A ruleset in which `@live` may be taken away, its live relations with the types of their columns, and what is asked of it.
pub struct Ruleset {
    pub name: &'static str,
    /// What stands before the text.
    pub schema: &'static str,
    pub text: &'static str,
    /// Types of columns: `u` a user, `g` a group, `d` a document, `n` a number, `s` a string. Whether there is one value for a key.
    pub relations: &'static [(&'static str, &'static str, bool)],
    pub has_entities: bool,
    pub queries: &'static [&'static str],
}

/// Users and groups that come and go.
const ORGANIZATION: &str = "
[schema]
@live entity Group in [Group];
@live entity User in [Group] { level: Long, boss?: User };
entity Document in [Group];
action read, write appliesTo { principal: [User], resource: [Document], context: { hour?: Long } };
";

pub const RULESETS: [Ruleset; 9] = [
    Ruleset {
        name: "attributes in conditions",
        schema: ORGANIZATION,
        text: r#"
[entities]
Document.d0 = {}
[rules]
@live relation knows(User, User).
good(U) :- User(U), U.level > 2.
@materialize relation bossed(User).
bossed(U) :- User(U), U has boss.
@materialize relation above(User, User).
above(U, V) :- knows(U, V), U has level, V has level, U.level > V.level.
above(U, W) :- above(U, V), above(V, W).
many(N) :- N = count { U : User(U), U has level, U.level > 1 }.
better(U) :- User(U), U has boss, U.boss has level, U.level > U.boss.level.
plain(U) :- User(U), not good(U), not bossed(U).
@id("good") permit(U, Action::"read", _) :- good(U), not bossed(U).
@id("better") permit(U, Action::"write", _) :- better(U).
@id("above") forbid(U, Action::"write", _) :- above(U, _), many(N), N > 2.
@id("plain") forbid(U, _, _) :- plain(U).
"#,
        relations: &[("knows", "uu", false)],
        has_entities: true,
        queries: &["good(U)", "bossed(U)", "above(U, V)", "many(N)", "better(U)", "plain(U)"],
    },
    Ruleset {
        name: "what is kept derived",
        schema: "",
        text: r#"
[rules]
@live relation edge(User, User).
@live relation mark(User, Long).
relation seed(User, User).
seed("u0", "u1").
seed("u3", "u4").
@materialize relation path(User, User).
@materialize relation alone(User).
@materialize relation weight(User, Long).
path(U, V) :- edge(U, V).
path(U, V) :- seed(U, V).
path(U, W) :- path(U, V), path(V, W).
alone(U) :- mark(U, _), not path(U, _).
weight(U, N) :- mark(U, _), N = count { V : path(U, V) }.
heavy(U) :- weight(U, N), N > 2.
both(U) :- heavy(U), path(U, U).
@id("heavy") permit(U, Action::"read", _) :- heavy(U).
@id("both") permit(U, Action::"write", _) :- both(U).
@id("alone") forbid(U, Action::"write", _) :- alone(U).
"#,
        relations: &[("edge", "uu", false), ("mark", "un", false)],
        has_entities: false,
        queries: &["path(U, V)", "alone(U)", "weight(U, N)", "heavy(U)", "both(U)"],
    },
    Ruleset {
        name: "parents by rules that are kept derived",
        schema: ORGANIZATION,
        text: r#"
[entities]
Document.d0 = { in = ['Group::"g0"'] }
[rules]
@live relation member(User, Group).
parent(U, G) :- member(U, G).
@materialize relation among(User, Group).
among(U, G) :- User(U), U in G, Group(G).
few(U) :- among(U, G), not Group::"g1" in G.
@id("few") permit(U, Action::"read", _) :- few(U).
[policies]
@id("in") permit (principal in Group::"g4", action == Action::"write", resource in Group::"g1");
"#,
        relations: &[("member", "ug", false)],
        has_entities: true,
        queries: &["among(U, G)", "few(U)", "parent(X, Y)"],
    },
    Ruleset {
        name: "recursion and negation",
        schema: "",
        text: r#"
[data]
grant = [["g1", "d1"], ["g2", "d2"]]
[rules]
@live relation member(User, Group).
@live relation sub(Group, Group).
@live relation denied(User, Document).
relation grant(Group, Document).
in_group(U, G) :- member(U, G).
in_group(U, G) :- in_group(U, H), sub(H, G).
reach(A, B) :- sub(A, B).
reach(A, C) :- reach(A, B), reach(B, C).
may(U, D) :- in_group(U, G), grant(G, D), not denied(U, D).
@id("read") permit(U, Action::"read", D) :- may(U, D).
@id("no") forbid(U, _, D) :- denied(U, D).
"#,
        relations: &[("member", "ug", false), ("sub", "gg", false), ("denied", "ud", false)],
        has_entities: false,
        queries: &["may(U, D)", "reach(A, B)", "in_group(U, G), not denied(U, Document::\"d1\")"],
    },
    Ruleset {
        name: "what is known, aggregates and one value for a key",
        schema: "",
        text: r#"
[entities]
User.u0 = {}
[rules]
@live relation strikes(User -> Long).
@live relation near(User, User).
@attribute relation banned(User).
@materialize relation friends(User, Long).
banned(U) :- strikes(U, N), N >= 3.
friends(U, N) :- User(U), N = count { V : near(U, V) }.
worst(N) :- N = max { M : strikes(_, M) }.
total(N) :- N = sum { M, U : strikes(U, M) }.
lonely(U) :- User(U), not near(U, _).
@id("known") permit(U, Action::"read", _) :- User(U), lonely(U).
[policies]
@id("all") permit (principal is User, action, resource) when { !principal.banned };
"#,
        relations: &[("strikes", "un", true), ("near", "uu", false)],
        has_entities: false,
        queries: &["friends(U, N)", "worst(N)", "total(N)", "lonely(U)", "banned(U)", "User(U)"],
    },
    Ruleset {
        name: "conditions that can fail",
        schema: "",
        text: r#"
[rules]
@live relation level(User -> Long).
@live relation knows(User, User).
relation rank(User, Long).
big(U, M) :- level(U, N), M = N * 4611686018427387904.
linked(U, V) :- knows(U, V), big(V, _).
far(U, V) :- linked(U, V).
far(U, W) :- far(U, V), linked(V, W).
alone(U) :- knows(U, _), not far(U, _).
@id("far") permit(U, Action::"read", D) :- far(U, V), level(V, N), N > 0, D is Document.
@id("alone") forbid(U, Action::"write", _) :- alone(U).
@id("write") permit(U, Action::"write", _) :- knows(U, _).
"#,
        relations: &[("level", "un", true), ("knows", "uu", false)],
        has_entities: false,
        queries: &["big(U, M)", "far(U, V)", "alone(U)"],
    },
    Ruleset {
        name: "parents by rules, and relations of requests",
        schema: "",
        text: r#"
[schema]
entity Group in [Group];
entity User in [Group];
entity Document in [Group];
action read, write appliesTo { principal: [User], resource: [Document], context: { hour?: Long } };
[entities]
Group.g0 = { in = ['Group::"g1"'] }
User.u1 = { in = ['Group::"g0"'] }
[rules]
@live relation member(User, Group).
@live relation quota(User, Long).
@live relation home(Document -> Group).
parent(U, G) :- member(U, G).
over(U) :- quota(U, N), context has hour, context.hour > N.
near(D, G) :- home(D, H), H in G.
@id("in") permit(U, Action::"read", D) :- near(D, G), U in G.
@id("over") forbid(U, _, _) :- over(U).
[policies]
@id("group") permit (principal in Group::"g1", action == Action::"write", resource);
"#,
        relations: &[("member", "ug", false), ("quota", "un", false), ("home", "dg", true)],
        has_entities: false,
        queries: &["near(D, G)", "User(U), U in G", "parent(X, Y)"],
    },
    Ruleset {
        name: "entities that come and go, with rules",
        schema: ORGANIZATION,
        text: r#"
[entities]
Document.d0 = { in = ['Group::"g0"'] }
[rules]
@live relation viewer(User, Document).
chief(U, V) :- User.boss(U, V).
chief(U, W) :- chief(U, V), User.boss(V, W).
strong(U) :- User.level(U, N), N >= 3.
sees(U, D) :- viewer(V, D), chief(U, V).
sees(U, D) :- U in G, D in G, Group(G), D is Document.
@id("sees") permit(U, Action::"read", D) :- sees(U, D).
@id("strong") permit(U, Action::"write", _) :- strong(U).
"#,
        relations: &[("viewer", "ud", false)],
        has_entities: true,
        queries: &["chief(U, V)", "strong(U)", "User(U)", "Group(G)", "sees(U, D)", "parent(X, Y)", "User.level(U, N)"],
    },
    Ruleset {
        name: "entities that come and go, with policies alone",
        schema: ORGANIZATION,
        text: r#"
[entities]
Document.d0 = { in = ['Group::"g0"'] }
[policies]
@id("level") permit (principal, action == Action::"read", resource) when { principal.level > 2 };
@id("group") permit (principal in Group::"g1", action == Action::"write", resource in Group::"g2");
@id("boss") forbid (principal, action == Action::"write", resource)
  when { principal has boss && principal.boss in Group::"g0" };
"#,
        relations: &[],
        has_entities: true,
        queries: &[],
    },
];
