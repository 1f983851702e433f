//! Results of tests in the format of `JUnit`, as build servers read it.

use std::fmt::Write as _;

use rune_core::{Program, program::TestResult};

/// The results as a document.
pub(crate) fn xml(program: &Program, results: &[&TestResult]) -> String {
    let n_failed = results.iter().filter(|result| result.failure.is_some()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"rune\" tests=\"{}\" failures=\"{n_failed}\">\n",
        results.len()
    );
    for result in results {
        let path = program.sources().file(result.span.file).map_or("", |file| &*file.path);
        let line = program.sources().place(result.span).line;
        let (name, file) = (escaped(&result.name), escaped(path));
        let _ = write!(xml, "<testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\">");
        if let Some(failure) = &result.failure {
            let _ = write!(xml, "<failure message=\"{}\"/>", escaped(failure));
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n</testsuites>\n");
    xml
}

/// A text as the value of an XML attribute. What XML has no place for is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}
