//! Every bound in one place, each with its reason.

/// Bytes of one source file. A larger one is data, and data has its own formats.
pub const FILE_BYTES_MAX: usize = 8 << 20;

/// Bytes of one file of rows. A row of a few columns takes some 20.
pub const ROW_FILE_BYTES_MAX: usize = 128 << 20;

/// Bytes of all source files of a ruleset together. A build holds them several times over: as text, as trees, as values.
pub const SOURCE_BYTES_MAX: usize = 256 << 20;

/// Source files of one ruleset: a scan of this many takes tens of milliseconds.
pub const FILES_MAX: usize = 10_000;

/// Directories below one another in a watched folder.
pub const DIRECTORY_DEPTH_MAX: usize = 32;

/// Brackets open at one place. The parsers behind this limit are recursive, and a stack is finite.
pub const NESTING_MAX: usize = 64;

/// Height of a text's tree: brackets, and the operators that chain without any (`a + b + c`, `a.b.c`, `else if`).
///
/// Cedar's parser and validator recurse once per level, and get [`BUILD_STACK_BYTES`] for it.
pub const TEXT_HEIGHT_MAX: usize = 4_000;

/// Steps of a path: `a.b.c`, calls and indices. Cedar's validator takes time with the third power of their number.
pub const ACCESSES_MAX: usize = 200;

/// Types that a schema's common types stand for once they are written out, and entity types and actions with all that they are
/// in. Cedar writes both out, and texts of a few lines can stand for any number.
pub const SCHEMA_SIZE_MAX: usize = 1_000_000;

/// Records and sets within one another once a schema's common types are written out. What walks types recurses once for each.
pub const SCHEMA_DEPTH_MAX: usize = 256;

/// Stack of the thread that builds a program: some 50 KiB for each level of [`TEXT_HEIGHT_MAX`]. Only what is touched is
/// ever backed by memory.
pub const BUILD_STACK_BYTES: usize = 256 << 20;

/// Stack of the thread that explains: looking for what is missing recurses through the conditions of rules within one another,
/// some 4 KiB for each. Only what is touched is ever backed by memory.
pub const EXPLANATION_STACK_BYTES: usize = 64 << 20;

/// Height of a compiled expression, in which chains of `&&` and `||` are flat.
///
/// Evaluation recurses once per level on the caller's stack; this takes a fraction of the smallest that threads are
/// usually given, and less than 6 MiB without optimization.
pub const EXPRESSION_HEIGHT_MAX: usize = 500;

/// Conditions of one rule, those within aggregates included. Evaluation recurses once for each on the caller's stack.
pub const CONDITIONS_MAX: usize = 128;

/// Ancestors of all entities together, sets that entities share counted once. Each takes four bytes.
pub const ANCESTORS_MAX: usize = 64 << 20;

/// Characters of a value that a message shows.
pub const SHOWN_CHARS_MAX: usize = 200;

/// Characters of a message or of advice, whatever names the text has.
pub const FINDING_CHARS_MAX: usize = 2_000;

/// Nodes visited while one decision is made. A set of 10,000 policies with conditions of 100 nodes each is a tenth.
pub const DECISION_STEPS_MAX: u64 = 10_000_000;

/// Facts that one explanation shows with what they follow from. More than this nobody reads.
pub const EXPLAINED_FACTS_MAX: usize = 2_000;

/// Rules below rules that the tree of an explanation shows within one another; what is deeper is folded. Drawing recurses.
pub const TREE_DEPTH_MAX: usize = 200;

/// Rows of those that an aggregate was made of that an explanation shows. More would hide the rest, and how many there are is the
/// aggregate's own to say.
pub const FOLDED_ROWS_MAX: usize = 100;

/// Bytes of values and of clauses' texts that one explanation shows, each as often as it is shown.
pub const EXPLANATION_BYTES_MAX: usize = 4 << 20;

/// Characters of a line of the tree of an explanation: values may be long.
pub const TREE_LINE_CHARS_MAX: usize = 1_000;

/// What one clause found in the world that an explanation remembers. A set of more is shown by its beginning.
pub const READS_MAX: usize = 1_000;

/// Chains of `&&` and `||` within one another whose operands an explanation shows; each level repeats the text of the next.
pub const OPERANDS_DEPTH_MAX: usize = 4;

/// Rows that an explanation names of those that one clause asked for in vain.
pub const ASKED_MAX: usize = 10;

/// Rules that one explanation tries for what does not hold: where each of many conditions has many rules, they multiply.
pub const ATTEMPTS_MAX: usize = 300;

/// Steps that looking for the smallest proof may take: finding what there is to choose from, and choosing. A tenth of the
/// explanation's.
pub const MINIMAL_STEPS_MAX: u64 = 10_000_000;

