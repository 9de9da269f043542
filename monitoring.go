package assay

import (
	"encoding/json"
	"time"
)

// An Instant is a moment that is a fact of the data, such as the end of a window: RFC 3339 in UTC, with at most microseconds and without
// trailing zeros, so that one moment has one spelling. The empty Instant is no moment.
type Instant string

const instantLayout = "2006-01-02T15:04:05.999999Z07:00"

// InstantOf returns the moment t, cut to microseconds; the zero time gives the empty Instant.
func InstantOf(t time.Time) Instant {
	if t.IsZero() {
		return ""
	}
	return Instant(t.UTC().Truncate(time.Microsecond).Format(instantLayout))
}

// Time returns the moment in UTC. It returns Invalid when i is empty or is not spelt as InstantOf spells it.
func (i Instant) Time() (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, string(i))
	if err != nil || InstantOf(t) != i {
		return time.Time{}, Errorf(Invalid, "%q is not a moment in UTC with at most microseconds", string(i))
	}
	return t.UTC(), nil
}

// UnmarshalJSON refuses another spelling of a moment than that of InstantOf.
func (i *Instant) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s != "" {
		if _, err := Instant(s).Time(); err != nil {
			return err
		}
	}
	*i = Instant(s)
	return nil
}

// Monitor is the payload of KindMonitor: the plan by which a version is watched, with all that a later window is held against. The
// subject is the model's digest. Spans are whole seconds.
type Monitor struct {
	Data        Digest       `json:"data" names:"content"`     // of the data set that the model learned from
	Split       Digest       `json:"split" names:"evidence"`   // that tells training rows from held-out ones
	Serving     Digest       `json:"serving" names:"evidence"` // whose traffic it watches; empty for a table that is replayed
	Settings    Digest       `json:"settings" names:"content"` // of the project's monitoring settings, canonical
	Windows     WindowPlan   `json:"windows"`
	Budget      AlarmBudget  `json:"budget"`
	References  []Reference  `json:"references"` // in the order features, predictions, labels, estimator, sample
	Signals     []SignalPlan `json:"signals"`    // by scope, column and test
	Performance []MetricPlan `json:"performance"`
	Business    *MetricPlan  `json:"business,omitempty"`
	Slices      []string     `json:"slices"`              // of the evaluation, by name
	Slicing     []string     `json:"slicing,omitempty"`   // how the slices were defined: evaluate.slices of then
	Threshold   Number       `json:"threshold,omitempty"` // of the positive probability, from which the figures call a row positive; absent: that of the settings

	SliceBetween []SliceBetween `json:"slice_between,omitempty"` // by how much figures of slices differ between windows beyond chance; absent: it is not known, or the plan is older

	Labels   *LabelPlan  `json:"labels,omitempty"`
	Skew     *SkewPlan   `json:"skew,omitempty"` // how training rows that come back are compared; absent: they are not
	Channels []Channel   `json:"channels"`
	Alerts   []AlertPlan `json:"alerts"`
}

// WindowPlan says how traffic is cut into windows: by time, by count, or by whichever comes first.
type WindowPlan struct {
	By            string `json:"by"`             // time, count, time_or_count
	LengthSeconds int64  `json:"length_seconds"` // 0 by count
	Rows          int64  `json:"rows"`           // 0 by time
	GraceSeconds  int64  `json:"grace_seconds"`  // how long a window waits for late rows before it is judged
	MinRows       int64  `json:"min_rows"`       // with fewer the window is undetermined
	Time          string `json:"time,omitempty"` // the column of a replayed table; empty: when the request came
}

// AlarmBudget is how many false alarms a year the plan allows, and what that makes of one window.
type AlarmBudget struct {
	FalseAlarmsPerYear float64 `json:"false_alarms_per_year"`
	WindowsPerYear     float64 `json:"windows_per_year"`     // expected
	Level              float64 `json:"level"`                // error probability of one window, over all of its signals; the figures that need labels have as much again
	Correction         string  `json:"correction"`           // over the signals of a window: benjamini_hochberg, holm, …
	Null               string  `json:"null"`                 // how thresholds were calibrated without drift: stretches_of_time, dirichlet_multinomial; block_bootstrap in plans that knew no stretches of predictions
	BlockSeconds       int64   `json:"block_seconds"`        // rows closer than that stay together; 0: rows are independent
	Dependence         float64 `json:"dependence,omitempty"` // correlation of a window with the one that follows, as the training data had it; persistence is worth less by that
	Replicates         int     `json:"replicates"`
	Seed               uint64  `json:"seed"`
}

