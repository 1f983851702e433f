//! The texts to begin with: every text that the project has, and a sample of the corpora.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use rune_core::{
    Sources,
    base::Kind,
    diag::Findings,
    syntax::{SectionKind, container},
};

use super::targets::{FILE_MARK, REQUESTS, Target};

/// A text that is longer begins few inputs, each of which takes long.
const SEED_BYTES_MAX: usize = 12 << 10;

/// How many texts of each kind are taken from the corpora.
const CORPUS_TEXTS: usize = 150;

/// Texts by the target that they are meant for.
#[derive(Debug, Default)]
pub struct Seeds {
    texts: BTreeMap<Target, BTreeSet<String>>,
}

impl Seeds {
    /// Every text, whatever the order in which files are found.
    pub fn load() -> Self {
        let mut seeds = Self::default();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for page in files_below(&root.join("tests/spec")) {
            seeds.page(&fs::read_to_string(page).expect("a page"));
        }
        for page in ["README.md", "docs/LANGUAGE.md"] {
            seeds.page(&fs::read_to_string(root.join(page)).expect("a page"));
        }
        let mut rulesets: BTreeMap<PathBuf, Vec<(String, String)>> = BTreeMap::new();
        for path in files_below(&root.join("examples/policies")) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let folder = path.parent().expect("a folder").to_owned();
            rulesets.entry(folder).or_default().push((name, fs::read_to_string(&path).expect("text")));
        }
        for mut files in rulesets.into_values() {
            files.retain(|(name, _)| Kind::of(name).is_some());
            seeds.ruleset(&files);
        }
        if let Some(corpora) = std::env::var_os("RUNE_CORPORA") {
            seeds.corpora(Path::new(&corpora));
        }
        for text in ODDITIES {
            for target in Target::ALL.into_iter().filter(|target| *target != Target::Evaluation) {
                seeds.add(target, text);
            }
        }
        for body in BODIES {
            seeds.add(Target::Evaluation, body);
            seeds.add(Target::Json, body);
        }
        seeds
    }

    /// The texts for a target, in one order.
    pub fn of(&self, target: Target) -> Vec<&str> {
        self.texts.get(&target).into_iter().flatten().map(String::as_str).collect()
    }

    /// Writes each text to a file below `folder`, in a folder for its target.
    pub fn write(&self, folder: &Path) {
        for (target, texts) in &self.texts {
            let folder = folder.join(format!("{target:?}").to_lowercase());
            fs::create_dir_all(&folder).expect("a folder");
            for (at, text) in texts.iter().enumerate() {
                fs::write(folder.join(format!("{at:04}")), text).expect("a file");
            }
        }
    }

    fn add(&mut self, target: Target, text: &str) {
        if text.len() <= SEED_BYTES_MAX {
            self.texts.entry(target).or_default().insert(text.to_owned());
        }
    }

    /// The cases of a page of the specification: each heading has the files of one ruleset.
    fn page(&mut self, page: &str) {
        for case in page.split("\n## ") {
            let mut files: Vec<(String, String)> = Vec::new();
            for fence in case.split("\n```").skip(1).step_by(2) {
                let (info, text) = fence.split_once('\n').unwrap_or((fence, ""));
                let (language, name) = info.split_once(' ').unwrap_or((info, ""));
                let text = format!("{text}\n");
                match language {
                    "request" => files.push((REQUESTS.to_owned(), text)),
                    "rune" | "cedar" | "cedarschema" | "csv" | "tsv" | "json" if name.is_empty() => {
                        files.push((format!("a.{language}"), text));
                    }
                    "rune" | "cedar" | "cedarschema" | "csv" | "tsv" | "json" => files.push((name.to_owned(), text)),
                    _ => {}
                }
            }
            self.ruleset(&files);
        }
    }

    /// A ruleset as a whole, and each of its files for those that read it.
    fn ruleset(&mut self, files: &[(String, String)]) {
        let mut whole = String::new();
        for (path, text) in files {
            let _ = write!(whole, "{FILE_MARK}{path}\n{text}");
            match Kind::of(path) {
                Some(Kind::Rune) => self.rune(text),
                Some(Kind::Cedar) => {
                    self.add(Target::Cedar, text);
                    self.add(Target::Layout, text);
                }
                Some(Kind::CedarSchema) => self.add(Target::Cedar, text),
                Some(Kind::EntitiesJson | Kind::LinksJson) => self.add(Target::Json, text),
                Some(Kind::Rows) => self.add(Target::Rows, text),
                _ => {}
            }
        }
        self.add(Target::Program, &whole);
    }

    fn rune(&mut self, text: &str) {
        self.add(Target::Container, text);
        self.add(Target::Layout, text);
        let sources = Sources::single("a.rune", text);
        let (file, _) = sources.files().next().expect("the file");
        for section in container::parse(file, text, &mut Findings::default()) {
            let body = &text[section.body.clone()];
            match section.kind {
                SectionKind::Schema | SectionKind::Policies => self.add(Target::Cedar, &section.cedar_text(text)),
                SectionKind::Rules | SectionKind::Migrate => {
                    let clauses = section.text_without_comments(text);
                    for goal in clauses.lines().filter_map(|line| line.split_once(":-")) {
                        self.add(Target::Expressions, goal.1.trim().trim_end_matches('.'));
                    }
                    self.add(Target::Rules, &clauses);
                }
                SectionKind::Data | SectionKind::Entities | SectionKind::Test | SectionKind::Flag => {
                    self.add(Target::Toml, body);
                }
            }
        }
    }

    fn corpora(&mut self, root: &Path) {
        let archive = fs::File::open(root.join("cedar/corpus-tests.tar.gz")).expect("the corpus has its archive");
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().expect("a tar archive") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            let mut text = String::new();
            let suffix = ["entities.json", ".cedarschema", ".cedar"].into_iter().find(|suffix| path.ends_with(suffix));
            let Some(suffix) = suffix else { continue };
            let n = taken.entry(suffix.to_owned()).or_default();
            if *n < CORPUS_TEXTS && entry.read_to_string(&mut text).is_ok() {
                *n += 1;
                self.ruleset(&[(format!("a.{}", suffix.trim_start_matches('.')), text)]);
            }
        }
        for path in files_below(&root.join("cedar")) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let name = if name == "entities.json" { "a.entities.json".to_owned() } else { name };
            if let (Some(_), Ok(text)) = (Kind::of(&name), fs::read_to_string(&path)) {
                self.ruleset(&[(name, text)]);
            }
        }
        for path in files_below(&root.join("authzen")) {
            let cases =
                fs::read_to_string(path).ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
            let of = |name: &str| cases.as_ref().and_then(|cases| cases[name].as_array()).into_iter().flatten();
            for case in of("evaluation").chain(of("evaluations")) {
                self.add(Target::Evaluation, &case["request"].to_string());
                self.add(Target::Json, &case["request"].to_string());
            }
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Bodies of requests, of the example that answers them.
const BODIES: [&str; 5] = [
    r#"{"subject": {"type": "user", "id": "rick@the-citadel.com"}, "action": {"name": "can_read_user"}, "resource": {"type": "user", "id": "beth@the-smiths.com"}}"#,
    r#"{"subject": {"type": "user", "id": "morty@the-citadel.com", "properties": {"level": 3, "roles": ["editor", null]}}, "action": {"name": "can_update_todo", "properties": {"method": "PUT"}}, "resource": {"type": "todo", "id": "7240d0db", "properties": {"ownerID": "morty@the-citadel.com"}}, "context": {"time": "2024-05-31T15:22-07:00", "ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}}"#,
    r#"{"subject": {"type": "user", "id": "\u00e9\ud83d\ude00"}, "action": {"name": "can_delete_todo"}, "resource": {"type": "todo", "id": ""}, "context": {"who": {"__entity": {"type": "user", "id": "summer"}}, "n": -9223372036854775808}}"#,
    r#"{"subject": {"type": "user", "id": "beth@the-smiths.com"}, "action": {"name": "can_read_todos"}, "options": {"evaluations_semantic": "deny_on_first_deny"}, "evaluations": [{"resource": {"type": "todo", "id": "1"}}, {"action": {"name": "can_delete_todo"}, "resource": {"type": "todo", "id": "2"}}, {}]}"#,
    r#"{"resource": {"type": "todo"}, "context": {"time": "now"}, "options": {"evaluations_semantic": "permit_on_first_permit", "more": null}, "evaluations": [null, {"subject": {"type": "user", "id": "rick@the-citadel.com"}, "action": {"name": "can_create_todo", "properties": {}}, "resource": {"id": "1", "properties": null}, "context": null}]}"#,
];

/// Texts that belong nowhere.
const ODDITIES: [&str; 6] = ["", "\u{feff}", "\n", "\r\n", "\u{feff}version = \"rune/1.0\"\r\n[rules]\r\np(1).", "\0"];
