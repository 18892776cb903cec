//! Test tools of tsdb: fault-injecting disk, .test runner, series generators.
