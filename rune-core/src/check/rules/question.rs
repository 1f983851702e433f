//! A question by itself, checked against rules that are checked already.

use std::collections::BTreeMap;

use crate::{
    base::{FileId, Pool},
    diag::Findings,
    schema::Schema,
    syntax::rules::Literal,
};

use super::{
    CheckedRules, Names, Rule, TestText, modes, note_questions_about_requests, points, resolve::Resolver, types,
};

/// A question, checked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The relations that it is about: those of the rules, and after them those that it alone asks for.
    pub rules: CheckedRules,
    /// The question as a rule whose head has its variables.
    pub rule: Rule,
    /// Whether its answer depends on a request.
    pub is_about_request: bool,
}

impl CheckedRules {
    /// The relations and what is known of them, without rules, rows and tests: what questions are checked against.
    #[must_use]
    pub fn relations_alone(&self) -> Self {
        Self {
            predicates: self.predicates.clone(),
            types_in_use: self.types_in_use.clone(),
            attributes: self.attributes.clone(),
            ..Self::default()
        }
    }

    /// Checks a question. What is wrong with it is a finding.
    pub fn question(
        &self,
        goal: (FileId, Vec<Literal>),
        schema: Option<&Schema>,
        values: &mut Pool,
        findings: &mut Findings,
    ) -> Option<Question> {
        let mut resolver = Resolver::new(Names::of(self), schema, values, findings);
        let test = resolver.test(&TestText { facts: Vec::new(), query: Some(goal) });
        let mut rules = resolver.finish();
        rules.rules.extend(test.query.clone());
        types::infer(&mut rules, schema, values);
        if points::resolve(&mut rules, schema, values) {
            types::infer(&mut rules, schema, values);
        }
        types::conflicts(&rules, schema, values, findings);
        for rule in &rules.rules {
            modes::check(rule, &rules, values, findings);
        }
        types::check(&rules, schema, values, findings);
        let rule = rules.rules.pop()?;
        rules.tests = vec![super::CheckedTest { query: Some(rule), ..test }];
        note_questions_about_requests(&mut rules);
        let test = rules.tests.pop()?;
        (!findings.has_error()).then_some(Question {
            rules,
            rule: test.query?,
            is_about_request: test.is_about_request,
        })
    }
}

impl Names {
    /// The relations that checked rules have.
    fn of(checked: &CheckedRules) -> Self {
        let names = checked.predicates.iter().enumerate();
        let by_name: BTreeMap<_, _> = names.map(|(at, of)| (of.name.clone(), super::PredicateId(at))).collect();
        Self { predicates: checked.predicates.clone(), by_name, types: checked.types_in_use.iter().cloned().collect() }
    }
}
