//! Whether two texts say the same: the net below the layout.
//!
//! Both have been read by the parsers that everything else reads with. Trees are compared without their places, policies
//! as Cedar's JSON, schemas byte for byte, and comments by what they say, in their order.

use serde_json::Value as Json;

use super::{
    parts::{Parts, Read},
    tokens::{self, Kind},
    toml,
};
use crate::syntax::{
    Node, SectionKind, Shape,
    ast::Expr,
    rules::{Atom, Clause, ClauseKind, Literal, LiteralKind, Name, TypeName},
};

/// What a part says.
#[derive(Debug, PartialEq)]
struct Meaning {
    section: Option<SectionKind>,
    argument: String,
    tree: Tree,
}

#[derive(Debug, PartialEq)]
enum Tree {
    Schema(String),
    Toml(Node),
    Rules(Vec<Clause>),
    Policies(Json),
}

/// Compares a text with its layout.
///
/// # Errors
///
/// What differs.
pub(super) fn compare(before: Parts<'_>, after: Parts<'_>) -> Result<(), &'static str> {
    if comments(&before) != comments(&after) {
        return Err("the layout would change the comments");
    }
    let (Some(before), Some(after)) = (meanings(before), meanings(after)) else {
        return Err("Cedar does not give the policies as JSON");
    };
    if before == after { Ok(()) } else { Err("the layout would change what the text says") }
}

fn comments<'t>(parts: &Parts<'t>) -> Vec<&'t str> {
    let mut comments = Vec::new();
    for part in &parts.list {
        comments.extend(part.header.comment);
        if let Read::Toml(_) = part.read {
            comments.extend(toml::comments(part.body));
        } else {
            let tokens = tokens::lex(part.body).into_iter();
            comments.extend(tokens.filter(|token| token.kind == Kind::Comment).map(|token| token.text));
        }
    }
    // Which marker a comment has is a matter of layout: Cedar knows one of the two.
    comments.into_iter().map(tokens::said).collect()
}

fn meanings(parts: Parts<'_>) -> Option<Vec<Meaning>> {
    let meaning = |part: super::parts::Part<'_>| {
        let tree = match part.read {
            Read::Schema => Tree::Schema(super::schema(part.own)),
            Read::Toml(mut node) => {
                displace_node(&mut node);
                Tree::Toml(node)
            }
            Read::Rules(mut clauses) => {
                clauses.iter_mut().for_each(displace_clause);
                Tree::Rules(clauses)
            }
            Read::Policies(set) => Tree::Policies(set.to_json().ok()?),
        };
        Some(Meaning { section: part.section, argument: part.argument, tree })
    };
    parts.list.into_iter().map(meaning).collect()
}

// Takes the places out of a tree. What recurses does so once per bracket or level of height, which were limited.

fn displace_node(node: &mut Node) {
    node.span = 0..0;
    match &mut node.shape {
        Shape::List(nodes) => nodes.iter_mut().for_each(displace_node),
        Shape::Table(members) => {
            for (key, node) in members {
                key.span = 0..0;
                displace_node(node);
            }
        }
        _ => {}
    }
}

fn displace_clause(clause: &mut Clause) {
    clause.span = 0..0;
    clause.annotations.iter_mut().for_each(|annotation| displace_name(&mut annotation.name));
    match &mut clause.kind {
        ClauseKind::Declaration(declaration) => {
            displace_name(&mut declaration.name);
            for column in &mut declaration.columns {
                column.span = 0..0;
                column.name.iter_mut().for_each(displace_name);
                column.types.iter_mut().for_each(displace_type);
            }
        }
        ClauseKind::Rule(rule) => {
            displace_atom(&mut rule.head);
            rule.body.iter_mut().for_each(displace_literal);
        }
    }
}

fn displace_name(name: &mut Name) {
    name.span = 0..0;
}

fn displace_type(kind: &mut TypeName) {
    match kind {
        TypeName::Named(name) => displace_name(name),
        TypeName::Set(span, types) => {
            *span = 0..0;
            types.iter_mut().for_each(displace_type);
        }
        TypeName::Record(span, fields) => {
            *span = 0..0;
            for (name, _, types) in fields {
                displace_name(name);
                types.iter_mut().for_each(displace_type);
            }
        }
    }
}

fn displace_atom(atom: &mut Atom) {
    atom.span = 0..0;
    displace_name(&mut atom.name);
    atom.args.iter_mut().for_each(Expr::forget_places);
}

fn displace_literal(literal: &mut Literal) {
    literal.span = 0..0;
    match &mut literal.kind {
        LiteralKind::Atom(atom) => displace_atom(atom),
        LiteralKind::Guard(guard) => Expr::forget_places(guard),
        LiteralKind::Binding(name, value) => {
            displace_name(name);
            Expr::forget_places(value);
        }
        LiteralKind::Aggregate(aggregate) => {
            displace_name(&mut aggregate.result);
            aggregate.tuple.iter_mut().for_each(displace_name);
            aggregate.body.iter_mut().for_each(displace_literal);
        }
    }
}