// Reference is what windows are held against, frozen: counts on fixed edges. The sample is rows, as the numbers of the cells that their values lie in.
type Reference struct {
	Name     string `json:"name"` // features, predictions, labels, estimator, sample
	Part     string `json:"part"` // of the split: train for features, a held-out part for predictions
	Rows     int64  `json:"rows"`
	IDs      Digest `json:"ids" names:"content"`   // of the row ids in canonical order
	Document Digest `json:"document" names:"blob"` // the summaries
}

// SignalPlan is one test that every window undergoes.
type SignalPlan struct {
	Scope     string  `json:"scope"`            // input, prediction, label, joint, traffic
	Kind      string  `json:"kind"`             // distribution, missing, type, unseen, range, change, skew, volume, refused, failed, lost
	Column    string  `json:"column,omitempty"` // empty: all of them together
	Test      string  `json:"test"`             // ks, psi, jensen_shannon, domain_classifier, adwin, kswin, …
	Threshold Number  `json:"threshold"`        // of the statistic, as calibrated; null when the p-value decides
	Effect    string  `json:"effect"`           // what the effect size is
	Floor     Number  `json:"floor"`            // the effect must reach at least that; null: any
	MinRows   int64   `json:"min_rows"`         // with fewer the signal is undetermined
	Persist   int     `json:"persist"`          // how many windows in a row make an alarm; 1: at once
	Weight    float64 `json:"weight"`           // of the column in the model, 0–1: what ranks causes
}

// MetricPlan is one figure of performance that windows are judged by.
type MetricPlan struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"`
	Higher     bool     `json:"higher_is_better"`
	Reference  Estimate `json:"reference"`         // on the held-out part
	Margin     float64  `json:"margin"`            // how much worse still counts as not worse, in the metric's unit
	Proxy      string   `json:"proxy,omitempty"`   // what estimates it before labels come: cbpe, dle
	Between    *Between `json:"between,omitempty"` // by how much it differs between windows beyond chance; absent: it is not known, and rows are taken for independent
}

// Between says by how much a figure differs between stretches of held-out rows of a window's length, beyond what the chance in their rows does.
type Between struct {
	SD        Number `json:"sd"`        // standard deviation
	Error     Number `json:"error"`     // standard error of its square
	Stretches int    `json:"stretches"` // that it was learned of
}

// SliceBetween says that of one figure of a slice.
type SliceBetween struct {
	Slice   string   `json:"slice"`
	Metric  string   `json:"metric"`
	Share   float64  `json:"share"`             // of the held-out rows that are of the slice, 0–1
	Between *Between `json:"between,omitempty"` // absent: too few stretches have rows of it, and what the figure of all rows differs by, divided by the share, stands for it
}

// LabelPlan says how labels that come later find their predictions.
type LabelPlan struct {
	Join          []string `json:"join"`           // columns, or request_id and row
	WithinSeconds int64    `json:"within_seconds"` // later ones are counted, and restate the window
	MinCoverage   float64  `json:"min_coverage"`   // with a smaller share of labelled rows the window is undetermined
	Conflicts     string   `json:"conflicts"`      // which of two labels that disagree counts: first, last, refuse (neither)
	MaxConflicts  float64  `json:"max_conflicts"`  // a larger share of predictions whose labels disagree is an alarm

	Repeats string `json:"repeats,omitempty"` // for which of several predictions of a key its label counts: refuse (none), last, all; empty: refuse
}

// SkewPlan says how training rows that come back are compared with what the model learned from.
type SkewPlan struct {
	Join      []string `json:"join"`      // columns that tell a row
	Tolerated float64  `json:"tolerated"` // share of rows that may differ, 0–1
}

