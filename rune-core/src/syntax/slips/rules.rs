//! Slips in rules: what a statement that does not parse was probably meant to be.

use pest::{
    Parser,
    error::{ErrorVariant, InputLocation},
    iterators::Pair,
};

use crate::{
    base::{character_at, limits},
    diag::Code,
    syntax::rules::{
        Error, Fold, Name, Reader, clause_of,
        expr::{lone_call, single},
        grammar::{Grammar, Rule},
        is_variable,
    },
};

const ARROW: &str = "the arrow of a rule is `:-`";
const AND: &str = "conditions are joined by `,`";
const OR: &str = "for \"or\", write a second rule with the same head";
const NOT: &str = "negation is `not`";
const BOTH: &str = "give them a relation of their own, `both(X) :- a(X), b(X).`, and write `not both(X)`";
const DIFFER: &str = "what differs is compared with `!=`";
const COMMAS: &str = "arguments are separated by `,`";
const COMMENT: &str = "comments begin with `#` or `//`";

/// What is written elsewhere, and what it is called here. The first that fits counts; words fit whole, in any case.
const ELSEWHERE: [(&str, &str); 31] = [
    ("=<", "less than or equal is `<=`"),
    ("<>", DIFFER),
    ("\\=", DIFFER),
    ("/=", DIFFER),
    ("~=", DIFFER),
    (";", OR),
    ("|", OR),
    ("or", OR),
    ("&", AND),
    ("and", AND),
    ("<-", ARROW),
    ("->", ARROW),
    ("=>", ARROW),
    ("if", ARROW),
    ("when", ARROW),
    ("where", ARROW),
    (":=", "a variable is bound with `=`"),
    ("=", "values are compared with `==`; `=` binds the variable at its left"),
    ("\\+", NOT),
    ("¬", NOT),
    ("~", NOT),
    ("not", NOT),
    ("!", "negation is `not`, and `!` before an expression"),
    ("/*", COMMENT),
    ("--", COMMENT),
    ("%", COMMENT),
    ("/", "there is no division; compare products"),
    ("'", "strings are written with double quotes"),
    ("?", "a variable begins with a capital letter: `X`"),
    ("$", "a variable begins with a capital letter: `X`"),
    (".", "a period in a path is followed by a name; a rule ends with a period before white space"),
];

/// Words that stand between two others.
const BETWEEN: [&str; 12] = ["in", "is", "has", "like", "if", "then", "else", "not", "and", "or", "when", "where"];

