//! Whether an expression asks for what there is.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use tools::metrics::table::{ROWS, tool};
use tools::metrics::{Row, Shape, Words};

use crate::rules::{ALERTS, FOREIGN, GROUPS};

/// Labels that Prometheus adds when it scrapes.
const OF_SCRAPES: [&str; 2] = ["job", "instance"];

/// What is wrong with an expression; nothing if it parses and everything that it names exists.
pub fn complaints(expression: &str) -> Vec<String> {
    let plain = expression.replace("$__rate_interval", "5m").replace("$node", "alice");
    match parser::parse(&plain) {
        Err(error) => vec![error],
        Ok(expr) => {
            let mut names = Names::default();
            names.of(&expr);
            names.complaints
        }
    }
}

/// Labels that the series of an expression may have.
pub fn labels(expression: &str) -> BTreeSet<String> {
    let plain = expression.replace("$__rate_interval", "5m").replace("$node", "alice");
    let mut names = Names::default();
    if let Ok(expr) = parser::parse(&plain) {
        names.of(&expr);
    }
    names.labels
}

/// Metrics that an expression asks for.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let plain = expression.replace("$__rate_interval", "5m").replace("$node", "alice");
    let mut names = Names::default();
    if let Ok(expr) = parser::parse(&plain) {
        names.of(&expr);
    }
    names.metrics
}

#[derive(Default)]
struct Names {
    complaints: Vec<String>,
    labels: BTreeSet<String>,
    metrics: BTreeSet<String>,
}

impl Names {
    fn of(&mut self, expr: &Expr) {
        match expr {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(selector) => self.selector(&selector.vs),
            Expr::Aggregate(aggregate) => {
                self.of(&aggregate.expr);
                if let Some(param) = &aggregate.param {
                    self.of(param);
                }
                self.modifier(aggregate.modifier.as_ref());
            }
            Expr::Binary(binary) => {
                self.of(&binary.lhs);
                self.of(&binary.rhs);
                if let Some(modifier) = &binary.modifier {
                    self.modifier(modifier.matching.as_ref());
                }
            }
            Expr::Unary(unary) => self.of(&unary.expr),
            Expr::Paren(paren) => self.of(&paren.expr),
            Expr::Subquery(subquery) => self.of(&subquery.expr),
            Expr::Call(call) => {
                for argument in &call.args.args {
                    self.of(argument);
                }
                if call.func.name == "label_replace"
                    && let Some(name) = call.args.args.get(1)
                    && let Expr::StringLiteral(name) = name.as_ref()
                {
                    self.labels.insert(name.val.clone());
                }
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
            Expr::Extension(_) => self.complaints.push("an extension of the parser's".into()),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) {
        let Some(name) = &selector.name else {
            self.complaints.push("a selector without a name".into());
            return;
        };
        self.metrics.insert(name.clone());
        let Some(known) = known(name) else {
            self.complaints.push(format!("there is no metric `{name}`"));
            return;
        };
        for matcher in &selector.matchers.matchers {
            match known.get(matcher.name.as_str()) {
                None if OF_SCRAPES.contains(&matcher.name.as_str()) => {}
                None => self.complaints.push(format!("`{name}` has no label `{}`", matcher.name)),
                Some(None) => {}
                Some(Some(words)) => {
                    let wanted: Vec<&str> = match matcher.op {
                        MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
                        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
                    };
                    for word in wanted.into_iter().filter(|word| !words.iter().any(|known| known == word)) {
                        self.complaints.push(format!("the label `{}` of `{name}` is never `{word}`", matcher.name));
                    }
                }
            }
        }
        self.labels.extend(known.into_keys());
    }

    fn modifier(&mut self, modifier: Option<&LabelModifier>) {
        let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = modifier else { return };
        for label in &labels.labels {
            if !self.labels.contains(label) && !OF_SCRAPES.contains(&label.as_str()) {
                self.complaints.push(format!("nothing here has a label `{label}`"));
            }
        }
    }
}

/// The labels of a metric, with their words where these are known; nothing if there is no such metric.
fn known(name: &str) -> Option<BTreeMap<String, Option<Vec<String>>>> {
    let of_row = |row: &Row| {
        let words = |words: Words| match words {
            Words::Fixed(words) => Some(words.iter().map(|word| (*word).to_owned()).collect()),
            Words::Lists | Words::Systems | Words::About(_) => None,
        };
        row.labels.iter().map(|label| (label.name.to_owned(), words(label.words))).collect::<BTreeMap<_, _>>()
    };
    let named = |row: &&Row| match row.shape {
        Shape::Histogram(_) => ["_bucket", "_sum", "_count"].iter().any(|suffix| name.strip_suffix(suffix) == Some(row.name)),
        _ => row.name == name,
    };
    if let Some(row) = ROWS.iter().find(named) {
        let mut labels = of_row(row);
        labels.insert("node".into(), None);
        if let (Shape::Histogram(bounds), true) = (row.shape, name.ends_with("_bucket")) {
            labels.insert("le".into(), Some(bounds.iter().map(|bound| format!("{bound:?}")).collect()));
        }
        return Some(labels);
    }
    if let Some(row) = tool::ROWS.iter().find(named) {
        return Some(of_row(row));
    }
    if GROUPS.iter().flat_map(|group| group.rules).any(|rule| rule.name == name) {
        let signals =
            GROUPS.iter().flat_map(|group| group.rules).flat_map(|rule| rule.labels).map(|(_, signal)| (*signal).to_owned());
        return Some(BTreeMap::from([("node".to_owned(), None), ("signal".to_owned(), Some(signals.collect()))]));
    }
    FOREIGN.iter().any(|(foreign, _)| *foreign == name).then(BTreeMap::new)
}

/// Every expression of the rules.
pub fn of_rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    let recorded = GROUPS.iter().flat_map(|group| group.rules).map(|rule| (rule.name, rule.expr));
    recorded.chain(ALERTS.iter().map(|alert| (alert.name, alert.expr)))
}