// Channel is one way to reach somebody. Where it leads and its secret are no part of evidence: Target tells two of them apart.
type Channel struct {
	Name   string `json:"name"`
	Type   string `json:"type"`                   // webhook, alertmanager, pagerduty, slack, email
	Target Digest `json:"target" names:"content"` // of type and address, keyed with the store's secret
}

// AlertPlan says who is told about what, and who is next when nobody answers.
type AlertPlan struct {
	Name     string       `json:"name"`
	When     []string     `json:"when"`     // scopes of signals, or performance, business, labels, traffic
	Severity string       `json:"severity"` // info, warning, error, critical
	Persist  int          `json:"persist"`  // how many windows in a row it must hold
	Steps    []Escalation `json:"steps"`    // the first at once, each later one when nobody acknowledged before
	Actions  []string     `json:"actions"`  // abort_canary, rollback, stale_card
}

// Escalation is one step of an alert.
type Escalation struct {
	AfterSeconds int64    `json:"after_seconds"` // since the alert fired
	To           []string `json:"to"`            // names of channels
}

// TestFire is the payload of KindTestFire: the alerts of a plan were fired for a test, every step of every one, and what the receivers
// answered. The subject is the model's digest. When that was is in the journal.
type TestFire struct {
	Monitor    Digest     `json:"monitor" names:"evidence"` // the plan
	Challenge  string     `json:"challenge"`                // what the messages carried, new for every test: no two tests are one fact
	Deliveries []Delivery `json:"deliveries"`               // by alert, step and channel
	Unproven   []string   `json:"unproven"`                 // steps that reached nobody, in words
	Verdict    Verdict    `json:"verdict"`                  // pass: a receiver accepted every step of every alert
}

// Delivery is one message to one channel, and what came of it.
type Delivery struct {
	Alert    string `json:"alert"` // of the plan
	Step     int    `json:"step"`  // from 1
	Channel  string `json:"channel"`
	Type     string `json:"type"`
	Target   Digest `json:"target" names:"content"`  // as in the plan
	Message  Digest `json:"message" names:"content"` // of what was sent
	Attempts int    `json:"attempts"`
	Status   int    `json:"status"` // the receiver's HTTP or SMTP status; 0 when there was none
	Answer   string `json:"answer"` // the beginning of the receiver's answer, without secrets
	Accepted bool   `json:"accepted"`
}

// Window is one stretch of traffic. Start and End are facts about it, not about when anybody looked.
type Window struct {
	Start   Instant `json:"start,omitempty"`         // included
	End     Instant `json:"end,omitempty"`           // excluded
	Number  int64   `json:"number"`                  // in the plan, from 1
	Rows    int64   `json:"rows"`                    // predictions that were looked at
	Content Digest  `json:"content" names:"content"` // of those rows
	Refused int64   `json:"refused"`                 // rows of requests that the input schema refused
	Failed  int64   `json:"failed"`                  // rows without an answer, or with one that the output schema refused
	Lost    int64   `json:"lost"`                    // rows that were answered and are not in the log
	Late    int64   `json:"late"`                    // rows that came after the window was judged before
	Sampled float64 `json:"sampled"`                 // share of answered rows that were to be logged, 0–1

	Repeated int64 `json:"repeated,omitempty"` // answered requests of the log whose id another one of the window had before: their rows count, each
	Unclosed int64 `json:"unclosed,omitempty"` // segments of the log whose process was killed in the window: rows may be missing that are not in Lost
	Partial  bool  `json:"partial,omitempty"`  // the traffic ended before the window did

	First string `json:"first,omitempty"` // of a window by count of a log: SHA-256 of the request and the index of its first row, by which it is found again
	Last  string `json:"last,omitempty"`  // and of its last row
}

// Drift is the payload of KindDrift: one window held against the references of a plan. The subject is the model's digest. A verdict of
// fail means that something moved, pass that nothing did beyond what the plan allows.
type Drift struct {
	Monitor  Digest   `json:"monitor" names:"evidence"` // the plan
	Window   Window   `json:"window"`
	Engine   string   `json:"engine,omitempty"`                    // what evaluated the model: onnxruntime with its version, python_function, upstream; empty: Assay, or a file of predictions
	Restates Digest   `json:"restates,omitempty" names:"evidence"` // the drift evidence of the same window that this one replaces
	Signals  []Signal `json:"signals"`                             // in the order of the plan
	Ranking  []Cause  `json:"ranking"`                             // of what moved, by contribution
	Skew     *Skew    `json:"skew,omitempty"`                      // training rows that came back; absent: none was looked for
	Report   Digest   `json:"report" names:"blob"`                 // the summaries of the window
	Verdict  Verdict  `json:"verdict"`
}

