//! `hwmon`: temperatures, fans, voltages and power of the hardware monitoring chips, from
//! /sys/class/hwmon.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::{Families, Page};
use crate::tree::Tree;

const DIR: &str = "sys/class/hwmon";

/// The kinds of files that are sensors.
const KINDS: &[&str] = &[
    "beep_enable",
    "cpu",
    "curr",
    "energy",
    "fan",
    "freq",
    "humidity",
    "in",
    "intrusion",
    "power",
    "pwm",
    "temp",
    "update_interval",
    "vrm",
];

/// One sensor of a chip: its kind, and the text of its files by property (`input`, `max`, ..).
#[derive(Debug)]
struct Sensor {
    kind: &'static str,
    properties: BTreeMap<String, String>,
}

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let tree = context.tree;
    let mut names = tree.list(DIR)?;
    names.retain(|name| tree.is_dir(&format!("{DIR}/{name}")));
    let mut families = Families::default();
    for (name, chip) in chip_labels(tree, &names) {
        let dir = format!("{DIR}/{name}");
        if let Some(chip_name) = tree.value(&format!("{dir}/name")).map(|n| clean(&n)) {
            families.add(
                "node_hwmon_chip_names",
                MetricType::Gauge,
                || "Constant 1, labelled by the name the driver gives the chip.".to_string(),
                &[("chip", &chip), ("chip_name", &chip_name)],
                1.0,
            );
        }
        for (id, sensor) in &sensors(tree, &dir) {
            add_sensor(&mut families, &chip, id, sensor);
        }
    }
    families.write(page);
    Ok(())
}

/// Directory and `chip` label of each chip. Chips with the same parent device are told apart by
/// their names, else by their directories.
fn chip_labels<'a>(tree: &Tree, names: &'a [String]) -> Vec<(&'a str, String)> {
    let chips: Vec<(&str, String, String)> = names
        .iter()
        .map(|name| {
            let own = tree.value(&format!("{DIR}/{name}/name")).map(|n| clean(&n));
            let own = own.unwrap_or_default();
            (name.as_str(), base_label(tree, name, &own), own)
        })
        .collect();
    let labels = chips.iter().map(|(name, base, own)| {
        let same_base = || chips.iter().filter(|(_, b, _)| b == base);
        if same_base().count() == 1 {
            return (*name, base.clone());
        }
        let is_alone = same_base().filter(|(_, _, o)| o == own).count() == 1;
        let suffix = if is_alone && !own.is_empty() {
            own.clone()
        } else {
            clean(name)
        };
        (*name, format!("{base}_{suffix}"))
    });
    labels.collect()
}

/// The place of the chip's device (`platform_coretemp_0`), which stays when the numbering of the
/// directories changes; else its name, else its directory.
fn base_label(tree: &Tree, name: &str, own: &str) -> String {
    if let Some(device) = tree.resolve(&format!("{DIR}/{name}/device")) {
        let part = |path: Option<&std::ffi::OsStr>| {
            path.map(|p| clean(&p.to_string_lossy()))
                .unwrap_or_default()
        };
        let device_name = part(device.file_name());
        let bus = part(device.parent().and_then(|parent| parent.file_name()));
        match (bus.is_empty(), device_name.is_empty()) {
            (false, false) => return format!("{bus}_{device_name}"),
            (true, false) => return device_name,
            _ => {}
        }
    }
    if own.is_empty() {
        clean(name)
    } else {
        own.to_string()
    }
}

/// All sensors of a chip by id (`temp1`). Old drivers put the files beside the device instead.
fn sensors(tree: &Tree, dir: &str) -> BTreeMap<String, Sensor> {
    let mut sensors: BTreeMap<String, Sensor> = BTreeMap::new();
    for dir in [dir.to_string(), format!("{dir}/device")] {
        for file in tree.list(&dir).unwrap_or_default() {
            let Some((kind, number, property)) = split_file_name(&file) else {
                continue;
            };
            // Sensors that are switched off or faulty answer an error.
            let Some(text) = tree.value(&format!("{dir}/{file}")) else {
                continue;
            };
            let sensor = sensors
                .entry(format!("{kind}{number}"))
                .or_insert_with(|| Sensor {
                    kind,
                    properties: BTreeMap::new(),
                });
            sensor.properties.insert(property.to_string(), text);
        }
    }
    sensors
}

/// `temp1_crit_alarm` as kind `temp`, number 1 and property `crit_alarm`.
fn split_file_name(file: &str) -> Option<(&'static str, u32, &str)> {
    let digits_at = file
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(file.len());
    let (kind, rest) = file.split_at(digits_at);
    let kind = KINDS.iter().find(|known| **known == kind)?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    let number = if number.is_empty() {
        0
    } else {
        number.parse().ok()?
    };
    let property = if rest.is_empty() {
        ""
    } else {
        rest.strip_prefix('_')?
    };
    Some((kind, number, property))
}

