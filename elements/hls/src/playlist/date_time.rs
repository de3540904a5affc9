//! Dates of `EXT-X-PROGRAM-DATE-TIME` (RFC 8216, section 4.3.2.6): ISO 8601 with milliseconds and a zone.

use millstream_core::Time;

const NANOS: i64 = 1_000_000_000;
const SECONDS_A_DAY: i64 = 86_400;

/// Writes nanoseconds since 1970-01-01T00:00:00Z as `2024-02-29T12:34:56.789Z`, to the millisecond below.
///
/// ```
/// use millstream_core::Time;
/// use millstream_hls::playlist::date_time;
/// assert_eq!(date_time::format(Time::from_millis(951_782_400_007)), "2000-02-29T00:00:00.007Z");
/// ```
pub fn format(wall: Time) -> String {
    let ms = wall.nanos().div_euclid(1_000_000);
    let (seconds, ms) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let (days, rest) = (seconds.div_euclid(SECONDS_A_DAY), seconds.rem_euclid(SECONDS_A_DAY));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Reads `2018-12-31T09:47:22+08:00`: seconds with or without a fraction; zone `Z`, `+hh:mm`, `+hhmm`, `+hh` or none,
/// which is taken as UTC. `None` for anything else.
pub fn parse(text: &str) -> Option<Time> {
    let (date, clock) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    if date.next().is_some() || !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    let zone_at = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at_checked(zone_at)?;
    let local = days_from_civil(year, month, day) * SECONDS_A_DAY;
    let (seconds, nanos) = parse_clock(clock)?;
    let total = local + seconds - parse_zone(zone)?;
    total.checked_mul(NANOS)?.checked_add(nanos).map(Time::from_nanos)
}

fn parse_clock(clock: &str) -> Option<(i64, i64)> {
    let (whole, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
    let mut parts = whole.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |s| number(s, 2))?;
    // 60 is a leap second.
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    Some((hour * 3600 + minute * 60 + second, nanos))
}

/// Seconds that local time is ahead of UTC.
fn parse_zone(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => return (zone.len() < 2).then_some(0),
        Some(b'+') => (1, zone.get(1..)?),
        Some(_) => (-1, zone.get(1..)?),
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match digits.len() {
        2 => (number(&digits, 2)?, 0),
        4 => (number(digits.get(..2)?, 2)?, number(digits.get(2..)?, 2)?),
        _ => return None,
    };
    Some(sign * (hours * 3600 + minutes * 60))
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years are counted from March, so that the leap
/// day is the last of its year and 400 years are always 146 097 days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hls_6_dates_have_milliseconds_and_zone() {
        // Values from `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (1_709_210_096, "2024-02-29T12:34:56.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(format(Time::from_millis(seconds * 1000)), text);
            assert_eq!(parse(text), Some(Time::from_millis(seconds * 1000)));
        }
        assert_eq!(format(Time::from_nanos(1_999_999)), "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn foreign_forms_are_read() {
        let utc = parse("2018-12-31T01:47:22Z");
        for text in [
            "2018-12-31T09:47:22+08:00",
            "2018-12-31T09:47:22.000+0800",
            "2018-12-31t01:47:22",
            "2018-12-30T20:47:22-05",
        ] {
            assert_eq!(parse(text), utc, "{text}");
        }
        for text in [
            "",
            "T",
            "2018-13-01T00:00:00Z",
            "2018-02-29T00:00:00Z",
            "2018-01-01T24:00:00Z",
            "2018-01-01T00:00:00Zulu",
            "é-1-1T1",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
