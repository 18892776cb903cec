//! Calendar functions on seconds since the Unix epoch, UTC.

/// Seconds of a day.
const DAY: i128 = 86_400;

/// A moment of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    days: i64, // since 1970-01-01
    second_of_day: i64,
    year: i64,
    month: i64,
    day: i64,
}

impl Moment {
    /// The fraction of a second is cut off towards zero. Numbers that are no time (NaN, infinite,
    /// beyond 64 bits) are taken as 2^63 seconds, which is what Prometheus makes of them on the
    /// usual machines.
    fn new(seconds: f64) -> Self {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
        let seconds = if seconds > -LIMIT && seconds < LIMIT {
            seconds as i128
        } else {
            1 << 63
        };
        let days = seconds.div_euclid(DAY) as i64;
        // Years are counted from the first of March, so that the leap day comes last, and in
        // eras of 400 years, which all have the same length.
        let shifted = days + 719_468; // since 0000-03-01
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            days,
            second_of_day: seconds.rem_euclid(DAY) as i64,
            year: year_of_era + shifted.div_euclid(146_097) * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    fn is_leap_year(self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_in_month(self) -> i64 {
        match self.month {
            2 => 28 + i64::from(self.is_leap_year()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn day_of_year(self) -> i64 {
        const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let leap_day = i64::from(self.month > 2 && self.is_leap_year());
        BEFORE[(self.month - 1) as usize] + leap_day + self.day
    }
}

/// `year`.
pub fn year(seconds: f64) -> f64 {
    Moment::new(seconds).year as f64
}

/// `month`, 1 to 12.
pub fn month(seconds: f64) -> f64 {
    Moment::new(seconds).month as f64
}

/// `day_of_month`, 1 to 31.
pub fn day_of_month(seconds: f64) -> f64 {
    Moment::new(seconds).day as f64
}

/// `day_of_week`, 0 (Sunday) to 6.
pub fn day_of_week(seconds: f64) -> f64 {
    (Moment::new(seconds).days + 4).rem_euclid(7) as f64
}

/// `day_of_year`, 1 to 366.
pub fn day_of_year(seconds: f64) -> f64 {
    Moment::new(seconds).day_of_year() as f64
}

/// `days_in_month`, 28 to 31.
pub fn days_in_month(seconds: f64) -> f64 {
    Moment::new(seconds).days_in_month() as f64
}

/// `hour`, 0 to 23.
pub fn hour(seconds: f64) -> f64 {
    (Moment::new(seconds).second_of_day / 3600) as f64
}

/// `minute`, 0 to 59.
pub fn minute(seconds: f64) -> f64 {
    (Moment::new(seconds).second_of_day / 60 % 60) as f64
}

/// The calendar function of this name.
pub fn lookup(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "year" => year,
        "month" => month,
        "day_of_month" => day_of_month,
        "day_of_week" => day_of_week,
        "day_of_year" => day_of_year,
        "days_in_month" => days_in_month,
        "hour" => hour,
        "minute" => minute,
        _ => return None,
    })
}

/// Seconds since the Unix epoch as RFC 3339, `2006-01-02T15:04:05Z`, as annotations show times.
pub fn rfc3339(seconds: i64) -> String {
    let m = Moment::new(seconds as f64);
    let s = m.second_of_day;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        m.year,
        m.month,
        m.day,
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(seconds: f64) -> [f64; 8] {
        [
            year(seconds),
            month(seconds),
            day_of_month(seconds),
            day_of_week(seconds),
            day_of_year(seconds),
            days_in_month(seconds),
            hour(seconds),
            minute(seconds),
        ]
    }

    #[test]
    fn known_moments() {
        assert_eq!(all(0.0), [1970., 1., 1., 4., 1., 31., 0., 0.]);
        // 2006-01-02 22:04:05
        assert_eq!(all(1136239445.0), [2006., 1., 2., 1., 2., 31., 22., 4.]);
        // 2008-12-31 23:59:59 and a second later
        assert_eq!(
            all(1230767999.0),
            [2008., 12., 31., 3., 366., 31., 23., 59.]
        );
        assert_eq!(all(1230768000.0), [2009., 1., 1., 4., 1., 31., 0., 0.]);
        // February of 2016 and 2017
        assert_eq!(days_in_month(1454284800.0), 29.0);
        assert_eq!(days_in_month(1485907200.0), 28.0);
        // 1900 was no leap year, 2000 was.
        assert_eq!(days_in_month(-2206310400.0), 28.0);
        assert_eq!(days_in_month(951782400.0), 29.0);
    }

    #[test]
    fn before_the_epoch() {
        assert_eq!(all(-1.0), [1969., 12., 31., 3., 365., 31., 23., 59.]);
        // The fraction is cut off towards zero.
        assert_eq!(all(-0.5), all(0.0));
        assert_eq!(year(-62135596801.0), 0.0);
    }

    #[test]
    fn numbers_that_are_no_time() {
        assert_eq!(year(f64::NAN), 292277026596.0);
        assert_eq!(year(f64::INFINITY), 292277026596.0);
        assert_eq!(day_of_month(1e18), 23.0);
        assert_eq!(year(1e300), year(f64::NAN));
        assert!(all(-9e18).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut yesterday = Moment::new(-800_000.0 * 86_400.0);
        for day in -799_999..800_000_i64 {
            let today = Moment::new(day as f64 * 86_400.0);
            if yesterday.day < yesterday.days_in_month() {
                assert_eq!(
                    (today.month, today.day),
                    (yesterday.month, yesterday.day + 1)
                );
                assert_eq!(today.day_of_year(), yesterday.day_of_year() + 1);
            } else if yesterday.month < 12 {
                assert_eq!((today.month, today.day), (yesterday.month + 1, 1));
                assert_eq!(today.day_of_year(), yesterday.day_of_year() + 1);
            } else {
                assert_eq!((today.month, today.day), (1, 1));
                assert_eq!(today.year, yesterday.year + 1);
                assert_eq!(today.day_of_year(), 1);
            }
            yesterday = today;
        }
    }

    #[test]
    fn rfc3339_text() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1136239445), "2006-01-02T22:04:05Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }
}