// Skew is the rows of a window that the model learned from, and whether they were served as they were then. It holds no value.
type Skew struct {
	Matched   int64        `json:"matched"`   // rows whose key is that of one training row
	Differing int64        `json:"differing"` // of them, in at least one column
	Share     Estimate     `json:"share"`
	Columns   []SkewColumn `json:"columns"` // that differ, the most first
	Left      int          `json:"left"`    // columns that differ and are not named
}

// SkewColumn is one column of rows that came back.
type SkewColumn struct {
	Column    string   `json:"column"`
	Differing int64    `json:"differing"` // rows with another value than in training
	Share     Estimate `json:"share"`     // of the matched rows
}

// Signal is the result of one test on one window.
type Signal struct {
	Scope     string   `json:"scope"`
	Kind      string   `json:"kind"`
	Column    string   `json:"column,omitempty"`
	Test      string   `json:"test"`
	Statistic Number   `json:"statistic"`
	PValue    Number   `json:"p_value"`  // under the plan's calibrated null
	Adjusted  Number   `json:"adjusted"` // after the correction over the window's signals
	Threshold Number   `json:"threshold"`
	N         int64    `json:"n"`           // rows of the window
	Reference int64    `json:"reference_n"` // rows of the reference
	Effect    Estimate `json:"effect"`
	Floor     Number   `json:"floor"`
	Streak    int      `json:"streak"`  // windows in a row that were so, this one included; 0 when this one is not
	Verdict   Verdict  `json:"verdict"` // fail: it moved, by at least the floor; undetermined: too few rows
	Message   string   `json:"message,omitempty"`
}

// Cause is one of the things that an alarm is about, the most important first.
type Cause struct {
	Scope        string  `json:"scope"`
	Kind         string  `json:"kind"`
	Column       string  `json:"column,omitempty"`
	Contribution float64 `json:"contribution"` // 0–1; all causes of one window sum to 1
	Message      string  `json:"message"`
}

// Outcome is the payload of KindOutcome: the labels of one window, as far as they came, and what they say of the model. The subject is
// the model's digest. More labels give a new outcome that restates the older one.
type Outcome struct {
	Monitor     Digest           `json:"monitor" names:"evidence"` // the plan
	Window      Window           `json:"window"`
	Restates    Digest           `json:"restates,omitempty" names:"evidence"` // the outcome of the same window that this one replaces
	Look        int              `json:"look"`                                // how often the figures of this window were judged, this time included: later looks have a smaller share of the level
	Level       float64          `json:"level"`                               // error probability of this look, over all figures and signals
	Labels      LabelJoin        `json:"labels"`
	Performance []RealisedMetric `json:"performance"` // in the order of the plan
	Business    *RealisedMetric  `json:"business,omitempty"`
	Slices      []RealisedSlice  `json:"slices"`
	Drift       []Signal         `json:"drift"` // of the labels themselves
	Report      Digest           `json:"report" names:"blob"`
	Verdict     Verdict          `json:"verdict"` // fail: a figure is worse than its reference by more than the margin
}

