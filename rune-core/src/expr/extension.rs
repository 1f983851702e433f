//! Cedar's extension types: decimal, IP address, datetime and duration.
//!
//! The forms that their constructors take are Cedar's (`cedar-spec`, `Cedar/Spec/Ext`), to the letter: a string that Cedar
//! does not take fails here too, since a failing policy is skipped.

use std::net::IpAddr;

use crate::{
    base::{Datum, IpNet, Value, Values, View},
    syntax::ast::Method,
};

use super::eval::{Failure, kind};

const DAY_MS: i64 = 86_400_000;

/// The result of a function of one argument.
///
/// # Errors
///
/// If the argument is not of the type or form that the function takes, or the result goes beyond 64 bits.
pub fn call(values: &mut impl Values, method: Method, argument: Value) -> Result<Value, Failure> {
    use Method as M;
    let datum = match (method, values.view(argument)) {
        (M::Decimal | M::Ip | M::Datetime | M::Duration, View::Text(text)) => {
            let (function, form, parsed) = construct(method, text);
            parsed.ok_or(Failure::Malformed { function, argument, form })?
        }
        (M::IsIpv4, View::Ip(net)) => Datum::Bool(net.address.is_ipv4()),
        (M::IsIpv6, View::Ip(net)) => Datum::Bool(net.address.is_ipv6()),
        (M::IsLoopback, View::Ip(net)) => {
            let least = if net.address.is_ipv4() { 8 } else { 128 };
            Datum::Bool(net.address.is_loopback() && least <= net.prefix)
        }
        (M::IsMulticast, View::Ip(net)) => {
            let least = if net.address.is_ipv4() { 4 } else { 8 };
            Datum::Bool(net.address.is_multicast() && least <= net.prefix)
        }
        (M::ToDate, View::Datetime(ms)) => {
            Datum::Datetime(ms.checked_sub(ms.rem_euclid(DAY_MS)).ok_or(Failure::Overflow("the date"))?)
        }
        (M::ToTime, View::Datetime(ms)) => Datum::Duration(ms.rem_euclid(DAY_MS)),
        (M::ToMilliseconds, View::Duration(ms)) => Datum::Long(ms),
        (M::ToSeconds, View::Duration(ms)) => Datum::Long(ms / 1_000),
        (M::ToMinutes, View::Duration(ms)) => Datum::Long(ms / 60_000),
        (M::ToHours, View::Duration(ms)) => Datum::Long(ms / 3_600_000),
        (M::ToDays, View::Duration(ms)) => Datum::Long(ms / DAY_MS),
        (_, found) => return Err(Failure::Type { expected: receiver(method), found: kind(found) }),
    };
    Ok(values.intern(datum))
}

/// The result of a function of two arguments.
///
/// # Errors
///
/// If an argument is not of the type that the function takes, or the result goes beyond 64 bits.
pub fn call2(values: &mut impl Values, method: Method, left: Value, right: Value) -> Result<Value, Failure> {
    use Method as M;
    let datum = match (method, values.view(left), values.view(right)) {
        (M::IsInRange, View::Ip(a), View::Ip(b)) => Datum::Bool(is_in_range(a, b)),
        (M::LessThan, View::Decimal(a), View::Decimal(b)) => Datum::Bool(a < b),
        (M::LessThanOrEqual, View::Decimal(a), View::Decimal(b)) => Datum::Bool(a <= b),
        (M::GreaterThan, View::Decimal(a), View::Decimal(b)) => Datum::Bool(b < a),
        (M::GreaterThanOrEqual, View::Decimal(a), View::Decimal(b)) => Datum::Bool(b <= a),
        (M::Offset, View::Datetime(ms), View::Duration(by)) => {
            Datum::Datetime(ms.checked_add(by).ok_or(Failure::Overflow("the offset"))?)
        }
        (M::DurationSince, View::Datetime(ms), View::Datetime(since)) => {
            Datum::Duration(ms.checked_sub(since).ok_or(Failure::Overflow("the duration"))?)
        }
        (_, a, b) => {
            let expected = receiver(method);
            // The receiver is told first; if it is right, the argument is wrong.
            let found = if kind(a) == expected { b } else { a };
            let expected = if kind(a) == expected && method == M::Offset { "a duration" } else { expected };
            return Err(Failure::Type { expected, found: kind(found) });
        }
    };
    Ok(values.intern(datum))
}

