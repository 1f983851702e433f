//! Text that Cedar's parsers read, and what they say of it as findings with places.

use std::ops::Range;

use miette::Diagnostic;

use crate::{
    base::{FileId, Span, limits},
    diag::{Code, Finding, Findings},
};

use super::{
    height::{self, Excess, ExcessKind, Notation},
    slips,
};

/// A piece of Cedar text and where it stands: a whole file, or the body of a section.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The file.
    pub file: FileId,
    /// Where in the file the piece begins.
    pub start: usize,
    /// The text, byte for byte as long as in the file.
    pub text: String,
}

impl Piece {
    /// A range of the piece as a place in its file.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, self.start + range.start..self.start + range.end)
    }

    /// Whether the piece is low enough for Cedar's recursive parsers; if not, that is a finding.
    pub fn is_low(&self, notation: Notation, findings: &mut Findings) -> bool {
        let Err(excess) = height::measure(&self.text, notation) else { return true };
        findings.push(too_high(excess, self.span(excess.place(&self.text))));
        false
    }

    /// What Cedar says as a finding, at the first place that it points to.
    #[must_use]
    pub fn finding(&self, code: Code, diagnostic: &dyn Diagnostic) -> Finding {
        let mut labels = diagnostic.labels().into_iter().flatten();
        let first = labels.next();
        let range = first.as_ref().map_or(0..0, |label| label.offset()..label.offset() + label.len());
        let mut finding = Finding::new(code, self.span(self.inside(range)), plain(&diagnostic.to_string()));
        for label in labels {
            if let Some(text) = label.label() {
                let range = label.offset()..label.offset() + label.len();
                finding = finding.related(self.span(self.inside(range)), plain(text));
            }
        }
        let help = diagnostic.help().map(|help| plain(&help.to_string()));
        let slip = slips::cedar::slip(self, &finding);
        match slip.or(help).or_else(|| first.and_then(|label| label.label().map(plain))) {
            Some(help) => finding.help(help),
            None => finding,
        }
    }

    /// What Cedar says, one finding for each thing.
    #[must_use]
    pub fn findings(&self, code: Code, diagnostic: &dyn Diagnostic) -> Vec<Finding> {
        let related: Vec<_> = diagnostic.related().into_iter().flatten().collect();
        let first = self.finding(code, diagnostic);
        std::iter::once(first).chain(related.into_iter().map(|other| self.finding(code, other))).collect()
    }

    /// A range that a parser gave, cut to the piece.
    fn inside(&self, range: Range<usize>) -> Range<usize> {
        let end = range.end.min(self.text.len());
        range.start.min(end)..end
    }
}

/// The finding for a text that is higher than a limit.
#[must_use]
pub fn too_high(excess: Excess, span: Span) -> Finding {
    let code = match excess.kind {
        ExcessKind::Nesting => Code::NestingTooDeep,
        ExcessKind::Height(_) | ExcessKind::Accesses => Code::ExpressionTooHigh,
    };
    let finding = Finding::new(code, span, excess.to_string());
    match excess.kind {
        ExcessKind::Nesting | ExcessKind::Accesses => finding,
        ExcessKind::Height(_) => finding.help(format!(
            "split it into several policies, or compare with a set: `principal in [a, b, …]` (limit {})",
            limits::TEXT_HEIGHT_MAX
        )),
    }
}

/// The first line of what Cedar says, in our manner: lower case, no full stop.
fn plain(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    line.strip_prefix("error parsing schema: ").unwrap_or(line).to_owned()
}
