//! Data: tables of numbers, made from a name and a size, the same in every run.

mod analyses;
mod authz;
mod graphs;
mod sharing;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, BufWriter, Write as _},
    path::Path,
    str::FromStr,
};

use crate::random::Random;

/// How much there is. What that means depends on the family; `1M` and `10M` are rows, of questions alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    S,
    M,
    L,
    Million,
    TenMillion,
}

const SIZES: [(&str, Size); 5] =
    [("s", Size::S), ("m", Size::M), ("l", Size::L), ("1M", Size::Million), ("10M", Size::TenMillion)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = SIZES.iter().find(|(name, _)| *name == text);
        found.map(|(_, size)| *size).ok_or_else(|| format!("`{text}` is no size: s, m, l, 1M, 10M"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(SIZES.iter().find(|(_, size)| size == self).expect("each size has a name").0)
    }
}

/// Rows of one arity, one after another.
struct Table {
    arity: usize,
    cells: Vec<u32>,
}

/// Given relations, by name.
#[derive(Default)]
pub struct Tables(BTreeMap<String, Table>);

impl Tables {
    /// Adds a relation.
    pub fn add<const N: usize>(&mut self, name: &str, rows: impl IntoIterator<Item = [u32; N]>) {
        let cells = rows.into_iter().flatten().collect();
        self.0.insert(name.to_owned(), Table { arity: N, cells });
    }

    /// The rows of a relation.
    pub fn rows<const N: usize>(&self, name: &str) -> impl Iterator<Item = [u32; N]> + '_ {
        let table = self.0.get(name).unwrap_or_else(|| panic!("there is no table {name}"));
        assert!(table.arity == N || table.cells.is_empty(), "{name} has {} columns", table.arity);
        table.cells.chunks_exact(N).map(|row| row.try_into().expect("a row"))
    }

    /// One more than the largest number.
    pub fn n_numbers(&self) -> u32 {
        self.0.values().flat_map(|table| &table.cells).max().map_or(0, |largest| largest + 1)
    }

    /// How many rows there are in all.
    pub fn n_rows(&self) -> usize {
        self.0.values().map(|table| table.cells.len() / table.arity).sum()
    }

    /// Writes `<relation>.tsv` files.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        for (name, table) in &self.0 {
            let mut file = BufWriter::new(fs::File::create(dir.join(format!("{name}.tsv")))?);
            for row in table.cells.chunks_exact(table.arity) {
                for (column, cell) in row.iter().enumerate() {
                    write!(file, "{}{cell}", if column == 0 { "" } else { "\t" })?;
                }
                writeln!(file)?;
            }
            file.flush()?;
        }
        Ok(())
    }

    /// Reads the `<relation>.tsv` files of a folder.
    pub fn read(dir: &Path) -> io::Result<Self> {
        let mut tables = Self::default();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tsv") {
                let name = path.file_stem().and_then(|name| name.to_str()).expect("a name of ours");
                tables.0.insert(name.to_owned(), Table::parse(&fs::read(&path)?));
            }
        }
        Ok(tables)
    }
}

impl Table {
    fn parse(text: &[u8]) -> Self {
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let arity = 1 + first.iter().filter(|byte| **byte == b'\t').count();
        let (mut cells, mut number) = (Vec::with_capacity(text.len() / 6), 0_u32);
        for byte in text {
            match byte {
                b'0'..=b'9' => number = number * 10 + u32::from(byte - b'0'),
                _ => cells.push(std::mem::take(&mut number)),
            }
        }
        Self { arity, cells }
    }
}

/// May this user do this to that?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub who: u32,
    pub action: u32,
    pub what: u32,
}

/// What is given, and what is asked of it.
#[derive(Default)]
pub struct Data {
    pub tables: Tables,
    pub questions: Vec<Question>,
}

/// Makes the data of a family.
///
/// # Errors
///
/// If there is no such family, or none of that size.
pub fn make(family: &str, size: Size) -> Result<Data, String> {
    let random = &mut Random::of(&format!("{family}-{size}"));
    let is_for_questions = ["authz", "skewed", "github", "drive", "iam", "users"].contains(&family);
    if !is_for_questions && [Size::Million, Size::TenMillion].contains(&size) {
        return Err(format!("{family} has the sizes s, m and l"));
    }
    let tables = match family {
        "chain" => graphs::chain(size),
        "rand" => graphs::random(size, random),
        "grid" => graphs::grid(size),
        "sf" => graphs::scale_free(size, random),
        "sg" => graphs::tree(size, random),
        "tri" => graphs::skewed(size, random),
        "neg" => graphs::blocked(size, random),
        "andersen" => analyses::andersen(size, random),
        "cspa" => analyses::cspa(size, random),
        "agg" => analyses::members(size, random),
        "authz" => return Ok(authz::authz(size, false)),
        "skewed" => return Ok(authz::authz(size, true)),
        "github" => return sharing::github(size, random),
        "drive" => return sharing::drive(size, random),
        "iam" => return sharing::iam(size, random),
        "users" => return sharing::users(size, random),
        _ => return Err(format!("there is no family {family}")),
    };
    Ok(Data { tables, questions: Vec::new() })
}

/// Rows in order, each once.
fn distinct<const N: usize>(rows: impl IntoIterator<Item = [u32; N]>) -> Vec<[u32; N]> {
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}
