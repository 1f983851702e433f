//! The files of a ruleset, places in them, and the version that they are.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use sha2::{Digest, Sha256};

use super::limits;

/// What a file of a ruleset holds, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `*.rune`: a header and sections.
    Rune,
    /// `*.cedar`: Cedar policies and templates.
    Cedar,
    /// `*.cedarschema`: a schema in Cedar's own notation.
    CedarSchema,
    /// `*.entities.json`: entities in Cedar's JSON notation.
    EntitiesJson,
    /// `*.links.json`: links of templates, in the notation of Cedar's command line.
    LinksJson,
    /// `*.csv`, `*.tsv`: rows of a relation that a `[data]` section names.
    Rows,
    /// A notation of Cedar's that is not read. Named so that such a file is refused, not passed over.
    Unsupported,
    /// A name that is nearly one of the others: `entities.json`, `A.CEDAR`. Named so that it is told, not passed over.
    Misnamed,
}

impl Kind {
    /// The kind of the file at `path`, or none if it is not part of a ruleset.
    ///
    /// Names that editors and tools give to their temporary files (`.#a.rune`, `a.rune~`, `a.rune.tmp`) are none.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.starts_with('.') || name.starts_with('#') {
            return None;
        }
        let kinds = [
            (".rune", Self::Rune),
            (".cedar", Self::Cedar),
            (".cedarschema", Self::CedarSchema),
            (".entities.json", Self::EntitiesJson),
            (".links.json", Self::LinksJson),
            (".csv", Self::Rows),
            (".tsv", Self::Rows),
            (".cedar.json", Self::Unsupported),
            (".cedarschema.json", Self::Unsupported),
        ];
        let known = |name: &str| {
            kinds
                .into_iter()
                .find(|(suffix, _)| suffix.len() < name.len() && name.ends_with(suffix))
                .map(|(_, kind)| kind)
        };
        let is_near = || {
            let lower = name.to_lowercase();
            ["entities.json", "links.json"].contains(&lower.as_str()) || known(&lower).is_some()
        };
        known(name).or_else(|| is_near().then_some(Self::Misnamed))
    }

    /// How many bytes the file at `path` may have.
    #[must_use]
    pub fn bytes_max(path: &str) -> usize {
        match Self::of(path) {
            Some(Self::Rows) => limits::ROW_FILE_BYTES_MAX,
            _ => limits::FILE_BYTES_MAX,
        }
    }
}

/// One file: its path below the root of the ruleset, with `/` between names, and its bytes.
#[derive(Debug, Clone)]
pub struct File {
    /// Path below the root.
    pub path: Arc<str>,
    /// Content as it was read.
    pub bytes: Arc<[u8]>,
    /// Where its lines are, found when a place is first shown.
    lines: Arc<OnceLock<Lines>>,
}

/// Where the lines of a text begin, and how much of the bytes is text.
#[derive(Debug)]
struct Lines {
    starts: Vec<usize>,
    text_end: usize,
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.bytes == other.bytes
    }
}

impl Eq for File {}

impl File {
    /// A file with this path and content.
    pub fn new(path: impl Into<Arc<str>>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { path: path.into(), bytes: bytes.into(), lines: Arc::default() }
    }

    /// The content as text; what is not UTF-8 is a finding elsewhere, and here the part before it.
    #[must_use]
    pub fn text(&self) -> &str {
        self.bytes.get(..text_end(&self.bytes)).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default()
    }

    /// Where byte `at` stands, for people. The first call walks over the file, later ones over a line.
    fn place(&self, at: usize) -> LineColumn {
        let lines = self.lines.get_or_init(|| {
            let text_end = text_end(&self.bytes);
            let breaks = self.bytes.iter().take(text_end).enumerate().filter(|(_, byte)| **byte == b'\n');
            Lines { starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect(), text_end }
        });
        let at = at.min(lines.text_end);
        let line = lines.starts.partition_point(|start| *start <= at);
        let start = lines.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        // Bytes that begin a character; one inside a character counts as that character.
        let before = self.bytes.get(start..at).unwrap_or_default();
        let n_before = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        let is_inside = self.bytes.get(at).is_some_and(|byte| at < lines.text_end && byte & 0xC0 == 0x80);
        LineColumn { line, column: n_before + usize::from(!is_inside) }
    }
}

fn text_end(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}

/// Position of a file in its [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The place of what stands in no file.
    pub const NOWHERE: Self = Self { file: FileId(u32::MAX), start: 0, end: 0 };
    /// The place of what comes through the API: in no file.
    pub const LIVE: Self = Self { file: FileId(u32::MAX), start: 1, end: 1 };

    /// The bytes `range` of `file`. Files are far below 4 GiB; what is beyond is cut.
    #[must_use]
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let clip = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clip(range.start), end: clip(range.end) }
    }

    /// The range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The part `range` of this span, counted from its start.
    #[must_use]
    pub fn part(self, range: Range<usize>) -> Self {
        let start = self.start as usize;
        Self::new(self.file, start + range.start..start + range.end)
    }
}