// LabelJoin says which labels found which predictions, and how late they were.
type LabelJoin struct {
	Content    Digest   `json:"content" names:"content"` // of the labels that were joined
	Labelled   int64    `json:"labelled"`                // predictions of the window with a label
	Coverage   Estimate `json:"coverage"`                // their share
	Duplicates int64    `json:"duplicates"`              // labels that said the same again
	Conflicts  int64    `json:"conflicts"`               // predictions that two labels disagree about; the plan says which counts
	Unknown    int64    `json:"unknown"`                 // predictions whose label is no class of the model, or no number; they count as without
	Ambiguous  int64    `json:"ambiguous,omitempty"`     // predictions with a label of a key that other predictions have too; the plan says for which it counts
	Early      int64    `json:"early"`                   // labels that came before their prediction: a clock is wrong, or they were known; of more than half of them nothing is judged
	Unmatched  int64    `json:"unmatched"`               // labels in the window's time that found no prediction
	Overdue    int64    `json:"overdue"`                 // labels that came later than the plan expects
	DelayP50   Number   `json:"delay_p50_seconds"`
	DelayP90   Number   `json:"delay_p90_seconds"`
	DelayMax   Number   `json:"delay_max_seconds"`
	AsOf       Instant  `json:"as_of,omitempty"` // when the newest label of the window came; what had none by then still waited
	Until      Instant  `json:"until,omitempty"` // labels that came later were left out, so that labels are overdue only if they were then; empty: none was
}

// RealisedMetric is one figure of one window.
type RealisedMetric struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"`
	Higher     bool     `json:"higher_is_better"`
	Realised   Estimate `json:"realised"`             // on the labelled rows
	Proxy      Estimate `json:"proxy"`                // what was estimated without labels
	Assumption string   `json:"assumption,omitempty"` // what the proxy takes for granted
	Reference  Estimate `json:"reference"`
	Change     Estimate `json:"change"`  // to the reference; positive is better, whatever the metric's direction
	PValue     Number   `json:"p_value"` // of being no worse than the margin allows, corrected over all figures and signals of the outcome
	Margin     float64  `json:"margin"`
	Verdict    Verdict  `json:"verdict"`
}

// RealisedSlice is the same figures on some rows of a window.
type RealisedSlice struct {
	Name        string           `json:"name"`
	Labelled    int64            `json:"labelled"`
	Performance []RealisedMetric `json:"performance"`
	Verdict     Verdict          `json:"verdict"`
}

// States of an incident.
const (
	AlertPending      = "pending" // it holds, and not yet for long enough
	AlertFiring       = "firing"
	AlertAcknowledged = "acknowledged" // somebody has it: no further step
	AlertMuted        = "muted"        // nobody is told until it expires
	AlertResolved     = "resolved"
)

// Incident is the payload of KindAlert: one alert of one version in one state. The subject is the model's digest. A change of state is
// new evidence that names the state before; so the chain is the history, and the journal says when.
type Incident struct {
	Monitor     Digest     `json:"monitor" names:"evidence"` // the plan
	Key         string     `json:"key"`                      // the same for every state of one incident, and for no other
	Alert       string     `json:"alert"`                    // of the plan
	Severity    string     `json:"severity"`
	State       string     `json:"state"`                               // pending, firing, acknowledged, muted, resolved
	Previous    Digest     `json:"previous,omitempty" names:"evidence"` // the state before; empty for the first
	Since       Window     `json:"since"`                               // the window that began it
	Last        Window     `json:"last"`                                // the newest window that it holds for, or that resolved it
	Evidence    []Digest   `json:"evidence" names:"evidence"`           // drift and outcomes that it stands on
	Causes      []Cause    `json:"causes"`                              // the greatest
	CausesTotal int        `json:"causes_total,omitempty"`              // how many there are; what those of causes contribute is of all of them
	Step        int        `json:"step"`                                // of the escalation that was reached; 0 before the first
	Deliveries  []Delivery `json:"deliveries"`                          // in this state
	By          string     `json:"by,omitempty"`                        // who acknowledged, muted or resolved it
	Reason      string     `json:"reason,omitempty"`                    // required with By
	Until       Instant    `json:"until,omitempty"`                     // when the mute expires
	Actions     []string   `json:"actions"`                             // what was done: abort_canary, rollback, stale_card
	Undone      []Undone   `json:"undone,omitempty"`                    // what the alert asks for and what was not done
	Past        int        `json:"past,omitempty"`                      // one that was over when it was found, of the alert's in one look the first, second and so on; absent for others
}

// Undone is an action that an alert asks for and that was not done.
type Undone struct {
	Action string  `json:"action"` // abort_canary, rollback, stale_card
	Why    string  `json:"why"`
	Until  Instant `json:"until,omitempty"` // it is tried again until then; absent when it is not tried any more
}
