//! How well a text fits what was typed: 1 for the best, 0 for not at all.

/// How texts are compared with a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// All characters of the term in order, with gaps.
    Subsequence,
    /// The term as a part, or else by the distance of Jaro and Winkler.
    JaroWinkler,
}

/// What passes, and how well.
#[derive(Debug)]
pub(crate) struct Filter {
    terms: Vec<Vec<char>>,
    algorithm: Algorithm,
    /// Least score, 0 to 1.
    threshold: f64,
    case_sensitive: bool,
}

/// Characters of a text that are looked at by the costly comparisons.
const MAX_CHARS: usize = 1024;

impl Filter {
    /// A filter for any of these terms; empty ones do not count.
    pub(crate) fn new<'a>(
        terms: impl IntoIterator<Item = &'a str>,
        algorithm: Algorithm,
        threshold: f64,
        case_sensitive: bool,
    ) -> Self {
        let terms = terms.into_iter().filter(|t| !t.is_empty());
        Self {
            terms: terms.map(|t| characters(t, case_sensitive)).collect(),
            algorithm,
            threshold,
            case_sensitive,
        }
    }

    /// The best score of a text, `None` when it does not pass.
    pub(crate) fn score(&self, text: &str) -> Option<f64> {
        if self.terms.is_empty() {
            return Some(1.0);
        }
        let text = characters(text, self.case_sensitive);
        let scores = self.terms.iter().filter_map(|term| self.term(term, &text));
        scores.reduce(f64::max)
    }

    fn term(&self, term: &[char], text: &[char]) -> Option<f64> {
        if text.starts_with(term) {
            return Some(1.0);
        }
        match self.algorithm {
            Algorithm::Subsequence => {
                let score = subsequence(term, text)?;
                (score > 0.0 && score >= self.threshold).then_some(score)
            }
            Algorithm::JaroWinkler => part(term, text).or_else(|| {
                let score = jaro_winkler(term, text);
                (self.threshold > 0.0 && score >= self.threshold).then_some(score)
            }),
        }
    }
}

fn characters(text: &str, case_sensitive: bool) -> Vec<char> {
    if case_sensitive {
        text.chars().take(MAX_CHARS).collect()
    } else {
        text.chars()
            .flat_map(char::to_lowercase)
            .take(MAX_CHARS)
            .collect()
    }
}

/// The earlier the better: from 1 at the start to 0.1 at the end.
fn part(term: &[char], text: &[char]) -> Option<f64> {
    let at = text.windows(term.len()).position(|w| w == term)?;
    let last = text.len() - term.len();
    Some(match last {
        0 => 1.0,
        last => 1.0 - 0.9 * at as f64 / last as f64,
    })
}

/// Rewards long runs and takes off for gaps, from the best place to begin.
fn subsequence(term: &[char], text: &[char]) -> Option<f64> {
    if term == text {
        return Some(1.0);
    }
    let last = text.len().checked_sub(term.len())?;
    let starts = (0..=last).filter(|i| text[*i] == term[0]);
    // When a start cannot be completed, no later one can.
    let scores = starts.map_while(|start| from(term, text, start));
    let best = scores.reduce(f64::max)?;
    // Below 1, so that only the very text is perfect.
    let full = (term.len() * term.len()) as f64;
    Some((best / full).max(0.0) * 0.999)
}

fn from(term: &[char], text: &[char], start: usize) -> Option<f64> {
    let length = text.len() as f64;
    let (mut score, mut matched, mut end) = (0.0, 0, 0);
    let mut at = start;
    while matched < term.len() {
        at += text[at..].iter().position(|c| *c == term[matched])?;
        let run = term[matched..]
            .iter()
            .zip(&text[at..])
            .take_while(|(a, b)| a == b)
            .count();
        score += (run * run) as f64 - (at - end) as f64 / length;
        matched += run;
        at += run;
        end = at;
    }
    Some(score - (text.len() - end) as f64 / length / 2.0)
}

fn jaro_winkler(a: &[char], b: &[char]) -> f64 {
    let jaro = jaro(a, b);
    let prefix = a.iter().zip(b).take(4).take_while(|(a, b)| a == b).count();
    jaro + prefix as f64 * 0.1 * (1.0 - jaro)
}

fn jaro(a: &[char], b: &[char]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return f64::from(u8::from(a.len() == b.len()));
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut ours = Vec::new();
    for (i, c) in a.iter().enumerate() {
        let near = i.saturating_sub(reach)..(i + reach + 1).min(b.len());
        if let Some(j) = near.into_iter().find(|j| !taken[*j] && b[*j] == *c) {
            taken[j] = true;
            ours.push(*c);
        }
    }
    if ours.is_empty() {
        return 0.0;
    }
    let theirs = b.iter().zip(&taken).filter(|(_, t)| **t).map(|(c, _)| *c);
    let moved = ours.iter().zip(theirs).filter(|(a, b)| **a != *b).count();
    let m = ours.len() as f64;
    (m / a.len() as f64 + m / b.len() as f64 + (m - (moved / 2) as f64) / m) / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn score(algorithm: Algorithm, threshold: f64, term: &str, text: &str) -> Option<f64> {
        Filter::new([term], algorithm, threshold, true).score(text)
    }

    #[test]
    fn subsequences() {
        let score = |term, text| score(Algorithm::Subsequence, 0.0, term, text);
        assert_eq!(score("up", "up"), Some(1.0));
        assert_eq!(score("http", "http_requests_total"), Some(1.0));
        assert_eq!(score("xyz", "http"), None);
        assert_eq!(score("ph", "http"), None);
        // One run of 3 after a gap of 4, and nothing behind.
        let run = (9.0 - 4.0 / 7.0) / 9.0 * 0.999;
        assert!((score("cpu", "nodecpu").unwrap() - run).abs() < 1e-12);
        assert!(score("cpu", "nodecpu") > score("cpu", "ncpxxu"));
        assert!(score("ncp", "node_cpu").unwrap() > 0.0);
    }

    #[test]
    fn parts_and_distances() {
        let score = |threshold, term, text| score(Algorithm::JaroWinkler, threshold, term, text);
        let last = score(0.0, "cpu", "node_cpu").unwrap();
        assert!((last - 0.1).abs() < 1e-12, "{last}");
        assert_eq!(score(0.0, "martha", "marhta"), None);
        let known = score(0.9, "martha", "marhta").unwrap();
        assert!((known - 0.961_111).abs() < 1e-4, "{known}");
        assert_eq!(score(0.99, "martha", "marhta"), None);
    }

    #[test]
    fn case_and_several_terms() {
        let folded = Filter::new(["CPU", ""], Algorithm::Subsequence, 0.0, false);
        assert_eq!(folded.score("cpu_seconds"), Some(1.0));
        let two = Filter::new(["zzz", "up"], Algorithm::Subsequence, 0.0, true);
        assert_eq!(two.score("up"), Some(1.0));
        assert_eq!(two.score("down"), None);
        let none = Filter::new([""], Algorithm::Subsequence, 0.5, true);
        assert_eq!(none.score("anything"), Some(1.0));
    }

    proptest! {
        #[test]
        fn any_text_has_a_score_from_0_to_1(term in ".{1,12}", text in ".{0,24}", jaro in any::<bool>()) {
            let algorithm = if jaro { Algorithm::JaroWinkler } else { Algorithm::Subsequence };
            if let Some(score) = score(algorithm, 0.01, &term, &text) {
                prop_assert!((0.0..=1.0).contains(&score), "{score}");
            }
        }
    }
}
