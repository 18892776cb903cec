//! An embeddable metrics time-series database: exact, durable, PromQL.
