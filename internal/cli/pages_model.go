package cli

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

func stageOf(v store.Version) string {
	out := make([]string, 0, len(v.Stages)+len(v.Aliases))
	for _, x := range v.Stages {
		out = append(out, string(x))
	}
	if len(out) == 0 && v.Stage != "" {
		out = append(out, string(v.Stage))
	}
	for _, a := range v.Aliases {
		out = append(out, "@"+a)
	}
	return strings.Join(out, ", ")
}

// modelTable lists the models with what stands where.
func (p *pages) modelTable(ctx context.Context) (web.SiteSection, error) {
	t := web.SiteSection{
		ID: "models", Title: "Models", Columns: []web.SiteColumn{{Name: "model"}, {Name: "production"}, {Name: "staging"}, {Name: "newest"}, {Name: "answers here"}, {Name: "registered"}},
		Empty: "No model is registered yet.", Command: "assay register",
	}
	models, err := p.s.st.Models(ctx)
	if err != nil {
		return t, err
	}
	for _, m := range models {
		row := []web.SiteCell{{Text: m.Name, Path: modelPath(m.Name)}}
		for _, stage := range []assay.Stage{assay.StageProduction, assay.StageStaging} {
			v, err := p.s.st.Holder(ctx, m.Name, stage)
			switch {
			case assay.CodeOf(err) == assay.NotFound:
				row = append(row, web.SiteCell{Text: "none"})
			case err != nil:
				return t, err
			default:
				row = append(row, web.SiteCell{Text: "version " + strconv.Itoa(v.Number)})
			}
		}
		here := "no"
		if _, live := p.server.Versions(m.Name); live != nil {
			here = "version " + strconv.Itoa(live.Number)
		}
		t.Rows = append(t.Rows, append(row, web.SiteCell{Text: "version " + strconv.Itoa(m.Latest)}, web.SiteCell{Text: here}, p.when(m.CreatedAt)))
	}
	return t, nil
}

func (p *pages) models(ctx context.Context, _ *http.Request) (web.SitePage, error) {
	t, err := p.modelTable(ctx)
	x := web.SitePage{Title: "Which models are there?", Here: "Models", Sections: []web.SiteSection{t}}
	x.Lead = assay.FormatCount(int64(len(t.Rows))) + " registered; " + assay.FormatCount(int64(len(p.server.Models()))) + " answer here."
	return x, err
}

// model says which version is live, what proves it, and what would stop the next one.
func (p *pages) model(ctx context.Context, r *http.Request) (web.SitePage, error) {
	name := r.PathValue("name")
	x := web.SitePage{Title: "Which version of " + name + " is live, what proves it, and what would stop the next one?", Here: "Models", Crumbs: []web.SiteLink{{Text: "Models", Path: "/models"}, {Text: name}}}
	all, err := p.s.st.Versions(ctx, name)
	if err != nil {
		return x, err
	}
	slices.SortFunc(all, func(a, b store.Version) int { return b.Number - a.Number })
	versions := web.SiteSection{ID: "versions", Title: "Versions", Columns: []web.SiteColumn{{Name: "version"}, {Name: "stands as"}, {Name: "registered"}, {Name: "model"}, {Name: "watched"}}}
	var live *store.Version
	for i, v := range all {
		if slices.Contains(v.Stages, assay.StageProduction) {
			live = &all[i]
		}
		watched := web.SiteCell{Text: "no plan"}
		if plan, err := p.s.latest(ctx, assay.KindMonitor, v.Model); err != nil {
			return x, err
		} else if plan != nil {
			watched = web.SiteCell{Text: "monitor", Path: monitorPath(v.Name, v.Number)}
		}
		versions.Rows = append(versions.Rows, []web.SiteCell{{Text: strconv.Itoa(v.Number)}, {Text: stageOf(v)}, p.when(v.CreatedAt), {Text: v.Model.Short(), Code: true}, watched})
	}
	x.Lead = "None is in production."
	if live != nil {
		x.Lead = "Version " + strconv.Itoa(live.Number) + " is in production."
		proof, err := p.proof(ctx, *live)
		if err != nil {
			return x, err
		}
		x.Sections = append(x.Sections, proof)
	}
	for i, v := range all { // the newest one, and the one in production where the gate would not let it in now
		isLive := live != nil && v.Number == live.Number
		if i > 0 && !isLive {
			continue
		}
		t, verdict, err := p.gate(ctx, v)
		if err != nil {
			return x, err
		}
		if i > 0 && (verdict == assay.Pass || verdict == "") {
			continue
		}
		switch {
		case verdict == "":
			x.Lead += " The gate has not judged version " + strconv.Itoa(v.Number) + ", the newest."
		case i == 0:
			x.Lead += " The gate says " + string(verdict) + " of version " + strconv.Itoa(v.Number) + ", the newest."
		}
		if isLive {
			t.Title = "What the gate says of version " + strconv.Itoa(v.Number)
			t.Text += " The next version has the same rules to pass."
		}
		x.Sections = append(x.Sections, t)
	}
	history, err := p.history(ctx, name)
	x.Sections = append(x.Sections, versions, history)
	return x, err
}

