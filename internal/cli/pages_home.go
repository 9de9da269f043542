package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

// A needsList is what needs somebody, each with why and with what to do next.
type needsList struct{ web.SiteSection }

func (t *needsList) add(what, path, why, next string, v assay.Verdict) {
	t.Rows = append(t.Rows, []web.SiteCell{{Text: what, Path: path}, {Verdict: v}, {Text: why}, {Text: next, Code: true}})
}

// home says what needs somebody, then which versions are where.
func (p *pages) home(ctx context.Context, _ *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "What needs me?", Here: "Home"}
	needs := &needsList{web.SiteSection{
		ID: "needs", Title: "What needs somebody", Columns: []web.SiteColumn{{Name: "what"}, {Name: "verdict"}, {Name: "why"}, {Name: "next"}},
		Empty: "Nothing: no alert fires, no window moved, no label is overdue, every message found its receiver, the newest run did not fail, no gate refuses, no card is stale, and no log row is missing.",
	}}
	for _, look := range []func(context.Context, *needsList) error{p.needsOfMonitors, p.needsOfMessages, p.needsOfModels} {
		if err := look(ctx, needs); err != nil {
			return x, err
		}
	}
	for _, t := range p.server.Tallies() {
		if t.Lost > 0 {
			needs.add("log of "+t.Name+":"+t.Version, "/traffic", assay.FormatCount(t.Lost)+" rows were not logged", "assay log list", assay.Fail)
		}
	}
	failed, err := p.failedRuns(ctx, needs)
	if err != nil {
		return x, err
	}
	models, err := p.modelTable(ctx)
	if err != nil {
		return x, err
	}
	x.Lead = "Nothing does."
	if n := len(needs.Rows); n == 1 {
		x.Lead = "One thing does."
	} else if n > 1 {
		x.Lead = fmt.Sprintf("%d things do.", n)
	}
	x.Sections = []web.SiteSection{needs.SiteSection, models}
	if len(failed.Rows) > 0 {
		x.Sections = append(x.Sections, failed)
	}
	return x, nil
}

// needsOfMonitors are alerts that nobody has taken over, newest windows that moved and labels that are overdue.
func (p *pages) needsOfMonitors(ctx context.Context, needs *needsList) error {
	all, err := p.s.watchedVersions(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		for _, c := range w.cases {
			if in := c.Incident; c.Open() && in.State != assay.AlertAcknowledged && in.State != assay.AlertMuted {
				v, next := assay.Fail, "assay alert ack "+in.Key+" --by NAME --reason TEXT"
				if in.State == assay.AlertPending { // nobody was told yet
					v, next = assay.Undetermined, "assay alert show "+in.Key
				}
				needs.add("alert "+in.Key, "/alerts/"+in.Key, in.State+": "+firstCause(in), next, v)
			}
		}
		m, err := p.watch(ctx, w)
		if err != nil {
			return err
		}
		name, path := versionName(w.version), monitorPath(w.version.Name, w.version.Number)
		if m.newest != nil && m.newest.Verdict != assay.Pass {
			needs.add("monitor "+name, path, "window "+m.label+": "+m.why, "assay monitor report "+name, m.newest.Verdict)
		}
		if m.overdue != "" {
			needs.add("labels of "+name, path+"#labels", "window "+m.overdue, "assay labels status", assay.Fail)
		}
	}
	return nil
}

// needsOfMessages are the messages that were given up, by channel, and those that cannot be read.
func (p *pages) needsOfMessages(ctx context.Context, needs *needsList) error {
	d, err := p.s.desk(ctx)
	if err != nil {
		return err
	}
	dead, broken, err := d.outbox.List("dead")
	if err != nil {
		return err
	}
	many := map[string]int{}
	why := map[string]string{}
	for _, m := range dead { // the oldest first
		many[m.Channel]++
		if why[m.Channel] = m.Last.Text; m.Last.Status != 0 {
			why[m.Channel] = fmt.Sprintf("it answered %d", m.Last.Status)
		}
	}
	for _, c := range sortedKeys(many) {
		needs.add("messages to "+c, "/alerts", fmt.Sprintf("%d reached nobody; the last one: %s", many[c], why[c]), "assay monitor test-fire", assay.Fail)
	}
	if broken > 0 {
		needs.add("messages", "/alerts", fmt.Sprintf("%d cannot be read, and reached nobody", broken), "assay alert list", assay.Fail)
	}
	return nil
}

