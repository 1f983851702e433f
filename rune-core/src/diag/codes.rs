//! The one table of finding codes.
//!
//! A code is stable: tests, documents and people's tools refer to it. What refuses a version depends on text, on a row that is
//! malformed or in conflict with another, or on a limit; fewer rows only warn, so that a revocation is never refused.

use std::fmt;

use super::Severity::{self, Error, Warning};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident;)+) => {
        /// What a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that is printed.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Whether it refuses the version, where nothing else is said.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => $severity,)+ }
            }
        }
    };
}

codes! {
    /// The build itself failed, which it never should.
    BuildFailed = "build-failed", Error;
    /// There are live facts that the version has no place for.
    LiveFactsInTheWay = "live-facts-in-the-way", Error;
    // Files and sections.
    /// There is no source file, which is not the same as an empty policy.
    NoSources = "no-sources", Error;
    /// A file is not UTF-8 text.
    NotUtf8 = "not-utf8", Error;
    /// A carriage return that no line feed follows: to some readers the end of a comment, to others not.
    LoneCarriageReturn = "lone-carriage-return", Error;
    /// A character that does not show and changes how the text reads.
    HiddenCharacter = "hidden-character", Error;
    /// A name that is nearly that of a source file, so that the file is not read.
    MisnamedFile = "misnamed-file", Warning;
    /// A file is larger than the limit.
    FileTooLarge = "file-too-large", Error;
    /// A file without text: half of a save, or a slip. What it held last would be gone without a word.
    EmptyFile = "empty-file", Error;
    /// A file in a notation of Cedar's that RUNE does not read, which must not be passed over in silence.
    UnsupportedFormat = "unsupported-format", Error;
    /// A `.rune` file does not begin with its version.
    MissingVersion = "missing-version", Error;
    /// The version of the language is not one that this program knows.
    UnknownVersion = "unknown-version", Error;
    /// A key that means nothing where it stands.
    UnknownKey = "unknown-key", Error;
    /// A section whose name is not one of the language's.
    UnknownSection = "unknown-section", Error;
    /// A line that begins like a section's header and is not one.
    MalformedSection = "malformed-section", Error;
    /// A section's header that does not begin in the first column.
    IndentedSection = "indented-section", Error;
    /// A part of the language that this version does not carry out yet; ignoring it could grant.
    NotSupportedYet = "not-supported-yet", Error;
    /// A bracket without its partner.
    UnclosedBracket = "unclosed-bracket", Error;
    /// A string in Cedar text of a section that its line does not close.
    UnclosedString = "unclosed-string", Error;
    /// Brackets nested deeper than the limit.
    NestingTooDeep = "nesting-too-deep", Error;
    /// An expression higher than the limit, brackets and chains of operators together.
    ExpressionTooHigh = "expression-too-high", Error;
    /// A rule has more conditions than the limit.
    TooManyConditions = "too-many-conditions", Error;
    /// TOML that does not parse.
    TomlSyntax = "toml-syntax", Error;
    /// JSON that does not parse, or that names a member twice.
    JsonSyntax = "json-syntax", Error;

    // Rules.
    /// A statement that is no clause.
    RuleSyntax = "rule-syntax", Error;
    /// A clause without the period that ends it.
    MissingPeriod = "missing-period", Error;

    /// A declaration of a relation that does not hold together.
    RelationForm = "relation-form", Error;
    /// A relation that cannot be read as an attribute.
    AttributeForm = "attribute-form", Error;
    /// A type that is none.
    UnknownType = "unknown-type", Error;
    /// An annotation that is none.
    UnknownAnnotation = "unknown-annotation", Error;
    /// A relation that nothing declares or derives.
    UnknownRelation = "unknown-relation", Error;
    /// Rows of a relation that nothing declares.
    UndeclaredRelation = "undeclared-relation", Error;
    /// Rows or rules for a relation that has another owner.
    Ownership = "ownership", Error;
    /// Another number of arguments than the relation has columns.
    RelationArity = "relation-arity", Error;
    /// A word that is neither a variable nor a string.
    BareWord = "bare-word", Error;
    /// An argument of a fact that is no constant.
    NotConstant = "not-constant", Error;
    /// A variable that nothing binds.
    UnboundVariable = "unbound-variable", Error;
    /// A variable that stands in one place only, so that it asks nothing.
    SingleUse = "single-use", Error;
    /// A variable that no value can have.
    TypeConflict = "type-conflict", Error;
    /// A cycle through negation, an aggregate or a complete read.
    NegativeCycle = "negative-cycle", Error;
    /// A parent that depends on the request.
    RequestParent = "request-parent", Error;
    /// An attribute that may be missing where a denial would rest on it.
    MayBeUndetermined = "may-be-undetermined", Error;
    /// A rule that decides, without an id.
    MissingId = "missing-id", Error;
    /// A derived functional relation that does not say which of several values counts.
    NoChoice = "no-choice", Error;
    /// A relation that no rule can ever derive a row of.
    NeverDerived = "never-derived", Error;
    /// A relation that nothing reads.
    UnusedRelation = "unused-relation", Warning;
    /// A relation that is read, and that nothing gives a row.
    RelationWithoutRows = "relation-without-rows", Warning;
    /// Two values for one key of a functional relation.
    ConflictingRows = "conflicting-rows", Error;
    /// A row that does not fit its relation.
    RowForm = "row-form", Error;
    /// A text that is an id by its column, and looks like an entity.
    EntityAsId = "entity-as-id", Error;
    /// An id that is hardly meant: empty, with blanks around it, or with characters that do not show.
    OddId = "odd-id", Warning;
    /// A file that is named and not there.
    UnknownFile = "unknown-file", Error;
    /// A file of rows that no relation takes.
    UnusedFile = "unused-file", Warning;
    /// More rows than the limit.
    TooManyRows = "too-many-rows", Error;
    /// Derivations that take more steps than a build may.
    TooManySteps = "too-many-steps", Error;

    // Tests.
    /// A test that is not written in the form that tests have.
    TestForm = "test-form", Error;
    /// Two tests of one name.
    DuplicateTest = "duplicate-test", Error;
    /// A test that fails.
    TestFailed = "test-failed", Error;

    // Schema.
    /// Cedar's schema language does not accept the text.
    SchemaSyntax = "schema-syntax", Error;
    /// The parts of the schema do not fit together.
    SchemaInvalid = "schema-invalid", Error;
    /// The schema is larger than the limits once its common types are written out.
    SchemaTooLarge = "schema-too-large", Error;
    /// Cedar's schema reader found something odd.
    SchemaSuspicious = "schema-suspicious", Warning;
    /// An annotation where it has no effect.
    IneffectiveAnnotation = "ineffective-annotation", Warning;
    /// There is no schema, so policies, entities and requests are not checked against one.
    NoSchema = "no-schema", Warning;

    // Policies.
    /// Cedar's policy language does not accept the text.
    PolicySyntax = "policy-syntax", Error;
    /// Cedar's validator does not accept a policy under the schema.
    PolicyInvalid = "policy-invalid", Error;
    /// Cedar's validator found something odd in a policy.
    PolicySuspicious = "policy-suspicious", Warning;
    /// A construct of Cedar's that RUNE does not know how to carry out.
    UnknownConstruct = "unknown-construct", Error;
    /// A call with too few or too many arguments, which fails whenever it is reached.
    WrongArity = "wrong-arity", Warning;
    /// Two policies of `.rune` files with one `@id`.
    DuplicatePolicyId = "duplicate-policy-id", Error;
    /// Two policies of plain Cedar files with one `@id`; both go by file and position instead.
    AmbiguousPolicyId = "ambiguous-policy-id", Warning;
    /// There is no policy, so every request is denied.
    NoPolicies = "no-policies", Warning;
    /// A template without a link decides nothing.
    UnusedTemplate = "unused-template", Warning;
    /// A link that does not fit: its template, its id or its arguments.
    InvalidLink = "invalid-link", Error;

    // Entities.
    /// An entity that is not written in the form that entities have.
    EntityForm = "entity-form", Error;
    /// An entity's type is not in the schema.
    UnknownEntityType = "unknown-entity-type", Error;
    /// An entity that its type or the schema's actions do not provide for.
    UnknownEntity = "unknown-entity", Error;
    /// An attribute that the entity's type does not have.
    UnknownAttribute = "unknown-attribute", Error;
    /// An attribute that the entity's type requires is missing.
    MissingAttribute = "missing-attribute", Error;
    /// A value that is not of the type it should have, or of none.
    WrongType = "wrong-type", Error;
    /// One entity, written twice with different content.
    DuplicateEntity = "duplicate-entity", Error;
    /// An entity that is its own ancestor.
    EntityCycle = "entity-cycle", Error;
    /// More ancestors in all than the limit.
    HierarchyTooLarge = "hierarchy-too-large", Error;
    /// A parent of a type that the schema does not allow there.
    ParentNotAllowed = "parent-not-allowed", Error;
    /// A string that looks like an entity where no schema says that it is one.
    LooksLikeEntity = "looks-like-entity", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_written_alike() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(
            names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit()))
        );
    }
}