/// A place for people: line and column, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// The content digest of a ruleset's sources: SHA-256 over its sorted paths and bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version([u8; 32]);

impl Version {
    fn of(files: &[File]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"rune/1.0\n");
        for file in files {
            // Lengths go first, so that no two sets of files are the same sequence of bytes.
            hash.update((file.path.len() as u64).to_le_bytes());
            hash.update(file.path.as_bytes());
            hash.update((file.bytes.len() as u64).to_le_bytes());
            hash.update(&file.bytes);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Version {
    /// All 64 hexadecimal digits, or as many as the precision asks for: `{:.12}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64);
        self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(digits).try_for_each(|digit| write!(f, "{digit:x}"))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self:.12})")
    }
}

/// A whole, stable set of files, ordered by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    files: Vec<File>,
    version: Version,
}

impl Sources {
    /// The set of these files. The order given does not matter; of two files with one path the first counts.
    #[must_use]
    pub fn new(mut files: Vec<File>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|later, earlier| later.path == earlier.path);
        let version = Version::of(&files);
        Self { files, version }
    }

    /// One file alone, for tests and examples.
    #[must_use]
    pub fn single(path: &str, text: &str) -> Self {
        Self::new(vec![File::new(path, text.as_bytes())])
    }

    /// These files, and a text beside them that belongs to no version: a question, with its id.
    #[must_use]
    pub fn with_text(&self, name: &str, text: &str) -> (Self, FileId) {
        let mut all = self.clone();
        let id = FileId(u32::try_from(all.files.len()).unwrap_or(u32::MAX));
        all.files.push(File::new(name, text.as_bytes()));
        (all, id)
    }

    /// The files with their ids, by path.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &File)> {
        (0..).map(FileId).zip(&self.files)
    }

    /// The file with this path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&File> {
        self.files.binary_search_by(|file| (*file.path).cmp(path)).ok().and_then(|at| self.files.get(at))
    }

    /// The file of an id that this set gave out.
    #[must_use]
    pub fn file(&self, id: FileId) -> Option<&File> {
        self.files.get(id.0 as usize)
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The digest of paths and bytes.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where a span begins, for people.
    #[must_use]
    pub fn place(&self, span: Span) -> LineColumn {
        self.file(span.file).map_or(LineColumn { line: 1, column: 1 }, |file| file.place(span.start as usize))
    }
}

/// The bytes of the character at `at`, or in which `at` is; at the end of the text there is none.
#[must_use]
pub fn character_at(text: &str, at: usize) -> Range<usize> {
    let start = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let character = text.get(start..).and_then(|rest| rest.chars().next());
    start..start + character.map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_has_all_its_bytes_and_the_end_has_none() {
        assert_eq!([0, 1, 2, 3, 4, 9].map(|at| character_at("aä\u{301}", at)), [0..1, 1..3, 1..3, 3..5, 3..5, 5..5]);
    }

    #[test]
    fn the_version_depends_on_paths_and_bytes_and_not_on_order() {
        let a = File::new("a.rune", *b"1");
        let b = File::new("b.rune", *b"2");
        let version = Sources::new(vec![a.clone(), b.clone()]).version();
        assert_eq!(version, Sources::new(vec![b.clone(), a]).version());
        assert_ne!(version, Sources::new(vec![File::new("c.rune", *b"1"), b.clone()]).version());
        assert_ne!(version, Sources::new(vec![File::new("a.rune", *b"12"), File::new("b.rune", *b"")]).version());
        assert_eq!(format!("{version:.12}").len(), 12);
        assert_eq!(format!("{version}").len(), 64);
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let sources = Sources::single("a.rune", "ä\nxöy\n");
        let (file, _) = sources.files().next().unwrap();
        let at = |start| sources.place(Span::new(file, start..start));
        assert_eq!(at(0), LineColumn { line: 1, column: 1 });
        assert_eq!(at(2), LineColumn { line: 1, column: 2 });
        assert_eq!(at(6), LineColumn { line: 2, column: 3 });
        assert_eq!(at(5), LineColumn { line: 2, column: 2 }, "inside a character is at that character");
        assert_eq!(at(99), LineColumn { line: 3, column: 1 });
    }

    #[test]
    fn temporary_files_of_editors_are_not_part_of_a_ruleset() {
        for name in [".#a.rune", "a.rune~", "#a.rune#", ".a.rune.swp", "4913", "a.rune.tmp", ".rune", "notes.md"] {
            assert_eq!(Kind::of(name), None, "{name}");
        }
        assert_eq!(Kind::of("x/a.rune"), Some(Kind::Rune));
        assert_eq!(Kind::of("x/a.entities.json"), Some(Kind::EntitiesJson));
        assert_eq!(Kind::of("a.cedarschema.json"), Some(Kind::Unsupported));
        assert_eq!(Kind::of("x/entities.json"), Some(Kind::Misnamed));
        assert_eq!(Kind::of("A.CEDAR"), Some(Kind::Misnamed));
        assert_eq!(Kind::of("a.json"), None);
    }
}