impl Reader<'_> {
    /// Reports where a statement is no clause, with advice if it is written so elsewhere.
    pub(in crate::syntax) fn slip(&mut self, base: usize, error: &Error) {
        let at = match error.location {
            InputLocation::Pos(at) | InputLocation::Span((at, _)) => base + at,
        };
        let text = self.piece.text.as_str();
        let at = start_of_slip(text, base, at);
        let (before, rest) = (text.get(base..at).unwrap_or_default(), text.get(at..).unwrap_or_default());
        if let Some((gap, message, help)) = gap(before, rest) {
            let place = self.piece.start + at + gap..self.piece.start + at + gap + 1;
            self.refuse(Code::RuleSyntax, place, message, help);
            return;
        }
        let found = found(rest);
        let message = match found.as_str() {
            "" => "the rule breaks off here".to_owned(),
            found => format!("`{found}` does not fit here"),
        };
        let help = in_context(before, &found).or_else(|| elsewhere(&found, rest)).map(str::to_owned);
        let help = help.or_else(|| expected(error)).unwrap_or_else(|| {
            "a clause is `head(X) :- body(X), X.level > 3.`, `fact(\"a\").` or `relation name(Type, Type).`".to_owned()
        });
        let end = if found.is_empty() { character_at(text, at).end } else { at + found.len() };
        self.refuse(Code::RuleSyntax, self.piece.start + at..self.piece.start + end, message, help);
    }

    /// Reports a line that is a comment elsewhere, and returns how many bytes it has.
    pub(in crate::syntax) fn foreign_comment(&mut self, at: usize) -> Option<usize> {
        let rest = self.piece.text.get(at..)?;
        let mark = ["--", "%", "/*"].into_iter().find(|mark| rest.starts_with(mark))?;
        let end = if mark == "/*" { rest.find("*/").map(|end| end + 2) } else { rest.find('\n') };
        let end = end.unwrap_or(rest.len());
        let place = self.piece.start + at..self.piece.start + at + mark.len();
        self.refuse(Code::RuleSyntax, place, format!("`{mark}` begins no comment"), COMMENT);
        Some(end)
    }

    /// Refuses `not (a, b)`, which is no call.
    pub(in crate::syntax) fn refuse_negation(&mut self, name: &Name) -> Option<()> {
        if name.text != "not" {
            return Some(());
        }
        self.refuse(Code::RuleSyntax, name.span.clone(), "`not` takes one condition", BOTH);
        None
    }

    /// Refuses a condition that joins or negates relations with operators of expressions.
    pub(in crate::syntax) fn refuse_misjoined(&mut self, pair: &Pair<'_, Rule>, base: usize) -> Option<()> {
        let fork = Fork::of(pair);
        let before = self.piece.text.get(..base + pair.as_span().start()).unwrap_or_default();
        let Some((mark, message, help)) = fork.told(pair, word_before(before) == "not") else { return Some(()) };
        let whole = fork.pair.as_span();
        let (at, end) = if mark.is_empty() {
            (base + whole.start(), base + whole.start() + fork.pair.as_str().trim_end().len())
        } else {
            // Between the first two operands, or before the only one.
            let first = fork.operands.first().filter(|_| mark != "!").map(|operand| operand.as_span().end());
            let from = base + first.map_or(whole.start(), |end| end.saturating_sub(mark.len()));
            let at = self.piece.text.get(from..).and_then(|rest| rest.find(mark)).map_or(from, |at| from + at);
            (at, at + mark.len())
        };
        self.refuse(Code::RuleSyntax, self.piece.start + at..self.piece.start + end, message, help);
        None
    }
}

/// The operator that an expression is, below all that has one part.
struct Fork<'i> {
    pair: Pair<'i, Rule>,
    operands: Vec<Pair<'i, Rule>>,
    /// Whether brackets stand around it.
    is_grouped: bool,
}

impl<'i> Fork<'i> {
    fn of(pair: &Pair<'i, Rule>) -> Self {
        let (mut pair, mut is_grouped) = (pair.clone(), false);
        while let Some(inner) = single(&pair) {
            is_grouped |= pair.as_rule() == Rule::group;
            pair = inner;
        }
        Self { operands: pair.clone().into_inner().collect(), pair, is_grouped }
    }

    /// The operator that does not fit relations, none for brackets alone, what is wrong and what to write. `whole` is the
    /// condition that it was found in.
    fn told(&self, whole: &Pair<'_, Rule>, is_negated: bool) -> Option<(&'static str, &'static str, String)> {
        let has_relation = self.operands.iter().any(is_relation);
        Some(match (self.pair.as_rule(), self.operands.as_slice()) {
            (Rule::and, [_, ..]) if has_relation => {
                let all: Vec<_> = self.operands.iter().map(as_condition).collect();
                let help = match (is_negated, self.is_grouped) {
                    _ if limits::SHOWN_CHARS_MAX < self.pair.as_str().len() => AND.to_owned(),
                    (true, true) => BOTH.to_owned(),
                    (true, false) if all.first().is_some_and(|first| first.starts_with("not ")) => AND.to_owned(),
                    (true, false) => format!("{AND}: `not {}`", all.join(", ")),
                    (false, _) => format!("{AND}: `{}`", all.join(", ")),
                };
                ("&&", "`&&` does not join relations", help)
            }
            (Rule::or, [_, ..]) if has_relation => ("||", "`||` does not join relations", OR.to_owned()),
            (Rule::unary, [bang, _]) if bang.as_rule() == Rule::bang && is_relation(&self.pair) => {
                let help = match as_condition(&self.pair) {
                    _ if is_negated => "`not` stands once: take the `!` away, or both".to_owned(),
                    long if limits::SHOWN_CHARS_MAX < long.len() => NOT.to_owned(),
                    condition => format!("negation is written `{condition}`"),
                };
                ("!", "`!` does not negate a relation", help)
            }
            (Rule::call | Rule::member, _) if self.is_grouped && is_relation(whole) => {
                let help = match self.pair.as_str().trim() {
                    long if limits::SHOWN_CHARS_MAX < long.len() => "take the brackets away".to_owned(),
                    relation => format!("write `{relation}`"),
                };
                ("", "a relation has no brackets around it", help)
            }
            _ => return None,
        })
    }
}

