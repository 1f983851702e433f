//! Random rules: conditions that bind variables, and then conditions about them.

use super::worlds::{Form, Maker, VARIABLES};

/// A rule on its way: its conditions, and the variables that they bind.
pub struct Draft<'m> {
    maker: &'m mut Maker,
    /// The place of its relation among the derived ones.
    at: usize,
    /// Whether it must not need its own relation.
    is_first: bool,
    is_per_request: bool,
    bound: Vec<(&'static str, String)>,
    body: Vec<String>,
}

impl<'m> Draft<'m> {
    pub fn new(maker: &'m mut Maker, at: usize, is_first: bool) -> Self {
        let name = maker.derived.get(at).map(|of| of.name);
        let is_per_request = name.is_none_or(|name| maker.per_request.contains(&name));
        Self { maker, at, is_first, is_per_request, bound: Vec::new(), body: Vec::new() }
    }

    pub fn rule(mut self, head: &str, columns: &[&'static str]) -> String {
        let mut args = Vec::new();
        for kind in columns.iter().copied() {
            let kind = self.one_of(kind);
            let known = self.all_known(kind);
            args.push(match self.maker.below(100) {
                0..6 => self.maker.constant(kind),
                6..14 if !known.is_empty() => self.maker.pick(&known),
                _ if kind == "Long" => {
                    let name = self.long();
                    if self.maker.percent(15) { format!("{name} + 1") } else { name }
                }
                _ => self.binder(kind),
            });
        }
        if head == "parent" && self.maker.percent(40) {
            // Who may be below somebody is worth asking.
            let user = self.known("User");
            self.make_sure(&user, "quota");
            self.body.push(format!("{user}.quota != {}", self.maker.below(5)));
        }
        for _ in 0..self.maker.below(2) {
            let kind = self.maker.pick(&["User", "Group", "Doc"]);
            let name = self.variable(kind);
            self.atom(kind, name);
        }
        self.conditions();
        if self.body.is_empty() {
            self.binder("User");
        }
        self.finish(head, &args)
    }

    pub fn decision(mut self, effect: &str) -> String {
        self.bound.extend([("User", "U".to_owned()), ("Doc", "D".to_owned())]);
        for kind in ["User", "Doc"] {
            if self.maker.percent(60) {
                let name = if kind == "User" { "U" } else { "D" };
                self.atom(kind, name.to_owned());
            }
        }
        for _ in 0..1 + self.maker.below(2) {
            let absent = self.absent();
            self.body.push(absent);
        }
        self.conditions();
        if self.body.is_empty() {
            self.body.push("User(U)".to_owned());
        }
        self.finish(effect, &["U", "_", "D"].map(str::to_owned))
    }

    /// The clause, in which a variable that stands in one place only is `_`.
    fn finish(mut self, head: &str, args: &[String]) -> String {
        // What may be of another type than its column is mostly said not to be.
        for arg in args.iter().filter(|_| !["permit", "forbid"].contains(&head)) {
            let is_it =
                |(kind, name): &&(&'static str, String)| name == arg && VARIABLES[..3].iter().any(|(of, _)| of == kind);
            if let Some((kind, _)) = self.bound.iter().find(is_it).cloned()
                && self.maker.percent(60)
            {
                let is_test = self.maker.percent(50);
                self.body.push(if is_test { format!("{arg} is {kind}") } else { format!("{kind}({arg})") });
            }
        }
        let mut body = std::mem::take(&mut self.body);
        self.maker.shuffle(&mut body);
        let text = format!("{head}({}) :- {}.", args.join(", "), body.join(", "));
        let mut words: Vec<String> = Vec::new();
        for c in text.chars() {
            let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
            match words.last_mut() {
                Some(word) if is_of_word(c) && word.ends_with(is_of_word) => word.push(c),
                _ => words.push(c.to_string()),
            }
        }
        let is_variable = |at: usize| {
            let word = &words[at];
            let is_name = word.starts_with(char::is_uppercase)
                && (word.len() == 1 || word.ends_with(|c: char| c.is_ascii_digit()));
            is_name && words.iter().filter(|other| *other == word).count() == 1
        };
        (0..words.len()).map(|at| if is_variable(at) { "_" } else { words[at].as_str() }).collect()
    }

    /// One of the types of a column.
    fn one_of(&mut self, kinds: &'static str) -> &'static str {
        self.maker.pick(&kinds.split(" | ").collect::<Vec<_>>())
    }

    /// The known variables of a type.
    fn all_known(&self, kind: &str) -> Vec<String> {
        self.bound.iter().filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect()
    }

    /// A variable of a type: a known one, or a new one.
    fn variable(&mut self, kind: &'static str) -> String {
        let known = self.all_known(kind);
        if !known.is_empty() && self.maker.percent(65) {
            return self.maker.pick(&known);
        }
        let (_, names) = VARIABLES.iter().find(|(of, _)| *of == kind).expect("a type with variables");
        let name = self.maker.pick(names).to_owned();
        if !known.contains(&name) {
            self.bound.push((kind, name.clone()));
        }
        name
    }

    /// A variable that a condition binds; not a number.
    fn binder(&mut self, kind: &'static str) -> String {
        let n_known = self.bound.len();
        let name = self.variable(kind);
        if self.bound.len() == n_known && self.maker.percent(60) {
            return name;
        }
        let attribute = [("User", "boss"), ("Group", "team")].into_iter().find(|(of, _)| *of == kind);
        if VARIABLES[..3].iter().any(|(of, _)| *of == kind) && self.maker.percent(15) {
            self.body.push(format!("{kind}({name})"));
        } else if let Some((_, attribute)) = attribute.filter(|_| self.maker.percent(20)) {
            let user = self.variable("User");
            self.atom("User", user.clone());
            let is_read = self.maker.percent(40);
            if is_read {
                self.body.push(format!("User.{attribute}({user}, {name})"));
            } else {
                self.make_sure(&user, attribute);
                self.body.push(format!("{name} = {user}.{attribute}"));
            }
            if user == name {
                self.body.push(format!("User({name})"));
            }
        } else {
            self.atom(kind, name.clone());
        }
        name
    }

    /// Where a schema says that an attribute may be missing, a rule says that it is not.
    fn make_sure(&mut self, owner: &str, attribute: &str) {
        if self.maker.has_schema && self.maker.percent(95) {
            self.body.push(format!("{owner} has {attribute}"));
        }
    }

    /// What may be read row by row, or completely.
    fn readable(&self, is_complete: bool) -> Vec<Form> {
        let mut forms = self.maker.base.clone();
        let before = self.maker.derived.iter().take(self.at).copied();
        forms.extend(
            before.filter(|of| {
                of.name != "parent" && (self.is_per_request || !self.maker.per_request.contains(&of.name))
            }),
        );
        let own = self
            .maker
            .derived
            .get(self.at)
            .filter(|of| !self.is_first && !is_complete && (!of.columns.contains(&"Long") || of.is_chosen()));
        forms.extend(own.filter(|of| of.name != "parent").into_iter().flat_map(|of| [*of; 2]));
        forms
    }

    /// An atom with this variable in it.
    fn atom(&mut self, kind: &'static str, name: String) {
        let mut forms = self.readable(false);
        if self.maker.percent(15) && !self.is_first {
            let later = self.maker.derived.iter().skip(self.at + 1);
            let is_plain = |of: &&Form| {
                !of.columns.contains(&"Long") && of.name != "parent" && !self.maker.per_request.contains(&of.name)
            };
            forms.extend(later.filter(is_plain));
        }
        forms.retain(|of| !of.places(kind).is_empty());
        let stored = [("String", "name"), ("Set<String>", "roles")].into_iter().find(|(of, _)| *of == kind);
        if let Some((_, attribute)) = stored.filter(|_| forms.is_empty() || self.maker.percent(40)) {
            let user = self.binder("User");
            self.body.push(format!("{name} = {user}.{attribute}"));
            return;
        } else if forms.is_empty() {
            self.body.push(format!("{kind}({name})"));
            return;
        }
        let form = self.maker.pick(&forms);
        let place = self.maker.pick(&form.places(kind));
        let arg =
            |(at, kind): (usize, &&'static str)| if at == place { name.clone() } else { self.argument(kind, true) };
        let args: Vec<String> = form.columns.iter().enumerate().map(arg).collect();
        let text = match args.as_slice() {
            [owner] if form.is_attribute && self.maker.percent(30) => format!("{owner}.{}", form.name),
            [owner, of]
                if form.is_attribute
                    && form.function.is_none()
                    && of != "_"
                    && owner != "_"
                    && self.maker.percent(30) =>
            {
                // Only of what is of its type for sure does an attribute bind what it has.
                if self.maker.percent(80) {
                    self.body.push(format!("{}({owner})", form.columns[0]));
                }
                format!("{owner}.{}.contains({of})", form.name)
            }
            _ => format!("{}({})", form.name, args.join(", ")),
        };
        self.body.push(text);
    }

    fn argument(&mut self, kind: &'static str, may_bind: bool) -> String {
        let kind = self.one_of(kind);
        let known = self.all_known(kind);
        match self.maker.below(100) {
            0..8 => self.maker.constant(kind),
            8..16 => "_".to_owned(),
            16..22 if kind == "User" && self.is_per_request => "principal".to_owned(),
            22..30 if kind == "Long" => self.number(1),
            _ if may_bind => self.variable(kind),
            _ if known.is_empty() => "_".to_owned(),
            _ => self.maker.pick(&known),
        }
    }

    /// A known variable of an entity type, or a constant.
    fn known(&mut self, kind: &'static str) -> String {
        let kind = self.one_of(kind);
        let known = self.all_known(kind);
        if known.is_empty() { self.maker.constant(kind) } else { self.maker.pick(&known) }
    }

    /// An expression for a number.
    fn number(&mut self, depth: usize) -> String {
        match self.maker.below(if depth == 0 { 5 } else { 7 }) {
            0 => self.maker.below(5).to_string(),
            1 if self.is_per_request => "context.n".to_owned(),
            2 if self.is_per_request && self.maker.percent(50) => "principal.level".to_owned(),
            2 => {
                let user = self.known("User");
                self.make_sure(&user, "quota");
                format!("{user}.quota")
            }
            3 => format!("{}.level", self.known("Doc")),
            4 | 1 => format!("{}.level", self.known("User")),
            n => {
                let (a, b) = (self.number(depth - 1), self.number(depth - 1));
                format!("({a} {} {b})", if n == 5 { "+" } else { "*" })
            }
        }
    }

    /// A variable with a number.
    fn long(&mut self) -> String {
        let name = self.maker.pick(&["N", "M", "K"]).to_owned();
        if self.bound.contains(&("Long", name.clone())) {
            return name;
        }
        match self.maker.below(5) {
            0 => {
                let user = self.binder("User");
                self.body.push(format!("User.level({user}, {name})"));
            }
            1 | 2 => {
                let number = self.number(1);
                self.body.push(format!("{name} = {number}"));
            }
            _ => self.aggregate(&name),
        }
        self.bound.push(("Long", name.clone()));
        name
    }

    fn aggregate(&mut self, result: &str) {
        let mut forms = self.readable(true);
        if self.maker.percent(5) {
            // Perhaps a cycle, which is refused.
            forms.extend(self.maker.derived.iter().skip(self.at).filter(|of| of.name != "parent"));
        }
        forms.retain(|of| !of.is_chosen());
        let form = self.maker.pick(&forms);
        self.maker.n_aggregates += 1;
        // Two aggregates of a rule may well have variables of one name.
        let n = self.maker.n_aggregates % 3;
        let (mut args, mut tuple) = (Vec::new(), Vec::new());
        for (at, kind) in form.columns.iter().enumerate() {
            let of = self.one_of(kind);
            let known = self.all_known(of);
            if !known.is_empty() && self.maker.percent(35) {
                args.push(self.maker.pick(&known));
            } else {
                args.push(format!("X{n}{at}"));
                tuple.push((*kind, format!("X{n}{at}")));
            }
        }
        let mut body = vec![format!("{}({})", form.name, args.join(", "))];
        let is_entity = |kind: &str| VARIABLES[..3].iter().any(|(of, _)| kind.contains(of));
        let entities: Vec<_> = tuple.iter().filter(|(kind, _)| is_entity(kind)).map(|(_, name)| name.clone()).collect();
        let Some(owner) = entities.first() else {
            self.body.push(format!("{result} = count {{ Y{n} : User(Y{n}) }}"));
            return;
        };
        if self.maker.percent(30) {
            body.push(format!("{owner}.level > {}", self.maker.below(3)));
        } else if self.is_per_request && self.maker.percent(50) {
            body.push(format!("{owner}.level > context.n"));
        }
        let mut tuple = tuple.clone();
        if self.maker.percent(30) {
            tuple.retain(|(_, name)| name == owner);
        }
        if self.maker.percent(15) {
            let inner = self.maker.pick(&forms);
            let args: Vec<_> = (0..inner.columns.len()).map(|at| format!("Z{n}{at}")).collect();
            let args = args.join(", ").replacen(&format!("Z{n}0"), owner, usize::from(inner.columns[0] == tuple[0].0));
            body.push(format!(
                "Q{n} = count {{ {} : {}({args}) }}",
                args.split(", ").last().expect("a column"),
                inner.name
            ));
            body.push(format!("Q{n} {} 1", self.maker.pick(&[">", "<", "!="])));
        }
        let all = |tuple: &[(&str, String)]| tuple.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>().join(", ");
        let text = if self.maker.percent(50) {
            format!("{result} = count {{ {} : {} }}", all(&tuple), body.join(", "))
        } else {
            let fold = self.maker.pick(&["sum", "sum", "min", "max"]);
            let attribute = self.maker.pick(&["level", "quota"]);
            let kind = tuple.iter().find(|(_, name)| name == owner).map_or("", |(kind, _)| kind);
            if VARIABLES.iter().any(|(of, _)| *of == kind) && self.maker.percent(50) {
                body.push(format!("{kind}.{attribute}({owner}, Y{n})"));
            } else {
                body.extend((attribute == "quota" && self.maker.has_schema).then(|| format!("{owner} has quota")));
                body.push(format!("Y{n} = {owner}.{attribute}"));
            }
            format!("{result} = {fold} {{ Y{n}, {} : {} }}", all(&tuple), body.join(", "))
        };
        self.body.push(text);
    }

    fn conditions(&mut self) {
        if self.is_per_request && self.maker.percent(30) {
            let condition = self.of_request();
            self.body.push(condition);
        }
        for _ in 0..self.maker.below(3) {
            let condition = self.condition();
            self.body.push(condition);
        }
    }

    fn condition(&mut self) -> String {
        match self.maker.below(19) {
            0..4 => self.absent(),
            4 if self.maker.percent(10) => format!("not {} in _", self.known("User")),
            4 => format!("not {} in {}", self.known("User"), self.known("Group")),
            5 | 15 => {
                let (low, high) = if self.maker.percent(60) { ("User", "Group") } else { ("Group", "Group") };
                let (low, high) = (self.binder(low), self.variable(high));
                format!("{low} in {high}")
            }
            6 | 16 => {
                let name = self.long();
                format!("{name} {} {}", self.maker.pick(&[">", "<=", "!=", "<"]), self.maker.below(4))
            }
            7 if self.is_per_request => self.of_request(),
            8 => {
                let (a, b) = (self.known("User"), self.known("User"));
                format!("{a} {} {b}", self.maker.pick(&["==", "!="]))
            }
            9 | 10 => self.complete(),
            11 => {
                let user = self.known("User");
                let condition = self.maker.of_user(&user);
                if self.maker.percent(30) { format!("!({condition})") } else { condition }
            }
            12 => {
                let (name, of) = self.maker.pick(&[("String", "S like \"a*\""), ("Set<String>", "A.contains(\"a\")")]);
                let bound = self.binder(name);
                of.replacen(['S', 'A'], &bound, 1)
            }
            13 if self.is_per_request => self.maker.of_user("principal"),
            14 | 17 => {
                // An atom that binds nothing.
                let forms = self.readable(false);
                let form = self.maker.pick(&forms);
                let is_constant = self.maker.percent(40);
                let arg = |kind: &&'static str| {
                    if is_constant { self.maker.constant(kind) } else { self.argument(kind, false) }
                };
                let args: Vec<_> = form.columns.iter().map(arg).collect();
                format!("{}({})", form.name, args.join(", "))
            }
            _ => self.comparison(),
        }
    }

    fn of_request(&mut self) -> String {
        let user = self.known("User");
        self.maker.pick(&[format!("{user} == principal"), "context.n > 1".to_owned(), "principal.level < 4".to_owned()])
    }

    fn absent(&mut self) -> String {
        let forms = self.readable(true);
        let form = self.maker.pick(&forms);
        let args: Vec<_> = form.columns.iter().map(|kind| self.argument(kind, false)).collect();
        format!("not {}({})", form.name, args.join(", "))
    }

    fn comparison(&mut self) -> String {
        if self.maker.percent(10) {
            let (forms, owner) = (self.readable(true), self.known("Group"));
            self.maker.n_aggregates += 1;
            let (result, element) = (format!("S{}", self.maker.n_aggregates), format!("Y{}", self.maker.n_aggregates));
            let of_groups =
                forms.into_iter().find(|of| of.columns == ["Group", "Group"] || of.columns == ["User", "Group"]);
            if let Some(form) = of_groups {
                let first = if form.columns[0] == "User" { self.known("User") } else { self.known("Group") };
                self.body.push(format!("{result} = collect {{ {element} : {}({first}, {element}) }}", form.name));
                return format!("{result}.contains({owner})");
            }
        }
        format!("{} {} {}", self.number(1), self.maker.pick(&[">", "<=", "<", ">="]), self.maker.below(5))
    }

    /// A read of all of a relation within an expression.
    fn complete(&mut self) -> String {
        let forms: Vec<_> = self.readable(true).into_iter().filter(|of| of.is_attribute).collect();
        let other = self.comparison();
        if forms.is_empty() || self.maker.percent(15) {
            return format!("!({} in {}) || {other}", self.known("User"), self.known("Group"));
        }
        let form = self.maker.pick(&forms);
        let owner = self.known(form.columns[0]);
        let others = [self.known("User"), self.known("Doc")];
        let read = self.maker.attribute(&form, &owner, &others);
        match self.maker.below(4) {
            0 => format!("!({read})"),
            1 => format!("{read} || {other}"),
            2 => format!("!({read}) && {other}"),
            _ => format!("if {read} then {other} else {}", self.comparison()),
        }
    }
}
