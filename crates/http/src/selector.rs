//! What selects series in a request: parsed queries and their selectors, `match[]` with its time
//! range, names of labels in a path.

use tsdb_model::Matcher;
use tsdb_promql::ParseError;
use tsdb_promql::ast::Expr;
use tsdb_promql::parse::MAX_DEPTH;

use crate::error::{ApiError, ErrorKind};
use crate::params::{MAX_TIME_MS, MIN_TIME_MS, Params};
use crate::router::Call;

/// Queries of up to this many bytes cannot be nested deeply enough to need a large stack.
const SHALLOW_BYTES: usize = 100;

/// Stack for walking the deepest tree the parser makes, as large as the engine's. Only what is used
/// becomes memory.
const STACK_BYTES: usize = (4 << 20) + MAX_DEPTH * (48 << 10);

/// Parses the parameter `query` and hands the result to `work`, on a stack that is large enough
/// for whatever the parser accepts.
pub(crate) fn with_query<R: Send>(
    call: &Call,
    work: impl FnOnce(Result<Expr, ParseError>) -> Result<R, ApiError> + Send,
) -> Result<R, ApiError> {
    let text = call.params.get("query");
    let run = || work(call.state.options.engine.parse(text));
    if text.len() <= SHALLOW_BYTES {
        return run();
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run)
            .map_err(|e| ApiError::new(ErrorKind::Internal, format!("no thread to be had: {e}")))?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The matchers of every selector in an expression, in the order of the text.
pub(crate) fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut all = Vec::new();
    collect(expr, &mut all);
    all
}

// The parser bounds the depth.
fn collect(expr: &Expr, all: &mut Vec<Vec<Matcher>>) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Vector(e) => all.push(e.matchers.clone()),
        Expr::Matrix(e) => all.push(e.selector.matchers.clone()),
        Expr::Subquery(e) => collect(&e.expr, all),
        Expr::Paren(e) => collect(&e.expr, all),
        Expr::Unary(e) => collect(&e.expr, all),
        Expr::Binary(e) => {
            collect(&e.lhs, all);
            collect(&e.rhs, all);
        }
        Expr::Aggregate(e) => {
            collect(&e.expr, all);
            if let Some(param) = &e.param {
                collect(param, all);
            }
        }
        Expr::Call(e) => e.args.iter().for_each(|arg| collect(arg, all)),
    }
}

/// Limit, time range and selectors of the endpoints that list labels and series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    /// 0 for none.
    pub(crate) limit: usize,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) sets: Vec<Vec<Matcher>>,
}

impl Selection {
    /// Reads the parameters in Prometheus's order.
    pub(crate) fn from_params(params: &Params) -> Result<Self, ApiError> {
        let mut selection = Self::without_selectors(params)?;
        selection.sets = params.matchers()?;
        Ok(selection)
    }

    /// Reads limit and time range.
    pub(crate) fn without_selectors(params: &Params) -> Result<Self, ApiError> {
        Ok(Self {
            limit: params.limit()?,
            start_ms: params.time_or("start", MIN_TIME_MS)?,
            end_ms: params.time_or("end", MAX_TIME_MS)?,
            sets: Vec::new(),
        })
    }

    /// True when no time is left between start and end.
    pub(crate) fn is_empty(&self) -> bool {
        self.end_ms < self.start_ms
    }

    /// What to ask the store for: one more than wanted shows that there is more.
    pub(crate) fn store_limit(&self) -> usize {
        if self.limit == 0 {
            0
        } else {
            self.limit.saturating_add(1)
        }
    }

    /// Cuts a list to the limit; true when something was cut.
    pub(crate) fn cut<T>(&self, list: &mut Vec<T>) -> bool {
        let cut = self.limit > 0 && list.len() > self.limit;
        if cut {
            list.truncate(self.limit);
        }
        cut
    }
}

/// Undoes the escaping of label names that begin with `U__`: `_HEX_` is the character of that
/// code, `__` an underscore. A name that is not well-formed stays as it is.
pub(crate) fn unescape_name(name: &str) -> String {
    let unescaped = name.strip_prefix("U__").and_then(unescape_values);
    unescaped.unwrap_or_else(|| name.to_string())
}

fn unescape_values(escaped: &str) -> Option<String> {
    let mut out = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        let (code, after) = rest[at + 1..].split_once('_')?;
        rest = after;
        if code.is_empty() {
            out.push('_');
            continue;
        }
        // Longer codes are beyond Unicode.
        if code.len() > 6 || !code.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
    }
    out.push_str(rest);
    Some(out)
}

/// What several selectors find, each thing once. Many selectors may find the same again and again,
/// so doubles are dropped on the way, not only at the end.
pub(crate) struct Union<T> {
    found: Vec<T>,
    compact_at: usize,
}

/// Things gathered before doubles are looked for.
const COMPACT_AT: usize = 10_000;

impl<T: Ord> Union<T> {
    pub(crate) fn new() -> Self {
        Self {
            found: Vec::new(),
            compact_at: COMPACT_AT,
        }
    }

    pub(crate) fn add(&mut self, more: impl IntoIterator<Item = T>) {
        self.found.extend(more);
        if self.found.len() >= self.compact_at {
            self.compact();
            self.compact_at = COMPACT_AT.max(self.found.len() * 2);
        }
    }

    fn compact(&mut self) {
        self.found.sort_unstable();
        self.found.dedup();
    }

    /// Everything found, in order.
    pub(crate) fn sorted(mut self) -> Vec<T> {
        self.compact();
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_union_holds_each_thing_once_and_never_much_more() {
        let mut union = Union::new();
        for _ in 0..1000 {
            union.add((0..100).rev());
            assert!(union.found.len() <= COMPACT_AT);
        }
        assert_eq!(union.sorted(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn escaped_names() {
        for (escaped, name) in [
            ("plain", "plain"),
            ("U__http_2e_status:code", "http.status:code"),
            ("U__lab_2E_el__x", "lab.el_x"),
            ("U___1F600_", "\u{1f600}"),
            ("U__", ""),
            // Not well-formed: no end, no digits, no character, too long.
            ("U__a_2e", "U__a_2e"),
            ("U__a_", "U__a_"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_+1_", "U__a_+1_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__a_0000041_", "U__a_0000041_"),
        ] {
            assert_eq!(unescape_name(escaped), name, "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn any_name_unescapes(name in "(U__)?.{0,20}") {
            let _ = unescape_name(&name);
        }
    }

    #[test]
    fn limits_show_that_there_is_more() {
        let mut s = Selection::from_params(&Params::from_query("limit=2&start=1&end=0")).unwrap();
        assert!(s.is_empty());
        let mut list = vec![1, 2, 3];
        assert_eq!(
            (s.store_limit(), s.cut(&mut list), list.len()),
            (3, true, 2)
        );
        assert!(!s.cut(&mut list));
        s.limit = 0;
        assert_eq!((s.store_limit(), s.cut(&mut list)), (0, false));
        s.limit = usize::MAX;
        assert_eq!(s.store_limit(), usize::MAX);
    }
}