/// Whether an operand is a relation and its arguments, negated or not.
fn is_relation(pair: &Pair<'_, Rule>) -> bool {
    let mut pair = pair.clone();
    loop {
        if lone_call(&pair).is_some() {
            return true;
        }
        let last = pair.clone().into_inner().last();
        match last {
            Some(inner) if single(&pair).is_some() || pair.as_rule() == Rule::unary => pair = inner,
            _ => return false,
        }
    }
}

/// An operand as a condition of its own.
fn as_condition(pair: &Pair<'_, Rule>) -> String {
    let text = pair.as_str().trim();
    if !is_relation(pair) {
        return text.to_owned();
    }
    let relation = text.trim_start_matches(['!', '(', ' ']);
    let n_brackets = text.matches('(').count() - relation.matches('(').count();
    let end = relation
        .char_indices()
        .rev()
        .filter(|(_, c)| *c == ')')
        .nth(n_brackets)
        .map_or(relation.len(), |(at, _)| at + 1);
    let marks = text.strip_suffix(relation).unwrap_or_default();
    let is_negated = marks.matches('!').count() % 2 == 1;
    format!("{}{}", if is_negated { "not " } else { "" }, relation.get(..end).unwrap_or(relation))
}

/// Where a slip begins: `=<` is one, whichever half of it was looked at last, and `NOT` is one before what it negates.
fn start_of_slip(text: &str, base: usize, at: usize) -> usize {
    let upto = text.get(base..).and_then(|text| text.get(..=at - base)).unwrap_or_default();
    if ["=<", "<>", "\\=", "/=", "~="].iter().any(|slip| upto.ends_with(slip)) {
        return at - 1;
    }
    let before = text.get(base..at).unwrap_or_default().trim_end();
    let word = word_before(before);
    let is_not = word != "not" && word.eq_ignore_ascii_case("not");
    if is_not { base + before.len() - word.len() } else { at }
}

/// What stands where a statement is no clause, as far as it is shown.
fn found(rest: &str) -> String {
    match rest.chars().next() {
        None | Some('\n') => String::new(),
        Some('.') if rest.chars().nth(1).is_none_or(char::is_whitespace) => String::new(),
        Some(c) if c.is_alphanumeric() || c == '_' => {
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(40).collect()
        }
        Some(_) if rest.starts_with([':', '<', '=', '-', '&', '|', '\\', '~']) || rest.starts_with("/=") => {
            rest.chars().take_while(char::is_ascii_punctuation).take(2).collect()
        }
        Some(c) => c.to_string(),
    }
}

fn elsewhere(found: &str, rest: &str) -> Option<&'static str> {
    let is_word = found.starts_with(char::is_alphanumeric);
    let fits = |text: &str| if is_word { found.eq_ignore_ascii_case(text) } else { rest.starts_with(text) };
    ELSEWHERE.iter().find(|(text, _)| !found.is_empty() && fits(text)).map(|(_, help)| *help)
}

