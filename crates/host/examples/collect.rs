//! `collect [ROOT [ROUNDS]]` prints the page of the machine below ROOT (`/`); with ROUNDS it
//! collects that often instead and prints the cost of one.

#![expect(clippy::print_stdout, reason = "a program run by hand")]

use std::path::Path;
use std::time::Instant;

use tsdb_host::HostCollector;

fn main() {
    let root = std::env::args().nth(1).unwrap_or_else(|| "/".to_string());
    let host = HostCollector::new(Path::new(&root));
    let Some(rounds) = std::env::args().nth(2).and_then(|n| n.parse::<u32>().ok()) else {
        print!("{}", host.collect());
        return;
    };
    let cpu = || {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // After the command: user and system ticks of 10 ms are the fields 11 and 12.
        let fields = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11);
        fields
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum::<f64>()
            * 10.0
    };
    let (start, cpu_before) = (Instant::now(), cpu());
    let bytes: usize = (0..rounds).map(|_| host.collect().len()).sum();
    let each = |ms: f64| ms / f64::from(rounds.max(1));
    println!("{} bytes a page", bytes / rounds.max(1) as usize);
    println!(
        "{:.3} ms elapsed",
        each(start.elapsed().as_secs_f64() * 1e3)
    );
    println!("{:.3} ms of CPU", each(cpu() - cpu_before));
}
