//! Rows of values, one behind the other in an array of cells: which one is where, whether two are the same, and their hashes.

use crate::base::Value;

use super::table::RowId;

/// A row by its place; of one that is not there, no columns.
#[must_use]
#[inline]
pub fn row_of(cells: &[Value], arity: usize, id: RowId) -> &[Value] {
    let start = id as usize * arity;
    cells.get(start..start + arity).unwrap_or_default()
}

/// Whether two rows are the same: most have two columns, which are compared in place.
#[must_use]
#[inline]
pub fn is_same(a: &[Value], b: &[Value]) -> bool {
    match (a, b) {
        ([a, b], [c, d]) => a == c && b == d,
        _ => a == b,
    }
}

/// The hash of a row, or of a key that is no longer than one.
#[must_use]
#[inline]
pub fn hash_row(seed: u64, row: &[Value]) -> u64 {
    match row {
        [a] => fold(seed ^ u64::from(a.bits()) << 32),
        [a, b] => fold(seed ^ (u64::from(a.bits()) << 32 | u64::from(b.bits()))),
        _ => hash_of(seed, row.iter().copied()),
    }
}

/// Two columns at a time.
#[must_use]
#[inline]
pub fn hash_of(seed: u64, columns: impl IntoIterator<Item = Value>) -> u64 {
    let mut columns = columns.into_iter();
    let mut hash = seed;
    while let Some(first) = columns.next() {
        let second = columns.next().map_or(0, Value::bits);
        hash = fold(hash ^ (u64::from(first.bits()) << 32 | u64::from(second)));
    }
    hash
}

/// A number that says nothing of the one that it was made of: the halves of a product, one over the other.
#[expect(clippy::cast_possible_truncation, reason = "the lower half, and then the upper one")]
#[inline]
fn fold(number: u64) -> u64 {
    let product = u128::from(number) * 0x9E37_79B9_7F4A_7C15_u128;
    product as u64 ^ (product >> 64) as u64
}

/// The half of a hash that says nothing of the slot where it is looked for first.
#[expect(clippy::cast_possible_truncation, reason = "the half is what is wanted")]
#[must_use]
#[inline]
pub fn low(hash: u64) -> u32 {
    hash as u32
}