fn receiver(method: Method) -> &'static str {
    use Method as M;
    match method {
        M::Decimal | M::Ip | M::Datetime | M::Duration => "a string",
        M::IsIpv4 | M::IsIpv6 | M::IsLoopback | M::IsMulticast | M::IsInRange => "an IP address",
        M::LessThan | M::LessThanOrEqual | M::GreaterThan | M::GreaterThanOrEqual => "a decimal",
        M::Offset | M::DurationSince | M::ToDate | M::ToTime => "a datetime",
        M::ToMilliseconds | M::ToSeconds | M::ToMinutes | M::ToHours | M::ToDays => "a duration",
    }
}

/// What a constructor makes of a text: its name, the form that it takes, and the value if the text has it.
fn construct(method: Method, text: &str) -> (&'static str, &'static str, Option<Datum>) {
    match method {
        Method::Decimal => {
            ("decimal", "digits, a point and one to four digits: `12.34`", decimal(text).map(Datum::Decimal))
        }
        Method::Ip => ("ip", "an address or a range: `10.0.0.1`, `10.0.0.0/8`, `ffee::/64`", ip(text).map(Datum::Ip)),
        Method::Datetime => {
            let form = "a date, or a date and time with a zone: `2024-10-15`, `2024-10-15T11:35:00Z`";
            ("datetime", form, datetime(text).map(Datum::Datetime))
        }
        _ => ("duration", "quantities with units, in order: `1d2h3m4s5ms`", duration(text).map(Datum::Duration)),
    }
}

/// `-?digits.digits`, at most four after the point.
fn decimal(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.')?;
    let is_negative = whole.starts_with('-');
    let units = digits(whole.strip_prefix('-').unwrap_or(whole))?;
    let n_fraction = u32::try_from(fraction.len()).ok()?;
    if 4 < n_fraction {
        return None;
    }
    let fraction = digits(fraction)? * 10_i128.pow(4 - n_fraction);
    let units = units.checked_mul(10_000)?.checked_add(fraction)?;
    i64::try_from(if is_negative { -units } else { units }).ok()
}

/// One or more ASCII digits, as a number below 10³⁰.
fn digits(text: &str) -> Option<i128> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let text = text.trim_start_matches('0');
    if 30 < text.len() {
        return None;
    }
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

/// An address, with a prefix or without, at most 43 bytes; no IPv4 inside IPv6.
fn ip(text: &str) -> Option<IpNet> {
    const BYTES_MAX: usize = 43;
    let embeds = |c| 1 < text.matches(c).count();
    if BYTES_MAX < text.len() || (embeds(':') && embeds('.')) {
        return None;
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let full: u8 = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => full,
        Some(prefix) => {
            let is_plain = prefix == "0" || !prefix.starts_with('0');
            let n_digits_max = if address.is_ipv4() { 2 } else { 3 };
            if !is_plain || n_digits_max < prefix.len() {
                return None;
            }
            u8::try_from(digits(prefix)?).ok().filter(|prefix| *prefix <= full)?
        }
    };
    Some(IpNet { address, prefix })
}

/// Whether all addresses of `a` are addresses of `b`.
fn is_in_range(a: IpNet, b: IpNet) -> bool {
    let bounds = |net: IpNet| match net.address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(net.prefix.into()).unwrap_or(0);
            (u128::from(u32::from(address) & !host), u128::from(u32::from(address) | host))
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(net.prefix.into()).unwrap_or(0);
            (u128::from(address) & !host, u128::from(address) | host)
        }
    };
    let ((a_first, a_last), (b_first, b_last)) = (bounds(a), bounds(b));
    a.address.is_ipv4() == b.address.is_ipv4() && b_first <= a_first && a_last <= b_last
}

/// `YYYY-MM-DD`, alone or with `Thh:mm:ss`, perhaps `.SSS`, and `Z` or `±hhmm`; in milliseconds since 1970.
fn datetime(text: &str) -> Option<i64> {
    let mut rest = Digits(text);
    let (year, month, day) = (rest.take(4)?, rest.skip("-")?.take(2)?, rest.skip("-")?.take(2)?);
    let days = days_since_1970(year, month, day)?;
    if rest.0.is_empty() {
        return Some(days * DAY_MS);
    }
    let (hour, minute, second) = (rest.skip("T")?.take(2)?, rest.skip(":")?.take(2)?, rest.skip(":")?.take(2)?);
    let ms = if rest.0.starts_with('.') { rest.skip(".")?.take(3)? } else { 0 };
    let offset_minutes = match rest.0.as_bytes().first()? {
        b'Z' => {
            rest.skip("Z")?;
            0
        }
        sign @ (b'+' | b'-') => {
            rest.skip(if *sign == b'+' { "+" } else { "-" })?;
            let (hours, minutes) = (rest.take(2)?, rest.take(2)?);
            if 23 < hours || 59 < minutes {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'+' { 1 } else { -1 }
        }
        _ => return None,
    };
    if !rest.0.is_empty() || 23 < hour || 59 < minute || 59 < second {
        return None;
    }
    Some(days * DAY_MS + ((hour * 60 + minute - offset_minutes) * 60 + second) * 1_000 + ms)
}

/// The rest of a text of fixed-width numbers.
struct Digits<'t>(&'t str);

