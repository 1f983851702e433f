//! Figures: processes with what they took, and what many figures come to.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use wait4::Wait4 as _;

/// What a process printed and took.
#[derive(Debug, Clone)]
pub struct Run {
    pub output: String,
    pub wall_s: f64,
    /// User and system time.
    pub cpu_s: f64,
    pub rss_mib: f64,
}

/// Why a program has no result, and what it printed before.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    pub why: String,
    pub output: String,
    /// Whether it was ended because it took too long.
    pub is_late: bool,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { why: error.to_string(), ..Self::default() }
    }
}

/// Runs a program to its end, but no longer than this many seconds.
///
/// # Errors
///
/// If it cannot be run, takes longer or fails: what it says of that.
pub fn run(command: &[String], seconds_max: u32, work: &Path) -> Result<Run, Failure> {
    let errors = work.join("errors");
    let stderr = fs::File::create(&errors)?;
    let begun = Instant::now();
    // The figures of a process include those of the children it waited for.
    let mut child = Command::new("timeout")
        .args(["--signal=KILL", &seconds_max.to_string()])
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()?;
    let mut output = Vec::new();
    child.stdout.take().expect("it is piped").read_to_end(&mut output)?;
    let ended = child.wait4()?;
    let wall_s = begun.elapsed().as_secs_f64();
    let output = String::from_utf8_lossy(&output).into_owned();
    let used = ended.rusage;
    if !ended.status.success() {
        if f64::from(seconds_max) <= wall_s {
            return Err(Failure { why: format!("no result in {seconds_max} s"), output, is_late: true });
        }
        let said = fs::read_to_string(&errors).unwrap_or_default();
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("failed").to_owned();
        return Err(Failure { why: said.chars().take(200).collect(), output, is_late: false });
    }
    let cpu_s = (used.utime + used.stime).as_secs_f64();
    Ok(Run { output, wall_s, cpu_s, rss_mib: used.maxrss as f64 / f64::from(1 << 20) })
}

/// The value below which this part of them lies.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * part) as usize).min(sorted.len() - 1)]
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The geometric mean.
pub fn geometric_mean(ratios: &[f64]) -> f64 {
    (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp()
}

/// A line of `/proc/self/status`, in bytes: `VmRSS` is what is resident now.
pub fn memory_bytes(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}