/// What is meant, where what stands before it says so.
fn in_context(before: &str, found: &str) -> Option<&'static str> {
    let is_fold = |word: &str| Fold::ALL.iter().any(|(name, _)| *name == word);
    let head = Grammar::parse(Rule::whole, before).ok().and_then(clause_of);
    let is_after_head = head.is_some_and(|clause| {
        clause.into_inner().flatten().all(|part| !matches!(part.as_rule(), Rule::body | Rule::declaration))
    });
    let word = word_before(before);
    if is_after_head && [":=", "=", "<=", "=>", "==", ":", "-", "<", "is"].contains(&found) {
        return Some(ARROW);
    }
    if is_after_head && found == "," {
        return Some("a rule has one head, and each fact its period: `p(1). p(2).`");
    }
    let is_next = before.trim_end().ends_with(')') && found.starts_with(|c: char| c.is_alphanumeric());
    let is_other = found != "not" && BETWEEN.iter().any(|between| found.eq_ignore_ascii_case(between));
    if is_next && !is_after_head && !is_other && !is_within_brackets(before) {
        return Some(AND);
    }
    if word == "relation" {
        return Some("the columns stand in brackets: `relation viewer(User, Document).`");
    }
    if ["rule", "fact", "def", "predicate", "let"].contains(&before.trim()) {
        return Some("a clause begins with its relation, and with no other word");
    }
    if found.starts_with('{') && is_fold(word) {
        return Some("bind the aggregate to a variable and compare that: `N = count { X : p(X) }, N > 3`");
    }
    if found.starts_with(':')
        && open_bracket(before).is_some_and(|at| is_fold(word_before(before.get(..at).unwrap_or_default())))
    {
        return Some("an aggregate is written with braces: `N = count { X : p(X) }`");
    }
    if is_within_brackets(before) && (found.eq_ignore_ascii_case("and") || found == "&") {
        return Some("within an expression it is `&&`");
    }
    if is_within_brackets(before) && (found.eq_ignore_ascii_case("or") || found == "|") {
        return Some("within an expression it is `||`");
    }
    if word == "like" {
        return Some("a pattern is a string that is written out, no variable: `X like \"a*\"`");
    }
    None
}

/// Where two arguments or columns are not told apart, from `rest` on, what is wrong there and what to write.
fn gap(before: &str, rest: &str) -> Option<(usize, &'static str, &'static str)> {
    let is_start = |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '"');
    if !is_within_brackets(before) || !is_start(rest) {
        return None;
    }
    let word_of = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let is_operand = |word: &str| !BETWEEN.contains(&word);
    let told = |at: usize, left: &str, right: &str| {
        // The name of a column and its type, in either order.
        let is_named = before.trim_start().starts_with("relation ") && is_variable(left) != is_variable(right);
        if is_named {
            return (at, "a colon is missing here", "a column is a type, or a name and a type: `who: User`");
        }
        (at, "a comma is missing here", COMMAS)
    };
    let (last, word) = (word_before(before), word_of(rest));
    if before.ends_with(char::is_whitespace) && !last.is_empty() && is_operand(last) && is_operand(&word) {
        return Some(told(0, last, &word));
    }
    let next = rest.get(word.len()..)?.trim_start();
    let at = rest.len() - next.len();
    if word.is_empty() || !is_operand(&word) {
        return None;
    }
    match next.chars().next()? {
        ';' => Some((at, "`;` does not fit here", COMMAS)),
        _ if is_start(next) && is_operand(&word_of(next)) => Some(told(at, &word, &word_of(next))),
        _ => None,
    }
}

fn is_within_brackets(before: &str) -> bool {
    open_bracket(before).is_some()
}

/// The last round bracket that is open where a text ends; those in strings are text.
fn open_bracket(before: &str) -> Option<usize> {
    let (mut open, mut is_string, mut is_escaped) = (Vec::new(), false, false);
    for (at, byte) in before.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            // A string ends with its line.
            b'\n' => is_string = false,
            b'"' => is_string = !is_string,
            b'(' if !is_string => open.push(at),
            b')' if !is_string => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// The word that a text ends with.
fn word_before(text: &str) -> &str {
    let text = text.trim_end();
    let start = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_'));
    let start =
        start.map_or(0, |at| at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    text.get(start..).unwrap_or_default()
}

/// What could stand there, if that can be said in a few words.
fn expected(error: &Error) -> Option<String> {
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else { return None };
    let mut words: Vec<&str> = positives
        .iter()
        .filter_map(|expected| {
            Some(match expected {
                Rule::expr | Rule::literal | Rule::body | Rule::member | Rule::primary | Rule::unary => "a condition",
                Rule::arguments => "arguments in brackets",
                Rule::string => "a string",
                Rule::word | Rule::name | Rule::path => "a name",
                Rule::types | Rule::type_name | Rule::column | Rule::columns => "a type",
                Rule::variable => "a variable",
                Rule::head | Rule::clause | Rule::rule => "a clause",
                _ => return None,
            })
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    (!words.is_empty() && words.len() <= 2).then(|| format!("expected {}", words.join(" or ")))
}