fn add_sensor(families: &mut Families, chip: &str, id: &str, sensor: &Sensor) {
    let label = sensor.properties.get("label");
    if let Some(label) = label {
        families.add(
            "node_hwmon_sensor_label",
            MetricType::Gauge,
            || "Constant 1, labelled by the name of the sensor.".to_string(),
            &[("chip", chip), ("label", label), ("sensor", id)],
            1.0,
        );
    }
    let has_plain = sensor.properties.contains_key("");
    for (property, text) in &sensor.properties {
        let Ok(value) = text.parse::<f64>() else {
            continue;
        };
        let (name, metric_type, divisor) = family_of(sensor.kind, property, has_plain);
        let help = || format!("Hardware monitor, {} sensor, {property:?}.", sensor.kind);
        if sensor.kind == "freq" && property == "input" {
            // This one carries the sensor's name instead of its id.
            let Some(label) = label else { continue };
            let labels = [("chip", chip), ("sensor", &*clean(label))];
            families.add(&name, metric_type, help, &labels, value / divisor);
        } else if property != "label" {
            let labels = [("chip", chip), ("sensor", id)];
            families.add(&name, metric_type, help, &labels, value / divisor);
        }
    }
}

/// Family and type of a property, and the divisor from the unit of the file to that of the family.
fn family_of(kind: &str, property: &str, has_plain: bool) -> (String, MetricType, f64) {
    let gauge = MetricType::Gauge;
    match kind {
        "beep_enable" => return ("node_hwmon_beep_enabled".to_string(), gauge, 1.0),
        "vrm" => {
            return (
                "node_hwmon_voltage_regulator_version".to_string(),
                gauge,
                1.0,
            );
        }
        "update_interval" => {
            return ("node_hwmon_update_interval_seconds".to_string(), gauge, 1e3);
        }
        _ => {}
    }
    let name = match property {
        "" => format!("node_hwmon_{kind}"),
        "input" if !has_plain => format!("node_hwmon_{kind}"),
        _ => format!("node_hwmon_{kind}_{}", clean(property)),
    };
    let (unit, metric_type, divisor) = match (kind, property) {
        (_, "fault" | "alarm") => ("", gauge, 1.0),
        (_, "beep") => ("_enabled", gauge, 1.0),
        ("in" | "cpu", _) => ("_volts", gauge, 1e3),
        ("temp", "type") => ("", gauge, 1.0),
        ("temp", _) => ("_celsius", gauge, 1e3),
        ("curr", _) => ("_amps", gauge, 1e3),
        ("energy", _) => ("_joule_total", MetricType::Counter, 1e6),
        ("power", "accuracy") => ("", gauge, 1e6),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            ("_seconds", gauge, 1e3)
        }
        ("power", _) => ("_watt", gauge, 1e6),
        ("humidity", _) => ("", gauge, 1e6),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", gauge, 1.0),
        ("freq", "input") => ("_freq_mhz", gauge, 1e6),
        _ => ("", gauge, 1.0),
    };
    (name + unit, metric_type, divisor)
}

/// Small letters, digits, `:` and `_` only, without `_` at either end.
fn clean(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let keep = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == ':' || c == '_';
    let cleaned: String = lower
        .chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect();
    cleaned.trim_matches('_').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        assert_eq!(
            split_file_name("temp1_crit_alarm"),
            Some(("temp", 1, "crit_alarm"))
        );
        assert_eq!(split_file_name("pwm2"), Some(("pwm", 2, "")));
        assert_eq!(split_file_name("beep_enable"), Some(("beep_enable", 0, "")));
        assert_eq!(
            split_file_name("pwm1_auto_point1_pwm"),
            Some(("pwm", 1, "auto_point1_pwm"))
        );
        for file in [
            "name",
            "temp1x",
            "uevent",
            "temp99999999999_input",
            "temp_1",
            "",
        ] {
            assert_eq!(split_file_name(file), None, "{file}");
        }
    }

    #[test]
    fn families_and_units() {
        for (kind, property, has_plain, family, divisor) in [
            ("temp", "input", false, "node_hwmon_temp_celsius", 1e3),
            (
                "temp",
                "crit_alarm",
                false,
                "node_hwmon_temp_crit_alarm_celsius",
                1e3,
            ),
            ("temp", "type", false, "node_hwmon_temp_type", 1.0),
            ("fan", "min", false, "node_hwmon_fan_min_rpm", 1.0),
            ("fan", "alarm", false, "node_hwmon_fan_alarm", 1.0),
            ("in", "beep", false, "node_hwmon_in_beep_enabled", 1.0),
            ("pwm", "input", true, "node_hwmon_pwm_input", 1.0),
            (
                "power",
                "average",
                false,
                "node_hwmon_power_average_watt",
                1e6,
            ),
            (
                "energy",
                "input",
                false,
                "node_hwmon_energy_joule_total",
                1e6,
            ),
        ] {
            let (name, _, by) = family_of(kind, property, has_plain);
            assert_eq!((name.as_str(), by), (family, divisor));
        }
    }
}
