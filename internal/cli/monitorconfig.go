package cli

import (
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
)

// MonitorConfig says how a version is watched.
type MonitorConfig struct {
	Window      string                   `yaml:"window,omitempty" jsonschema:"description=how traffic is cut: 15m; 12h; 1d; 2w; 1mo; 1y; 5000 rows; or 1d or 5000 rows,default=1d"`
	Time        string                   `yaml:"time,omitempty" jsonschema:"description=column that says when a row of a replayed table came; data.time without it"`
	Columns     []string                 `yaml:"columns,omitempty" jsonschema:"description=columns to watch; all features without it"`
	Drift       DriftConfig              `yaml:"drift,omitempty" jsonschema:"description=what counts as drift"`
	Traffic     TrafficConfig            `yaml:"traffic,omitempty" jsonschema:"description=shares of the traffic that are tolerated; more of it is an alarm"`
	Skew        *SkewConfig              `yaml:"skew,omitempty" json:",omitempty" jsonschema:"description=compares training rows that come back with what the model learned from"`
	MinRows     int64                    `yaml:"min_rows,omitempty" jsonschema:"description=with fewer rows a window is undetermined; without it as many as it takes to find a change of twice the floor in one share of the rows,minimum=1"`
	Persistence int                      `yaml:"persistence,omitempty" jsonschema:"description=windows in a row that make an alarm; without it 2 for more than 52 windows a year and 1 for fewer,minimum=1,maximum=1000"`
	RowsPerDay  float64                  `yaml:"rows_per_day,omitempty" jsonschema:"description=expected traffic; for windows by rows where the training data has no time,exclusiveMinimum=0"`
	Labels      *LabelsConfig            `yaml:"labels,omitempty" jsonschema:"description=how labels that come later find their predictions"`
	Metrics     []string                 `yaml:"metrics,omitempty" jsonschema:"description=figures of performance to watch; evaluate.primary without it"`
	Margin      float64                  `yaml:"margin,omitempty" jsonschema:"description=how much worse than on held-out rows a figure may become; in its unit,minimum=0"`
	Business    *BusinessWatchConfig     `yaml:"business,omitempty" jsonschema:"description=watches evaluate.business beside them"`
	Alerts      []AlertConfig            `yaml:"alerts,omitempty" jsonschema:"description=who is told about what; and who is next when nobody answers"`
	Channels    map[string]ChannelConfig `yaml:"channels,omitempty" jsonschema:"description=ways to reach somebody; by name"`
	Seed        uint64                   `yaml:"seed,omitempty" jsonschema:"description=of the windows without drift that thresholds are calibrated on,minimum=0"`
}

// DriftConfig says what counts as drift.
type DriftConfig struct {
	FalseAlarms float64  `yaml:"false_alarms_per_year,omitempty" jsonschema:"description=false alarms that are tolerated; what sets every threshold,default=4,exclusiveMinimum=0"`
	EffectFloor *float64 `yaml:"effect_floor,omitempty" jsonschema:"description=smaller changes raise no alarm; in Cohen's w: 0.1 is small; 0.3 medium; 0.5 large,default=0.1,minimum=0,exclusiveMaximum=2"`
	Numeric     string   `yaml:"numeric_test,omitempty" jsonschema:"description=test of columns of numbers; without it both anderson_darling and jensen_shannon; see monitoring.md"`
	Categorical string   `yaml:"categorical_test,omitempty" jsonschema:"description=test of all other columns,default=jensen_shannon"`
	Shares      string   `yaml:"share_test,omitempty" json:",omitempty" jsonschema:"enum=beta_binomial,enum=fisher_exact,default=beta_binomial,description=test of how many rows have a value that is missing; of another type; never seen or out of range"`
	Correction  string   `yaml:"correction,omitempty" jsonschema:"enum=benjamini_hochberg,enum=benjamini_yekutieli,enum=holm,enum=bonferroni,default=benjamini_hochberg,description=over the signals of a window"`
	Detectors   Columns  `yaml:"detectors,omitempty" jsonschema:"description=find changes within a window in the order of its events: adwin; page_hinkley; kswin. They watch the score; and the 0/1 loss where labels come; without it none do"`
	Changing    []string `yaml:"detector_columns,omitempty" jsonschema:"description=columns of numbers that the detectors watch too"`
	Joint       Columns  `yaml:"multivariate,omitempty" jsonschema:"description=tests of all columns together: domain_classifier; pca_reconstruction; or none. Without it both; what they need is a sample of training rows as numbers of cells"`
	Replicates  int      `yaml:"replicates,omitempty" jsonschema:"description=windows without drift that are drawn for each threshold,default=1000,minimum=200,maximum=1000000"`
}

// TrafficConfig says what of the traffic is tolerated.
type TrafficConfig struct {
	Refused *float64 `yaml:"refused,omitempty" jsonschema:"description=share of requests that the input schema refuses,default=0.05,minimum=0,maximum=1"`
	Failed  *float64 `yaml:"failed,omitempty" jsonschema:"description=share of requests without an answer,default=0.01,minimum=0,maximum=1"`
	Lost    *float64 `yaml:"lost,omitempty" jsonschema:"description=share of rows that are answered and not in the log,default=0.01,minimum=0,maximum=1"`
}

