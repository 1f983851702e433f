//! What stands below the options in the help of each command: examples, and what it exits with.

pub(crate) const RUNE: &str = "\
Examples:
  rune init policies            a first ruleset
  rune test policies --watch    its tests, again after every edit
  rune serve --watch policies   decisions over HTTP

Exit codes:
  0  in order, or allowed
  1  findings, failing tests, or denied
  2  wrong usage, a refused ruleset, or a failure

Environment:
  NO_COLOR        if set and not empty: no colours
  CLICOLOR_FORCE  if set and not empty: colours although standard error is no terminal";

pub(crate) const INIT: &str = "\
Examples:
  rune init            into the folder where you are
  rune init policies   into a folder that may be there or not

Exit codes:
  0  written
  2  the folder holds a ruleset already, or cannot be written to";

pub(crate) const CHECK: &str = "\
Examples:
  rune check policies
  rune check policies --watch
  rune check policies --json | jq '.findings[] | [.path, .line, .message]'

Exit codes:
  0  in order; there may be warnings
  1  errors
  2  the folder cannot be read
  With --watch, that of the last run, once Ctrl-C or SIGTERM ends it.";

pub(crate) const TEST: &str = "\
Examples:
  rune test policies
  rune test policies --watch --filter \"reads\"
  rune test policies --coverage --junit results.xml

Exit codes:
  0  all pass
  1  some fail, there are none, or --coverage found clauses that matter in none
  2  the ruleset is refused, or cannot be read
  With --watch, that of the last run, once Ctrl-C or SIGTERM ends it.";

pub(crate) const SCHEMA: &str = "\
Examples:
  rune schema policies
  rune schema policies > policies.cedarschema

Exit codes:
  0  printed
  1  there is no schema, and nothing in use shows one
  2  the ruleset is refused, or cannot be read";

pub(crate) const EVAL: &str = "\
Examples:
  rune eval policies --principal 'User::\"ada\"' --action 'Action::\"read\"' \\
      --resource 'Document::\"plan\"' --context '{ \"hour\": 9 }'

Exit codes:
  0  allowed
  1  denied
  2  the ruleset is refused or cannot be read, or the request is no request";

pub(crate) const EXPLAIN: &str = "\
Examples:
  rune explain policies --principal 'User::\"ada\"' --action 'Action::\"read\"' \\
      --resource 'Document::\"plan\"'
  rune explain policies … --depth 9    with rules below rules, nine deep
  rune explain policies … --minimal    the smallest proof alone
  rune explain policies … --missing 3  what would have it allowed, within three facts
  rune explain policies --plan         how questions about derived relations are answered

Exit codes:
  0  allowed
  1  denied
  2  the ruleset is refused or cannot be read, or the request is no request";

pub(crate) const QUERY: &str = "\
Examples:
  rune query policies 'can_read(User::\"ada\", D)?'
  rune query policies 'viewer(S, F), User::\"ada\" in S' --count
  rune query policies 'can_read(User::\"ada\", D)' --why
  rune query policies 'can_read(User::\"ada\", D)' --why --minimal
  rune query policies 'User(U), not can_read(U, Document::\"plan\")' --limit 10

Exit codes:
  0  there are rows
  1  there are none
  2  the ruleset or the query is refused, or takes too many steps";

pub(crate) const REPL: &str = "\
Examples:
  rune repl policies
  echo 'can_read(User::\"ada\", D)?' | rune repl policies
  rune repl policies --json < questions.txt

Lines:
  can_read(User::\"ada\", D)?             a query
  viewer(User::\"ada\", \"plan\").        a fact for trial
  reads(U) :- can_read(U, _).            a rule for trial
  :help                                 the commands

Exit codes:
  0  each line was answered, whatever the answer; at a terminal, always
  1  a line was not: no query, no command, or refused for trial
  2  the ruleset is refused, or cannot be read

Environment:
  XDG_STATE_HOME  where the history is kept, in rune/history; ~/.local/state if it is not set";

pub(crate) const LIST: &str = "\
Examples:
  rune list resources policies --principal 'User::\"ada\"' --action 'Action::\"read\"'
  rune list principals policies --action 'Action::\"read\"' --resource 'Document::\"plan\"'
  rune list principals policies … --limit 100 --after 'User::\"ada\"'   the next page
  rune list actions policies --principal 'User::\"ada\"' --resource 'Document::\"plan\"'

Exit codes:
  0  there are some
  1  there are none
  2  the ruleset is refused or cannot be read, or the list is not whole";

pub(crate) const FACTS: &str = "\
Examples:
  rune facts policies                       what is live
  rune facts policies --apply left.json --query 'suspended(U, Why)'
  echo '{ \"insert\": { \"suspended\": [[\"ada\", \"left\"]] } }' | rune facts policies --apply - \\
      --principal 'User::\"ada\"' --action 'Action::\"read\"' --resource 'Document::\"plan\"'

Batches, one after another:
  { \"remove\": [entity…], \"delete\": { \"relation\": [row…] },
    \"put\": [entity…], \"insert\": { \"relation\": [row…] } }
  A row is a list of values. An entity is { \"type\": \"User\", \"id\": \"ada\" }, and what is put
  { \"uid\": entity, \"attrs\": { … }, \"parents\": [entity…] }, as Cedar has it.

Exit codes:
  0  each batch was applied, whatever the answers
  1  one was refused; the others were applied
  2  the ruleset or the query is refused, or a file holds what is no batch";

pub(crate) const FMT: &str = "\
Examples:
  rune fmt policies
  rune fmt --check policies
  rune fmt --stdin-name a.cedar < a.cedar

Exit codes:
  0  laid out
  1  --check found files that are not
  2  a file does not parse, or cannot be read or written; the others are laid out";

pub(crate) const SERVE: &str = "\
Examples:
  rune serve --watch policies
  rune serve --watch policies --listen 127.0.0.1:0 --wait
  rune serve --watch policies --listen localhost:8080   at all addresses of the name

Exit codes:
  0  told to stop, by Ctrl-C or SIGTERM
  2  the folder cannot be served, or the address cannot be had";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  mkdir -p ~/.local/share/bash-completion/completions
  rune completions bash > ~/.local/share/bash-completion/completions/rune

  mkdir -p ~/.zfunc
  rune completions zsh > ~/.zfunc/_rune

  mkdir -p ~/.config/fish/completions
  rune completions fish > ~/.config/fish/completions/rune.fish

Zsh looks there if ~/.zshrc has `fpath+=~/.zfunc` before `compinit`.

Exit codes:
  0  printed";

pub(crate) const MAN: &str = "\
Examples:
  rune man | man -l -
  rune man check | man -l -
  rune man --out ~/.local/share/man/man1

Exit codes:
  0  printed or written
  2  there is no such command, or the folder cannot be written to";
