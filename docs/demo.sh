#!/usr/bin/env bash
# Edits a folder of policies in place while RUNE serves it: the transcript of docs/demo.md.
#
# Works on a copy of examples/policies/todo, on a free port of the loopback address, and stops the server at the end. Needs curl,
# jq and GNU sed. RUNE names another binary than target/release/rune.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
rune=${RUNE:-$root/target/release/rune}
[ -x "$rune" ] || (cd "$root" && cargo build --release --quiet)

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || { kill "$server" && wait "$server" || true; }; rm -rf "$work"' EXIT
cp -r "$root/examples/policies/todo" "$work/todo"
cd "$work"

# Shows a command as it would be typed, and runs it.
show() { printf '$ %s\n' "$1"; eval "$1"; echo; }

# Waits until a condition holds: an edit is in force after milliseconds, but a busy machine may take its time.
until_true() {
  for _ in $(seq 1000); do if eval "$1"; then return; fi; sleep 0.01; done
  echo "still not so after 10 s: $1" >&2
  exit 1
}
is_state() { curl -s "$url/api/v1/status" | jq -e "$1" > is-state; }

echo '$ rune serve --watch todo --listen 127.0.0.1:0 > address 2> log &'
"$rune" serve --watch todo --listen 127.0.0.1:0 > address 2> log &
server=$!
until_true 'grep -q "^listening on " address && grep -q "^serving generation" log && grep -q "^to stop" log'
show 'cat address log'
url=$(sed -n 's/^listening on //p' address)
printf '$ url=%s\n' "$url"

cat > question.json <<'JSON'
{
  "subject":  { "type": "user", "id": "morty@the-citadel.com" },
  "action":   { "name": "can_update_todo" },
  "resource": { "type": "todo", "id": "1", "properties": { "ownerID": "morty@the-citadel.com" } }
}
JSON
show 'cat question.json'
ask='curl -s $url/access/v1/evaluation -H "Content-Type: application/json" -d @question.json; echo'
status='curl -s $url/api/v1/status | jq -c ".state, .generation"'
show "$ask"

# Morty is no editor any more.
show "sed -i '/^user.\"morty@/s/role::\"editor\"/role::\"viewer\"/' todo/todo.rune"
until_true 'is_state ".generation == 2"'
show "$ask"
show "$status"

# A slip: there is no relation of this name.
show "sed -i 's/:- grants_on_own(R, A)/:- grant_on_own(R, A)/' todo/todo.rune"
until_true 'is_state ".state == \"refused\""'
show 'curl -s $url/api/v1/status | jq -c ".state, .generation, .last_refusal.findings[0], .last_refusal.not_in_force[]"'
show "$ask"

# Put right, and Morty an editor again.
show "sed -i -e 's/:- grant_on_own/:- grants_on_own/' -e '/^user.\"morty@/s/role::\"viewer\"/role::\"editor\"/' todo/todo.rune"
until_true 'is_state ".generation == 3"'
show "$status"
show "$ask"
# The first five lines are shown above.
show 'tail -n +6 log'
