//! Panels as Grafana's JSON.

use serde_json::{Value, json};

/// A page of panels.
pub struct Dashboard {
    /// Folder in Grafana and under `dashboards/`.
    pub folder: &'static str,
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    pub panels: &'static [Panel],
}

/// A question and its answer.
pub struct Panel {
    /// How it is drawn, in Grafana's words.
    pub kind: &'static str,
    /// The title.
    pub question: &'static str,
    /// How to read the answer: what is normal, what is not.
    pub read: &'static str,
    pub unit: Unit,
    /// Expressions, and what to call their series.
    pub queries: &'static [(&'static str, &'static str)],
    /// Over the whole width.
    pub wide: bool,
}

/// What a number is.
#[derive(Clone, Copy)]
pub enum Unit {
    Age,
    Bool,
    Bytes,
    BytesPerSecond,
    Count,
    Feerate,
    PerSecond,
    Seconds,
    Share,
    Time,
}

impl Unit {
    /// In Grafana's words (`@grafana/data`, `valueFormats/categories.ts`).
    fn grafana(self) -> &'static str {
        match self {
            Self::Age | Self::Seconds => "s",
            Self::Bool => "bool_yes_no",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "binBps",
            Self::Count => "short",
            Self::Feerate => "suffix: sat/vB",
            Self::PerSecond => "suffix: /s",
            Self::Share => "percentunit",
            Self::Time => "dateTimeAsIso",
        }
    }
}

/// An expression as Grafana gets it.
pub fn expression(query: &str) -> String {
    query.replace("{NODE", "{node=~\"$node\"").replace("[R]", "[$__rate_interval]")
}

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;
const HEIGHT: u64 = 8;

impl Dashboard {
    /// The name of its file, and what links know it by.
    pub fn uid(&self) -> String {
        format!("peer-observer-{}", self.folder)
    }

    /// The whole dashboard, schema version 39 (Grafana 11).
    pub fn json(&self) -> Value {
        let (mut x, mut y) = (0, 0);
        let mut panels = vec![];
        for (number, panel) in (1_u64..).zip(self.panels) {
            let width = match panel.kind {
                "stat" => WIDTH / 4,
                _ if panel.wide => WIDTH,
                _ => WIDTH / 2,
            };
            if x + width > WIDTH {
                (x, y) = (0, y + HEIGHT);
            }
            panels.push(panel.json(number, json!({ "h": HEIGHT, "w": width, "x": x, "y": y })));
            x += width;
        }
        json!({
            "annotations": { "list": [] },
            "description": self.about,
            "editable": true,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": null,
            "links": [{
                "asDropdown": true, "icon": "external link", "includeVars": true, "keepTime": true, "tags": ["peer-observer"],
                "targetBlank": false, "title": "peer-observer", "tooltip": "", "type": "dashboards", "url": "",
            }],
            "panels": panels,
            "refresh": "30s",
            "schemaVersion": 39,
            "tags": ["peer-observer", self.folder],
            "templating": { "list": [source(), nodes()] },
            "time": { "from": "now-6h", "to": "now" },
            "timepicker": {},
            "timezone": "utc",
            "title": self.title,
            "uid": self.uid(),
            "version": 1,
        })
    }
}

/// The variable that says which Prometheus is asked.
fn source() -> Value {
    json!({
        "hide": 0, "includeAll": false, "label": "Prometheus", "multi": false, "name": "source", "options": [],
        "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": false, "type": "datasource",
    })
}

/// The variable that chooses nodes: one, several, all.
fn nodes() -> Value {
    let query = "label_values(peerobserver_events_total, node)";
    json!({
        "allValue": ".*", "current": { "selected": true, "text": ["All"], "value": ["$__all"] }, "datasource": data(),
        "hide": 0, "includeAll": true, "label": "Node", "multi": true, "name": "node", "options": [],
        "query": { "qryType": 1, "query": query, "refId": "node" }, "refresh": 2, "regex": "", "skipUrlSync": false, "sort": 1,
        "type": "query",
    })
}

fn data() -> Value {
    json!({ "type": "prometheus", "uid": "${source}" })
}

impl Panel {
    fn json(&self, id: u64, place: Value) -> Value {
        let now = matches!(self.kind, "stat" | "bargauge");
        let target = |(letter, (query, legend)): (u8, &(&str, &str))| {
            json!({
                "datasource": data(), "editorMode": "code", "expr": expression(query),
                "format": if self.kind == "heatmap" { "heatmap" } else { "time_series" },
                "instant": now, "legendFormat": legend, "range": !now, "refId": char::from(letter).to_string(),
            })
        };
        let targets: Vec<Value> = (b'A'..).zip(self.queries).map(target).collect();
        json!({
            "datasource": data(), "description": format!("{}\n\n{}", self.question, self.read),
            "fieldConfig": { "defaults": self.defaults(), "overrides": [] }, "gridPos": place, "id": id, "options": self.options(),
            "targets": targets, "title": self.question, "type": self.kind,
        })
    }

    fn defaults(&self) -> Value {
        let unit = self.unit.grafana();
        let thresholds = json!({ "mode": "absolute", "steps": [{ "color": "text", "value": null }] });
        match self.kind {
            "timeseries" => json!({
                "color": { "mode": "palette-classic" },
                "custom": { "drawStyle": "line", "fillOpacity": 8, "lineWidth": 1, "showPoints": "never", "spanNulls": false },
                "unit": unit,
            }),
            "heatmap" => json!({ "custom": { "hideFrom": { "legend": false, "tooltip": false, "viz": false } } }),
            _ => json!({ "color": { "mode": "thresholds" }, "thresholds": thresholds, "unit": unit }),
        }
    }

    fn options(&self) -> Value {
        let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        match self.kind {
            "timeseries" => json!({
                "legend": { "calcs": ["lastNotNull"], "displayMode": "list", "placement": "bottom", "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            "heatmap" => json!({
                "calculate": false, "cellGap": 1,
                "color": { "exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": false, "scale": "exponential", "scheme": "Turbo", "steps": 64 },
                "filterValues": { "le": 1e-9 }, "legend": { "show": true }, "rowsFrame": { "layout": "auto" },
                "tooltip": { "mode": "single", "yHistogram": false },
                "yAxis": { "axisPlacement": "left", "reverse": false, "unit": self.unit.grafana() },
            }),
            "bargauge" => json!({
                "displayMode": "basic", "minVizHeight": 10, "minVizWidth": 0, "orientation": "horizontal", "reduceOptions": last,
                "showUnfilled": false, "sizing": "auto", "valueMode": "text", "namePlacement": "auto", "maxVizHeight": 300,
                "legend": { "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false },
            }),
            _ => json!({
                "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "percentChangeColorMode": "standard",
                "reduceOptions": last, "showPercentChange": false, "textMode": "auto", "wideLayout": true,
            }),
        }
    }
}