/// Instances of rules that looking for the smallest proof chooses from. Each takes some hundred bytes.
pub const MINIMAL_OPTIONS_MAX: usize = 100_000;

/// Permits that an explanation of a denial goes into, those that come nearest first. A ruleset may have thousands.
pub const CANDIDATES_MAX: usize = 10;

/// Rules below a condition that does not hold, within one another, that an explanation goes into: deeper ones say less and
/// multiply.
pub const ATTEMPTS_HEIGHT_MAX: usize = 16;

/// Steps that looking for the missing facts of one permit may take: a hundredth of the explanation's.
pub const MISSING_STEPS_MAX: u64 = 1_000_000;

/// Rules within one another that looking for them goes into.
pub const MISSING_DEPTH_MAX: usize = 32;

/// Values that a ruleset may have for missing facts to be looked for: each set of them is tried on a copy of all.
pub const SUPPOSED_VALUES_MAX: usize = 1_000_000;

/// Sets of missing facts that are tried for one permit. Each is a derivation.
pub const SUPPOSED_SETS_MAX: usize = 8;

/// Facts that are looked for at once to make a permit hold: what takes more is another policy.
pub const MISSING_FACTS_MAX: usize = 3;

/// Facts that are looked for at once if somebody asks for so many. Each more multiplies what there is to try.
pub const MISSING_FACTS_ASKED_MAX: usize = 8;

/// Sets of missing facts that are shown if somebody asks for them. The first few say what to do.
pub const MISSING_SETS_MAX: usize = 5;

/// Sets of missing facts that are tried then. Each is a derivation.
pub const SUPPOSED_SETS_ASKED_MAX: usize = 100;

/// Nodes visited while one decision is explained: every policy is looked at, where a decision stops at the first.
pub const EXPLANATION_STEPS_MAX: u64 = 10 * DECISION_STEPS_MAX;

/// Rows of an answer to a query. More than this nobody reads at once, and they are sorted before the first is shown.
pub const ANSWER_ROWS_MAX: usize = 1_000_000;

/// Procedures that are kept for what queries, lists and explanations have asked besides what decisions ask. Each takes some
/// kilobytes, and people ask about few kinds of things.
pub const LATER_PROCEDURES_MAX: usize = 2_000;

/// Nodes visited while the entities are listed for which a request is allowed: each is decided about.
pub const LIST_STEPS_MAX: u64 = 20 * DECISION_STEPS_MAX;

/// Rows of all relations together, given and derived, with who is in what. Each takes four bytes a column, and more for indexes.
pub const ROWS_MAX: u64 = 50_000_000;

/// Rows that are derived for one request.
pub const REQUEST_ROWS_MAX: u64 = 1_000_000;

/// Steps that deriving may take in one build. What takes more most likely has no end.
pub const DERIVATION_STEPS_MAX: u64 = 10_000_000_000;

/// Rounds in which rules derive from what they derived in the one before. Chains that facts make are hardly ever so long; what counts
/// up has no end, and is told after seconds.
pub const ROUNDS_MAX: u64 = 4_000_000;

/// Threads that derive what follows from large relations. Most of their time is spent waiting for memory, which all of them share,
/// and each holds what it has found: a few mebibytes, at most some fifty.
pub const DERIVING_THREADS_MAX: usize = 8;

/// Findings kept of one build. The first ones are the cause, the thousandth is not read.
pub const FINDINGS_MAX: usize = 100;

/// Bytes of one request body. A request is a few identifiers and attributes.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Distinct values that a pool holds: ids are 30 bits wide, and each value takes some forty bytes.
pub const VALUES_MAX: usize = 1 << 27;

/// Changes of one batch of live facts: it is applied at once, while other writers wait.
pub const BATCH_CHANGES_MAX: usize = 1_000_000;

/// Rows of live relations and entities of live types together.
pub const LIVE_ROWS_MAX: u64 = 50_000_000;

/// Steps that what follows from a batch of live facts may take, unless it only takes away.
pub const LIVE_STEPS_MAX: u64 = 100_000_000;

/// Revisions of live facts that are retained, the newest among them: at a thousand writes a second this is still a second in which
/// an answer can be asked about.
pub const REVISIONS_MAX: usize = 1_000;

/// Rows that one batch of live facts may add to what is derived.
pub const LIVE_DERIVED_MAX: u64 = 10_000_000;

/// Changes that lead from the oldest revision that is retained to the newest: each takes some ten kilobytes as long as both are there.
pub const RETAINED_CHANGES_MAX: usize = 20_000;

/// How long a revision is retained after the next one: time enough to ask why about an answer, or for the next page of a list.
pub const REVISION_AGE_MAX: std::time::Duration = std::time::Duration::from_secs(300);

/// Threads that wait for a revision at once. Each has a stack, and a server that lends out its own has some five hundred.
pub const WAITERS_MAX: usize = 256;