impl Digits<'_> {
    fn take(&mut self, n: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        i64::try_from(digits(number)?).ok()
    }

    fn skip(&mut self, text: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(text)?;
        Some(self)
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, after Howard Hinnant's "chrono-compatible low-level date
/// algorithms": years begin in March, so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=month_days).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// `-?` and quantities with units in the order `d h m s ms`, each at most once and at least one; in milliseconds.
fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, i128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let is_negative = text.starts_with('-');
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut units = UNITS.iter();
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(n_digits)?;
        let unit = after.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        let (_, ms) = units.find(|(name, _)| *name == unit)?;
        // Cedar overflows on each quantity by itself, before a later one could bring the sum back: all have one sign.
        total = total.checked_add(digits(number)?.checked_mul(*ms)?)?;
        rest = after.strip_prefix(unit)?;
    }
    i64::try_from(if is_negative { -total } else { total }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_a_point_and_up_to_four_digits_after_it() {
        for (text, units) in [
            ("0.0", Some(0)),
            ("-0.5", Some(-5_000)),
            ("12.34", Some(123_400)),
            ("00001.0", Some(10_000)),
            ("922337203685477.5807", Some(i64::MAX)),
            ("-922337203685477.5808", Some(i64::MIN)),
            ("922337203685477.5808", None),
            ("1.12345", None),
            ("1", None),
            ("1.", None),
            (".5", None),
            ("+1.0", None),
            ("1.-5", None),
            ("1.0.0", None),
            ("٣.0", None),
        ] {
            assert_eq!(decimal(text), units, "{text}");
        }
    }

    #[test]
    fn addresses_keep_their_prefix_and_ranges_compare_by_bounds() {
        for text in ["127.0.0.1/08", "127.0.0.1/33", "::ffff:127.0.0.1", "1.2.3", "::1/129", "1.2.3.4/", "1.2.3.4/+8"] {
            assert_eq!(ip(text), None, "{text}");
        }
        let (a, b) = (ip("10.1.2.3/16").unwrap(), ip("10.0.0.0/8").unwrap());
        assert!(is_in_range(a, b) && !is_in_range(b, a));
        assert!(is_in_range(ip("1.2.3.4").unwrap(), ip("0.0.0.0/0").unwrap()));
        assert!(!is_in_range(ip("::1").unwrap(), ip("0.0.0.0/0").unwrap()));
        assert_ne!(ip("10.0.0.1/8"), ip("10.0.0.0/8"));
    }

    #[test]
    fn datetimes_are_milliseconds_since_1970() {
        for (text, ms) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-DAY_MS)),
            ("2000-02-29", Some(951_782_400_000)),
            ("0000-01-01", Some(-62_167_219_200_000)),
            ("9999-12-31T23:59:59.999Z", Some(253_402_300_799_999)),
            ("2024-10-15T11:38:02.101+1134", Some(1_728_950_642_101)),
            ("2024-10-15T11:38:02-0100", Some(1_728_995_882_000)),
            ("2023-02-29", None),
            ("2024-10-15T24:00:00Z", None),
            ("2024-10-15T11:38:60Z", None),
            ("2024-10-15T11:38:02", None),
            ("2024-10-15T11:38:02.1Z", None),
            ("2024-10-15T11:38:02+2400", None),
            ("2024-10-15Z", None),
            ("2024-10-15T11:38:02Z ", None),
            ("24-10-15", None),
        ] {
            assert_eq!(datetime(text), ms, "{text}");
        }
    }

    #[test]
    fn durations_are_quantities_in_order() {
        for (text, ms) in [
            ("1d2h3m4s5ms", Some(93_784_005)),
            ("5ms", Some(5)),
            ("-1s", Some(-1_000)),
            ("1d5ms", Some(86_400_005)),
            ("-9223372036854775808ms", Some(i64::MIN)),
            ("9223372036854775808ms", None),
            ("106751991168d", None),
            ("", None),
            ("-", None),
            ("1", None),
            ("1s1m", None),
            ("1s1s", None),
            ("1.5s", None),
            ("ms", None),
            ("1 s", None),
        ] {
            assert_eq!(duration(text), ms, "{text}");
        }
    }
}
