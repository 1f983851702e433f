//! Patterns of `like`.

use super::{Failure, Item, eval::spend};

/// Whether `text` matches a pattern of characters and wildcards.
///
/// A wildcard first takes nothing and, whenever the rest does not fit, one character more. Only the last wildcard passed
/// needs to be tried again: what an earlier one could take, it can take too.
pub(super) fn matches(pattern: &[Item], text: &str, steps_left: &mut u64) -> Result<bool, Failure> {
    let (mut rest, mut at) = (text.chars(), 0);
    let mut last_wild: Option<(std::str::Chars<'_>, usize)> = None;
    loop {
        spend(steps_left, 1)?;
        match pattern.get(at) {
            Some(Item::Wild) => {
                at += 1;
                last_wild = Some((rest.clone(), at));
                continue;
            }
            Some(Item::Char(wanted)) => {
                let mut ahead = rest.clone();
                if ahead.next() == Some(*wanted) {
                    rest = ahead;
                    at += 1;
                    continue;
                }
            }
            Some(_) => return Ok(false),
            None if rest.as_str().is_empty() => return Ok(true),
            None => {}
        }
        let Some((tried, after)) = &mut last_wild else { return Ok(false) };
        if tried.next().is_none() {
            return Ok(false);
        }
        (rest, at) = (tried.clone(), *after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, text: &str, steps_max: u64) -> Result<bool, Failure> {
        let items: Vec<_> = pattern.chars().map(|c| if c == '*' { Item::Wild } else { Item::Char(c) }).collect();
        matches(&items, text, &mut { steps_max })
    }

    #[test]
    fn patterns_match_over_characters() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "äöü", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*.jpg", "a.jpg.jpg", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXcXb", false),
            ("**a**", "bab", true),
            ("ä", "ä", true),
        ] {
            assert_eq!(like(pattern, text, 1_000), Ok(expected), "{pattern} like {text}");
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_ends_at_the_limit() {
        let (pattern, text) = (format!("*{}b", "a".repeat(5_000)), "a".repeat(100_000));
        assert_eq!(like(&pattern, &text, 1_000_000), Err(Failure::TooManySteps));
    }
}
