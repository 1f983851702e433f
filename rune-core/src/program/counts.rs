//! How much there is in a program, as its authors would count.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use crate::{base::Values as _, schema::is_action_type};

use super::Program;

/// How many there are of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Files.
    pub files: usize,
    /// Cedar's, links of templates, and rules that permit or forbid.
    pub policies: usize,
    /// Those that derive a relation.
    pub rules: usize,
    /// Those that are declared, or that rules derive.
    pub relations: usize,
    /// Those that files name, without actions.
    pub entities: usize,
}

impl Counts {
    pub(super) fn of(program: &Program) -> Self {
        let deciding = program.rules().permits().count() + program.rules().forbids().count();
        let values = &**program.facts().values();
        let mut entities = BTreeSet::new();
        program.facts().facts().each_known(values, &mut |kind, entity, _| {
            if !is_action_type(values.name(kind)) {
                entities.insert(entity);
            }
        });
        Self {
            files: program.sources().len(),
            policies: program.policies().len() + deciding,
            rules: program.rules().rules.len() - deciding,
            relations: program.relations().predicates.iter().filter(|of| of.is_own()).count(),
            entities: entities.len(),
        }
    }
}

/// What there is none of is not told, but for policies.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, policies, rules, relations, entities } = *self;
        let many = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        let mut parts = vec![many(files, "file", "files"), many(policies, "policy", "policies")];
        parts.extend((0 < rules).then(|| many(rules, "rule", "rules")));
        parts.extend((0 < relations).then(|| many(relations, "relation", "relations")));
        parts.extend((0 < entities).then(|| many(entities, "entity", "entities")));
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Options, *};
    use crate::base::Sources;

    fn check(path: &str, text: &str, expected: &str) {
        let program = Program::build(Sources::single(path, text), Options::default());
        assert_eq!(program.expect("it has no errors").to_string(), expected);
    }

    #[test]
    fn rules_that_decide_count_as_policies_and_actions_as_no_entities() {
        let text = "version = \"rune/1.0\"\n[schema]\nentity User, Document;\n\
            action read, write appliesTo { principal: User, resource: Document };\n\
            [entities]\nUser.ada = {}\n[data]\nviewer = [[\"ada\", \"plan\"], [\"bob\", \"plan\"]]\n\
            [rules]\nrelation viewer(User, Document).\nreads(U, D) :- viewer(U, D).\n\
            @id(\"a\") permit(U, Action::\"read\", D) :- reads(U, D).\n@id(\"b\") forbid(U, _, _) :- U == User::\"bob\".\n\
            [policies]\npermit (principal, action == Action::\"write\", resource);\n";
        // Ada, Bob and the plan.
        check("a.rune", text, "1 file, 3 policies, 1 rule, 2 relations, 3 entities");
        check("a.cedar", "permit (principal, action, resource);", "1 file, 1 policy");
        check("a.cedar", "// nothing", "1 file, 0 policies");
    }
}