// proof is the newest evidence of each kind about a version.
func (p *pages) proof(ctx context.Context, v store.Version) (web.SiteSection, error) {
	t := web.SiteSection{
		ID: "proof", Title: "What proves version " + strconv.Itoa(v.Number), Columns: []web.SiteColumn{{Name: "kind"}, {Name: "recorded"}, {Name: "by"}, {Name: "evidence"}, {Name: "look at it"}},
		Empty: "Nothing but its registration.", Command: "assay make",
	}
	for _, k := range []assay.Kind{assay.KindModel, assay.KindEvaluation, assay.KindComparison, assay.KindServing, assay.KindMonitor, assay.KindTestFire, assay.KindCard, assay.KindVerdict, assay.KindPromotion, assay.KindRollout} {
		r, err := p.s.latest(ctx, k, v.Model)
		if err != nil {
			return t, err
		}
		if r != nil {
			t.Rows = append(t.Rows, []web.SiteCell{{Text: kindName(k)}, p.when(r.Entry.At), {Text: r.Entry.Producer}, evidenceLink(r.ID), {Text: "assay evidence show " + r.ID.Short(), Code: true}})
		}
	}
	return t, nil
}

// judged is the newest judgement of a version; nil: there is none.
func (p *pages) judged(ctx context.Context, v store.Version) (*assay.Record, assay.Judgement, error) {
	var j assay.Judgement
	r, err := p.s.latest(ctx, assay.KindVerdict, v.Model)
	if err != nil || r == nil {
		return nil, j, err
	}
	j, err = assay.Decode[assay.Judgement](r.Evidence)
	return r, j, err
}

// gate is what the newest judgement says of a version.
func (p *pages) gate(ctx context.Context, v store.Version) (web.SiteSection, assay.Verdict, error) {
	t := web.SiteSection{
		ID: "gate-" + strconv.Itoa(v.Number), Title: "What would stop version " + strconv.Itoa(v.Number), Columns: []web.SiteColumn{{Name: "rule"}, {Name: "verdict"}, {Name: "why"}, {Name: "rests on"}, {Name: "next"}},
		Empty: "The gate has not judged it yet.", Command: "assay done " + versionName(v),
	}
	r, j, err := p.judged(ctx, v)
	if err != nil || r == nil {
		return t, "", err
	}
	t.Text = "As judged for " + string(j.Stage) + " by policy " + policyName(j) + ", " + r.Entry.At.UTC().Format("2006-01-02 15:04 UTC") + "."
	for _, x := range j.Rules {
		if !x.Required && x.Verdict != assay.Pass {
			continue
		}
		why := web.SiteCell{Text: x.Reason}
		if x.Waived != "" {
			why.More = []string{"waived, evidence " + x.Waived.Short()}
		}
		hint := web.SiteCell{}
		if x.Hint != "" && x.Verdict != assay.Pass {
			hint = web.SiteCell{Text: x.Hint, Code: true}
		}
		on := web.SiteCell{}
		if n := len(x.Evidence); n > 0 {
			if on = evidenceLink(x.Evidence[0]); n > 1 {
				on.More = []string{"and " + strconv.Itoa(n-1) + " more"}
			}
		}
		t.Rows = append(t.Rows, []web.SiteCell{{Text: x.Title}, {Verdict: x.Verdict}, why, on, hint})
	}
	return t, j.Verdict, nil
}

// maxEvents is how many events of a model's history are shown.
const maxEvents = 50

func (p *pages) history(ctx context.Context, name string) (web.SiteSection, error) {
	t := web.SiteSection{ID: "history", Title: "History", Columns: []web.SiteColumn{{Name: "when"}, {Name: "what"}, {Name: "version", Numbers: true}, {Name: "detail"}}}
	events, err := p.s.st.History(ctx, name, maxEvents)
	if err != nil {
		return t, err
	}
	for _, e := range events {
		detail := []string{}
		for _, d := range []string{string(e.Stage), e.Detail} {
			if d != "" {
				detail = append(detail, d)
			}
		}
		if e.Previous > 0 {
			detail = append(detail, "before: version "+strconv.Itoa(e.Previous))
		}
		t.Rows = append(t.Rows, []web.SiteCell{p.when(e.Entry.At), {Text: e.Action}, {Text: strconv.Itoa(e.Number)}, {Text: strings.Join(detail, ", ")}})
	}
	return t, nil
}
