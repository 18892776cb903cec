//! The store and the query engine inside another program: append, query, close.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use tsdb::{
    Appendable as _, Appender as _, Db, Engine, EngineOptions, Labels, Options, QueryOptions,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Db::open(dir.path(), Options::default())?;

    // One sample a second for a minute, two series, one commit each second.
    let start_ms = 1_700_000_000_000;
    for second in 0..60_i64 {
        let mut appender = db.appender();
        for (room, offset) in [("attic", 3.5), ("cellar", -4.0)] {
            let labels = Labels::from_pairs([("__name__", "room_celsius"), ("room", room)]);
            let series = appender.series(&labels)?;
            let value = 18.0 + offset + second as f64 / 10.0;
            appender.append(series, start_ms + second * 1000, value)?;
        }
        appender.commit()?;
    }

    let engine = Engine::new(EngineOptions::default());
    let now = start_ms + 59_000;
    for query in [
        "room_celsius",
        "max(room_celsius)",
        "deriv(room_celsius[1m]) * 60",
    ] {
        let output = engine.instant(&db, query, now, &QueryOptions::default())?;
        println!("{query}: {:?}", output.value);
    }
    db.close()?;
    Ok(())
}