// SkewConfig says how training rows that come back are found.
type SkewConfig struct {
	Join      Columns  `yaml:"join,omitempty" jsonschema:"description=columns that tell a row; data.key without it"`
	Tolerated *float64 `yaml:"tolerated,omitempty" jsonschema:"description=share of those rows that may differ,default=0.01,minimum=0,maximum=1"`
}

// noJoint says that no test looks at all columns together.
const noJoint = "none"

// LabelsConfig says how labels that come later find their predictions.
type LabelsConfig struct {
	Join        Columns `yaml:"join,omitempty" jsonschema:"description=columns that predictions and labels share; data.key without it"`
	Within      string  `yaml:"within,omitempty" jsonschema:"description=when a label is expected at the latest; such as 30d"`
	MinCoverage float64 `yaml:"min_coverage,omitempty" jsonschema:"description=with a smaller share of labelled rows the performance of a window is undetermined,default=0.5,exclusiveMinimum=0,maximum=1"`
	Conflicts   string  `yaml:"conflicts,omitempty" jsonschema:"enum=first,enum=last,enum=refuse,default=refuse,description=which of two labels that disagree counts; refuse: neither"`
	Repeats     string  `yaml:"repeats,omitempty" jsonschema:"enum=refuse,enum=last,enum=all,default=refuse,description=for which of several predictions of one key its label counts; refuse: none; last: the last one before the label came; all: each"`
	MaxConflict float64 `yaml:"max_conflicts,omitempty" jsonschema:"description=a larger share of predictions whose labels disagree is an alarm,default=0.01,exclusiveMinimum=0,maximum=1"`
}

// BusinessWatchConfig watches the business metric.
type BusinessWatchConfig struct {
	Margin float64 `yaml:"margin,omitempty" jsonschema:"description=how much worse than on held-out rows it may become; in its unit,minimum=0"`
}

// check adds what is wrong with the section.
func (c *MonitorConfig) check(p *Project, bad *assay.Problems) {
	span := func(key, s string) {
		if s == "" {
			return
		}
		if _, err := monitor.ParseSpan(s); err != nil {
			bad.Add("%s: %v", key, err)
		}
	}
	oneOf := func(key, got string, names []string) {
		if got != "" && !slices.Contains(names, got) {
			bad.Add("%s %q is none of %s", key, got, strings.Join(names, ", "))
		}
	}
	if c.Window != "" {
		if _, err := monitor.ParseWindow(c.Window); err != nil {
			bad.Add("monitor.window: %v", err)
		}
	}
	oneOf("monitor.drift.numeric_test", c.Drift.Numeric, monitor.Tests(true))
	oneOf("monitor.drift.categorical_test", c.Drift.Categorical, monitor.Tests(false))
	for _, t := range c.Drift.Detectors {
		oneOf("monitor.drift.detectors", t, monitor.EventTests())
	}
	if len(c.Drift.Changing) > 0 && len(c.Drift.Detectors) == 0 {
		bad.Add("monitor.drift.detector_columns names columns, and monitor.drift.detectors no detector")
	}
	for _, t := range c.Drift.Joint {
		oneOf("monitor.drift.multivariate", t, append(monitor.JointTests(), noJoint))
	}
	if len(c.Drift.Joint) > 1 && slices.Contains(c.Drift.Joint, noJoint) {
		bad.Add("monitor.drift.multivariate is none and something else")
	}
	if k := c.Skew; k != nil && len(k.Join) == 0 && len(p.Data.Key) == 0 {
		bad.Add("monitor.skew.join is empty, and so is data.key: what tells a row?")
	}
	if l := c.Labels; l != nil {
		span("monitor.labels.within", l.Within)
		if slices.Contains(l.Join, monitor.JoinRequest[0]) && !slices.Equal(l.Join, monitor.JoinRequest) {
			bad.Add("monitor.labels.join is %s; want request_id and row, or columns of the data", strings.Join(l.Join, ", "))
		}
	}
	for _, m := range c.Metrics {
		if !slices.Contains(p.Evaluate.Metrics, m) {
			bad.Add("monitor.metrics names %q, which is not in evaluate.metrics", m)
		}
	}
	if c.Business != nil && p.Evaluate.Business == nil {
		bad.Add("monitor.business watches evaluate.business, which is not there")
	}
	checkAlerts("monitor", c.Channels, c.Alerts, bad)
}

// settings are what the section asks for.
func (c *MonitorConfig) settings() (monitor.Settings, error) {
	o := monitor.Settings{
		FalseAlarmsPerYear: c.Drift.FalseAlarms, EffectFloor: c.Drift.EffectFloor, MinRows: c.MinRows, Persistence: c.Persistence, RowsPerDay: c.RowsPerDay,
		Numeric: c.Drift.Numeric, Categorical: c.Drift.Categorical, Shares: c.Drift.Shares, Correction: c.Drift.Correction, Seed: c.Seed, Replicates: c.Drift.Replicates,
		Labels: c.Labels != nil, Tolerated: monitor.Tolerated{Refused: c.Traffic.Refused, Failed: c.Traffic.Failed, Lost: c.Traffic.Lost},
		Events: c.Drift.Detectors, EventColumns: c.Drift.Changing,
	}
	if len(c.Drift.Joint) > 0 {
		o.Joint = slices.DeleteFunc(slices.Clone([]string(c.Drift.Joint)), func(t string) bool { return t == noJoint })
	}
	window := c.Window
	if window == "" {
		window = monitor.DefaultWindow
	}
	var err error
	o.Windows, err = monitor.ParseWindow(window)
	return o, err
}