// needsOfModels are gates that do not let a version through and cards that are stale, of each model's newest version and of those that hold a stage.
func (p *pages) needsOfModels(ctx context.Context, needs *needsList) error {
	models, err := p.s.st.Models(ctx)
	if err != nil {
		return err
	}
	for _, m := range models {
		seen := map[int]bool{}
		newest, err := p.s.st.Version(ctx, m.Name, m.Latest)
		if err != nil {
			return err
		}
		versions := []store.Version{newest}
		for _, stage := range []assay.Stage{assay.StageProduction, assay.StageStaging} {
			v, err := p.s.st.Holder(ctx, m.Name, stage)
			if assay.CodeOf(err) == assay.NotFound {
				continue
			}
			if err != nil {
				return err
			}
			versions = append(versions, v)
		}
		for _, v := range versions {
			if seen[v.Number] {
				continue
			}
			seen[v.Number] = true
			if err := p.needsOfVersion(ctx, v, needs); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pages) needsOfVersion(ctx context.Context, v store.Version, needs *needsList) error {
	name := versionName(v)
	r, j, err := p.judged(ctx, v)
	if err != nil {
		return err
	}
	if r != nil && j.Verdict != assay.Pass {
		why, next, more := "", "assay done "+name, 0
		for _, x := range j.Rules {
			switch {
			case !x.Required || x.Verdict == assay.Pass || x.Waived != "":
			case why == "":
				why = x.Title + ": " + x.Reason
				if x.Hint != "" {
					next = x.Hint
				}
			default:
				more++
			}
		}
		if more > 0 {
			why += fmt.Sprintf("; and %d more", more)
		}
		needs.add("gate of "+name+" for "+string(j.Stage), modelPath(v.Name)+"#gate-"+fmt.Sprint(v.Number), why, next, j.Verdict)
	}
	d, err := p.s.dossier(ctx, v)
	if err != nil {
		return err
	}
	card, err := p.s.card(ctx, d)
	if err != nil || card == nil {
		return err
	}
	if stale := registry.Stale(card.Value, d); len(stale) > 0 {
		needs.add("card of "+name, modelPath(v.Name), "stale: "+some(stale), "assay card "+name, assay.Fail)
	}
	return nil
}

// Limits of the runs that failed on the first page.
const (
	runsLookedAt = 50 // the newest
	failedShown  = 5
)

// failedRuns are the last runs that failed. If the newest of all is one, somebody is needed.
func (p *pages) failedRuns(ctx context.Context, needs *needsList) (web.SiteSection, error) {
	t := web.SiteSection{
		ID: "failed-runs", Title: "Runs that failed", Text: fmt.Sprintf("The newest, of the last %d runs. A run that failed leaves no model.", runsLookedAt),
		Columns: []web.SiteColumn{{Name: "run"}, {Name: "when"}, {Name: "command"}, {Name: "why"}, {Name: "next"}},
	}
	rs, err := p.s.st.Find(ctx, store.Query{Kind: assay.KindRun, Limit: runsLookedAt})
	if err != nil {
		return t, err
	}
	for i, r := range rs {
		x, err := assay.Decode[assay.Run](r.Evidence)
		if err != nil {
			return t, err
		}
		if x.Status == "finished" || len(t.Rows) == failedShown {
			continue
		}
		why, next := runFailed(x), "assay run"
		if len(x.Spec.Command) > 1 && x.Spec.Command[0] == "assay" {
			next = "assay " + x.Spec.Command[1]
		}
		if i == 0 {
			needs.add("run "+r.ID.Short(), "/evidence/"+r.ID.Short(), why, next, assay.Fail)
		}
		t.Rows = append(t.Rows, []web.SiteCell{evidenceLink(r.ID), p.when(r.Entry.At), {Text: strings.Join(x.Spec.Command, " "), Code: true}, {Text: why}, {Text: next, Code: true}})
	}
	return t, nil
}

// runFailed says why a run failed.
func runFailed(x assay.Run) string {
	why := fmt.Sprintf("%s with exit status %d", x.Status, x.Exit)
	if x.Signal != "" {
		why = x.Status + " by signal " + x.Signal
	}
	if len(x.Problems) > 0 {
		why += ": " + some(x.Problems)
	}
	return why
}
