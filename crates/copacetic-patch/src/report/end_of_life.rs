//! Releases of distributions that have reached end of life: since when, and what is still served.

use trivy::report::Os;

/// Releases with a date.
type Dates = &'static [(&'static str, &'static str)];

/// The last days with security updates, by which Trivy decides, too (aquasecurity/trivy 0.74, `eolDates` in
/// pkg/detector/ospkg/debian/debian.go); with those of Debian LTS.
const DEBIAN: Dates = &[
    ("7", "2018-05-31"),
    ("8", "2020-06-30"),
    ("9", "2022-06-30"),
    ("10", "2024-06-30"),
    ("11", "2026-08-14"),
    ("12", "2028-06-10"),
];
/// The same, pkg/detector/ospkg/ubuntu/ubuntu.go.
const UBUNTU: Dates = &[
    ("14.04", "2022-04-25"),
    ("16.04", "2021-04-21"),
    ("18.04", "2023-05-31"),
    ("20.04", "2025-05-31"),
    ("22.04", "2027-04-23"),
    ("22.10", "2023-07-20"),
    ("23.04", "2024-01-20"),
    ("23.10", "2024-06-30"),
    ("24.10", "2025-07-09"),
    ("25.04", "2026-01-16"),
    ("25.10", "2026-07-01"),
];
/// Until when a subscription has updates: the releases `-ESM` there.
const UBUNTU_PRO: Dates = &[
    ("14.04", "2024-04-25"),
    ("16.04", "2026-04-29"),
    ("18.04", "2028-03-31"),
    ("20.04", "2030-04-30"),
];
/// The same, pkg/detector/ospkg/alpine/alpine.go.
const ALPINE: Dates = &[
    ("3.12", "2022-05-01"),
    ("3.13", "2022-11-01"),
    ("3.14", "2023-05-01"),
    ("3.15", "2023-11-01"),
    ("3.16", "2024-05-23"),
    ("3.17", "2024-11-22"),
    ("3.18", "2025-05-09"),
    ("3.19", "2025-11-01"),
    ("3.20", "2026-04-01"),
    ("3.21", "2026-12-05"),
    ("3.22", "2027-04-30"),
];

/// That the release of `os` has reached end of life, as Trivy found, since when, and what is still served; without a period. `None`
/// if it has not.
pub(super) fn statement(os: Option<&Os>) -> Option<String> {
    let os = os.filter(|os| os.end_of_life)?;
    let release = |parts: usize| {
        let parts: Vec<_> = os.name.split('.').take(parts).collect();
        parts.join(".")
    };
    let (ended, served) = match os.family.as_str() {
        "debian" => {
            let served = "its packages move to Debian's archive of old releases, as they were then";
            (date(DEBIAN, &release(1)), Some(served.to_owned()))
        }
        "ubuntu" => {
            let release = release(2);
            let ended = date(UBUNTU, &release);
            let served = match date(UBUNTU_PRO, &release) {
                Some(until) => Some(format!("Ubuntu Pro has updates until {until}")),
                None => ended.map(|_| "its packages move to Ubuntu's old releases".to_owned()),
            };
            (ended, served)
        }
        "alpine" => {
            let served = "its packages stay as they were then";
            (date(ALPINE, &release(2)), Some(served.to_owned()))
        }
        _ => (None, None),
    };
    let ended = ended.map_or_else(String::new, |date| format!(" on {date}"));
    let served = served.map_or_else(String::new, |served| format!("; {served}"));
    Some(format!(
        "{} {} reached end of life{ended} and no longer receives security updates{served}",
        os.family, os.name
    ))
}

fn date(dates: Dates, release: &str) -> Option<&'static str> {
    let known = dates.iter().find(|(known, _)| *known == release);
    known.map(|(_, date)| *date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_when_and_what_is_still_served() {
        let of = |family: &str, name: &str| {
            let os = Os {
                family: family.into(),
                name: name.into(),
                end_of_life: true,
            };
            statement(Some(&os)).unwrap()
        };
        let releases = [
            of("debian", "11.11"),
            of("ubuntu", "20.04"),
            of("ubuntu", "23.10"),
            of("ubuntu", "12.04"),
            of("alpine", "3.18.12"),
            of("centos", "7.9"),
        ];
        insta::assert_snapshot!(releases.join("\n"), @r"
        debian 11.11 reached end of life on 2026-08-14 and no longer receives security updates; its packages move to Debian's archive of old releases, as they were then
        ubuntu 20.04 reached end of life on 2025-05-31 and no longer receives security updates; Ubuntu Pro has updates until 2030-04-30
        ubuntu 23.10 reached end of life on 2024-06-30 and no longer receives security updates; its packages move to Ubuntu's old releases
        ubuntu 12.04 reached end of life and no longer receives security updates
        alpine 3.18.12 reached end of life on 2025-05-09 and no longer receives security updates; its packages stay as they were then
        centos 7.9 reached end of life and no longer receives security updates
        ");
    }

    #[test]
    fn a_release_that_is_maintained_has_no_statement() {
        let os = Os {
            family: "debian".into(),
            name: "13.2".into(),
            end_of_life: false,
        };
        assert_eq!(statement(Some(&os)), None);
        assert_eq!(statement(None), None);
    }
}
